//! Sums of two activations, and copies kept for them, four channels a word.

use super::Memory;
use crate::nn::kernel::instr::{store, word};
use crate::nn::layer::Add;

/// Adds the activation kept at `kept` to the input, in place.
///
/// * `memory`: input and output `[pixels][channels]` at the same byte; `layer.len` a multiple of 4.
#[inline(never)]
pub fn add(layer: &Add, kept: usize, memory: Memory<'_>) {
    let Memory { activations, input, output, .. } = memory;
    for at in (0..layer.len).step_by(4) {
        let x = word(activations, input + at).to_le_bytes();
        let y = word(activations, kept + at).to_le_bytes();
        let sums = [0, 1, 2, 3].map(|lane| layer.sum(x[lane] as i8, y[lane] as i8) as u8);
        store(activations, output + at, u32::from_le_bytes(sums));
    }
}

/// Copies the activation at `input` to `kept`, which lies apart from it.
///
/// * `memory`: `len` activations, a multiple of 4.
#[inline(never)]
pub fn keep(len: usize, kept: usize, memory: Memory<'_>) {
    let Memory { activations, input, .. } = memory;
    for at in (0..len).step_by(4) {
        store(activations, kept + at, word(activations, input + at));
    }
}
