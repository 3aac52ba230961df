//! The quantized network: what the int8 ONNX, the firmware and the integer engine are made from.

use firmware::nn::window::Window;

use super::QuantizeError;
pub use super::firmware::FirmwareNetwork;
use crate::onnx::branch::Join;
use crate::onnx::float::Activation;
use crate::onnx::order::Form;
use crate::onnx::pointwise::Function;
use crate::task::Task;

/// `real = scale · (quantized − zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Real value of one step, positive.
    pub scale: f32,
    /// Quantized value of zero.
    pub zero_point: i8,
}

/// Quantized weights of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// In the firmware's layout; −127..=127.
    pub values: Vec<i8>,
    /// `[out]` in steps of input scale × weight scale; the zero point is not folded in here.
    pub bias: Vec<i32>,
    /// `[out]` real value of one weight step.
    pub scales: Vec<f32>,
}

impl Weights {
    /// Returns the same weights in another order.
    pub fn reordered(self, order: impl Fn(&[i8]) -> Vec<i8>) -> Self {
        Self { values: order(&self.values), ..self }
    }
}

/// What a layer computes, in the firmware's layouts.
#[derive(Debug, Clone, PartialEq)]
pub enum Computation {
    /// Convolution; weights `[out][height][width][in]`.
    Conv {
        /// Where the kernel slides.
        window: Window,
        /// Input channels.
        in_channels: usize,
        /// Output channels.
        out_channels: usize,
        /// Weights.
        weights: Weights,
    },
    /// Depthwise convolution; weights `[height][width][channels]`.
    Depthwise {
        /// Where the kernel slides.
        window: Window,
        /// Channels.
        channels: usize,
        /// Weights.
        weights: Weights,
    },
    /// Maximum pooling.
    MaxPool {
        /// Where the window slides.
        window: Window,
        /// Channels.
        channels: usize,
    },
    /// Average pooling.
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
        /// Quantization of its output.
        other_affine: Affine,
    },
    /// A function of each activation.
    Lookup {
        /// Shape, `[channels, height, width]`.
        shape: [usize; 3],
        /// The function.
        function: Function,
    },
    /// Fully connected; weights `[out][height · width · channels]`.
    Dense {
        /// Input shape `[channels, height, width]`.
        input: [usize; 3],
        /// Outputs.
        out_features: usize,
        /// Weights.
        weights: Weights,
    },
}

/// A layer between its input and output quantization.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedLayer {
    /// What it computes.
    pub computation: Computation,
    /// Quantization of its input.
    pub input: Affine,
    /// Quantization of its output; meaningless in the last layer.
    pub output: Affine,
    /// What it applies before quantizing.
    pub activation: Activation,
}

/// Quantized layers, each reading the one before it; the last one is dense and yields the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedNetwork {
    /// What it classifies.
    pub task: Task,
    /// The layers in order.
    pub layers: Vec<QuantizedLayer>,
}

impl Computation {
    /// Returns the weights where there are any, and the output channel of each weight's index.
    pub fn weights(&self) -> Option<(&Weights, impl Fn(usize) -> usize + use<>)> {
        let (weights, depthwise) = match self {
            Self::Conv { weights, .. } | Self::Dense { weights, .. } => (weights, false),
            Self::Depthwise { weights, .. } => (weights, true),
            _ => return None,
        };
        let channels = weights.bias.len();
        let per_channel = weights.values.len() / channels.max(1);
        Some((weights, move |at: usize| if depthwise { at % channels } else { at / per_channel }))
    }
}

impl Computation {
    /// How its output lies in a file.
    pub fn form(&self) -> Form {
        match self {
            Self::Dense { .. } => Form::Flat,
            Self::Lookup { .. } => Form::Input,
            Self::Branch { join, other, .. } => join.form(*other),
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

impl QuantizedLayer {
    /// Returns the lowest and the highest output: the activation as a clamp.
    pub fn clamp(&self) -> (i8, i8) {
        let steps = |real: f32| {
            let steps = (real / self.output.scale).round_ties_even() + f32::from(self.output.zero_point);
            steps.clamp(-128.0, 127.0) as i8
        };
        match self.activation {
            Activation::Linear => (-128, 127),
            Activation::Relu => (self.output.zero_point, 127),
            Activation::Relu6 => (self.output.zero_point, steps(6.0)),
        }
    }

    /// Biases with −zero_point · Σ w folded in, as the firmware wants them. Fits by the overflow check.
    pub(super) fn folded_bias(&self) -> Vec<i64> {
        let Some((weights, channel_of)) = self.computation.weights() else { return Vec::new() };
        let mut folded: Vec<i64> = weights.bias.iter().map(|&bias| i64::from(bias)).collect();
        for (at, &w) in weights.values.iter().enumerate() {
            folded[channel_of(at)] -= i64::from(self.input.zero_point) * i64::from(w);
        }
        folded
    }
}

impl QuantizedNetwork {
    /// Proves that no accumulator leaves 32 bits: |bias| + 128 · Σ|w| bounds every partial sum.
    ///
    /// # Errors
    /// [`QuantizeError::Overflow`] with the channel.
    pub fn check_overflow(&self) -> Result<(), QuantizeError> {
        for (layer, quantized) in self.layers.iter().enumerate() {
            let Some((weights, channel_of)) = quantized.computation.weights() else { continue };
            let mut bounds: Vec<i64> = quantized.folded_bias().iter().map(|bias| bias.abs()).collect();
            for (at, &w) in weights.values.iter().enumerate() {
                bounds[channel_of(at)] += 128 * i64::from(w).abs();
            }
            for (channel, bound) in bounds.into_iter().enumerate() {
                if bound > i64::from(i32::MAX) {
                    return Err(QuantizeError::Overflow { layer, channel, bound });
                }
            }
        }
        Ok(())
    }

    /// Real value of one logit step.
    pub fn logit_scale(&self) -> f32 {
        let Some(last) = self.layers.last() else { return 1.0 };
        let weights = last.computation.weights();
        weights.map_or(1.0, |(weights, _)| last.input.scale * weights.scales[0])
    }
}
