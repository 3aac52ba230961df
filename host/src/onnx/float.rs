//! Plain layers with real weights, and a float file of this project's own form read as such.

use firmware::nn::window::Window;

use super::OnnxError;
use super::branch::Join;
use super::order::Form;
use super::pointwise::Function;
use super::proto::{self, ModelProto};
use crate::import::{self, Head, InputRange};
use crate::task::Task;

/// What a layer applies to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// max(0, x).
    Relu,
    /// min(6, max(0, x)).
    Relu6,
}

/// A layer with real weights; ONNX's own layouts.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// What it computes.
    pub op: FloatOp,
    /// What it applies afterwards.
    pub activation: Activation,
    /// Name of its output tensor, activation included.
    pub output: String,
}

/// The computation of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// Convolution, group 1 or depthwise.
    Conv {
        /// Where the kernel slides.
        window: Window,
        /// Input channels.
        in_channels: usize,
        /// Output channels.
        out_channels: usize,
        /// Every channel by itself.
        depthwise: bool,
        /// `[out][in / groups][height][width]`.
        weights: Vec<f32>,
        /// `[out]`.
        bias: Vec<f32>,
    },
    /// Maximum pooling.
    MaxPool {
        /// Where the window slides.
        window: Window,
        /// Channels.
        channels: usize,
    },
    /// Average pooling, padding not counted.
    AveragePool {
        /// Where the window slides.
        window: Window,
        /// Channels.
        channels: usize,
    },
    /// Something of the layer's input and of an earlier layer's output.
    Branch {
        /// What.
        join: Join,
        /// Position of the earlier layer.
        other: usize,
    },
    /// A function of each activation.
    Lookup {
        /// Shape, `[channels, height, width]`.
        shape: [usize; 3],
        /// The function.
        function: Function,
    },
    /// Fully connected over the input flattened in channel, height, width order.
    Dense {
        /// Input shape `[channels, height, width]`.
        input: [usize; 3],
        /// Outputs.
        out_features: usize,
        /// `[out][in]`.
        weights: Vec<f32>,
        /// `[out]`.
        bias: Vec<f32>,
    },
}

impl FloatOp {
    /// How its output lies in a file.
    pub fn form(&self) -> Form {
        match self {
            Self::Dense { .. } => Form::Flat,
            Self::Lookup { .. } => Form::Input,
            Self::Branch { join, other } => join.form(*other),
            _ => Form::Planes,
        }
    }

    /// The earlier layer whose output is read besides the input, or instead of it.
    pub fn other(&self) -> Option<usize> {
        match self {
            Self::Branch { other, .. } => Some(*other),
            _ => None,
        }
    }
}

/// Returns what a float model classifies; see [`proto::task_of`].
///
/// * `layers`: as [`layers`] read them.
///
/// # Errors
/// [`OnnxError::Unsupported`] where graph and metadata do not fit together.
pub fn task(model: &ModelProto, layers: &[FloatLayer], file: &str) -> Result<Task, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    let logits = match layers.last() {
        Some(FloatLayer { op: FloatOp::Dense { out_features, .. }, .. }) => *out_features,
        _ => 0,
    };
    proto::task_of(model, proto::input_of(graph, file)?.1, logits, file)
}

/// Reads a float model of this project's own form, as [`super::write`] makes it: an image in 0..=1, one output,
/// the logits.
///
/// # Errors
/// [`OnnxError`] with the node where the graph is none.
pub fn layers(model: &ModelProto, file: &str) -> Result<Vec<FloatLayer>, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    proto::input_of(graph, file)?;
    let refuse = |problem: String| {
        Err(OnnxError::Unreadable { file: file.into(), node: "the output".into(), problem })
    };
    if let [_, _, ..] = &graph.output[..] {
        let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        return refuse(format!("the outputs are {names:?}; a model has one, the logits"));
    }
    let options = import::Options { range: InputRange::Unit, input: None, output: None };
    let imported = import::import(model, file, &options)?;
    if imported.head != Head::Logits {
        return refuse(format!("it is the {:?} of the logits; a model yields the logits", imported.head));
    }
    Ok(imported.layers)
}
