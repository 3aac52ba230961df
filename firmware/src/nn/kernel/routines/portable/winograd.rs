//! Winograd's transforms in plain Rust; see [`packed::winograd`](crate::nn::kernel::packed::winograd).

use crate::nn::kernel::instr::{sadd16, ssub16};
use crate::nn::kernel::routines::WinogradOutput;
use crate::nn::requantize::requantize;

/// 9 · `INVERSE_OF_9` = 1 (mod 2³²).
const INVERSE_OF_9: i32 = 0x38e3_8e39;

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

/// Bᵀ d B of every channel pair of two tiles, in place.
fn input<F: Filtering<T, M>, const T: usize, const P: usize, const M: usize>(
    tiles: &mut [u32],
    words: usize,
) {
    for column in 0..words {
        let mut tile: [u32; P] = core::array::from_fn(|position| tiles[position * words + column]);
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
        for (position, word) in tile.into_iter().enumerate() {
            tiles[position * words + column] = word;
        }
    }
}

/// Aᵀ m A of eight sums, requantized.
fn output<F: Filtering<T, M>, const T: usize, const M: usize>(
    products: &[i32],
    tables: &[u32],
    activations: &mut [i8],
    task: &WinogradOutput,
) {
    for sum in 0..8 {
        let (tile, channel) = (sum / 4, sum % 4);
        let at = |y: usize, x: usize| {
            let product = products[8 * (y * T + x) + sum];
            // The bias joins at the position that all outputs share.
            if (y, x) == (1, 1) { product.wrapping_add(tables[channel] as i32) } else { product }
        };
        let columns: [[i32; M]; T] = core::array::from_fn(|x| F::output(core::array::from_fn(|y| at(y, x))));
        let rows: [[i32; M]; M] =
            core::array::from_fn(|y| F::output(core::array::from_fn(|x| columns[x][y])));
        let multiplier = tables[4 + channel] as i32;
        for (down, row) in rows.into_iter().enumerate().take(task.rows[tile] as usize) {
            for (right, sum) in row.into_iter().enumerate().take(task.columns[tile] as usize) {
                let acc = F::exact(sum) >> (F::SHIFT - F::TAKEN[down] - F::TAKEN[right]);
                let place = task.offsets[tile] as usize + channel;
                let place = place + down * task.pitch as usize + right * task.stride as usize;
                activations[place] = requantize(acc, multiplier, task.zero_point as i8, -128, 127);
            }
        }
    }
}

/// See [`winograd_input`](crate::nn::kernel::routines::winograd_input).
pub fn winograd_input_4(tiles: &mut [u32], words: usize) {
    input::<F2, 4, 16, 2>(tiles, words);
}

/// See [`winograd_input`](crate::nn::kernel::routines::winograd_input).
pub fn winograd_input_6(tiles: &mut [u32], words: usize) {
    input::<F4, 6, 36, 4>(tiles, words);
}

/// See [`winograd_output`](crate::nn::kernel::routines::winograd_output).
pub fn winograd_output_4(products: &[i32], tables: &[u32], output_q: &mut [i8], task: &WinogradOutput) {
    output::<F2, 4, 2>(products, tables, output_q, task);
}

/// See [`winograd_output`](crate::nn::kernel::routines::winograd_output).
pub fn winograd_output_6(products: &[i32], tables: &[u32], output_q: &mut [i8], task: &WinogradOutput) {
    output::<F4, 6, 4>(products, tables, output_q, task);
}
