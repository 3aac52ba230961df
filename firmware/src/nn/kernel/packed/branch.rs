//! Sums and joined channels of branches, and the copies kept for them.

use super::Memory;
use crate::nn::kernel::instr::{store, word};
use crate::nn::layer::{Add, Concat, Product};

/// Adds the activation kept at `kept` to the input, in place, four at a time.
///
/// * `memory`: input and output `[pixels][channels]` at the same byte.
#[inline(never)]
pub fn add(layer: &Add, kept: usize, memory: Memory<'_>) {
    let Memory { activations, input, output, .. } = memory;
    let whole = layer.len - layer.len % 4;
    for at in (0..whole).step_by(4) {
        let [x0, x1, x2, x3] = word(activations, input + at).to_le_bytes();
        let [y0, y1, y2, y3] = word(activations, kept + at).to_le_bytes();
        // Not `map` over positions, whose checks stay in where the compiler does not unroll it.
        let sum = |x: u8, y: u8| layer.operands.sum(x as i8, y as i8) as u8;
        let sums = [sum(x0, y0), sum(x1, y1), sum(x2, y2), sum(x3, y3)];
        store(activations, output + at, u32::from_le_bytes(sums));
    }
    for at in whole..layer.len {
        let sum = layer.operands.sum(byte(activations, input + at), byte(activations, kept + at));
        put(activations, output + at, sum);
    }
}

/// Multiplies the input by the activation kept at `kept`.
///
/// * `memory`: input and output at the same byte, or, where the input is a single pixel, apart.
#[inline(never)]
pub fn product(layer: &Product, kept: usize, memory: Memory<'_>) {
    let Memory { activations, input, output, .. } = memory;
    for pixel in 0..layer.pixels {
        for channel in 0..layer.channels {
            let x = byte(activations, input + layer.at(false, pixel, channel));
            let y = byte(activations, kept + layer.at(true, pixel, channel));
            put(activations, output + pixel * layer.channels + channel, layer.product(x, y));
        }
    }
}

/// Writes the channels of the input and of the activation kept at `kept` side by side.
///
/// * `memory`: input `[pixels][channels]`, output `[pixels][out_channels]`, at least pixels × other channels
///   below the input or above its end.
#[inline(never)]
pub fn concat(layer: &Concat, kept: usize, memory: Memory<'_>) {
    let Memory { activations, input, mut output, .. } = memory;
    let [mine, theirs] = [(false, input, layer.channels[0]), (true, kept, layer.channels[1])];
    let sources = if layer.is_other_first { [theirs, mine] } else { [mine, theirs] };
    for pixel in 0..layer.pixels {
        for (is_other, start, channels) in sources {
            for from in start + pixel * channels..start + (pixel + 1) * channels {
                let moved = layer.operands.moved(is_other, byte(activations, from));
                put(activations, output, moved);
                output += 1;
            }
        }
    }
}

/// Copies `len` activations to bytes apart from them.
#[inline(never)]
pub fn copy(activations: &mut [i8], from: usize, to: usize, len: usize) {
    let whole = len - len % 4;
    for at in (0..whole).step_by(4) {
        store(activations, to + at, word(activations, from + at));
    }
    for at in whole..len {
        put(activations, to + at, byte(activations, from + at));
    }
}

#[inline(always)]
fn byte(activations: &[i8], at: usize) -> i8 {
    activations.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn put(activations: &mut [i8], at: usize, value: i8) {
    if let Some(place) = activations.get_mut(at) {
        *place = value;
    }
}
