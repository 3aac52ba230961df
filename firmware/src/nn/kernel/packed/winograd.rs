//! 3×3 convolution of stride 1 by Winograd's minimal filtering, exact in integers.
//!
//! F(m×m, 3×3) computes m×m outputs from a tile of (m+2)² inputs with (m+2)² products a channel instead
//! of 9·m²: Y = Aᵀ \[(G g Gᵀ) ⊙ (Bᵀ d B)\] A. Source: Lavin and Gray, "Fast Algorithms for Convolutional
//! Neural Networks" (arXiv:1509.09308), equations for F(2×2, 3×3) and F(4×4, 3×3).
//!
//! The fractions of G are cleared row by row, and A's columns take them back:
//!
//! | | rows of G, cleared | columns of Aᵀ times | every sum is |
//! |---|---|---|---|
//! | F(2×2) | g0, g0+g1+g2, g0−g1+g2, g2 | 2, 1, 1, 2 | 4 · acc |
//! | F(4×4) | g0, g0+g1+g2, g0−g1+g2, g0+2g1+4g2, g0−2g1+4g2, g2 | 6, −4, −4, 1, 1, 24 | 576 · acc |
//!
//! Bounds: |Bᵀ d B| ≤ 4·128 or 100·128 and |G g Gᵀ| ≤ 9·128 or 49·128, all within i16. Sums wrap in
//! 32 bits, which is harmless as long as the last value fits: 4 · acc is shifted by 2; 576 · acc times
//! the inverse of 9 (mod 2³²) is 64 · acc, shifted by 6. So |acc| < 2²⁵ ([`ACC_LIMIT`]) is all it needs,
//! checked when a plan is made.

use super::gather::Gather;
use super::{Memory, Output, part, splat, take};
use crate::bytes::{of_words, words_as_i32};
use crate::nn::kernel::routines::{self, WinogradOutput, WinogradTask};
use crate::nn::window::Window;

/// Bound on |bias + Σ x·w|.
pub const ACC_LIMIT: i64 = 1 << 25;

/// Convolution over transformed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WinogradConv<'a> {
    /// Where the kernel slides: 3×3, stride 1.
    pub window: Window,
    /// Input channels, a multiple of 4.
    pub in_channels: usize,
    /// Output channels, a multiple of 4.
    pub out_channels: usize,
    /// Outputs of a tile's side: 2 or 4.
    pub tile: usize,
    /// A block of four output channels: `[(tile + 2)²][in_channels / 2][4]` words of weight pairs, channels
    /// (0, 2), (1, 3), (4, 6) …; four biases times 4 or 36; four multipliers.
    pub constants: &'a [u32],
    /// Zero point of the input, which is also the padding.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub output: Output,
}

impl WinogradConv<'_> {
    /// Returns the positions of a tile.
    pub const fn positions(&self) -> usize {
        (self.tile + 2) * (self.tile + 2)
    }

    const fn steps(&self) -> usize {
        self.in_channels / 2
    }

    const fn tiles(&self, tile: usize) -> [usize; 2] {
        [self.window.out_height.div_ceil(tile), self.window.out_width.div_ceil(tile)]
    }

    const fn padding_words(&self) -> usize {
        (self.tile + 2) * self.in_channels / 4
    }

    /// Returns the activations read.
    pub const fn input_len(&self) -> usize {
        self.window.in_pixels() * self.in_channels
    }

    /// Returns the activations written.
    pub const fn output_len(&self) -> usize {
        self.window.out_pixels() * self.out_channels
    }

    /// Returns the words of scratch: two transformed tiles, eight channels' products, a tile's row of padding.
    pub const fn scratch(&self) -> usize {
        self.positions() * (2 * self.steps() + 8) + self.padding_words()
    }

    /// Returns whether shape and constants are what the kernel needs.
    pub const fn is_consistent(&self) -> bool {
        let window = &self.window;
        let square = window.kernel_height == 3 && window.kernel_width == 3;
        square
            && window.stride_x == 1
            && window.stride_y == 1
            && (self.tile == 2 || self.tile == 4)
            && self.in_channels > 0
            && self.out_channels > 0
            && self.in_channels.is_multiple_of(4)
            && self.out_channels.is_multiple_of(4)
            && self.constants.len() == self.out_channels / 4 * (4 * self.steps() * self.positions() + 8)
    }

    /// Returns how many bytes below the input the output must begin to overwrite only what was read.
    ///
    /// A row of tiles writes `tile` rows while a later tile still reads from the first of its own.
    pub const fn overlap(&self) -> usize {
        let [tile_rows, _] = self.tiles(self.tile);
        let mut most = 0;
        let mut row = 0;
        while row < tile_rows {
            let end = (row + 1) * self.tile;
            let rows = if end < self.window.out_height { end } else { self.window.out_height };
            let written = rows * self.window.out_width * self.out_channels;
            let needed = (row * self.tile).saturating_sub(self.window.pad_top);
            let needed = needed * self.window.in_width * self.in_channels;
            if written > needed && written - needed > most {
                most = written - needed;
            }
            row += 1;
        }
        most
    }

    /// Runs the layer.
    ///
    /// * `memory`: input `[in_height][in_width][in_channels]`, output `[out_height][out_width][out_channels]`.
    #[inline(always)]
    pub fn run(&self, memory: Memory<'_>) {
        if self.tile == 2 { run::<4>(self, memory) } else { run::<6>(self, memory) }
    }
}

#[inline(never)]
fn run<const TILE: usize>(layer: &WinogradConv<'_>, mut memory: Memory<'_>) {
    let (words, positions, window) = (2 * layer.steps(), TILE * TILE, &layer.window);
    let tiles = take(&mut memory.scratch, positions * words);
    let products = words_as_i32(take(&mut memory.scratch, 8 * positions));
    let padding = take(&mut memory.scratch, layer.padding_words());
    padding.fill(splat(layer.input_zero_point));
    let padding = of_words(padding);
    let [tile_rows, tile_columns] = layer.tiles(TILE - 2);
    let task = WinogradTask { steps: layer.steps() as u32, positions: positions as u32 };
    let length = layer.output_len();
    let mut gather = Gather::new(window, [TILE, TILE], layer.in_channels);
    let mut first = [0, 0];
    while first[0] < tile_rows {
        let next = |[row, column]: [usize; 2]| {
            if column + 1 < tile_columns { [row, column + 1] } else { [row + 1, 0] }
        };
        // The last of an odd number is computed twice.
        let second = if next(first)[0] < tile_rows { next(first) } else { first };
        let corners = [first, second].map(|tile| tile.map(|at| at * (TILE - 2)));
        let input = part(memory.activations, memory.input, layer.input_len());
        // Huge in the padding above and to the left.
        let starts = corners.map(|[y, x]| [y.wrapping_sub(window.pad_top), x.wrapping_sub(window.pad_left)]);
        gather.widen(input, padding, starts, tiles);
        routines::winograd_input::<TILE>(tiles, words);
        let left = |at: usize, of: usize| (of - at).min(TILE - 2) as u32;
        let pixel_of = |[y, x]: [usize; 2]| (y * window.out_width + x) * layer.out_channels;
        let mut placed = WinogradOutput {
            offsets: corners.map(|corner| pixel_of(corner) as u32),
            stride: layer.out_channels as u32,
            pitch: (window.out_width * layer.out_channels) as u32,
            zero_point: i32::from(layer.output.zero_point),
            rows: corners.map(|[y, _]| left(y, window.out_height)),
            columns: corners.map(|[_, x]| left(x, window.out_width)),
        };
        let Some(output) = memory.activations.get_mut(memory.output..memory.output + length) else { return };
        let block_words = 2 * words * positions;
        for constants in layer.constants.chunks_exact(block_words + 8) {
            let (weights, tables) = constants.split_at_checked(block_words).unwrap_or_default();
            routines::winograd_2x4(tiles, weights, products, &task);
            routines::winograd_output::<TILE>(products, tables, output, &placed);
            placed.offsets = placed.offsets.map(|offset| offset + 4);
        }
        first = next(second);
    }
    memory.clamp_output(length, layer.output);
}
