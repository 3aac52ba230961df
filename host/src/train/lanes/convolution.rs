//! Convolution of images that lie side by side in the lanes of a vector.
//!
//! Holds the forward pass and the gradient of the input, stride 1; [`super::weight_gradient`] has those of weights and
//! bias. A dense layer is the
//! convolution whose kernel covers the whole input. Leaves batch norm and pooling to [`super::stage`].
//!
//! Every multiplication takes one weight and one pixel of 16 images, so that no shape leaves part of a
//! vector idle and nothing is rearranged: the inner loops keep a tile of outputs in registers and run over
//! the taps (channel, row, column) as offsets into the padded input.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::LANES;

/// Shape of a convolution with stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Input rows and columns.
    pub input: [usize; 2],
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Rows and columns of zeros on every side.
    pub padding: usize,
}

impl ConvShape {
    /// Returns the output rows and columns.
    pub fn output(&self) -> [usize; 2] {
        let side = |axis: usize| self.input[axis] + 2 * self.padding + 1 - self.kernel[axis];
        [side(0), side(1)]
    }

    /// Values of a block of images: channels · rows · columns · lanes.
    pub(super) fn input_len(&self) -> usize {
        self.in_channels * self.input[0] * self.input[1] * LANES
    }

    pub(super) fn output_len(&self) -> usize {
        let [height, width] = self.output();
        self.out_channels * height * width * LANES
    }

    pub(super) fn padded(&self) -> [usize; 2] {
        self.input.map(|side| side + 2 * self.padding)
    }

    /// Taps of one output: channels · kernel rows · kernel columns.
    pub(super) fn taps(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    /// Offset of each tap in the padded input, in pixels, in the weights' order.
    pub(super) fn tap_offsets(&self) -> Vec<usize> {
        let [height, width] = self.padded();
        let [rows, columns] = self.kernel;
        let at = move |channel: usize, row: usize, column: usize| (channel * height + row) * width + column;
        (0..self.in_channels)
            .flat_map(|c| (0..rows).flat_map(move |y| (0..columns).map(move |x| at(c, y, x))))
            .collect()
    }

    /// The convolution that carries output gradients back to the input.
    fn transposed(&self) -> ConvShape {
        ConvShape {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            input: self.output(),
            kernel: self.kernel,
            // Kernels are square wherever there is padding, and whole inputs where there is none.
            padding: self.kernel[0] - 1 - self.padding,
        }
    }
}

/// Computes `output[b][o][y][x] = bias[o] + Σ weights[o][tap] · input[b][tap at y, x]`.
///
/// * `input`: `[blocks][in][height][width][16]`; `weights`: `[out][in][rows][columns]`; `bias`: `[out]`.
pub fn forward(shape: &ConvShape, input: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let blocks = input.len() / shape.input_len();
    let mut output = vec![0.0; blocks * shape.output_len()];
    let offsets = shape.tap_offsets();
    let tile = Tile::for_shape(shape, Arch::new().dispatch(Registers));
    let packed = tile.pack(weights, shape.taps(), shape.out_channels);
    let tasks =
        input.par_chunks_exact(shape.input_len()).zip(output.par_chunks_exact_mut(shape.output_len()));
    tasks.for_each_init(Vec::new, |scratch, (input, output)| {
        let input = pad(input, shape.in_channels, shape.input, shape.padding, scratch);
        let task = Forward { shape, tile, input, offsets: &offsets, weights: &packed, bias, output };
        Arch::new().dispatch(task);
    });
    output
}

/// Computes the gradient of the input from the gradient of the output.
///
/// * `gradient`: `[blocks][out][height][width][16]` of the output.
pub fn input_gradient(shape: &ConvShape, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
    let taps = shape.kernel[0] * shape.kernel[1];
    if shape.kernel == shape.input && shape.padding == 0 {
        return dense_input_gradient(shape, gradient, weights);
    }
    let mut turned = vec![0.0; weights.len()];
    for (o, per_output) in weights.chunks_exact(shape.taps()).enumerate() {
        for (i, kernel) in per_output.chunks_exact(taps).enumerate() {
            let target = &mut turned[(i * shape.out_channels + o) * taps..][..taps];
            target.iter_mut().zip(kernel.iter().rev()).for_each(|(to, from)| *to = *from);
        }
    }
    forward(&shape.transposed(), gradient, &turned, &vec![0.0; shape.in_channels])
}

/// A dense layer's input gradient is a dense layer with the transposed weights.
fn dense_input_gradient(shape: &ConvShape, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
    let taps = shape.taps();
    let transposed: Vec<f32> = (0..weights.len())
        .map(|at| weights[(at % shape.out_channels) * taps + at / shape.out_channels])
        .collect();
    let dense = ConvShape {
        in_channels: shape.out_channels,
        out_channels: taps,
        input: [1, 1],
        kernel: [1, 1],
        padding: 0,
    };
    forward(&dense, gradient, &transposed, &vec![0.0; taps])
}

/// Copies planes into planes with a frame of zeros; borrows them where there is no frame.
pub(super) fn pad<'a>(
    planes: &'a [f32],
    channels: usize,
    [height, width]: [usize; 2],
    padding: usize,
    scratch: &'a mut Vec<f32>,
) -> &'a [f32] {
    if padding == 0 {
        return planes;
    }
    let (row, padded_row) = (width * LANES, (width + 2 * padding) * LANES);
    let plane = (height + 2 * padding) * padded_row;
    if scratch.len() != channels * plane {
        scratch.clear();
        scratch.resize(channels * plane, 0.0);
    }
    for (from, to) in planes.chunks_exact(height * row).zip(scratch.chunks_exact_mut(plane)) {
        let rows = to[padding * padded_row..].chunks_exact_mut(padded_row);
        for (from, to) in from.chunks_exact(row).zip(rows) {
            to[padding * LANES..][..row].copy_from_slice(from);
        }
    }
    scratch
}

/// Outputs that a pass over the taps keeps in registers: positions in a row times channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    positions: usize,
    channels: usize,
}

impl Tile {
    /// Tiles for 16 registers: the sums, the smaller side of the tile, and one operand more.
    const NARROW: [Self; 4] = [Self::new(1, 12), Self::new(2, 6), Self::new(3, 4), Self::new(4, 3)];

    const fn new(positions: usize, channels: usize) -> Self {
        Self { positions, channels }
    }

    /// Chooses the tile that fills the vector registers best; the sums are the same with each.
    fn for_shape(shape: &ConvShape, registers: usize) -> Self {
        let width = shape.output()[1];
        if registers < 32 {
            // Loads and multiplications of a tap go at the same rate.
            let cost = |tile: &Self| {
                let tiles = width.div_ceil(tile.positions) * shape.out_channels.div_ceil(tile.channels);
                tiles * (tile.positions * tile.channels).max(tile.positions + tile.channels)
            };
            let fitting = Self::NARROW.into_iter().filter(|tile| tile.positions <= width.max(1));
            return fitting.min_by_key(cost).unwrap_or(Self::NARROW[0]);
        }
        match width {
            0 | 1 => Self::new(1, 16),
            2 => Self::new(2, 12),
            3 => Self::new(3, 8),
            4 | 8 | 12 | 16 => Self::new(4, 6),
            5 | 6 | 9 | 10 => Self::new(5, 4),
            _ => Self::new(7, 3),
        }
    }

    /// `[out][taps]` → `[out / channels][taps][channels]`, zeros in the last group's missing channels.
    fn pack(self, weights: &[f32], taps: usize, out_channels: usize) -> Vec<f32> {
        let groups = out_channels.div_ceil(self.channels);
        let mut packed = vec![0.0; groups * taps * self.channels];
        for (channel, kernel) in weights.chunks_exact(taps.max(1)).enumerate() {
            let base = (channel / self.channels) * taps * self.channels + channel % self.channels;
            for (tap, &weight) in kernel.iter().enumerate() {
                packed[base + tap * self.channels] = weight;
            }
        }
        packed
    }
}

/// Number of the vector registers that the CPU has.
struct Registers;

impl WithSimd for Registers {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::REGISTER_COUNT
    }
}

/// Forward pass over one block of images.
struct Forward<'a> {
    shape: &'a ConvShape,
    tile: Tile,
    input: &'a [f32],
    offsets: &'a [usize],
    weights: &'a [f32],
    bias: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.tile.positions, self.tile.channels) {
            (1, 12) => self.run::<S, 1, 12>(simd),
            (2, 6) => self.run::<S, 2, 6>(simd),
            (3, 4) => self.run::<S, 3, 4>(simd),
            (4, 3) => self.run::<S, 4, 3>(simd),
            (1, 16) => self.run::<S, 1, 16>(simd),
            (2, 12) => self.run::<S, 2, 12>(simd),
            (3, 8) => self.run::<S, 3, 8>(simd),
            (4, 6) => self.run::<S, 4, 6>(simd),
            (5, 4) => self.run::<S, 5, 4>(simd),
            _ => self.run::<S, 7, 3>(simd),
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn run<S: Simd, const P: usize, const O: usize>(self, simd: S) {
        let [height, width] = self.shape.output();
        let pitch = self.shape.padded()[1];
        let parts = LANES / S::F32_LANES;
        let (input, _) = S::as_simd_f32s(self.input);
        let (output, _) = S::as_mut_simd_f32s(self.output);
        let (weights, _) = self.weights.as_chunks::<O>();
        for (group, weights) in weights.chunks_exact(self.offsets.len()).enumerate() {
            let channels = group * O..self.shape.out_channels.min(group * O + O);
            for y in 0..height {
                for first in (0..width).step_by(P) {
                    // The last tile of a row moves back over its neighbour.
                    let x = first.min(width - P);
                    for part in 0..parts {
                        let origin = (y * pitch + x) * parts + part;
                        let sums = tile_sums::<S, P, O>(simd, &input[origin..], self.offsets, weights, parts);
                        for (sums, channel) in sums.iter().zip(channels.clone()) {
                            let bias = simd.splat_f32s(self.bias[channel]);
                            let at = ((channel * height + y) * width + x) * parts + part;
                            for (p, &sum) in sums.iter().enumerate() {
                                output[at + p * parts] = simd.add_f32s(sum, bias);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Sums over all taps for `P` neighbouring positions and `O` channels.
#[inline(always)]
fn tile_sums<S: Simd, const P: usize, const O: usize>(
    simd: S,
    input: &[S::f32s],
    offsets: &[usize],
    weights: &[[f32; O]],
    parts: usize,
) -> [[S::f32s; P]; O] {
    let mut sums = [[simd.splat_f32s(0.0); P]; O];
    for (&offset, weights) in offsets.iter().zip(weights) {
        let pixels = &input[offset * parts..][..(P - 1) * parts + 1];
        // The smaller side of the tile waits in registers.
        if P <= O {
            let x: [S::f32s; P] = std::array::from_fn(|p| pixels[p * parts]);
            for o in 0..O {
                let weight = simd.splat_f32s(weights[o]);
                for p in 0..P {
                    sums[o][p] = simd.mul_add_e_f32s(weight, x[p], sums[o][p]);
                }
            }
        } else {
            let weight: [S::f32s; O] = std::array::from_fn(|o| simd.splat_f32s(weights[o]));
            for p in 0..P {
                let x = pixels[p * parts];
                for o in 0..O {
                    sums[o][p] = simd.mul_add_e_f32s(weight[o], x, sums[o][p]);
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::lanes::weight_gradient::weight_gradients;

    fn values(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * step) % 19) as f32 - 9.0).collect()
    }

    /// Small whole numbers, so that every order of summation is exact.
    #[test]
    fn every_vector_width_and_tile_gives_the_formula() {
        for (side, kernel, padding) in
            [(1, 1, 0), (2, 2, 0), (5, 3, 1), (6, 3, 0), (9, 3, 1), (13, 3, 0), (8, 8, 0)]
        {
            let shape = ConvShape {
                in_channels: 3,
                out_channels: 10,
                input: [side, side],
                kernel: [kernel, kernel],
                padding,
            };
            let (input, weights, bias) =
                (values(shape.input_len(), 7), values(10 * shape.taps(), 5), values(10, 3));
            let [height, width] = shape.output();
            let mut expected = vec![0.0; shape.output_len()];
            for (at, sum) in expected.iter_mut().enumerate() {
                let (lane, pixel) = (at % LANES, at / LANES);
                let (o, y, x) = (pixel / (height * width), pixel / width % height, pixel % width);
                *sum = bias[o];
                for tap in 0..shape.taps() {
                    let (c, ky, kx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                    let (row, column) = ((y + ky).wrapping_sub(padding), (x + kx).wrapping_sub(padding));
                    if row < side && column < side {
                        let pixel = input[((c * side + row) * side + column) * LANES + lane];
                        *sum += weights[o * shape.taps() + tap] * pixel;
                    }
                }
            }
            assert_eq!(forward(&shape, &input, &weights, &bias), expected, "{shape:?}");
            for registers in [16, 32] {
                let tile = Tile::for_shape(&shape, registers);
                let packed = tile.pack(&weights, shape.taps(), 10);
                let (offsets, mut scratch) = (shape.tap_offsets(), Vec::new());
                let padded = pad(&input, 3, shape.input, padding, &mut scratch);
                let (mut one, mut eight) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
                let [one_lane, eight_lanes] = [&mut one, &mut eight].map(|output| Forward {
                    shape: &shape,
                    tile,
                    input: padded,
                    offsets: &offsets,
                    weights: &packed,
                    bias: &bias,
                    output,
                });
                one_lane.with_simd(pulp::Scalar);
                eight_lanes.with_simd(pulp::Scalar256b);
                assert_eq!(one, expected, "one lane, {registers} registers, {shape:?}");
                assert_eq!(eight, expected, "eight lanes, {registers} registers, {shape:?}");
            }
        }
    }

    #[test]
    fn gradients_of_sums_are_sums() {
        // With a gradient of ones the bias gets the number of outputs, and a weight the sum of its pixels.
        let shape = ConvShape { in_channels: 2, out_channels: 9, input: [4, 4], kernel: [3, 3], padding: 1 };
        let input = values(3 * shape.input_len(), 11);
        let (weights, bias) = weight_gradients(&shape, &input, &vec![1.0; 3 * shape.output_len()]);
        assert!(bias.iter().all(|&sum| sum == (3 * LANES * 16) as f32));
        let centre: f32 = input.chunks_exact(16 * LANES).step_by(2).flatten().sum();
        assert_eq!((weights[4], weights[8 * 18 + 4]), (centre, centre));
    }
}
