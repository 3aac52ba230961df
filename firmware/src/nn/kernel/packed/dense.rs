//! Fully connected layers over paired weights, eight outputs at a time.
//!
//! Odd bytes' sums are exact for [`DENSE_CHUNK`] inputs; longer rows are cut into chunks of as many.

use super::{Memory, Output, part};
use crate::nn::kernel::routines::{DENSE_CHUNK, dense_sums};
use crate::nn::requantize::requantize;

/// Fully connected layer over packed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedDense<'a> {
    /// Inputs, a multiple of 4.
    pub in_features: usize,
    /// Outputs.
    pub out_features: usize,
    /// Blocks of eight outputs, then of two, the last padded with zeros: biases, multipliers where the
    /// outputs are activations, and weights as [`dense_sums`] reads them.
    pub constants: &'a [u32],
    /// Zero point and clamp; `None` in the last layer, whose sums are the logits.
    pub output: Option<Output>,
}

/// Sizes of the blocks that `outputs` are cut into, as (eights, twos).
pub const fn blocks(outputs: usize) -> (usize, usize) {
    (outputs / 8, (outputs % 8).div_ceil(2))
}

impl PackedDense<'_> {
    const fn block_words(&self, outputs: usize) -> usize {
        let tables = if self.output.is_some() { 2 } else { 1 };
        outputs * (tables + self.in_features / 4)
    }

    /// Returns whether shape and constants are what the kernel needs.
    pub const fn is_consistent(&self) -> bool {
        let (eights, twos) = blocks(self.out_features);
        let words = eights * self.block_words(8) + twos * self.block_words(2);
        self.in_features > 0 && self.in_features.is_multiple_of(4) && self.constants.len() == words
    }

    /// Runs the layer as a hidden one.
    ///
    /// * `memory`: input `[in_features]`, output `[out_features]`, apart from each other.
    #[inline(always)]
    pub fn run(&self, memory: Memory<'_>) {
        let Some(output) = self.output else { return };
        run(self, output, memory);
    }

    /// Runs the layer as the last one; see [`dense_logits`](crate::nn::kernel::scalar::dense_logits).
    #[inline(always)]
    pub fn run_logits(&self, input: &[i8], logits: &mut [i32]) {
        run_logits(self, input, logits);
    }
}

#[inline(never)]
fn run(layer: &PackedDense<'_>, rule: Output, memory: Memory<'_>) {
    let mut constants = layer.constants;
    let (eights, twos) = blocks(layer.out_features);
    let mut at = memory.output;
    let end = memory.output + layer.out_features;
    for block in 0..eights + twos {
        let input = part(memory.activations, memory.input, layer.in_features);
        if block < eights {
            let (sums, multipliers) = next_block::<8>(layer, input, &mut constants);
            write(&sums, multipliers, rule, memory.activations, at..end);
            at += 8;
        } else {
            let (sums, multipliers) = next_block::<2>(layer, input, &mut constants);
            write(&sums, multipliers, rule, memory.activations, at..end);
            at += 2;
        }
    }
}

#[inline(never)]
fn run_logits(layer: &PackedDense<'_>, input: &[i8], logits: &mut [i32]) {
    let mut constants = layer.constants;
    let mut rest = logits;
    while !rest.is_empty() {
        let count;
        if rest.len() >= 8 {
            let (sums, _) = next_block::<8>(layer, input, &mut constants);
            count = copy(&sums, rest);
        } else {
            let (sums, _) = next_block::<2>(layer, input, &mut constants);
            count = copy(&sums, rest);
        }
        rest = rest.get_mut(count..).unwrap_or_default();
    }
}

#[inline(always)]
fn copy(sums: &[i32], logits: &mut [i32]) -> usize {
    for (logit, &sum) in logits.iter_mut().zip(sums) {
        *logit = sum;
    }
    sums.len()
}

#[inline(always)]
fn write(
    sums: &[i32],
    multipliers: &[u32],
    rule: Output,
    activations: &mut [i8],
    places: core::ops::Range<usize>,
) {
    let places = activations.get_mut(places).unwrap_or_default();
    for ((y_q, &sum), &multiplier) in places.iter_mut().zip(sums).zip(multipliers) {
        *y_q = requantize(sum, multiplier as i32, rule.zero_point, rule.min, rule.max);
    }
}

/// Takes the next block off `constants`; returns its sums with bias, and its multipliers.
#[inline(always)]
fn next_block<'a, const OUTPUTS: usize>(
    layer: &PackedDense<'_>,
    input: &[i8],
    constants: &mut &'a [u32],
) -> ([i32; OUTPUTS], &'a [u32]) {
    let (block, rest) = constants.split_at_checked(layer.block_words(OUTPUTS)).unwrap_or_default();
    *constants = rest;
    let (biases, rest) = block.split_at_checked(OUTPUTS).unwrap_or_default();
    let tables = if layer.output.is_some() { OUTPUTS } else { 0 };
    let (multipliers, weights) = rest.split_at_checked(tables).unwrap_or_default();
    let mut sums: [i32; OUTPUTS] =
        core::array::from_fn(|output| biases.get(output).map_or(0, |&bias| bias as i32));
    let chunks = weights.chunks(DENSE_CHUNK / 4 * OUTPUTS);
    for (input, weights) in input.chunks(DENSE_CHUNK).zip(chunks) {
        let partial = dense_sums::<OUTPUTS>(input, weights, input.len() / 4);
        for (sum, partial) in sums.iter_mut().zip(partial) {
            *sum = sum.wrapping_add(partial);
        }
    }
    (sums, multipliers)
}
