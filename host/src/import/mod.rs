//! Somebody else's float ONNX file → plain layers, exactly or not at all.
//!
//! | module | holds |
//! |---|---|
//! | [`graph`] | the walk over the nodes, the graph's output |
//! | `input` | the graph's input: which image it is, in which order and range |
//! | `layers` | which node becomes what; dense layers, sums, ends |
//! | `windows` | convolutions, pools, padding |
//! | `scaling` | scale and shift by constants, batch norm, activations |
//! | `view` | what a tensor is: elements of a layer's output in some order, scaled and shifted |
//! | `rearrange` | Transpose, Reshape, Gather, …: nodes that only say where elements stand |
//! | `fold` | arithmetic over constants |
//! | `tensor` | constants of any type, in the file or beside it |
//! | [`compare`] | the file as it came against the file written here |
//!
//! The layers are written as a file of this project's own form by [`crate::onnx::write`]; everything after
//! that is as for a network trained here. Tract's declutter was looked at for the same work: it yields
//! operators of its own (einsum, im2col), whose order of axes is tract's choice and not stable from one
//! version to the next, and it forgets the names that an error must tell. So tract runs both files, as the
//! judge, and the graph is read here.

pub mod compare;
mod fold;
pub mod graph;
mod input;
mod layers;
mod rearrange;
mod scaling;
mod tensor;
mod view;
mod windows;

use firmware::nn::window::Window;
use shared::input::InputShape;

use crate::onnx::float::{FloatLayer, FloatOp};

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
    /// Layers, a chain but for sums; the last is dense and yields the logits.
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

/// Makes a mean without padding a depthwise convolution with equal weights, which computes the same.
///
/// The scale of its weights keeps the requantization factor small where the outputs of the mean have a
/// smaller range than its inputs, which the factor of a mean may not allow. Returns whether it was one.
pub fn average_as_convolution(layer: &mut FloatLayer) -> bool {
    let FloatOp::AveragePool { window, channels } = layer.op else { return false };
    let is_inside = |start: usize, out: usize, stride: usize, kernel: usize, size: usize| {
        start == 0 && (out - 1) * stride + kernel <= size
    };
    let [rows, columns] = [
        is_inside(window.pad_top, window.out_height, window.stride_y, window.kernel_height, window.in_height),
        is_inside(window.pad_left, window.out_width, window.stride_x, window.kernel_width, window.in_width),
    ];
    if !rows || !columns {
        return false;
    }
    layer.op = mean_as_convolution(window, channels);
    true
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
