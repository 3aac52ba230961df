//! The packed kernels: schedules around the [`routines`](super::routines), for every core.
//!
//! | module | operator | schedule |
//! |---|---|---|
//! | [`plane`] | 3×3 over the image, depthwise 3×3 | weights in registers, planes of i16 rows |
//! | [`conv`] | any convolution, 1×1 too | patches of two pixels × four channels a block |
//! | [`chain`] | the first two convolutions | row by row through a line buffer |
//! | [`winograd`] | 3×3, stride 1 | F(2×2) and F(4×4) in i16, exact |
//! | [`dense`] | fully connected | paired weights, eight outputs at a time |
//! | [`gather`] | activations under two windows, with padding |
//! | [`pool`] | pooling | four channels a word |
//! | [`branch`] | sums, joined channels, copies kept for them | sums in place, four channels a word |
//!
//! They give the bytes of the [`scalar`](super::scalar) kernels. Weights come repacked by the host. All
//! but the depthwise read their input before they write over it: `overlap` of each operator says how
//! many bytes below its input the output must begin for that to hold.

pub mod branch;
pub mod chain;
pub mod conv;
pub mod dense;
pub mod gather;
pub mod plane;
pub mod pool;
pub mod spread;
pub mod winograd;

/// The bytes an operator reads and writes: all activations that live while it runs.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Activations.
    pub activations: &'m mut [i8],
    /// First byte of the input.
    pub input: usize,
    /// First byte of the output.
    pub output: usize,
    /// Words of nobody else; contents mean nothing before and after.
    pub scratch: &'m mut [u32],
}

/// The output's zero point and clamp; multipliers lie among an operator's constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Zero point.
    pub zero_point: i8,
    /// Lowest output.
    pub min: i8,
    /// Highest output.
    pub max: i8,
}

impl Memory<'_> {
    /// Clamps the output's `length` bytes, which the routines saturated to −128..=127 only.
    #[inline(always)]
    fn clamp_output(&mut self, length: usize, output: Output) {
        if let Some(written) = self.activations.get_mut(self.output..self.output + length) {
            output.clamp(written);
        }
    }
}

impl Output {
    /// Clamps what the routines saturated to −128..=127 only.
    #[inline(always)]
    pub fn clamp(&self, activations: &mut [i8]) {
        if self.min > i8::MIN || self.max < i8::MAX {
            for y_q in activations {
                // Not `clamp`, which can panic.
                *y_q = (*y_q).max(self.min).min(self.max);
            }
        }
    }
}

/// Splits `words` off the front; empty where there are fewer.
#[inline(always)]
fn take<'m>(scratch: &mut &'m mut [u32], words: usize) -> &'m mut [u32] {
    let all = core::mem::take(scratch);
    match all.split_at_mut_checked(words) {
        Some((taken, rest)) => {
            *scratch = rest;
            taken
        }
        None => &mut [],
    }
}

/// Returns the bytes `start..start + length`, none where they leave the slice.
#[inline(always)]
fn part(activations: &[i8], start: usize, length: usize) -> &[i8] {
    activations.get(start..start + length).unwrap_or(&[])
}

/// Four equal activations in a word.
const fn splat(activation: i8) -> u32 {
    u32::from_le_bytes([activation as u8; 4])
}
