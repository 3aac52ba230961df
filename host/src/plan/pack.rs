//! Weights in the layouts that the packed kernels read; each names the kernel's own description.

use firmware::nn::kernel::packed::{dense, winograd};
use firmware::nn::kernel::routines::{DENSE_CHUNK, DENSE_LIMIT, NIBBLE_LIMIT, PAIRED_LIMIT, Packing};
use firmware::nn::layer::{Conv2d, Dense, DepthwiseConv2d};

/// Channel pairs of a group of four, as one unpacking instruction yields them.
const PAIRS: [[usize; 2]; 2] = [[0, 2], [1, 3]];

/// Whether the outputs' weights can be paired, each even one with the next.
fn can_all_pair(rows: &[&[i8]]) -> bool {
    rows.chunks_exact(2).all(|two| can_pair(two[0], two[1]))
}

/// Whether weights of two channels can be paired: even + 256 · odd must be an i16.
fn can_pair(even: &[i8], odd: &[i8]) -> bool {
    even.iter().zip(odd).all(|(&even, &odd)| odd > i8::MIN || even >= 0)
}

/// A word of paired weights: `even` and `odd` channel at two inputs.
fn paired(even: [i8; 2], odd: [i8; 2]) -> u32 {
    // As i16 lanes the bytes shall be even + 256 · odd, so an even weight below zero borrows one.
    let borrow = |even: i8, odd: i8| odd.wrapping_sub(i8::from(even < 0)) as u8;
    u32::from_le_bytes([even[0] as u8, borrow(even[0], odd[0]), even[1] as u8, borrow(even[1], odd[1])])
}

fn lanes(low: i32, high: i32) -> u32 {
    (low as u32 & 0xffff) | (high as u32) << 16
}

/// Largest |bias + Σ x·w| of an output channel over all activations.
fn bound(bias: i32, weights: &[i8]) -> i64 {
    let sum: i64 = weights.iter().map(|&w| i64::from(w).abs()).sum();
    i64::from(bias).abs() + 128 * sum
}

/// For [`conv_2x4`](firmware::nn::kernel::routines::conv_2x4); `None` where a sum may pass the packing's limit,
/// a weight does not fit it, or the channels are no multiples of four.
pub fn conv(layer: &Conv2d<'_>, packing: Packing) -> Option<Vec<u32>> {
    let has_shift = layer.requantization.shift != 0;
    if has_shift || !layer.in_channels.is_multiple_of(4) || !layer.out_channels.is_multiple_of(4) {
        return None;
    }
    let per_channel = layer.window.taps() * layer.in_channels;
    let rows: Vec<&[i8]> = layer.weights.chunks_exact(per_channel).collect();
    let stays_below = |limit: i64| rows.iter().zip(layer.bias).all(|(row, &bias)| bound(bias, row) < limit);
    let fits = match packing {
        Packing::Nibble => layer.weights.iter().all(|w| (-8..8).contains(w)) && stays_below(NIBBLE_LIMIT),
        Packing::Paired => stays_below(PAIRED_LIMIT) && can_all_pair(&rows),
        Packing::Wide => true,
    };
    if !fits {
        return None;
    }
    let mut words = Vec::with_capacity(layer.out_channels * (2 + per_channel / 4));
    for block in (0..layer.out_channels).step_by(4) {
        let bias = &layer.bias[block..block + 4];
        words.extend((0..4).map(|at| match packing {
            Packing::Nibble => bias[at].wrapping_shl(4 * at as u32) as u32,
            Packing::Paired if at % 2 == 1 => bias[at - 1].wrapping_add(bias[at].wrapping_mul(256)) as u32,
            _ => bias[at] as u32,
        }));
        for quad in (0..per_channel).step_by(4) {
            for pair in PAIRS {
                let at = |channel: usize| pair.map(|input| rows[channel][quad + input]);
                match packing {
                    Packing::Nibble => words.push(nibbles([0, 1, 2, 3].map(|channel| at(block + channel)))),
                    Packing::Paired => {
                        words.extend([block, block + 2].map(|even| paired(at(even), at(even + 1))));
                    }
                    Packing::Wide => {
                        let lanes_at = |channel| at(channel).map(i32::from);
                        words.extend((block..block + 4).map(lanes_at).map(|[low, high]| lanes(low, high)));
                    }
                }
            }
        }
        words.extend(layer.requantization.multipliers[block..block + 4].iter().map(|&m| m as u32));
    }
    Some(words)
}

/// A word of four channels' weights at two inputs: digits of 16, the first three raised by 8.
fn nibbles(channels: [[i8; 2]; 4]) -> u32 {
    let half = |input: usize| {
        let digits = channels.iter().enumerate().map(|(place, weights)| {
            let raised = if place < 3 { i32::from(weights[input]) + 8 } else { i32::from(weights[input]) };
            raised << (4 * place)
        });
        digits.sum::<i32>()
    };
    lanes(half(0), half(1))
}

/// For [`PackedDense`](dense::PackedDense); `None` where the inputs are no multiple of four, or weights of −128 pass
/// what a pair or a sum can hold.
pub fn dense(layer: &Dense<'_>, is_last: bool) -> Option<Vec<u32>> {
    if layer.requantization.shift != 0 || !layer.in_features.is_multiple_of(4) {
        return None;
    }
    let rows: Vec<&[i8]> = layer.weights.chunks_exact(layer.in_features.max(1)).collect();
    let sums_fit = rows.iter().all(|row| row.chunks(DENSE_CHUNK).all(|chunk| bound(0, chunk) < DENSE_LIMIT));
    if !sums_fit || !can_all_pair(&rows) {
        return None;
    }
    let (eights, twos) = dense::blocks(layer.out_features);
    let row = |output: usize, input: usize| {
        let weights = layer.weights.get(output * layer.in_features..(output + 1) * layer.in_features);
        weights.map_or(0, |weights| weights[input])
    };
    let mut words = Vec::new();
    let mut first = 0;
    for outputs in std::iter::repeat_n(8, eights).chain(std::iter::repeat_n(2, twos)) {
        let table = |values: &[i32]| -> Vec<u32> {
            (first..first + outputs).map(|output| values.get(output).map_or(0, |&v| v as u32)).collect()
        };
        words.extend(table(layer.bias));
        if !is_last {
            words.extend(table(layer.requantization.multipliers));
        }
        for quad in (0..layer.in_features).step_by(4) {
            for pair in PAIRS {
                for even in (first..first + outputs).step_by(2) {
                    let at = |output: usize| pair.map(|input| row(output, quad + input));
                    words.push(paired(at(even), at(even + 1)));
                }
            }
        }
        first += outputs;
    }
    Some(words)
}

/// A channel's constants for [`plane`](firmware::nn::kernel::routines::plane).
fn plane(kernel: [i8; 9], bias: i32, multiplier: i32) -> [u32; 5] {
    let row = |row: usize| {
        let [w0, w1, w2] = [0, 1, 2].map(|tap| kernel[3 * row + tap] as u8);
        u32::from_le_bytes([w0, w1, w1, w2])
    };
    [row(0), row(1), row(2), bias as u32, multiplier as u32]
}

/// For a 3×3 convolution of one plane.
pub fn image(layer: &Conv2d<'_>) -> Option<Vec<u32>> {
    if layer.requantization.shift != 0 || layer.in_channels != 1 || layer.window.taps() != 9 {
        return None;
    }
    let (kernels, _) = layer.weights.as_chunks::<9>();
    let tables = layer.bias.iter().zip(layer.requantization.multipliers);
    Some(kernels.iter().zip(tables).flat_map(|(kernel, (&b, &m))| plane(*kernel, b, m)).collect())
}

/// For a depthwise 3×3 convolution.
pub fn depthwise(layer: &DepthwiseConv2d<'_>) -> Option<Vec<u32>> {
    if layer.requantization.shift != 0 || layer.window.taps() != 9 {
        return None;
    }
    let kernel = |channel: usize| std::array::from_fn(|tap| layer.weights[tap * layer.channels + channel]);
    let tables = layer.bias.iter().zip(layer.requantization.multipliers);
    let words = tables.enumerate().flat_map(|(channel, (&b, &m))| plane(kernel(channel), b, m));
    Some(words.collect())
}

/// Rows of G with their fractions cleared, for tiles of 2 and 4; see the kernel's table.
fn cleared_rows(tile: usize) -> &'static [[i32; 3]] {
    match tile {
        2 => &[[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]],
        _ => &[[1, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 1]],
    }
}

/// For [`WinogradConv`](winograd::WinogradConv); `None` where a sum may pass its limit or the channels are no
/// multiples of four.
pub fn winograd(layer: &Conv2d<'_>, tile: usize) -> Option<Vec<u32>> {
    let (inputs, outputs) = (layer.in_channels, layer.out_channels);
    let square = [layer.window.kernel_height, layer.window.kernel_width] == [3, 3];
    let strides = [layer.window.stride_y, layer.window.stride_x] == [1, 1];
    let has_shift = layer.requantization.shift != 0;
    if !square || !strides || has_shift || !inputs.is_multiple_of(4) || !outputs.is_multiple_of(4) {
        return None;
    }
    let rows = layer.weights.chunks_exact(9 * inputs).zip(layer.bias);
    if !rows.clone().all(|(row, &bias)| bound(bias, row) < winograd::ACC_LIMIT) {
        return None;
    }
    let g = cleared_rows(tile);
    // G g Gᵀ at a position of the tile.
    let transformed = |output: usize, input: usize, position: usize| -> i32 {
        let (y, x) = (position / g.len(), position % g.len());
        let tap = |ky: usize, kx: usize| {
            i32::from(layer.weights[((output * 3 + ky) * 3 + kx) * inputs + input]) * g[y][ky] * g[x][kx]
        };
        (0..9).map(|at| tap(at / 3, at % 3)).sum()
    };
    // What the position that all outputs share adds to each: columns of Aᵀ times 1, or −4 · −4.
    let bias_factor = if tile == 2 { 4 } else { 36 };
    let mut words = Vec::new();
    for block in (0..outputs).step_by(4) {
        for position in 0..g.len() * g.len() {
            for quad in (0..inputs).step_by(4) {
                for [low, high] in PAIRS {
                    for output in block..block + 4 {
                        let at = |input| transformed(output, quad + input, position);
                        words.push(lanes(at(low), at(high)));
                    }
                }
            }
        }
        words.extend(layer.bias[block..block + 4].iter().map(|bias| bias.wrapping_mul(bias_factor) as u32));
        words.extend(layer.requantization.multipliers[block..block + 4].iter().map(|&m| m as u32));
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paired_bytes_are_lanes_of_both_weights() {
        for (even, odd) in [(0, 0), (-1, -127), (-127, 127), (127, -127), (5, -3), (-128, -127), (0, -128)] {
            let word = paired([even, 0], [odd, 0]);
            assert_eq!(i32::from(word as i16), i32::from(even) + 256 * i32::from(odd));
            assert_eq!(word as i8, even);
        }
    }

    #[test]
    fn pairs_beyond_a_lane_are_refused() {
        for even in i8::MIN..=i8::MAX {
            for odd in [i8::MIN, -127, 0, i8::MAX] {
                let is_lane = i16::try_from(i32::from(even) + 256 * i32::from(odd)).is_ok();
                assert_eq!(can_pair(&[even], &[odd]), is_lane, "{even}, {odd}");
            }
        }
    }

    #[test]
    fn transformed_weights_stay_within_their_bounds() {
        for (tile, limit) in [(2, 9), (4, 49)] {
            let rows = cleared_rows(tile);
            let sums = rows.iter().map(|row| row.iter().map(|g| g.abs()).sum::<i32>());
            let widest = sums.max().unwrap();
            assert_eq!(widest * widest, limit);
            assert!(limit * 128 <= i32::from(i16::MAX));
        }
    }
}
