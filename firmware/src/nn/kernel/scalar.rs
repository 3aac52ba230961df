//! The reference kernels: plain Rust, readable, right for any shape.
//!
//! Activations are `[height][width][channels]` i8, row-major, in −128..=127. Accumulators are i32 and
//! wrap; that they never do is checked when a network is made (`host`'s quantizer). Slices shorter
//! than the shape says are treated as ending early: nothing here can panic.

use crate::nn::layer::{Add, AveragePool, Concat, Conv2d, Dense, DepthwiseConv2d, MaxPool, Product};

/// Sum of products of two runs of i8, as i32.
#[inline(always)]
fn dot(x_q: &[i8], w_q: &[i8]) -> i32 {
    x_q.iter().zip(w_q).fold(0, |acc: i32, (&x, &w)| acc.wrapping_add(i32::from(x) * i32::from(w)))
}

/// Sum of a run of i8, as i32.
#[inline(always)]
fn sum(run: &[i8]) -> i32 {
    run.iter().fold(0, |acc: i32, &w| acc.wrapping_add(i32::from(w)))
}

/// Returns `run[start..start + length]`, shorter or empty where `run` ends before.
#[inline(always)]
fn part(run: &[i8], start: usize, length: usize) -> &[i8] {
    run.get(start..).and_then(|rest| rest.get(..length)).unwrap_or(&[])
}

/// 2-D convolution (ONNX Conv, group 1), padded with the input's zero point.
///
/// `acc[o] = bias[o] + Σ x_q[y·s + ky − p][x·s + kx − p][i] · w_q[o][ky][kx][i]`, then requantized.
/// The zero point of the input is folded into `bias` as −zero_point · Σ w_q.
///
/// * `input`: `[in_height][in_width][in_channels]`.
/// * `output`: `[out_height][out_width][out_channels]`.
#[inline(always)]
pub fn conv2d(layer: &Conv2d<'_>, input: &[i8], output: &mut [i8]) {
    let (window, in_channels) = (&layer.window, layer.in_channels);
    let row_weights = window.kernel_width * in_channels;
    let pad = i32::from(layer.input_zero_point);
    let pixels = output.chunks_exact_mut(layer.out_channels.max(1));
    for (index, pixel) in pixels.take(window.out_pixels()).enumerate() {
        let (taps_y, in_y) = window.rows(index / window.out_width.max(1));
        let (taps_x, in_x) = window.columns(index % window.out_width.max(1));
        let kernels = layer.weights.chunks_exact((window.kernel_height * row_weights).max(1));
        let tables = layer.bias.iter().zip(layer.requantization.multipliers);
        for ((y_q, kernel), (&bias, &multiplier)) in pixel.iter_mut().zip(kernels).zip(tables) {
            let mut acc = bias;
            for (tap_y, w_row) in kernel.chunks_exact(row_weights.max(1)).enumerate() {
                if !taps_y.contains(&tap_y) {
                    acc = acc.wrapping_add(pad * sum(w_row));
                    continue;
                }
                let row = in_y + tap_y - taps_y.start;
                let length = taps_x.len() * in_channels;
                let x_run = part(input, (row * window.in_width + in_x) * in_channels, length);
                let w_run = part(w_row, taps_x.start * in_channels, length);
                acc = acc.wrapping_add(dot(x_run, w_run));
                if length < row_weights {
                    acc = acc.wrapping_add(pad * (sum(w_row) - sum(w_run)));
                }
            }
            *y_q = layer.requantization.apply(acc, multiplier);
        }
    }
}

/// Depthwise convolution (ONNX Conv, group = channels), padded with the input's zero point.
///
/// * `input`: `[in_height][in_width][channels]`, `output`: `[out_height][out_width][channels]`.
#[inline(always)]
pub fn depthwise_conv2d(layer: &DepthwiseConv2d<'_>, input: &[i8], output: &mut [i8]) {
    let (window, channels) = (&layer.window, layer.channels);
    let pad = i32::from(layer.input_zero_point);
    let pixels = output.chunks_exact_mut(channels.max(1));
    for (index, pixel) in pixels.take(window.out_pixels()).enumerate() {
        let (taps_y, in_y) = window.rows(index / window.out_width.max(1));
        let (taps_x, in_x) = window.columns(index % window.out_width.max(1));
        let tables = layer.bias.iter().zip(layer.requantization.multipliers);
        for (channel, (y_q, (&bias, &multiplier))) in pixel.iter_mut().zip(tables).enumerate() {
            let mut acc = bias;
            let weights = layer.weights.iter().skip(channel).step_by(channels.max(1));
            for (tap, &w) in weights.take(window.taps()).enumerate() {
                let (tap_y, tap_x) = (tap / window.kernel_width, tap % window.kernel_width);
                let x = if taps_y.contains(&tap_y) && taps_x.contains(&tap_x) {
                    let row = in_y + tap_y - taps_y.start;
                    let column = in_x + tap_x - taps_x.start;
                    let at = (row * window.in_width + column) * channels + channel;
                    input.get(at).map_or(pad, |&x| i32::from(x))
                } else {
                    pad
                };
                acc = acc.wrapping_add(x * i32::from(w));
            }
            *y_q = layer.requantization.apply(acc, multiplier);
        }
    }
}

/// Fully connected layer: `acc[o] = bias[o] + Σ x_q[i] · w_q[o][i]`, then requantized.
///
/// * `input`: `[in_features]`, `output`: `[out_features]`.
#[inline(always)]
pub fn dense(layer: &Dense<'_>, input: &[i8], output: &mut [i8]) {
    let rows = layer.weights.chunks_exact(layer.in_features.max(1));
    let tables = layer.bias.iter().zip(layer.requantization.multipliers);
    for ((y_q, w_row), (&bias, &multiplier)) in output.iter_mut().zip(rows).zip(tables) {
        *y_q = layer.requantization.apply(bias.wrapping_add(dot(input, w_row)), multiplier);
    }
}

/// The last fully connected layer: accumulators are the answer, nothing is rounded.
///
/// * `input`: `[in_features]`, `logits`: `[out_features]` i32 in units of the layer's logit scale.
#[inline(always)]
pub fn dense_logits(layer: &Dense<'_>, input: &[i8], logits: &mut [i32]) {
    let rows = layer.weights.chunks_exact(layer.in_features.max(1));
    for ((logit, w_row), &bias) in logits.iter_mut().zip(rows).zip(layer.bias) {
        *logit = bias.wrapping_add(dot(input, w_row));
    }
}

/// Maximum over each window (ONNX MaxPool); padding never wins. Scale and zero point stay.
///
/// * `input`: `[in_height][in_width][channels]`, `output`: `[out_height][out_width][channels]`.
#[inline(always)]
pub fn max_pool(layer: &MaxPool, input: &[i8], output: &mut [i8]) {
    let (window, channels) = (&layer.window, layer.channels);
    let pixels = output.chunks_exact_mut(channels.max(1));
    for (index, pixel) in pixels.take(window.out_pixels()).enumerate() {
        pixel.fill(i8::MIN);
        let (taps_y, in_y) = window.rows(index / window.out_width.max(1));
        let (taps_x, in_x) = window.columns(index % window.out_width.max(1));
        for row in in_y..in_y + taps_y.len() {
            let start = (row * window.in_width + in_x) * channels;
            let run = part(input, start, taps_x.len() * channels);
            for source in run.chunks_exact(channels.max(1)) {
                for (y_q, &x) in pixel.iter_mut().zip(source) {
                    *y_q = (*y_q).max(x);
                }
            }
        }
    }
}

/// Sum of two activations; see [`Add`].
///
/// * `input`, `other`, `output`: `[pixels][channels]`.
#[inline(always)]
pub fn add(layer: &Add, input: &[i8], other: &[i8], output: &mut [i8]) {
    for ((y_q, &a), &b) in output.iter_mut().zip(input).zip(other) {
        *y_q = layer.operands.sum(a, b);
    }
}

/// Product of two activations; see [`Product`].
///
/// * `input`, `other`: `[pixels][channels]`, or `[channels]` of a single pixel; `output`: `[pixels][channels]`.
#[inline(always)]
pub fn product(layer: &Product, input: &[i8], other: &[i8], output: &mut [i8]) {
    for (pixel, to) in output.chunks_exact_mut(layer.channels.max(1)).enumerate() {
        for (channel, y_q) in to.iter_mut().enumerate() {
            let x = input.get(layer.at(false, pixel, channel)).copied().unwrap_or(0);
            let y = other.get(layer.at(true, pixel, channel)).copied().unwrap_or(0);
            *y_q = layer.product(x, y);
        }
    }
}

/// Channels of two activations side by side; see [`Concat`].
///
/// * `input`, `other`: `[pixels][channels]` of their own, `output`: `[pixels][out_channels]`.
#[inline(always)]
pub fn concat(layer: &Concat, input: &[i8], other: &[i8], output: &mut [i8]) {
    let [mine, theirs] = layer.channels.map(|channels| channels.max(1));
    let first = if layer.is_other_first { theirs } else { mine };
    let pixels = output.chunks_exact_mut(mine + theirs);
    for ((pixel, x), y) in pixels.zip(input.chunks_exact(mine)).zip(other.chunks_exact(theirs)) {
        let (head, tail) = pixel.split_at_mut(first);
        let (to_x, to_y) = if layer.is_other_first { (tail, head) } else { (head, tail) };
        to_x.iter_mut().zip(x).for_each(|(y_q, &x_q)| *y_q = layer.operands.moved(false, x_q));
        to_y.iter_mut().zip(y).for_each(|(y_q, &x_q)| *y_q = layer.operands.moved(true, x_q));
    }
}

/// Copies activations; both have one length.
#[inline(always)]
pub fn copy(input: &[i8], output: &mut [i8]) {
    // Not `copy_from_slice`, which can panic.
    output.iter_mut().zip(input).for_each(|(y_q, &x_q)| *y_q = x_q);
}

/// Mean over each window (ONNX AveragePool, padding not counted), requantized.
///
/// `acc = Σ (x_q − zero_point)` over the taps inside; the multiplier carries 1/count.
///
/// * `input`: `[in_height][in_width][channels]`, `output`: `[out_height][out_width][channels]`.
#[inline(always)]
pub fn average_pool(layer: &AveragePool<'_>, input: &[i8], output: &mut [i8]) {
    let (window, channels) = (&layer.window, layer.channels);
    let zero_point = i32::from(layer.input_zero_point);
    let pixels = output.chunks_exact_mut(channels.max(1));
    for (index, pixel) in pixels.take(window.out_pixels()).enumerate() {
        let (taps_y, in_y) = window.rows(index / window.out_width.max(1));
        let (taps_x, in_x) = window.columns(index % window.out_width.max(1));
        let count = taps_y.len() * taps_x.len();
        let table = layer.requantization.multipliers;
        let multiplier = table.get(window.taps() - count).copied().unwrap_or(0);
        for (channel, y_q) in pixel.iter_mut().enumerate() {
            let mut acc = 0i32;
            for row in in_y..in_y + taps_y.len() {
                let start = (row * window.in_width + in_x) * channels + channel;
                let run = input.get(start..).unwrap_or(&[]);
                for &x in run.iter().step_by(channels.max(1)).take(taps_x.len()) {
                    acc = acc.wrapping_add(i32::from(x) - zero_point);
                }
            }
            *y_q = layer.requantization.apply(acc, multiplier);
        }
    }
}
