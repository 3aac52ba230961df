//! Scale, shift, ReLU and 2×2 maximum in one pass, and their gradient in another.

use pulp::Simd;
use rayon::prelude::*;

use super::moments::per_channel;
use super::{LANES, lanes, lanes_mut};

/// What is applied to a convolution's output after scale and shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Channels.
    pub channels: usize,
    /// Rows and columns before pooling.
    pub input: [usize; 2],
    /// max(0, x).
    pub relu: bool,
    /// Side of the maximum's window: 1 (none) or 2.
    pub pool: usize,
}

impl Stage {
    /// Returns the rows and columns after pooling.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| side / self.pool)
    }

    fn input_plane(&self) -> usize {
        self.input[0] * self.input[1] * LANES
    }

    fn output_plane(&self) -> usize {
        let [height, width] = self.output();
        height * width * LANES
    }
}

/// Computes `pool(relu(scale[c] · x + shift[c]))`.
pub fn forward(stage: &Stage, values: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
    let planes = values.len() / stage.input_plane();
    let mut output = vec![0.0; planes * stage.output_plane()];
    let tasks = values.par_chunks_exact(stage.input_plane());
    let tasks = tasks.zip(output.par_chunks_exact_mut(stage.output_plane())).enumerate();
    tasks.for_each(|(at, (input, output))| {
        let (scale, shift) = (scale[at % stage.channels], shift[at % stage.channels]);
        forward_plane(stage, input, output, scale, shift);
    });
    output
}

vectorized! {
    fn forward_plane<'a>(stage: &'a Stage, input: &'a [f32], output: &'a mut [f32], scale: f32, shift: f32) -> () {
        let floor = if stage.relu { 0.0 } else { f32::NEG_INFINITY };
        let (input, output) = (lanes(input), lanes_mut(output));
        if stage.pool == 1 {
            for (to, from) in output.iter_mut().zip(input) {
                for l in 0..LANES {
                    to[l] = (scale * from[l] + shift).max(floor);
                }
            }
            return;
        }
        let width = stage.input[1];
        for (pair, row) in input.chunks_exact(2 * width).zip(output.chunks_exact_mut(width / 2)) {
            let (top, bottom) = pair.split_at(width);
            let windows = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
            for (to, ([a, b], [c, d])) in row.iter_mut().zip(windows) {
                for l in 0..LANES {
                    let first = (scale * a[l] + shift).max(scale * b[l] + shift);
                    let second = (scale * c[l] + shift).max(scale * d[l] + shift);
                    to[l] = first.max(second).max(floor);
                }
            }
        }
    }
}

/// Returns the gradient of `u = scale · x + shift`, and per channel Σ du and Σ du · x.
///
/// A maximum's gradient goes to the first of equal values; where ReLU gave zero there is none.
pub fn backward(
    stage: &Stage,
    values: &[f32],
    scale: &[f32],
    shift: &[f32],
    gradient: &[f32],
) -> (Vec<f32>, Vec<[f64; 2]>) {
    let mut inner = vec![0.0; values.len()];
    let tasks = values.par_chunks_exact(stage.input_plane());
    let tasks = tasks.zip(gradient.par_chunks_exact(stage.output_plane()));
    let tasks = tasks.zip(inner.par_chunks_exact_mut(stage.input_plane())).enumerate();
    let pairs: Vec<[f64; 2]> = tasks
        .map(|(at, ((input, gradient), inner))| {
            let (scale, shift) = (scale[at % stage.channels], shift[at % stage.channels]);
            backward_plane(stage, input, gradient, inner, scale, shift)
        })
        .collect();
    let sums = per_channel(&pairs, stage.channels);
    (inner, sums)
}

vectorized! {
    fn backward_plane<'a>[simd: S](
        stage: &'a Stage,
        input: &'a [f32],
        gradient: &'a [f32],
        inner: &'a mut [f32],
        scale: f32,
        shift: f32,
    ) -> [f64; 2] {
        let floor = simd.splat_f32s(if stage.relu { 0.0 } else { f32::NEG_INFINITY });
        let factors = [simd.splat_f32s(scale), simd.splat_f32s(shift)];
        let ((input, _), (gradient, _)) = (S::as_simd_f32s(input), S::as_simd_f32s(gradient));
        let (inner, _) = S::as_mut_simd_f32s(inner);
        let parts = LANES / S::F32_LANES;
        let mut totals = [[0.0f32; LANES]; 2];
        let [sums, products] = &mut totals;
        let (sums, products) = (S::as_mut_simd_f32s(sums).0, S::as_mut_simd_f32s(products).0);
        if stage.pool == 1 {
            let pixels = inner.chunks_exact_mut(parts).zip(input.chunks_exact(parts));
            for ((to, x), g) in pixels.zip(gradient.chunks_exact(parts)) {
                for part in 0..parts {
                    let passes = simd.greater_than_f32s(affine(simd, x[part], factors), floor);
                    let g = where_true(simd, passes, g[part]);
                    to[part] = g;
                    sums[part] = simd.add_f32s(sums[part], g);
                    products[part] = simd.add_f32s(products[part], simd.mul_f32s(g, x[part]));
                }
            }
        } else {
            let [row, pooled_row] = [stage.input[1], stage.output()[1]].map(|width| width * parts);
            let rows = input.chunks_exact(2 * row).zip(inner.chunks_exact_mut(2 * row));
            for ((pair, inner), gradient) in rows.zip(gradient.chunks_exact(pooled_row)) {
                let (top, bottom) = pair.split_at(row);
                let (to_top, to_bottom) = inner.split_at_mut(row);
                let from = top.chunks_exact(2 * parts).zip(bottom.chunks_exact(2 * parts));
                let to = to_top.chunks_exact_mut(2 * parts).zip(to_bottom.chunks_exact_mut(2 * parts));
                for ((g, (top, bottom)), (to_top, to_bottom)) in gradient.chunks_exact(parts).zip(from).zip(to) {
                    for part in 0..parts {
                        let x = [top[part], top[parts + part], bottom[part], bottom[parts + part]];
                        let (g, shares, product) = shared_out(simd, x, g[part], floor, factors);
                        (to_top[part], to_top[parts + part]) = (shares[0], shares[1]);
                        (to_bottom[part], to_bottom[parts + part]) = (shares[2], shares[3]);
                        sums[part] = simd.add_f32s(sums[part], g);
                        products[part] = simd.add_f32s(products[part], product);
                    }
                }
            }
        }
        totals.map(|lane| lane.iter().map(|&value| f64::from(value)).sum())
    }
}

/// `scale · x + shift`, rounded twice.
#[inline(always)]
fn affine<S: Simd>(simd: S, x: S::f32s, [scale, shift]: [S::f32s; 2]) -> S::f32s {
    simd.add_f32s(simd.mul_f32s(scale, x), shift)
}

/// `value` where the mask is true, else 0.
#[inline(always)]
fn where_true<S: Simd>(simd: S, mask: S::m32s, value: S::f32s) -> S::f32s {
    // pulp's selection among floats is not inlined.
    let bits = simd.select_u32s(mask, simd.transmute_u32s_f32s(value), simd.splat_u32s(0));
    simd.transmute_f32s_u32s(bits)
}

/// What a 2×2 window's gradient gives to its pixels `x`.
///
/// Returns the gradient that passes ReLU, the pixels' shares and Σ share · x.
#[inline(always)]
fn shared_out<S: Simd>(
    simd: S,
    x: [S::f32s; 4],
    gradient: S::f32s,
    floor: S::f32s,
    factors: [S::f32s; 2],
) -> (S::f32s, [S::f32s; 4], S::f32s) {
    let [a, b] = [affine(simd, x[0], factors), affine(simd, x[1], factors)];
    let [c, d] = [affine(simd, x[2], factors), affine(simd, x[3], factors)];
    let most = simd.max_f32s(simd.max_f32s(a, b), simd.max_f32s(c, d));
    let gradient = where_true(simd, simd.greater_than_f32s(most, floor), gradient);
    // What the first of equal values takes is not left for the next.
    let to_a = where_true(simd, simd.equal_f32s(a, most), gradient);
    let rest = simd.sub_f32s(gradient, to_a);
    let to_b = where_true(simd, simd.equal_f32s(b, most), rest);
    let rest = simd.sub_f32s(rest, to_b);
    let to_c = where_true(simd, simd.equal_f32s(c, most), rest);
    let to_d = simd.sub_f32s(rest, to_c);
    let top = simd.add_f32s(simd.mul_f32s(to_a, x[0]), simd.mul_f32s(to_b, x[1]));
    let product = simd.add_f32s(simd.add_f32s(top, simd.mul_f32s(to_c, x[2])), simd.mul_f32s(to_d, x[3]));
    (gradient, [to_a, to_b, to_c, to_d], product)
}
