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
    let mut at = 0;
    while at < layer.out_features {
        let outputs = block_outputs(layer.out_features - at);
        let input = part(memory.activations, memory.input, layer.in_features);
        let (sums, multipliers) = next_block(layer, outputs, input, &mut constants);
        let end = (at + outputs).min(layer.out_features);
        let places = memory.activations.get_mut(memory.output + at..memory.output + end);
        for ((y_q, sum), &multiplier) in places.unwrap_or_default().iter_mut().zip(sums).zip(multipliers) {
            *y_q = requantize(sum, multiplier as i32, rule.zero_point, rule.min, rule.max);
        }
        at += outputs;
    }
}

#[inline(never)]
fn run_logits(layer: &PackedDense<'_>, input: &[i8], logits: &mut [i32]) {
    let mut constants = layer.constants;
    let mut rest = logits;
    while !rest.is_empty() {
        let outputs = block_outputs(rest.len());
        let (sums, _) = next_block(layer, outputs, input, &mut constants);
        for (logit, sum) in rest.iter_mut().zip(sums).take(outputs) {
            *logit = sum;
        }
        rest = rest.get_mut(outputs..).unwrap_or_default();
    }
}

/// Outputs of the next block where so many are left.
#[inline(always)]
fn block_outputs(left: usize) -> usize {
    if left >= 8 { 8 } else { 2 }
}

/// Takes the next block off `constants`; returns its sums with bias, and its multipliers.
#[inline(always)]
fn next_block<'a>(
    layer: &PackedDense<'_>,
    outputs: usize,
    input: &[i8],
    constants: &mut &'a [u32],
) -> ([i32; 8], &'a [u32]) {
    let (block, rest) = constants.split_at_checked(layer.block_words(outputs)).unwrap_or_default();
    *constants = rest;
    let (biases, rest) = block.split_at_checked(outputs).unwrap_or_default();
    let tables = if layer.output.is_some() { outputs } else { 0 };
    let (multipliers, weights) = rest.split_at_checked(tables).unwrap_or_default();
    let mut sums = [0i32; 8];
    for (sum, &bias) in sums.iter_mut().zip(biases) {
        *sum = bias as i32;
    }
    let chunks = weights.chunks(DENSE_CHUNK / 4 * outputs.max(1));
    for (input, weights) in input.chunks(DENSE_CHUNK).zip(chunks) {
        let partial = dense_sums(input, weights, input.len() / 4, outputs);
        for (sum, partial) in sums.iter_mut().zip(partial) {
            *sum = sum.wrapping_add(partial);
        }
    }
    (sums, multipliers)
}
