//! The inner loops of the packed kernels: assembly on cores with DSP, portable Rust elsewhere.
//!
//! | routine | computes | twin |
//! |---|---|---|
//! | [`gather_2`] | activations under two windows → interleaved i16 pairs | [`portable`] |
//! | [`conv_2x4`] | 2 pixels × 4 channels a block, requantized | |
//! | [`winograd_input`] | Bᵀ d B of two tiles, in place | |
//! | [`winograd_2x4`] | 2 tiles × 4 channels, all positions | |
//! | [`winograd_output`] | Aᵀ m A of 2 tiles × 4 channels, requantized | |
//! | [`split_4`] | rows of four channels → planes | |
//! | [`dense_sums`] | one row of inputs × 8 or 2 outputs | |
//! | [`sum_4`] | sums of four channels over a run of pixels | |
//! | [`plane`] | 3×3 over one plane, weights in registers, optionally 2×2-pooled | |
//!
//! The functions here are the safe doors: they check lengths, and do nothing where the contract is not
//! met, which the plan's own check excludes. Behind them `arm` and [`portable`] have the same names.
//!
//! **Paired weights.** A byte pair of a weight word holds weight A in its even byte and, in its odd byte,
//! weight B − \[A < 0\], so that as an i16 lane it is A + 256·B. A multiply-accumulate over whole words
//! sums x·A + 256·x·B, one over the unpacked even bytes sums x·A, and
//! (first − second) / 256 is Σ x·B: two channels for one unpacking instruction. Exact as long as
//! |Σ x·B| < 2²³ ([`PAIRED_LIMIT`]), which is checked when a plan is made.

#[cfg(dsp)]
mod arm;
pub mod portable;

#[cfg(dsp)]
use arm as implementation;
#[cfg(not(dsp))]
use portable as implementation;

/// Bound on |bias + Σ x·w| of channels in odd bytes; see the module's text.
pub const PAIRED_LIMIT: i64 = 1 << 23;

/// Bound on |bias + Σ x·w| of channels stored as nibbles: 4096 times as much must fit an i32.
pub const NIBBLE_LIMIT: i64 = 1 << 19;

/// How a convolution's weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Four bits a weight, −8..=7: four channels in a halfword.
    Nibble,
    /// A byte a weight, two channels in a halfword; see the module's text.
    Paired,
    /// Two bytes a weight.
    Wide,
}

impl Packing {
    /// Returns the words of weights of four channels a step, [`conv_2x4`]'s parameter.
    pub const fn words(self) -> usize {
        match self {
            Packing::Nibble => 1,
            Packing::Paired => 2,
            Packing::Wide => 4,
        }
    }
}

/// Arguments of [`gather_2`]; the routine counts in it.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct GatherTask {
    /// Rows of a window; at least 1.
    pub rows: u32,
    /// Runs of a row that are inside or outside as a whole: its pixels, or the row; at least 1.
    pub runs: u32,
    /// Fours of bytes in a run; at least 1.
    pub quads: u32,
    /// Set by the door.
    pub(in crate::nn::kernel) run_bytes: u32,
    /// Set by the door.
    pub(in crate::nn::kernel) row_step: u32,
    /// Rows of the input.
    pub height: u32,
    /// Columns that a run may begin at: the input's, less the run's length in pixels, plus 1.
    pub width: u32,
    /// Row of either window's first pixel; huge above the input.
    pub row: [u32; 2],
    /// Column of either window's first pixel; huge left of the input.
    pub column: [u32; 2],
    /// Set by the routine's caller: where the padding lies.
    pub(in crate::nn::kernel) padding: u32,
    /// Bytes of a row of the input.
    pub pitch: u32,
    /// Bytes of a pixel.
    pub channels: u32,
}

/// Arguments of [`conv_2x4`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ConvTask {
    /// Channel pairs of a patch: taps × channels / 2; at least 1.
    pub steps: u32,
    /// Blocks of four output channels; at least 1.
    pub blocks: u32,
    /// Bytes from an output of the first pixel to that of the second; 0 keeps only the first.
    pub pixel_stride: u32,
    /// Zero point of the output, −128..=127.
    pub zero_point: i32,
}

/// Arguments of [`winograd_2x4`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct WinogradTask {
    /// Channel pairs; at least 2.
    pub steps: u32,
    /// Positions of a tile, 16 or 36.
    pub positions: u32,
}

/// Arguments of [`winograd_output`]. Aligned, as the routine tells the tiles apart by an address bit.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub struct WinogradOutput {
    /// First byte of either tile's first output.
    pub offsets: [u32; 2],
    /// Bytes from a column to the next.
    pub stride: u32,
    /// Bytes from a row to the next.
    pub pitch: u32,
    /// Zero point of the output, −128..=127.
    pub zero_point: i32,
    /// Rows of either tile that lie inside, at least 1.
    pub rows: [u32; 2],
    /// Columns of either tile that lie inside, at least 1.
    pub columns: [u32; 2],
}

/// Arguments of [`split_4`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct SplitTask {
    /// Bytes from a pixel to the next.
    pub channels: u32,
    /// Bytes from a plane to the next.
    pub plane_bytes: u32,
    /// Rows; at least 1.
    pub rows: u32,
    /// Whole pairs of pixels in a row, at least 1.
    pub pairs: u32,
    /// Four zero points.
    pub padding: u32,
    /// 1 where a row begins with padding beside its first pixel.
    pub leading: u32,
    /// 1 where a row ends with padding beside its last pixel.
    pub trailing: u32,
    /// Words of padding behind a row.
    pub blank: u32,
    /// Bytes from a row of a plane to the next.
    pub pitch: u32,
}

/// Arguments of [`plane`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PlaneTask {
    /// Outputs of a row; at least 2 without pooling.
    pub width: u32,
    /// Rows of outputs; at least 1.
    pub rows: u32,
    /// Zero point of the output, −128..=127.
    pub zero_point: i32,
    /// Bytes from one output to the next: the channels of the layer.
    pub stride: u32,
}

/// Words of a channel's constants for [`plane`]: three rows of weights, bias, multiplier.
pub const PLANE_WORDS: usize = 5;

/// Widens the activations under two windows to i16 pairs, with padding where a window lies outside.
///
/// * `input`: `[height][width][quads · 4]`, or columns and quads so that a run is a row of the window.
/// * `padding`: as many bytes as a run.
/// * `words`: for each quad (c0, c2) of the first, (c0, c2) of the second, (c1, c3) of each; run after run.
#[inline(always)]
pub fn gather_2(input: &[i8], padding: &[i8], words: &mut [u32], task: &mut GatherTask) {
    let (rows, runs, run_bytes) = (task.rows as usize, task.runs as usize, 4 * task.quads as usize);
    let is_empty = rows == 0 || runs == 0 || run_bytes == 0;
    if is_empty || padding.len() < run_bytes || words.len() < rows * runs * run_bytes {
        return;
    }
    // A run that begins inside must end in its row, and every row in the input.
    let last_run = (task.width as usize).saturating_sub(1) * task.channels as usize + run_bytes;
    if last_run > task.pitch as usize || input.len() < task.height as usize * task.pitch as usize {
        return;
    }
    task.run_bytes = run_bytes as u32;
    task.row_step = task.pitch.wrapping_sub((runs * run_bytes) as u32);
    implementation::gather_2(input, padding, words, task);
}

/// Two pixels by all output channels of a convolution.
///
/// * `patch`: `[steps][2]` words, pairs of activations of either pixel.
/// * `constants`: `[blocks]` of four start values, `[steps][2]` words of paired weights (channels 0 1 and
///   2 3), four multipliers. The start value of an odd channel is bias of the even one + 256 · its own.
///   With 4 `WORDS` a step: four biases, `[steps][4]` words of i16 pairs, four multipliers. With 1: four
///   biases times 1, 16, 256, 4096, `[steps]` words whose halves are w0 + 8 + 16 (w1 + 8) + 256 (w2 + 8) +
///   4096 w3, four multipliers.
/// * `output`: `4 · blocks` bytes, and as many again from `pixel_stride` on.
#[inline(always)]
pub fn conv_2x4<const WORDS: usize>(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    let (steps, blocks) = (task.steps as usize, task.blocks as usize);
    let is_empty = steps == 0 || blocks == 0;
    let fits = patch.len() >= 2 * steps && constants.len() >= blocks * (8 + WORDS * steps);
    if is_empty || !fits || output.len() < task.pixel_stride as usize + 4 * blocks {
        return;
    }
    match WORDS {
        1 => implementation::conv_2x4_nibble(patch, constants, output, task),
        2 => implementation::conv_2x4(patch, constants, output, task),
        4 => implementation::conv_2x4_wide(patch, constants, output, task),
        _ => {}
    }
}

/// Two transformed tiles by four output channels, position by position.
///
/// * `tiles`: `[positions][steps][2]` words, pairs of transformed activations of either tile.
/// * `weights`: `[positions][steps][4]` words, pairs of transformed weights.
/// * `products`: `[positions][8]`: four channels of the first tile, four of the second.
#[inline(always)]
pub fn winograd_2x4(tiles: &[u32], weights: &[u32], products: &mut [i32], task: &WinogradTask) {
    let (steps, positions) = (task.steps as usize, task.positions as usize);
    let fits = tiles.len() >= 2 * steps * positions && weights.len() >= 4 * steps * positions;
    if steps < 2 || positions == 0 || !fits || products.len() < 8 * positions {
        return;
    }
    implementation::winograd_2x4(tiles, weights, products, task);
}

/// Bᵀ d B of every word of two tiles, in place; `TILE` is 4 for F(2×2), 6 for F(4×4).
///
/// * `tiles`: `[TILE · TILE][words]` pairs of activations.
#[inline(always)]
pub fn winograd_input<const TILE: usize>(tiles: &mut [u32], words: usize) {
    if words == 0 || tiles.len() < TILE * TILE * words {
        return;
    }
    match TILE {
        4 => implementation::winograd_input_4(tiles, words),
        6 => implementation::winograd_input_6(tiles, words),
        _ => {}
    }
}

/// Aᵀ m A of two tiles by four channels, requantized; `TILE` as in [`winograd_input`].
///
/// * `products`: `[TILE · TILE][8]`, as [`winograd_2x4`] writes them.
/// * `tables`: four biases times 4 or 36, four multipliers.
/// * `output`: four channels at each pixel of either tile that lies inside.
#[inline(always)]
pub fn winograd_output<const TILE: usize>(
    products: &[i32],
    tables: &[u32],
    output: &mut [i8],
    task: &WinogradOutput,
) {
    let holds = |offset: u32, rows: u32, columns: u32| {
        let last = offset + rows.wrapping_sub(1) * task.pitch + columns.wrapping_sub(1) * task.stride;
        rows > 0 && columns > 0 && last as usize + 4 <= output.len()
    };
    let ([first, second], [rows, rows_2], [columns, columns_2]) = (task.offsets, task.rows, task.columns);
    if !holds(first, rows, columns)
        || !holds(second, rows_2, columns_2)
        || products.len() < 8 * TILE * TILE
        || tables.len() < 8
    {
        return;
    }
    match TILE {
        4 => implementation::winograd_output_4(products, tables, output, task),
        6 => implementation::winograd_output_6(products, tables, output, task),
        _ => {}
    }
}

/// Rows of four channels of an image to four planes of i16 pairs.
///
/// * `input`: from the first of the four channels of the first pixel on; rows follow each other.
/// * `planes`: from the first row of the first plane on.
#[inline(always)]
pub fn split_4(input: &[i8], planes: &mut [u32], task: &SplitTask) {
    let pixels = task.rows * (2 * task.pairs + task.leading + task.trailing);
    let words = (task.rows.wrapping_sub(1) * task.pitch + 3 * task.plane_bytes) / 4;
    let row_words = task.pairs + task.leading + task.trailing + task.blank;
    let fits = task.rows > 0 && task.pairs > 0 && task.leading <= 1 && task.trailing <= 1;
    let holds = planes.len() >= (words + row_words) as usize;
    if !fits || !holds || input.len() < (pixels as usize - 1) * task.channels as usize + 4 {
        return;
    }
    implementation::split_4(input, planes, task);
}

/// Sums of products of one row of inputs for eight or two outputs, without bias; zeros elsewhere.
///
/// * `input`: at least `4 · quads` bytes, any alignment.
/// * `weights`: `[quads][2][outputs / 2]` words of paired weights: for inputs (0, 2), then for (1, 3).
/// * `outputs`: 8 or 2.
///
/// Exact for up to [`DENSE_CHUNK`] inputs, whatever the weights.
#[inline(always)]
pub fn dense_sums(input: &[i8], weights: &[u32], quads: usize, outputs: usize) -> [i32; 8] {
    let mut sums = [0; 8];
    if quads == 0 || input.len() < 4 * quads || weights.len() < quads * outputs {
        return sums;
    }
    match outputs {
        8 => implementation::dense_8(input, weights, &mut sums, quads),
        2 => implementation::dense_2(input, weights, &mut sums, quads),
        _ => {}
    }
    sums
}

/// Sums of four neighbouring activations over `count` pixels, `stride` bytes apart: lanes (0, 2), (1, 3).
///
/// Exact for up to 255 pixels.
#[inline(always)]
pub fn sum_4(input: &[i8], stride: usize, count: usize, sums: [u32; 2]) -> [u32; 2] {
    if count == 0 || input.len() < (count - 1) * stride + 4 {
        return sums;
    }
    implementation::sum_4(input, stride, count, sums)
}

/// Most inputs for [`dense_sums`]: 512 · 128 · 127 < 2²³.
pub const DENSE_CHUNK: usize = 512;

/// Bound on |Σ x·w| of such a chunk; only weights of −128 can reach it.
pub const DENSE_LIMIT: i64 = 1 << 23;

/// 3×3 over one plane: `STRIDE` 1 or 2, or pooled (`POOL`, stride 1, maximum of 2×2).
///
/// * `plane`: rows of `PITCH` bytes (32, 64, 128 or 256), i16 pairs, padding included; `plane_words` gives its size.
/// * `constants`: [`PLANE_WORDS`]: bytes w0 w1 w1 w2 of each kernel row, bias, multiplier.
/// * `output`: one byte every `stride`, row after row.
#[inline(always)]
pub fn plane<const STRIDE: usize, const POOL: bool, const PITCH: usize>(
    plane: &[u32],
    constants: &[u32; PLANE_WORDS],
    output: &mut [i8],
    task: &PlaneTask,
) {
    let (width, rows) = (task.width as usize, task.rows as usize);
    let step = if POOL { 2 } else { STRIDE };
    let fits = plane.len() >= plane_words(rows, step, POOL, PITCH)
        && 2 * columns_read(width, STRIDE, POOL) <= PITCH
        && output.len() > (width * rows).wrapping_sub(1) * task.stride as usize;
    if rows == 0 || width < 2 || !fits {
        return;
    }
    match (STRIDE, POOL, PITCH) {
        (1, false, 32) => implementation::plane_stride1_32(plane, constants, output, task),
        (1, false, 64) => implementation::plane_stride1_64(plane, constants, output, task),
        (1, false, 128) => implementation::plane_stride1_128(plane, constants, output, task),
        (1, false, 256) => implementation::plane_stride1_256(plane, constants, output, task),
        (2, false, 32) => implementation::plane_stride2_32(plane, constants, output, task),
        (2, false, 64) => implementation::plane_stride2_64(plane, constants, output, task),
        (2, false, 128) => implementation::plane_stride2_128(plane, constants, output, task),
        (2, false, 256) => implementation::plane_stride2_256(plane, constants, output, task),
        (1, true, 32) => implementation::plane_pool_32(plane, constants, output, task),
        (1, true, 64) => implementation::plane_pool_64(plane, constants, output, task),
        (1, true, 128) => implementation::plane_pool_128(plane, constants, output, task),
        (1, true, 256) => implementation::plane_pool_256(plane, constants, output, task),
        _ => {}
    }
}

/// Columns of a plane that a row of outputs reads: two outputs at a time, an odd one in whole words.
pub const fn columns_read(width: usize, stride: usize, pool: bool) -> usize {
    if pool {
        2 * width + 2
    } else if width.is_multiple_of(2) {
        stride * width + 2
    } else {
        stride * (width - 1) + 4
    }
}

/// Words of a plane that yields `rows` rows of outputs, `row_step` rows apart.
pub const fn plane_words(rows: usize, row_step: usize, pool: bool, pitch: usize) -> usize {
    let last_rows = if pool { 4 } else { 3 };
    (rows.saturating_sub(1) * row_step + last_rows) * pitch / 4
}
