//! Float layers + observed ranges → the quantized network.
//!
//! Weights are int8, symmetric, per output channel (per tensor in the last layer, whose accumulators
//! are the logits); activations int8, per tensor, asymmetric; biases int32. See [`network`] for the
//! result, [`firmware`] for its tables and [`observe`] for the ranges.

pub mod firmware;
pub mod network;
pub mod observe;

use ::firmware::nn::requantize::MultiplierError;
use serde::{Deserialize, Serialize};
use shared::preprocess::{INPUT_ZERO_POINT, quantize_pixels};
use thiserror::Error;

use crate::onnx::OnnxError;
use crate::onnx::branch::Join;
use crate::onnx::float::{Activation, FloatLayer, FloatOp};
use crate::onnx::pointwise::Function;
use crate::task::Task;
use network::{Affine, Computation, QuantizedLayer, QuantizedNetwork, Weights};
use observe::Range;

/// Why a network cannot be quantized.
#[derive(Debug, Error)]
pub enum QuantizeError {
    /// The ONNX file cannot be used.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The calibration run failed.
    #[error("calibration: {0}")]
    Calibration(String),
    /// A layer's scales do not fit the rounding rule.
    #[error("layer {layer}: {source}; its outputs hardly vary on the calibration images")]
    Multiplier {
        /// Position in the chain.
        layer: usize,
        /// The factor.
        source: MultiplierError,
    },
    /// An accumulator could overflow 32 bits.
    #[error("layer {layer}, channel {channel}: the accumulator could reach {bound}, more than 32 bits hold")]
    Overflow {
        /// Position in the chain.
        layer: usize,
        /// Output channel.
        channel: usize,
        /// Largest magnitude possible.
        bound: i64,
    },
    /// The layers are no network for the firmware.
    #[error("{0}")]
    Shape(String),
}

/// Steps that a layer was trained with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayerGrid {
    /// Real value of one step of the output; none in the last layer and after a maximum.
    pub output_step: Option<f32>,
    /// `[out]`, real value of one step of 4-bit weights; none for int8 ones: largest magnitude / 127.
    pub weight_steps: Option<Vec<f32>>,
}

/// Quantizes an image: `[height][width][channels]` bytes to pixel − 128.
pub fn quantized(image: &[u8]) -> Vec<i8> {
    let mut input_q = vec![0; image.len()];
    quantize_pixels(image, &mut input_q);
    input_q
}

/// Largest weight magnitude; −128 is not used, so products stay within 127 · 128.
const WEIGHT_LIMIT: f32 = 127.0;
/// Smallest step of a channel's weights, in steps of the channel with the largest.
const SMALLEST_SCALE: f32 = 1.0 / (1 << 16) as f32;
/// Biases stay below this magnitude, which leaves the sums of products their room.
const BIAS_LIMIT: f64 = (1u32 << 29) as f64;

/// Quantizes float layers.
///
/// * `ranges`: the observed output range of every layer, in order; those of pools after a maximum and of
///   the last layer are not used.
///
/// # Errors
/// [`QuantizeError`] with the layer that cannot be expressed.
pub fn quantize(
    task: &Task,
    layers: &[FloatLayer],
    ranges: &[Range],
) -> Result<QuantizedNetwork, QuantizeError> {
    quantize_on(task, layers, ranges, &[])
}

/// Like [`quantize`], with the steps that layers were trained with ([`LayerGrid`]) where there are any.
///
/// # Errors
/// Those of [`quantize`], and [`QuantizeError::Shape`] where the grids are another network's.
pub fn quantize_on(
    task: &Task,
    layers: &[FloatLayer],
    ranges: &[Range],
    grids: &[LayerGrid],
) -> Result<QuantizedNetwork, QuantizeError> {
    if !grids.is_empty() && grids.len() != layers.len() {
        let (have, want) = (grids.len(), layers.len());
        return Err(QuantizeError::Shape(format!("{have} trained grids for {want} layers; train again")));
    }
    let mut input = Affine { scale: 1.0 / 255.0, zero_point: INPUT_ZERO_POINT };
    let mut quantized = Vec::with_capacity(layers.len());
    for (index, (layer, range)) in layers.iter().zip(ranges).enumerate() {
        let is_last = index + 1 == layers.len();
        let grid = grids.get(index);
        let own_output = match grid.and_then(|grid| grid.output_step) {
            Some(scale) => Affine { scale, zero_point: -128 },
            None => affine_for(*range, layer.activation),
        };
        let weight_steps = grid.and_then(|grid| grid.weight_steps.as_deref());
        let inputs = Inputs { earlier: &quantized, input, weight_steps, is_last };
        let (computation, output) = inputs.quantize(&layer.op, own_output)?;
        quantized.push(QuantizedLayer { computation, input, output, activation: layer.activation });
        input = output;
    }
    let network = QuantizedNetwork { task: task.clone(), layers: quantized };
    network.check_overflow()?;
    Ok(network)
}

/// What a layer is quantized from.
struct Inputs<'a> {
    /// The layers before it.
    earlier: &'a [QuantizedLayer],
    /// Quantization of what it reads.
    input: Affine,
    /// The steps its weights were trained with.
    weight_steps: Option<&'a [f32]>,
    is_last: bool,
}

impl Inputs<'_> {
    /// The layer in integers, and the quantization of its output: `own_output`, unless it keeps that of an input.
    fn quantize(&self, op: &FloatOp, own_output: Affine) -> Result<(Computation, Affine), QuantizeError> {
        Ok(match op {
            FloatOp::Conv { window, in_channels, out_channels, depthwise, weights, bias } => {
                let weights = weights_per_channel(weights, bias, self.input.scale, self.weight_steps)?;
                let (in_channels, out_channels) = (*in_channels, *out_channels);
                let computation = if *depthwise {
                    let weights = weights.reordered(|w| swap_inner(w, out_channels, window.taps()));
                    Computation::Depthwise { window: *window, channels: out_channels, weights }
                } else {
                    let weights = weights.reordered(|w| swap_inner(w, in_channels, window.taps()));
                    Computation::Conv { window: *window, in_channels, out_channels, weights }
                };
                (computation, own_output)
            }
            FloatOp::MaxPool { window, channels } => {
                (Computation::MaxPool { window: *window, channels: *channels }, self.input)
            }
            FloatOp::AveragePool { window, channels } => {
                (Computation::AveragePool { window: *window, channels: *channels }, own_output)
            }
            FloatOp::Branch { join, other } => {
                let other_affine = output_of(self.earlier, *other)?;
                let output = if matches!(join, Join::Recall { .. }) { other_affine } else { own_output };
                (Computation::Branch { join: *join, other: *other, other_affine }, output)
            }
            FloatOp::Lookup { shape, function } => {
                // A copy is exact on the same steps.
                let output = if *function == Function::Input { self.input } else { own_output };
                (Computation::Lookup { shape: *shape, function: function.clone() }, output)
            }
            FloatOp::Dense { input: shape, out_features, weights, bias } => {
                let weights = if self.is_last {
                    weights_per_tensor(weights, bias, self.input.scale)
                } else {
                    weights_per_channel(weights, bias, self.input.scale, self.weight_steps)?
                };
                let weights = weights.reordered(|w| swap_inner(w, shape[0], shape[1] * shape[2]));
                let computation = Computation::Dense { input: *shape, out_features: *out_features, weights };
                (computation, own_output)
            }
        })
    }
}

/// Quantization of an earlier layer's output.
fn output_of(earlier: &[QuantizedLayer], other: usize) -> Result<Affine, QuantizeError> {
    let missing = || QuantizeError::Shape(format!("layer {} reads the later layer {other}", earlier.len()));
    earlier.get(other).map(|layer| layer.output).ok_or_else(missing)
}

/// Chooses scale and zero point; zero is always exact, so that padding and ReLU are.
fn affine_for(range: Range, activation: Activation) -> Affine {
    let low = if activation == Activation::Linear { range.low.min(0.0) } else { 0.0 };
    let high = match activation {
        Activation::Relu6 => range.high.clamp(0.0, 6.0),
        _ => range.high.max(0.0),
    };
    // An output that is always zero still needs a scale.
    let scale = ((high - low) / 255.0).max(1e-6);
    let zero_point = (-128.0 - low / scale).round().clamp(-128.0, 127.0) as i8;
    Affine { scale, zero_point }
}

fn weights_per_channel(
    weights: &[f32],
    bias: &[f32],
    input_scale: f32,
    steps: Option<&[f32]>,
) -> Result<Weights, QuantizeError> {
    let per_channel = weights.len() / bias.len();
    let scales = weights.chunks_exact(per_channel).zip(bias).map(|(w, &b)| scale_for(w, b, input_scale));
    let scales = match steps {
        Some(steps) if steps.len() != bias.len() => {
            let (have, want) = (steps.len(), bias.len());
            return Err(QuantizeError::Shape(format!(
                "{have} weight steps for {want} channels; train again"
            )));
        }
        Some(steps) => steps.to_vec(),
        None => {
            let own: Vec<f32> = scales.collect();
            // A channel that is next to nothing beside the others keeps a step that the rounding rule can express.
            let least = own.iter().copied().fold(0.0, f32::max) * SMALLEST_SCALE;
            own.into_iter().map(|scale| scale.max(least)).collect()
        }
    };
    Ok(quantize_weights(weights, bias, input_scale, scales))
}

fn weights_per_tensor(weights: &[f32], bias: &[f32], input_scale: f32) -> Weights {
    let largest_bias = bias.iter().fold(0.0f32, |most, b| most.max(b.abs()));
    let scale = scale_for(weights, largest_bias, input_scale);
    quantize_weights(weights, bias, input_scale, vec![scale; bias.len()])
}

/// Smallest scale that holds the weights in ±127 and the bias in ±2²⁹ steps.
fn scale_for(weights: &[f32], bias: f32, input_scale: f32) -> f32 {
    let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
    let for_bias = (f64::from(bias.abs()) / (f64::from(input_scale) * BIAS_LIMIT)) as f32;
    (largest / WEIGHT_LIMIT).max(for_bias).max(1e-12)
}

fn quantize_weights(weights: &[f32], bias: &[f32], input_scale: f32, scales: Vec<f32>) -> Weights {
    let per_channel = weights.len() / bias.len();
    let values = weights.iter().enumerate().map(|(at, w)| {
        (w / scales[at / per_channel]).round_ties_even().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT) as i8
    });
    let biases = bias.iter().zip(&scales).map(|(&b, &scale)| {
        let step = f64::from(input_scale * scale);
        (f64::from(b) / step).round_ties_even() as i32
    });
    Weights { values: values.collect(), bias: biases.collect(), scales }
}

/// `[outer][a][b]` → `[outer][b][a]`: moves channels behind pixels, or back with `a` and `b` exchanged.
///
/// Convolution weights are `[out][in][taps]` in ONNX and `[out][taps][in]` in the firmware; depthwise
/// ones `[channels][taps]` and `[taps][channels]`; dense ones `[out][channel][pixel]` and
/// `[out][pixel][channel]`.
pub fn swap_inner<T: Copy>(values: &[T], a: usize, b: usize) -> Vec<T> {
    let blocks = values.chunks_exact((a * b).max(1));
    blocks.flat_map(|block| (0..b).flat_map(move |j| (0..a).map(move |i| block[i * b + j]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_whatever_the_range() {
        for (low, high) in [(0.0, 4.0), (-1.0, 3.0), (-5.0, -1.0), (0.5, 2.0), (0.0, 0.0)] {
            let affine = affine_for(Range { low, high }, Activation::Linear);
            let zero_real = (f32::from(affine.zero_point) - f32::from(affine.zero_point)) * affine.scale;
            assert_eq!(zero_real, 0.0);
            assert!(affine.scale > 0.0, "{low}..{high}");
        }
        assert_eq!(affine_for(Range { low: -9.0, high: 2.0 }, Activation::Relu).zero_point, -128);
    }

    #[test]
    fn a_dead_channel_with_a_bias_keeps_its_bias() {
        let weights = weights_per_channel(&[0.0, 0.0, 1.0, -1.0], &[3.0, 0.0], 0.01, None).unwrap();
        let restored = f64::from(weights.bias[0]) * f64::from(0.01 * weights.scales[0]);
        assert!((restored - 3.0).abs() < 1e-4, "{restored}");
        assert_eq!(weights.values, [0, 0, 127, -127]);
    }

    #[test]
    fn swapping_moves_channels_last_and_back() {
        // [1 out][2 in][3 taps]: channel 0 holds 1, 2, 3; channel 1 holds 4, 5, 6.
        assert_eq!(swap_inner(&[1, 2, 3, 4, 5, 6], 2, 3), [1, 4, 2, 5, 3, 6]);
        assert_eq!(swap_inner(&[1, 4, 2, 5, 3, 6], 3, 2), [1, 2, 3, 4, 5, 6]);
    }
}
