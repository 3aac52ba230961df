//! Pooling, four channels a word.

use super::{Memory, Output};
use crate::nn::kernel::instr::{halves, max_i8x4, store, word};
use crate::nn::kernel::routines::sum_4;
use crate::nn::layer::{AveragePool, MaxPool};
use crate::nn::requantize::requantize;
use crate::nn::window::Window;

/// Most taps of an average: 255 · 128 fits an i16 lane.
pub const MOST_TAPS: usize = 255;

/// Whether the kernels here take a layer of so many channels and taps.
pub const fn fits(channels: usize, taps: usize) -> bool {
    channels > 0 && channels.is_multiple_of(4) && taps <= MOST_TAPS
}

/// Rows of taps inside the input under an output: `(first byte, pixels)` of each, counted from the input.
#[inline(always)]
fn rows(window: &Window, channels: usize, pixel: usize) -> impl Iterator<Item = (usize, usize)> {
    let (taps_y, in_y) = window.rows(pixel / window.out_width.max(1));
    let (taps_x, in_x) = window.columns(pixel % window.out_width.max(1));
    let (first, pitch) = ((in_y * window.in_width + in_x) * channels, window.in_width * channels);
    (0..taps_y.len()).map(move |row| (first + row * pitch, taps_x.len()))
}

/// Maximum pooling; see [`max_pool`](crate::nn::kernel::scalar::max_pool).
///
/// * `memory`: input `[in_height][in_width][channels]`, output `[out_height][out_width][channels]`, at least a
///   pixel below the input.
#[inline(never)]
pub fn max_pool(layer: &MaxPool, memory: Memory<'_>) {
    let Memory { activations, input, mut output, .. } = memory;
    for pixel in 0..layer.window.out_pixels() {
        for channel in (0..layer.channels).step_by(4) {
            let mut highest = super::splat(i8::MIN);
            for (row, pixels) in rows(&layer.window, layer.channels, pixel) {
                for tap in 0..pixels {
                    let at = input + row + tap * layer.channels + channel;
                    highest = max_i8x4(highest, word(activations, at));
                }
            }
            store(activations, output + channel, highest);
        }
        output += layer.channels;
    }
}

/// Average pooling; see [`average_pool`](crate::nn::kernel::scalar::average_pool).
///
/// * `memory`: input `[in_height][in_width][channels]`, output `[out_height][out_width][channels]`, at least a
///   pixel below the input.
#[inline(never)]
pub fn average_pool(layer: &AveragePool<'_>, memory: Memory<'_>) {
    let Memory { activations, input, mut output, .. } = memory;
    let rule = &layer.requantization;
    let rule = Output { zero_point: rule.zero_point, min: rule.min, max: rule.max };
    for pixel in 0..layer.window.out_pixels() {
        for channel in (0..layer.channels).step_by(4) {
            let (mut sums, mut count) = ([0, 0], 0);
            for (row, pixels) in rows(&layer.window, layer.channels, pixel) {
                let run = activations.get(input + row + channel..).unwrap_or_default();
                sums = sum_4(run, layer.channels, pixels, sums);
                count += pixels;
            }
            let padding = layer.window.taps() - count;
            let multiplier = layer.requantization.multipliers.get(padding).copied().unwrap_or(0);
            let shift = count as i32 * i32::from(layer.input_zero_point);
            let [(first, third), (second, fourth)] = sums.map(halves);
            let bytes = [first, second, third, fourth].map(|sum| {
                requantize(i32::from(sum) - shift, multiplier, rule.zero_point, rule.min, rule.max) as u8
            });
            store(activations, output + channel, u32::from_le_bytes(bytes));
        }
        output += layer.channels;
    }
}

/// Returns how many bytes below the input a pooled output must begin.
pub const fn overlap(window: &Window, channels: usize) -> usize {
    let mut most = 0;
    let mut pixel = 0;
    while pixel < window.out_pixels() {
        let written = (pixel + 1) * channels;
        let (y, x) = (pixel / window.out_width, pixel % window.out_width);
        let here = super::conv::first_read(window, y, x);
        let row_after = super::conv::first_read(window, y + 1, 0);
        let lowest = if here < row_after { here } else { row_after } * channels;
        if written > lowest && written - lowest > most {
            most = written - lowest;
        }
        pixel += 1;
    }
    most
}
