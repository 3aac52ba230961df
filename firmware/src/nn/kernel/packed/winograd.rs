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
//! Bounds: |Bᵀ d B| ≤ 4·128 or 100·128 and |G g Gᵀ| ≤ 9·127 or 49·127, all within i16. Sums wrap in
//! 32 bits, which is harmless as long as the last value fits: 4 · acc is shifted by 2; 576 · acc times
//! the inverse of 9 (mod 2³²) is 64 · acc, shifted by 6. So |acc| < 2²⁵ ([`ACC_LIMIT`]) is all it needs,
//! checked when a plan is made.

use super::{Memory, Output, part, splat, take};
use crate::nn::kernel::instr::{sadd16, ssub16};
use crate::nn::kernel::routines::{self, WinogradTask};
use crate::nn::requantize::requantize;
use crate::nn::window::Window;

/// Bound on |bias + Σ x·w|.
pub const ACC_LIMIT: i64 = 1 << 25;

/// 9 · `INVERSE_OF_9` = 1 (mod 2³²).
const INVERSE_OF_9: i32 = 0x38e3_8e39;

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

    const fn tiles(&self) -> [usize; 2] {
        [self.window.out_height.div_ceil(self.tile), self.window.out_width.div_ceil(self.tile)]
    }

    /// Returns the activations read.
    pub const fn input_len(&self) -> usize {
        self.window.in_pixels() * self.in_channels
    }

    /// Returns the activations written.
    pub const fn output_len(&self) -> usize {
        self.window.out_pixels() * self.out_channels
    }

    /// Returns the words of scratch: two transformed tiles, eight channels' products, a pixel of padding.
    pub const fn scratch(&self) -> usize {
        self.positions() * (2 * self.steps() + 8) + self.in_channels / 4
    }

    /// Returns whether shape and constants are what the kernel needs.
    pub const fn is_consistent(&self) -> bool {
        let window = &self.window;
        let square = window.kernel_height == 3 && window.kernel_width == 3;
        square && window.stride_x == 1 && window.stride_y == 1
            && (self.tile == 2 || self.tile == 4)
            && self.in_channels > 0 && self.out_channels > 0
            && self.in_channels.is_multiple_of(4)
            && self.out_channels.is_multiple_of(4)
            && self.constants.len() == self.out_channels / 4 * (4 * self.steps() * self.positions() + 8)
    }

    /// Returns how many bytes below the input the output must begin to overwrite only what was read.
    ///
    /// A row of tiles writes `tile` rows while a later tile still reads from the first of its own.
    pub const fn overlap(&self) -> usize {
        let [tile_rows, _] = self.tiles();
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
        if self.tile == 2 { run::<F2, 4, 16, 2>(self, memory) } else { run::<F4, 6, 36, 4>(self, memory) }
    }
}

/// One-dimensional transforms of F(m, 3); `T` = m + 2.
trait Filtering<const T: usize, const M: usize> {
    /// Rows of Bᵀ by a column of i16 pairs.
    fn input(d: [u32; T]) -> [u32; T];
    /// Rows of Aᵀ, powers of two taken out, by a column of sums.
    fn output(m: [i32; T]) -> [i32; M];
    /// Powers of two that [`Filtering::output`] takes out of each row.
    const TAKEN: [u32; M];
    /// log2 of a sum over acc, after [`Filtering::exact`].
    const SHIFT: u32;
    /// Clears what is no power of two from a sum.
    fn exact(sum: i32) -> i32;
}

/// F(2×2, 3×3).
struct F2;

impl Filtering<4, 2> for F2 {
    #[inline(always)]
    fn input([a, b, c, d]: [u32; 4]) -> [u32; 4] {
        [ssub16(a, c), sadd16(b, c), ssub16(c, b), ssub16(b, d)]
    }

    #[inline(always)]
    fn output([a, b, c, d]: [i32; 4]) -> [i32; 2] {
        let twice = |value: i32| value.wrapping_shl(1);
        let sum = b.wrapping_add(c);
        let difference = b.wrapping_sub(c);
        [sum.wrapping_add(twice(a)), difference.wrapping_sub(twice(d))]
    }

    const TAKEN: [u32; 2] = [0, 0];
    const SHIFT: u32 = 2;

    #[inline(always)]
    fn exact(sum: i32) -> i32 {
        sum
    }
}

/// F(4×4, 3×3).
struct F4;

impl Filtering<6, 4> for F4 {
    #[inline(always)]
    fn input([a, b, c, d, e, f]: [u32; 6]) -> [u32; 6] {
        let twice = |value: u32| sadd16(value, value);
        let four = |value: u32| twice(twice(value));
        let (e_c, d_b) = (ssub16(e, c), ssub16(d, b));
        let (e_4c, d_4b) = (ssub16(e, four(c)), ssub16(d, four(b)));
        let d_b_twice = twice(d_b);
        [
            sadd16(four(ssub16(a, c)), e_c),
            sadd16(e_4c, d_4b),
            ssub16(e_4c, d_4b),
            sadd16(e_c, d_b_twice),
            ssub16(e_c, d_b_twice),
            ssub16(ssub16(f, d), twice(d_b_twice)),
        ]
    }

    #[inline(always)]
    fn output([a, b, c, d, e, f]: [i32; 6]) -> [i32; 4] {
        let times = |value: i32, shift: u32| value.wrapping_shl(shift);
        let (b_plus_c, b_minus_c) = (b.wrapping_add(c), b.wrapping_sub(c));
        let (d_plus_e, d_minus_e) = (d.wrapping_add(e), d.wrapping_sub(e));
        let three = |value: i32| value.wrapping_add(times(value, 1));
        let even = d_plus_e.wrapping_sub(times(b_plus_c, 2));
        [
            even.wrapping_add(times(three(a), 1)),
            d_minus_e.wrapping_sub(times(b_minus_c, 1)),
            d_plus_e.wrapping_sub(b_plus_c),
            times(d_minus_e, 1).wrapping_sub(b_minus_c).wrapping_add(times(three(f), 1)),
        ]
    }

    const TAKEN: [u32; 4] = [0, 1, 2, 2];
    const SHIFT: u32 = 6;

    #[inline(always)]
    fn exact(sum: i32) -> i32 {
        sum.wrapping_mul(INVERSE_OF_9)
    }
}

#[inline(never)]
fn run<F: Filtering<T, M>, const T: usize, const P: usize, const M: usize>(
    layer: &WinogradConv<'_>,
    mut memory: Memory<'_>,
) {
    let words = 2 * layer.steps();
    let tiles = take(&mut memory.scratch, P * words);
    let products = take(&mut memory.scratch, 8 * P);
    let pad = take(&mut memory.scratch, layer.in_channels / 4);
    pad.fill(splat(layer.input_zero_point));
    let pad = crate::bytes::of_words(pad);
    let Some(products) = crate::bytes::words_as_i32(products).as_chunks_mut().0.first_chunk_mut::<P>() else {
        return;
    };
    let [tile_rows, tile_columns] = layer.tiles();
    let task = WinogradTask { steps: layer.steps() as u32, positions: P as u32 };
    let mut tile = 0;
    while tile < tile_rows * tile_columns {
        let corners = [tile, tile + 1].map(|tile| [M * (tile / tile_columns), M * (tile % tile_columns)]);
        let input = part(memory.activations, memory.input, layer.input_len());
        gather::<T>(layer, input, pad, corners, tiles);
        for column in 0..words {
            transform_input::<F, T, P, M>(tiles, words, column);
        }
        let block_words = 2 * words * P + 8;
        for (block, constants) in layer.constants.chunks_exact(block_words).enumerate() {
            let (weights, tables) = constants.split_at(2 * words * P);
            routines::winograd_2x4(tiles, weights, products.as_flattened_mut(), &task);
            for sum in 0..8 {
                let table = (tables[sum % 4] as i32, tables[4 + sum % 4] as i32);
                let outputs = transform_output::<F, T, P, M>(products, sum, table.0);
                let [y, x] = corners[sum / 4];
                write::<F, T, M>(layer, &outputs, table.1, [y, x, 4 * block + sum % 4], memory.activations, memory.output);
            }
        }
        tile += 2;
    }
    let length = layer.output_len();
    if let Some(output) = memory.activations.get_mut(memory.output..memory.output + length) {
        layer.output.clamp(output);
    }
}

/// Widens two tiles, position by position, padding from `pad`.
#[inline(always)]
fn gather<const T: usize>(
    layer: &WinogradConv<'_>,
    input: &[i8],
    pad: &[i8],
    corners: [[usize; 2]; 2],
    tiles: &mut [u32],
) {
    let (window, channels) = (&layer.window, layer.in_channels);
    for (position, words) in tiles.chunks_exact_mut(channels.max(1)).enumerate() {
        let [first, second] = corners.map(|[y, x]| {
            let row = (y + position / T).wrapping_sub(window.pad_top);
            let column = (x + position % T).wrapping_sub(window.pad_left);
            let is_inside = row < window.in_height && column < window.in_width;
            if is_inside { part(input, (row * window.in_width + column) * channels, channels) } else { pad }
        });
        routines::widen_2(first, second, words, channels / 4);
    }
}

/// Bᵀ d B of one channel pair of one tile, in place: every `stride`-th word from `column` on.
#[inline(always)]
fn transform_input<F: Filtering<T, M>, const T: usize, const P: usize, const M: usize>(
    tiles: &mut [u32],
    stride: usize,
    column: usize,
) {
    let Some(words) = tiles.get_mut(column..) else { return };
    let mut tile = [0u32; P];
    for (to, from) in tile.iter_mut().zip(words.iter().step_by(stride.max(1))) {
        *to = *from;
    }
    for x in 0..T {
        let transformed = F::input(core::array::from_fn(|y| tile[y * T + x]));
        for (y, word) in transformed.into_iter().enumerate() {
            tile[y * T + x] = word;
        }
    }
    for row in tile.chunks_exact_mut(T) {
        let transformed = F::input(core::array::from_fn(|x| row[x]));
        row.copy_from_slice(&transformed);
    }
    for (to, from) in words.iter_mut().step_by(stride.max(1)).zip(&tile) {
        *to = *from;
    }
}

/// Aᵀ m A of one sum of eight, row powers still in; `bias` joins at the position that all outputs share.
#[inline(always)]
fn transform_output<F: Filtering<T, M>, const T: usize, const P: usize, const M: usize>(
    products: &[[i32; 8]; P],
    sum: usize,
    bias: i32,
) -> [[i32; M]; M] {
    let at = |y: usize, x: usize| {
        let product = products[y * T + x][sum];
        if (y, x) == (1, 1) { product.wrapping_add(bias) } else { product }
    };
    let columns: [[i32; M]; T] = core::array::from_fn(|x| F::output(core::array::from_fn(|y| at(y, x))));
    core::array::from_fn(|y| F::output(core::array::from_fn(|x| columns[x][y])))
}

/// Requantizes the outputs of a tile that lie inside.
#[inline(always)]
fn write<F: Filtering<T, M>, const T: usize, const M: usize>(
    layer: &WinogradConv<'_>,
    outputs: &[[i32; M]; M],
    multiplier: i32,
    [y, x, channel]: [usize; 3],
    activations: &mut [i8],
    output: usize,
) {
    for (down, row) in outputs.iter().enumerate() {
        if y + down >= layer.window.out_height {
            return;
        }
        let mut at = output + ((y + down) * layer.window.out_width + x) * layer.out_channels + channel;
        for (right, &sum) in row.iter().enumerate() {
            if x + right >= layer.window.out_width {
                break;
            }
            let acc = F::exact(sum) >> (F::SHIFT - F::TAKEN[down] - F::TAKEN[right]);
            if let Some(y_q) = activations.get_mut(at) {
                *y_q = requantize(acc, multiplier, layer.output.zero_point, -128, 127);
            }
            at += layer.out_channels;
        }
    }
}
