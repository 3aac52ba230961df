//! What follows a convolution, plane by plane: batch statistics, affine, ReLU, pooling, dropout, rounding.
//!
//! Loops over whole vectors of 16 images, compiled for the widest vectors that the CPU has. A pass over an
//! activation costs more than its arithmetic, so scaling, ReLU and 2×2 maximum are one pass each way.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::LANES;

/// One pixel of 16 images.
type Lane = [f32; LANES];

/// What is applied to a convolution's output after scale and shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Channels.
    pub channels: usize,
    /// Rows and columns before pooling.
    pub input: [usize; 2],
    /// max(0, x).
    pub relu: bool,
    /// Side of the maximum's window: 1 (none) or 2.
    pub pool: usize,
}

impl Stage {
    /// Returns the rows and columns after pooling.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| side / self.pool)
    }

    fn input_plane(&self) -> usize {
        self.input[0] * self.input[1] * LANES
    }

    fn output_plane(&self) -> usize {
        let [height, width] = self.output();
        height * width * LANES
    }
}

fn lanes(values: &[f32]) -> &[Lane] {
    values.as_chunks().0
}

fn lanes_mut(values: &mut [f32]) -> &mut [Lane] {
    values.as_chunks_mut().0
}

/// Defines a function whose loops are compiled for the widest vectors of the CPU that it runs on.
///
/// pulp inlines a task's body into a function with the CPU's features; a closure's it may leave outside. A body that
/// names the vectors, `[simd: S]`, works on them itself: where vectors have fewer lanes than 16, the compiler turns
/// longer loops over the lanes into gathers.
macro_rules! vectorized {
    ($(#[$attribute:meta])* fn $name:ident<$life:lifetime>($($operand:ident: $type:ty),* $(,)?) -> $output:ty
     $body:block) => {
        vectorized! { $(#[$attribute])* fn $name<$life>[_simd: S]($($operand: $type),*) -> $output $body }
    };
    ($(#[$attribute:meta])* fn $name:ident<$life:lifetime>[$simd:ident: $vectors:ident]
     ($($operand:ident: $type:ty),* $(,)?) -> $output:ty $body:block) => {
        $(#[$attribute])*
        fn $name<$life>($($operand: $type),*) -> $output {
            struct Task<$life>($($type,)* PhantomData<&$life ()>);
            impl<$life> WithSimd for Task<$life> {
                type Output = $output;
                #[inline(always)]
                fn with_simd<$vectors: Simd>(self, $simd: $vectors) -> $output {
                    let Self($($operand,)* _) = self;
                    $body
                }
            }
            Arch::new().dispatch(Task($($operand,)* PhantomData))
        }
    };
}

/// Adds up per-plane pairs into per-channel ones, in a fixed order.
fn per_channel(pairs: &[[f64; 2]], channels: usize) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]; channels];
    for (at, pair) in pairs.iter().enumerate() {
        sums[at % channels][0] += pair[0];
        sums[at % channels][1] += pair[1];
    }
    sums
}

/// Returns mean and biased variance of every channel, `[2][channels]`.
///
/// * `values`: `[blocks][channels][plane]`, `plane` values of all lanes.
pub fn moments(values: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    let pairs: Vec<[f64; 2]> = values.par_chunks_exact(plane).map(sum_and_squares).collect();
    let count = values.len() as f64 / channels as f64;
    let sums = per_channel(&pairs, channels);
    let mean = sums.iter().map(|sum| sum[0] / count);
    let variance = sums.iter().map(|sum| (sum[1] / count - (sum[0] / count).powi(2)).max(0.0));
    mean.chain(variance).map(|value| value as f32).collect()
}

vectorized! {
    fn sum_and_squares<'a>(values: &'a [f32]) -> [f64; 2] {
        let (mut sums, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        for lane in lanes(values) {
            for l in 0..LANES {
                sums[l] += lane[l];
                squares[l] += lane[l] * lane[l];
            }
        }
        [sums, squares].map(|lane| lane.iter().map(|&value| f64::from(value)).sum())
    }
}

/// Computes `pool(relu(scale[c] · x + shift[c]))`.
pub fn forward(stage: &Stage, values: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
    let planes = values.len() / stage.input_plane();
    let mut output = vec![0.0; planes * stage.output_plane()];
    let tasks = values.par_chunks_exact(stage.input_plane());
    let tasks = tasks.zip(output.par_chunks_exact_mut(stage.output_plane())).enumerate();
    tasks.for_each(|(at, (input, output))| {
        let (scale, shift) = (scale[at % stage.channels], shift[at % stage.channels]);
        forward_plane(stage, input, output, scale, shift);
    });
    output
}

vectorized! {
    fn forward_plane<'a>(stage: &'a Stage, input: &'a [f32], output: &'a mut [f32], scale: f32, shift: f32) -> () {
        let floor = if stage.relu { 0.0 } else { f32::NEG_INFINITY };
        let (input, output) = (lanes(input), lanes_mut(output));
        if stage.pool == 1 {
            for (to, from) in output.iter_mut().zip(input) {
                for l in 0..LANES {
                    to[l] = (scale * from[l] + shift).max(floor);
                }
            }
            return;
        }
        let width = stage.input[1];
        for (pair, row) in input.chunks_exact(2 * width).zip(output.chunks_exact_mut(width / 2)) {
            let (top, bottom) = pair.split_at(width);
            let windows = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
            for (to, ([a, b], [c, d])) in row.iter_mut().zip(windows) {
                for l in 0..LANES {
                    let first = (scale * a[l] + shift).max(scale * b[l] + shift);
                    let second = (scale * c[l] + shift).max(scale * d[l] + shift);
                    to[l] = first.max(second).max(floor);
                }
            }
        }
    }
}

/// Returns the gradient of `u = scale · x + shift`, and per channel Σ du and Σ du · x.
///
/// A maximum's gradient goes to the first of equal values; where ReLU gave zero there is none.
pub fn backward(
    stage: &Stage,
    values: &[f32],
    scale: &[f32],
    shift: &[f32],
    gradient: &[f32],
) -> (Vec<f32>, Vec<[f64; 2]>) {
    let mut inner = vec![0.0; values.len()];
    let tasks = values.par_chunks_exact(stage.input_plane());
    let tasks = tasks.zip(gradient.par_chunks_exact(stage.output_plane()));
    let tasks = tasks.zip(inner.par_chunks_exact_mut(stage.input_plane())).enumerate();
    let pairs: Vec<[f64; 2]> = tasks
        .map(|(at, ((input, gradient), inner))| {
            let (scale, shift) = (scale[at % stage.channels], shift[at % stage.channels]);
            backward_plane(stage, input, gradient, inner, scale, shift)
        })
        .collect();
    let sums = per_channel(&pairs, stage.channels);
    (inner, sums)
}

vectorized! {
    fn backward_plane<'a>[simd: S](
        stage: &'a Stage,
        input: &'a [f32],
        gradient: &'a [f32],
        inner: &'a mut [f32],
        scale: f32,
        shift: f32,
    ) -> [f64; 2] {
        let floor = simd.splat_f32s(if stage.relu { 0.0 } else { f32::NEG_INFINITY });
        let factors = [simd.splat_f32s(scale), simd.splat_f32s(shift)];
        let ((input, _), (gradient, _)) = (S::as_simd_f32s(input), S::as_simd_f32s(gradient));
        let (inner, _) = S::as_mut_simd_f32s(inner);
        let parts = LANES / S::F32_LANES;
        let mut totals = [[0.0f32; LANES]; 2];
        let [sums, products] = &mut totals;
        let (sums, products) = (S::as_mut_simd_f32s(sums).0, S::as_mut_simd_f32s(products).0);
        if stage.pool == 1 {
            let pixels = inner.chunks_exact_mut(parts).zip(input.chunks_exact(parts));
            for ((to, x), g) in pixels.zip(gradient.chunks_exact(parts)) {
                for part in 0..parts {
                    let passes = simd.greater_than_f32s(affine(simd, x[part], factors), floor);
                    let g = where_true(simd, passes, g[part]);
                    to[part] = g;
                    sums[part] = simd.add_f32s(sums[part], g);
                    products[part] = simd.add_f32s(products[part], simd.mul_f32s(g, x[part]));
                }
            }
        } else {
            let [row, pooled_row] = [stage.input[1], stage.output()[1]].map(|width| width * parts);
            let rows = input.chunks_exact(2 * row).zip(inner.chunks_exact_mut(2 * row));
            for ((pair, inner), gradient) in rows.zip(gradient.chunks_exact(pooled_row)) {
                let (top, bottom) = pair.split_at(row);
                let (to_top, to_bottom) = inner.split_at_mut(row);
                let from = top.chunks_exact(2 * parts).zip(bottom.chunks_exact(2 * parts));
                let to = to_top.chunks_exact_mut(2 * parts).zip(to_bottom.chunks_exact_mut(2 * parts));
                for ((g, (top, bottom)), (to_top, to_bottom)) in gradient.chunks_exact(parts).zip(from).zip(to) {
                    for part in 0..parts {
                        let x = [top[part], top[parts + part], bottom[part], bottom[parts + part]];
                        let (g, shares, product) = shared_out(simd, x, g[part], floor, factors);
                        (to_top[part], to_top[parts + part]) = (shares[0], shares[1]);
                        (to_bottom[part], to_bottom[parts + part]) = (shares[2], shares[3]);
                        sums[part] = simd.add_f32s(sums[part], g);
                        products[part] = simd.add_f32s(products[part], product);
                    }
                }
            }
        }
        totals.map(|lane| lane.iter().map(|&value| f64::from(value)).sum())
    }
}

/// `scale · x + shift`, rounded twice.
#[inline(always)]
fn affine<S: Simd>(simd: S, x: S::f32s, [scale, shift]: [S::f32s; 2]) -> S::f32s {
    simd.add_f32s(simd.mul_f32s(scale, x), shift)
}

/// `value` where the mask is true, else 0.
#[inline(always)]
fn where_true<S: Simd>(simd: S, mask: S::m32s, value: S::f32s) -> S::f32s {
    // pulp's selection among floats is not inlined.
    let bits = simd.select_u32s(mask, simd.transmute_u32s_f32s(value), simd.splat_u32s(0));
    simd.transmute_f32s_u32s(bits)
}

/// What a 2×2 window's gradient gives to its pixels `x`.
///
/// Returns the gradient that passes ReLU, the pixels' shares and Σ share · x.
#[inline(always)]
fn shared_out<S: Simd>(
    simd: S,
    x: [S::f32s; 4],
    gradient: S::f32s,
    floor: S::f32s,
    factors: [S::f32s; 2],
) -> (S::f32s, [S::f32s; 4], S::f32s) {
    let [a, b] = [affine(simd, x[0], factors), affine(simd, x[1], factors)];
    let [c, d] = [affine(simd, x[2], factors), affine(simd, x[3], factors)];
    let most = simd.max_f32s(simd.max_f32s(a, b), simd.max_f32s(c, d));
    let gradient = where_true(simd, simd.greater_than_f32s(most, floor), gradient);
    // What the first of equal values takes is not left for the next.
    let to_a = where_true(simd, simd.equal_f32s(a, most), gradient);
    let rest = simd.sub_f32s(gradient, to_a);
    let to_b = where_true(simd, simd.equal_f32s(b, most), rest);
    let rest = simd.sub_f32s(rest, to_b);
    let to_c = where_true(simd, simd.equal_f32s(c, most), rest);
    let to_d = simd.sub_f32s(rest, to_c);
    let top = simd.add_f32s(simd.mul_f32s(to_a, x[0]), simd.mul_f32s(to_b, x[1]));
    let product = simd.add_f32s(simd.add_f32s(top, simd.mul_f32s(to_c, x[2])), simd.mul_f32s(to_d, x[3]));
    (gradient, [to_a, to_b, to_c, to_d], product)
}

/// Replaces `gradient` by `a[c] · gradient + b[c] · values + c[c]`: batch norm's way through its moments.
pub fn combine(gradient: &mut [f32], values: &[f32], plane: usize, factors: &[[f32; 3]]) {
    let tasks = gradient.par_chunks_exact_mut(plane).zip(values.par_chunks_exact(plane)).enumerate();
    tasks.for_each(|(at, (gradient, values))| {
        combine_plane(gradient, values, factors[at % factors.len()]);
    });
}

vectorized! {
    fn combine_plane<'a>(gradient: &'a mut [f32], values: &'a [f32], factors: [f32; 3]) -> () {
        let [a, b, c] = factors;
        for (g, x) in lanes_mut(gradient).iter_mut().zip(lanes(values)) {
            for l in 0..LANES {
                g[l] = a * g[l] + (b * x[l] + c);
            }
        }
    }
}

/// Mean over windows; `output[y][x] = Σ input[y · stride + i][x · stride + j] / size²`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePool {
    /// Rows and columns before pooling.
    pub input: [usize; 2],
    /// Side of the window.
    pub size: usize,
    /// Step of the window.
    pub stride: usize,
}

impl AveragePool {
    /// Returns the rows and columns after pooling.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| (side - self.size) / self.stride + 1)
    }

    /// Pairs of an output pixel and one of its input pixels.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let ([_, width], [out_height, out_width]) = (self.input, self.output());
        let (size, stride) = (self.size, self.stride);
        (0..out_height * out_width).flat_map(move |to| {
            let origin = (to / out_width * width + to % out_width) * stride;
            (0..size * size).map(move |at| (to, origin + at / size * width + at % size))
        })
    }

    /// Pools planes of `[height][width][16]`.
    pub fn forward(&self, values: &[f32]) -> Vec<f32> {
        let ([height, width], [out_height, out_width]) = (self.input, self.output());
        let plane = height * width * LANES;
        let mut output = vec![0.0; values.len() / plane * out_height * out_width * LANES];
        let factor = 1.0 / (self.size * self.size) as f32;
        let tasks = values.par_chunks_exact(plane);
        tasks.zip(output.par_chunks_exact_mut(out_height * out_width * LANES)).for_each(|(from, to)| {
            let (from, to) = (lanes(from), lanes_mut(to));
            for (target, source) in self.pairs() {
                for l in 0..LANES {
                    to[target][l] += factor * from[source][l];
                }
            }
        });
        output
    }

    /// Returns the gradient of the input.
    pub fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        let ([height, width], [out_height, out_width]) = (self.input, self.output());
        let plane = out_height * out_width * LANES;
        let mut output = vec![0.0; gradient.len() / plane * height * width * LANES];
        let factor = 1.0 / (self.size * self.size) as f32;
        let tasks = gradient.par_chunks_exact(plane);
        tasks.zip(output.par_chunks_exact_mut(height * width * LANES)).for_each(|(from, to)| {
            let (from, to) = (lanes(from), lanes_mut(to));
            for (source, target) in self.pairs() {
                for l in 0..LANES {
                    to[target][l] += factor * from[source][l];
                }
            }
        });
        output
    }
}

/// Values that share one run of the dropout generator.
const DROPOUT_RUN: usize = 4_096;

/// Zeroes values with `probability` and scales the rest by 1 / (1 − probability).
///
/// The mask depends on `seed` and the position alone, so that the gradient draws it again.
pub fn dropout(values: &[f32], probability: f64, seed: u64) -> Vec<f32> {
    let threshold = (probability * f64::from(u32::MAX)) as u32;
    let keep = (1.0 / (1.0 - probability)) as f32;
    let mut output = values.to_vec();
    output.par_chunks_mut(DROPOUT_RUN).enumerate().for_each(|(run, values)| {
        let run_seed = crate::train::batches::derive_seed(seed, run, 0) as u32;
        drop_out_run(values, run_seed, threshold, keep);
    });
    output
}

vectorized! {
    fn drop_out_run<'a>(values: &'a mut [f32], seed: u32, threshold: u32, keep: f32) -> () {
        for (at, value) in values.iter_mut().enumerate() {
            let factor = if hash(seed.wrapping_add(at as u32)) < threshold { 0.0 } else { keep };
            *value *= factor;
        }
    }
}

/// A 32-bit mixer with full avalanche ("lowbias32"; Wellons, Prospecting for Hash Functions, 2018).
#[inline(always)]
fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Largest step count of a quantized activation: 256 values from zero on.
const HIGHEST_STEP: f32 = 255.0;

/// Rounds to the int8 grid that the chip stores: `clamp(⌊x / step + ½⌋, 0, 255) · step`.
///
/// The rule of [`firmware::nn::requantize`], for outputs of a ReLU.
pub fn fake_quantize(values: &[f32], step: f32) -> Vec<f32> {
    let mut output = vec![0.0; values.len()];
    output.par_chunks_mut(DROPOUT_RUN).zip(values.par_chunks(DROPOUT_RUN)).for_each(|(to, from)| {
        round_run(to, from, step);
    });
    output
}

vectorized! {
    fn round_run<'a>(output: &'a mut [f32], values: &'a [f32], step: f32) -> () {
        for (to, &x) in output.iter_mut().zip(values) {
            *to = (x / step + 0.5).floor().clamp(0.0, HIGHEST_STEP) * step;
        }
    }
}

/// Straight-through gradient of [`fake_quantize`] for its input, and its gradient for ln(step).
///
/// Learned step size quantization (Esser et al., 2020): inside the range d(x̂)/d(step) is
/// ⌊x/step + ½⌋ − x/step, above it 255; times `step` for the logarithm.
pub fn fake_quantize_backward(values: &[f32], step: f32, gradient: &[f32]) -> (Vec<f32>, f32) {
    let mut output = vec![0.0; values.len()];
    let tasks = output.par_chunks_mut(DROPOUT_RUN).zip(values.par_chunks(DROPOUT_RUN));
    let sums: Vec<f64> = tasks
        .zip(gradient.par_chunks(DROPOUT_RUN))
        .map(|((to, values), gradient)| round_run_backward(to, values, step, gradient))
        .collect();
    (output, (sums.iter().sum::<f64>() * f64::from(step)) as f32)
}

vectorized! {
    fn round_run_backward<'a>(
        output: &'a mut [f32],
        values: &'a [f32],
        step: f32,
        gradient: &'a [f32],
    ) -> f64 {
        let mut sums = [0.0f32; LANES];
        for ((to, x), g) in lanes_mut(output).iter_mut().zip(lanes(values)).zip(lanes(gradient)) {
            for l in 0..LANES {
                let steps = x[l] / step;
                let above = steps > HIGHEST_STEP;
                let inside = (steps >= 0.0) & !above;
                to[l] = if inside { g[l] } else { 0.0 };
                let slope = if above { HIGHEST_STEP } else { (steps + 0.5).floor() - steps };
                sums[l] += if steps >= 0.0 { g[l] * slope } else { 0.0 };
            }
        }
        sums.iter().map(|&sum| f64::from(sum)).sum()
    }
}
