//! Somebody else's float ONNX file → plain layers, exactly or not at all.
//!
//! | module | holds |
//! |---|---|
//! | [`graph`] | the walk over the nodes, the graph's output |
//! | `input` | the graph's input: which image it is, in which order and range |
//! | `layers` | which node becomes what; dense layers, ends |
//! | `attributes` | operators and attributes that are read |
//! | `branches` | sums, products, joined channels |
//! | `functions` | functions of one activation |
//! | `list` | the graph's layers as a list |
//! | `geometry` | attributes of whatever slides |
//! | `windows` | convolutions, pools, padding |
//! | `scaling` | scale and shift by constants, batch norm, activations |
//! | `view` | what a tensor is: elements of a layer's output in some order, scaled and shifted |
//! | `rearrange` | Transpose, Reshape, Gather, …: nodes that only say where elements stand |
//! | `fold` | arithmetic over constants |
//! | `tensor` | constants of any type, in the file or beside it |
//! | [`compare`] | the file as it came against the file written here |
//! | [`record`] | what is kept of an import beside the model |
//!
//! The layers are written as a file of this project's own form by [`crate::onnx::write`]; everything after
//! that is as for a network trained here. Tract's declutter was looked at for the same work: it yields
//! operators of its own (einsum, im2col), whose order of axes is tract's choice and not stable from one
//! version to the next, and it forgets the names that an error must tell. So tract runs both files, as the
//! judge, and the graph is read here.

pub(crate) mod attributes;
mod branches;
pub mod compare;
pub(crate) mod fold;
mod functions;
pub(crate) mod geometry;
pub mod graph;
mod input;
mod layers;
mod list;
pub(crate) mod rearrange;
pub mod record;
mod scaling;
pub(crate) mod tensor;
mod view;
mod windows;

use firmware::nn::window::Window;
use shared::input::InputShape;

use crate::onnx::float::{FloatLayer, FloatOp};
use crate::onnx::proto::{self, ModelProto};

pub use graph::{import, read};
pub use view::Head;

/// What the numbers are that a network expects for a pixel.
#[derive(Debug, Clone, PartialEq)]
pub enum InputRange {
    /// Pixel / 255.
    Unit,
    /// The pixel itself.
    Bytes,
    /// (pixel / 255 − mean) / deviation, one pair or one a channel.
    Normalized {
        /// Means.
        mean: Vec<f64>,
        /// Deviations, not 0.
        deviation: Vec<f64>,
    },
}

impl InputRange {
    /// Scale and shift of pixel / 255, one a channel.
    ///
    /// # Errors
    /// That the range has another number of channels than the image.
    pub(crate) fn over(&self, shape: InputShape) -> Result<(Vec<f64>, Vec<f64>), String> {
        let (scale, shift) = match self {
            Self::Unit => (vec![1.0], vec![0.0]),
            Self::Bytes => (vec![255.0], vec![0.0]),
            Self::Normalized { mean, deviation } => (
                deviation.iter().map(|deviation| 1.0 / deviation).collect(),
                mean.iter().zip(deviation).map(|(mean, deviation)| -mean / deviation).collect(),
            ),
        };
        let spread = |values: Vec<f64>| match values[..] {
            [one] => Some(vec![one; shape.channels]),
            _ => (values.len() == shape.channels).then_some(values),
        };
        let both = spread(scale).zip(spread(shift));
        both.ok_or(format!("--input-range has another number of channels than {shape}"))
    }
}

/// What a file does not say itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What the input's numbers are.
    pub range: InputRange,
    /// Shape of the input where the file leaves it open.
    pub input: Option<InputShape>,
    /// Which output holds the logits, where there are several.
    pub output: Option<String>,
}

/// A network read from somebody's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Shape of the input.
    pub input: InputShape,
    /// Layers, each reading the one before it; the last is dense and yields the logits.
    pub layers: Vec<FloatLayer>,
    /// What was folded, dropped or added, a line each.
    pub remarks: Vec<String>,
    /// What the file does to the logits.
    pub head: Head,
    /// How the file's own input is made of an image.
    pub feed: Feed,
    /// Which output of the file is compared with the logits.
    pub output: usize,
}

impl Imported {
    /// Number of logits.
    pub fn classes(&self) -> usize {
        match self.layers.last() {
            Some(FloatLayer { op: FloatOp::Dense { out_features, .. }, .. }) => *out_features,
            _ => 0,
        }
    }
}

/// How the file's own input is made of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Dimensions, the batch 1.
    pub dims: Vec<usize>,
    /// Position in `[channels][height][width]` of each value.
    pub map: Vec<usize>,
    /// `value = scale · pixel / 255 + shift`, a channel.
    pub scale: Vec<f64>,
    /// See `scale`.
    pub shift: Vec<f64>,
    /// Element type, `TensorProto.DataType`.
    pub element: i32,
}

impl Feed {
    /// Planes `[1][channels][height][width]`, as they are.
    ///
    /// # Errors
    /// As [`InputRange::over`].
    fn planes(model: &ModelProto, input: InputShape, range: &InputRange) -> Result<Self, String> {
        let (scale, shift) = range.over(input)?;
        let input_type = |graph| proto::input_of_type(graph, &[proto::FLOAT, proto::UINT8], "").ok();
        let element = model.graph.as_ref().and_then(input_type).map_or(proto::FLOAT, |(.., element)| element);
        let dims = vec![1, input.channels, input.height, input.width];
        Ok(Self { dims, map: (0..input.len()).collect(), scale, shift, element })
    }
}

/// A mean over whole windows, zeros of the padding counted, as a depthwise convolution with equal weights.
fn mean_as_convolution(window: Window, channels: usize) -> FloatOp {
    depthwise(window, vec![1.0 / window.taps() as f32; channels * window.taps()], vec![0.0; channels])
}

/// A depthwise convolution; weights `[channels][height][width]`, bias `[channels]`.
fn depthwise(window: Window, weights: Vec<f32>, bias: Vec<f32>) -> FloatOp {
    let channels = bias.len();
    FloatOp::Conv {
        window,
        in_channels: channels,
        out_channels: channels,
        depthwise: channels > 1,
        weights,
        bias,
    }
}
