//! Pooling, four channels a word.

use super::{Memory, Output};
use crate::nn::kernel::instr::{halves, max_i8x4, store, sxtab16, sxtab16_ror8, word};
use crate::nn::layer::{AveragePool, MaxPool};
use crate::nn::requantize::requantize;

/// Most taps of an average: 255 · 128 fits an i16 lane.
pub const MOST_TAPS: usize = 255;

/// Whether the kernels here take a layer of so many channels and taps.
pub const fn fits(channels: usize, taps: usize) -> bool {
    channels > 0 && channels.is_multiple_of(4) && taps <= MOST_TAPS
}

/// Calls `each` with every tap's first byte in the input.
#[inline(always)]
fn taps(window: &crate::nn::window::Window, channels: usize, pixel: usize, mut each: impl FnMut(usize)) -> usize {
    let (taps_y, in_y) = window.rows(pixel / window.out_width.max(1));
    let (taps_x, in_x) = window.columns(pixel % window.out_width.max(1));
    for row in in_y..in_y + taps_y.len() {
        let start = (row * window.in_width + in_x) * channels;
        for column in 0..taps_x.len() {
            each(start + column * channels);
        }
    }
    taps_y.len() * taps_x.len()
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
            taps(&layer.window, layer.channels, pixel, |at| {
                highest = max_i8x4(highest, word(activations, input + at + channel));
            });
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
            let (mut even, mut odd) = (0, 0);
            let count = taps(&layer.window, layer.channels, pixel, |at| {
                let four = word(activations, input + at + channel);
                even = sxtab16(even, four);
                odd = sxtab16_ror8(odd, four);
            });
            let padding = layer.window.taps() - count;
            let multiplier = layer.requantization.multipliers.get(padding).copied().unwrap_or(0);
            let shift = count as i32 * i32::from(layer.input_zero_point);
            let ((first, third), (second, fourth)) = (halves(even), halves(odd));
            let bytes = [first, second, third, fourth].map(|sum| {
                requantize(i32::from(sum) - shift, multiplier, rule.zero_point, rule.min, rule.max) as u8
            });
            store(activations, output + channel, u32::from_le_bytes(bytes));
        }
        output += layer.channels;
    }
}

/// Returns how many bytes below the input a pooled output must begin.
pub const fn overlap(window: &crate::nn::window::Window, channels: usize) -> usize {
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
