//! The routines in plain Rust, over the same layouts as `arm`, for every other core and the desktop.
//!
//! The algorithm is the same down to the paired weights, so that what runs on the chip is what the
//! desktop's property tests try. Slices shorter than a contract says end a loop early.

mod winograd;

pub use winograd::{winograd_input_4, winograd_input_6, winograd_output_4, winograd_output_6};

use super::{ConvTask, GatherTask, PLANE_WORDS, PlaneTask, SplitTask, WinogradTask};
use crate::nn::kernel::instr::{
    halves, pack_high, pack_low, sxtab16, sxtab16_ror8, sxtb16, sxtb16_ror8, word,
};
use crate::nn::requantize::requantize;

/// Sum of products of both i16 lanes, added to `acc` (SMLAD).
#[inline(always)]
fn smlad(x: u32, y: u32, acc: i32) -> i32 {
    let ((x_low, x_high), (y_low, y_high)) = (halves(x), halves(y));
    let low = i32::from(x_low) * i32::from(y_low);
    acc.wrapping_add(low).wrapping_add(i32::from(x_high) * i32::from(y_high))
}

/// See [`gather_2`](super::gather_2).
pub fn gather_2(input: &[i8], padding: &[i8], words: &mut [u32], task: &mut GatherTask) {
    let (runs, run_bytes) = (task.runs as usize, 4 * task.quads as usize);
    for (index, words) in words.chunks_exact_mut(run_bytes).take(task.rows as usize * runs).enumerate() {
        let source = [0, 1].map(|at| {
            let row = task.row[at].wrapping_add((index / runs) as u32);
            let column = task.column[at].wrapping_add((index % runs) as u32);
            let start = row.wrapping_mul(task.pitch).wrapping_add(column.wrapping_mul(task.channels));
            let is_inside = row < task.height && column < task.width;
            if is_inside { input.get(start as usize..).unwrap_or_default() } else { padding }
        });
        for (quad, four) in words.chunks_exact_mut(4).enumerate() {
            let (a, b) = (word(source[0], 4 * quad), word(source[1], 4 * quad));
            four.copy_from_slice(&[sxtb16(a), sxtb16(b), sxtb16_ror8(a), sxtb16_ror8(b)]);
        }
    }
}

/// Adds a pair of activations times one word of paired weights to the sums of its two channels.
#[inline(always)]
fn paired(x: u32, w: u32, sums: &mut [i32]) {
    if let [even, odd] = sums {
        *odd = smlad(x, w, *odd);
        *even = smlad(x, sxtb16(w), *even);
    }
}

/// Takes even channels' sums out of odd ones.
#[inline(always)]
fn part(sums: &mut [i32]) {
    for pair in sums.chunks_exact_mut(2) {
        pair[1] = pair[1].wrapping_sub(pair[0]) >> 8;
    }
}

/// See [`conv_2x4`](super::conv_2x4).
pub fn conv_2x4(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    conv(2, patch, constants, output, task);
}

/// See [`conv_2x4`](super::conv_2x4).
pub fn conv_2x4_wide(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    conv(4, patch, constants, output, task);
}

/// See [`conv_2x4`](super::conv_2x4).
pub fn conv_2x4_nibble(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    conv(1, patch, constants, output, task);
}

/// Masks of a channel's digit, for channels 0 to 3 of a block.
const DIGITS: [u32; 4] = [0x000f_000f, 0x00f0_00f0, 0x0f00_0f00, 0xf000_f000];

/// All, by the words of weights a step.
fn conv(words: usize, patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    let steps = task.steps as usize;
    let blocks = constants.chunks_exact(8 + words * steps).take(task.blocks as usize);
    for (block, constants) in blocks.enumerate() {
        let (start, rest) = constants.split_at(4);
        let (weights, multipliers) = rest.split_at(words * steps);
        // Second pixel first, so that a stride of 0 keeps the first.
        for pixel in [1, 0] {
            let mut sums: [i32; 4] = core::array::from_fn(|channel| start[channel] as i32);
            if words == 1 {
                let sum =
                    patch.chunks_exact(2).take(steps).fold(0, |acc, x| smlad(x[pixel], 0x0001_0001, acc));
                for (channel, start) in sums.iter_mut().take(3).enumerate() {
                    *start = start.wrapping_sub(sum.wrapping_shl(3 + 4 * channel as u32));
                }
            }
            for (x, w) in patch.chunks_exact(2).zip(weights.chunks_exact(words)) {
                match words {
                    1 => sums = core::array::from_fn(|at| smlad(x[pixel], w[0] & DIGITS[at], sums[at])),
                    2 => {
                        paired(x[pixel], w[0], &mut sums[..2]);
                        paired(x[pixel], w[1], &mut sums[2..]);
                    }
                    _ => sums = core::array::from_fn(|at| smlad(x[pixel], w[at], sums[at])),
                }
            }
            match words {
                1 => sums.iter_mut().enumerate().for_each(|(channel, sum)| *sum >>= 4 * channel),
                2 => part(&mut sums),
                _ => {}
            }
            let at = pixel * task.pixel_stride as usize + 4 * block;
            for (channel, &sum) in sums.iter().enumerate() {
                let y_q = requantize(sum, multipliers[channel] as i32, task.zero_point as i8, -128, 127);
                if let Some(place) = output.get_mut(at + channel) {
                    *place = y_q;
                }
            }
        }
    }
}

/// See [`winograd_2x4`](super::winograd_2x4).
pub fn winograd_2x4(tiles: &[u32], weights: &[u32], products: &mut [i32], task: &WinogradTask) {
    let steps = task.steps as usize;
    let positions = tiles.chunks_exact(2 * steps).zip(weights.chunks_exact(4 * steps));
    let positions = positions.take(task.positions as usize);
    for (sums, (x, w)) in products.chunks_exact_mut(8).zip(positions) {
        for (index, sum) in sums.iter_mut().enumerate() {
            let (tile, channel) = (index / 4, index % 4);
            let pairs = x.chunks_exact(2).zip(w.chunks_exact(4));
            *sum = pairs.fold(0, |acc, (x, w)| smlad(x[tile], w[channel], acc));
        }
    }
}

/// See [`split_4`](super::split_4).
pub fn split_4(input: &[i8], planes: &mut [u32], task: &SplitTask) {
    let channels = task.channels as usize;
    let mut at = 0;
    for row in 0..task.rows as usize {
        let mut place = row * task.pitch as usize / 4;
        let mut split = |left: u32, right: u32| {
            let (left_even, right_even) = (sxtb16(left), sxtb16(right));
            let (left_odd, right_odd) = (sxtb16_ror8(left), sxtb16_ror8(right));
            let words = [
                pack_low(left_even, right_even),
                pack_low(left_odd, right_odd),
                pack_high(left_even, right_even),
                pack_high(left_odd, right_odd),
            ];
            for (plane, word) in words.into_iter().enumerate() {
                if let Some(to) = planes.get_mut(place + plane * task.plane_bytes as usize / 4) {
                    *to = word;
                }
            }
            place += 1;
        };
        if task.leading > 0 {
            split(task.padding, word(input, at));
            at += channels;
        }
        for _ in 0..task.pairs {
            split(word(input, at), word(input, at + channels));
            at += 2 * channels;
        }
        if task.trailing > 0 {
            split(word(input, at), task.padding);
            at += channels;
        }
        for _ in 0..task.blank {
            split(task.padding, task.padding);
        }
    }
}

fn dense(input: &[i8], weights: &[u32], sums: &mut [i32], quads: usize) {
    sums.fill(0);
    let words = sums.len() / 2;
    let rows = input.chunks_exact(4).zip(weights.chunks_exact((2 * words).max(1))).take(quads);
    for (x, weights) in rows {
        let x = u32::from_le_bytes(core::array::from_fn(|at| x[at] as u8));
        let (low, high) = weights.split_at(words);
        for (sums, (&low, &high)) in sums.chunks_exact_mut(2).zip(low.iter().zip(high)) {
            paired(sxtb16(x), low, sums);
            paired(sxtb16_ror8(x), high, sums);
        }
    }
    part(sums);
}

/// See [`dense_sums`](super::dense_sums).
pub fn dense_8(input: &[i8], weights: &[u32], sums: &mut [i32], quads: usize) {
    dense(input, weights, sums, quads);
}

/// See [`dense_sums`](super::dense_sums).
pub fn dense_2(input: &[i8], weights: &[u32], sums: &mut [i32], quads: usize) {
    dense(input, weights, &mut sums[..2], quads);
}

/// See [`sum_4`](super::sum_4).
pub fn sum_4(input: &[i8], stride: usize, count: usize, [even, odd]: [u32; 2]) -> [u32; 2] {
    (0..count).fold([even, odd], |[even, odd], pixel| {
        let four = word(input, pixel * stride);
        [sxtab16(even, four), sxtab16_ror8(odd, four)]
    })
}

/// Sum of one output: `row`, `column` of the plane are its upper left.
fn plane_sum(plane: &[u32], pitch: usize, constants: &[u32; PLANE_WORDS], row: usize, column: usize) -> i32 {
    let at = |row: usize, column: usize| {
        let word = plane.get(row * pitch / 4 + column / 2).copied().unwrap_or(0);
        i32::from(if column.is_multiple_of(2) { halves(word).0 } else { halves(word).1 })
    };
    let mut sum = constants[3] as i32;
    for (tap_row, &word) in constants[..3].iter().enumerate() {
        let [w0, w1, _, w2] = word.to_le_bytes().map(|byte| i32::from(byte as i8));
        for (tap, w) in [w0, w1, w2].into_iter().enumerate() {
            sum = sum.wrapping_add(at(row + tap_row, column + tap) * w);
        }
    }
    sum
}

fn plane(
    [stride, pitch]: [usize; 2],
    pool: bool,
    plane: &[u32],
    constants: &[u32; PLANE_WORDS],
    output: &mut [i8],
    task: &PlaneTask,
) {
    let (width, step) = (task.width as usize, if pool { 2 } else { stride });
    for index in 0..width * task.rows as usize {
        let (row, column) = (step * (index / width), step * (index % width));
        let sum_at = |down, right| plane_sum(plane, pitch, constants, row + down, column + right);
        let mut sum = sum_at(0, 0);
        if pool {
            sum = sum.max(sum_at(0, 1)).max(sum_at(1, 0)).max(sum_at(1, 1));
        }
        if let Some(place) = output.get_mut(index * task.stride as usize) {
            *place = requantize(sum, constants[4] as i32, task.zero_point as i8, -128, 127);
        }
    }
}

macro_rules! planes {
    ($($name:ident: $stride:literal, $pitch:literal, $pool:literal;)+) => {$(
        /// See [`plane`](super::plane).
        pub fn $name(input: &[u32], constants: &[u32; PLANE_WORDS], output: &mut [i8], task: &PlaneTask) {
            plane([$stride, $pitch], $pool, input, constants, output, task);
        }
    )+};
}

planes! {
    plane_stride1_32: 1, 32, false;
    plane_stride1_64: 1, 64, false;
    plane_stride1_128: 1, 128, false;
    plane_stride1_256: 1, 256, false;
    plane_stride2_32: 2, 32, false;
    plane_stride2_64: 2, 64, false;
    plane_stride2_128: 2, 128, false;
    plane_stride2_256: 2, 256, false;
    plane_pool_32: 1, 32, true;
    plane_pool_64: 1, 64, true;
    plane_pool_128: 1, 128, true;
    plane_pool_256: 1, 256, true;
}
