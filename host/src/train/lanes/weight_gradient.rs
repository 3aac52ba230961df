//! Gradients of a convolution's weights and bias, for images that lie side by side ([`super::convolution`]).

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::LANES;
use super::convolution::{ConvShape, pad};

/// Blocks of [`LANES`] images whose weight gradients are summed together; fixes the order of summation.
const CHUNKS: usize = 8;

/// Computes the gradients of weights and bias, summed over all images.
pub fn weight_gradients(shape: &ConvShape, input: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let blocks = input.len() / shape.input_len();
    let chunk = blocks.div_ceil(CHUNKS).max(1);
    let offsets = shape.tap_offsets();
    let tasks =
        input.par_chunks(chunk * shape.input_len()).zip(gradient.par_chunks(chunk * shape.output_len()));
    let parts: Vec<(Vec<f32>, Vec<f32>)> = tasks
        .map(|(input, gradient)| {
            let mut scratch = Vec::new();
            let channels = shape.in_channels * (input.len() / shape.input_len());
            let input = pad(input, channels, shape.input, shape.padding, &mut scratch);
            let mut weights = vec![0.0; shape.out_channels * shape.taps()];
            let mut bias = vec![0.0; shape.out_channels];
            let (weights_out, bias_out) = (&mut weights, &mut bias);
            Arch::new().dispatch(WeightGradient {
                shape,
                input,
                gradient,
                offsets: &offsets,
                weights: weights_out,
                bias: bias_out,
            });
            (weights, bias)
        })
        .collect();
    let mut parts = parts.into_iter();
    let (mut weights, mut bias) = parts.next().unwrap_or_default();
    for (more_weights, more_bias) in parts {
        weights.iter_mut().zip(more_weights).for_each(|(sum, more)| *sum += more);
        bias.iter_mut().zip(more_bias).for_each(|(sum, more)| *sum += more);
    }
    (weights, bias)
}

/// Weight and bias gradients over a few blocks of images.
struct WeightGradient<'a> {
    shape: &'a ConvShape,
    /// Padded.
    input: &'a [f32],
    gradient: &'a [f32],
    offsets: &'a [usize],
    weights: &'a mut [f32],
    bias: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, input, gradient, offsets, weights, bias } = self;
        let [height, width] = shape.output();
        let plane = height * width * LANES;
        for (at, values) in gradient.chunks_exact(plane).enumerate() {
            let mut sum = simd.splat_f32s(0.0);
            for &value in S::as_simd_f32s(values).0 {
                sum = simd.add_f32s(sum, value);
            }
            bias[at % shape.out_channels] += simd.reduce_sum_f32s(sum);
        }
        let grid = Grid { shape, height, width };
        // As many channels at a time as leave registers for a row of a 3×3 kernel.
        let whole = if S::REGISTER_COUNT < 32 {
            grid.groups::<S, 4>(simd, input, gradient, offsets, weights, 0)
        } else {
            grid.groups::<S, 8>(simd, input, gradient, offsets, weights, 0)
        };
        grid.groups::<S, 1>(simd, input, gradient, offsets, weights, whole);
    }
}

struct Grid<'a> {
    shape: &'a ConvShape,
    height: usize,
    width: usize,
}

impl Grid<'_> {
    /// All taps of the whole groups of `O` channels from `first` on; returns the first channel that is left.
    #[inline(always)]
    fn groups<S: Simd, const O: usize>(
        &self,
        simd: S,
        input: &[f32],
        gradient: &[f32],
        offsets: &[usize],
        weights: &mut [f32],
        first: usize,
    ) -> usize {
        let end = first + (self.shape.out_channels - first) / O * O;
        // A row of a 3×3 kernel at a time where taps come in threes.
        let threes = offsets.len() / 3 * 3;
        for channel in (first..end).step_by(O) {
            for tap in (0..threes).step_by(3) {
                self.block::<S, 3, O>(simd, input, gradient, offsets, weights, channel, tap);
            }
            for tap in threes..offsets.len() {
                self.block::<S, 1, O>(simd, input, gradient, offsets, weights, channel, tap);
            }
        }
        end
    }

    /// Adds the products of `T` taps and `O` channels over all positions of all blocks.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "an inner loop's operands")]
    fn block<S: Simd, const T: usize, const O: usize>(
        &self,
        simd: S,
        input: &[f32],
        gradient: &[f32],
        offsets: &[usize],
        weights: &mut [f32],
        channel: usize,
        tap: usize,
    ) {
        let [padded_height, pitch] = self.shape.padded();
        let parts = LANES / S::F32_LANES;
        let (input, _) = S::as_simd_f32s(input);
        let (gradient, _) = S::as_simd_f32s(gradient);
        let plane = self.height * self.width * parts;
        let row = self.width * parts;
        let mut sums = [[simd.splat_f32s(0.0); T]; O];
        let blocks = input
            .chunks_exact(self.shape.in_channels * padded_height * pitch * parts)
            .zip(gradient.chunks_exact(self.shape.out_channels * plane));
        for (input, gradient) in blocks {
            for y in 0..self.height {
                let mut pixels = [&input[..0]; T];
                for t in 0..T {
                    pixels[t] = &input[(offsets[tap + t] + y * pitch) * parts..][..row];
                }
                let mut gradients = [&gradient[..0]; O];
                for o in 0..O {
                    gradients[o] = &gradient[(channel + o) * plane + y * row..][..row];
                }
                for x in 0..row {
                    let mut tap_values = [simd.splat_f32s(0.0); T];
                    for t in 0..T {
                        tap_values[t] = pixels[t][x];
                    }
                    for o in 0..O {
                        let g = gradients[o][x];
                        for t in 0..T {
                            sums[o][t] = simd.mul_add_e_f32s(g, tap_values[t], sums[o][t]);
                        }
                    }
                }
            }
        }
        let taps = offsets.len();
        for o in 0..O {
            for t in 0..T {
                weights[(channel + o) * taps + tap + t] += simd.reduce_sum_f32s(sums[o][t]);
            }
        }
    }
}
