//! Mean and variance of every channel, and the gradient through them.

use rayon::prelude::*;

use super::{LANES, lanes, lanes_mut};

/// Adds up per-plane pairs into per-channel ones, in a fixed order.
pub(super) fn per_channel(pairs: &[[f64; 2]], channels: usize) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]; channels];
    for (at, pair) in pairs.iter().enumerate() {
        sums[at % channels][0] += pair[0];
        sums[at % channels][1] += pair[1];
    }
    sums
}

/// Returns mean and biased variance of every channel, `[2][channels]`.
///
/// * `values`: `[blocks][channels][plane]`, `plane` values of all lanes.
pub fn moments(values: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    let pairs: Vec<[f64; 2]> = values.par_chunks_exact(plane).map(sum_and_squares).collect();
    let count = values.len() as f64 / channels as f64;
    let sums = per_channel(&pairs, channels);
    let mean = sums.iter().map(|sum| sum[0] / count);
    let variance = sums.iter().map(|sum| (sum[1] / count - (sum[0] / count).powi(2)).max(0.0));
    mean.chain(variance).map(|value| value as f32).collect()
}

vectorized! {
    fn sum_and_squares<'a>(values: &'a [f32]) -> [f64; 2] {
        let (mut sums, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        for lane in lanes(values) {
            for l in 0..LANES {
                sums[l] += lane[l];
                squares[l] += lane[l] * lane[l];
            }
        }
        [sums, squares].map(|lane| lane.iter().map(|&value| f64::from(value)).sum())
    }
}

/// Replaces `gradient` by `a[c] · gradient + b[c] · values + c[c]`: batch norm's way through its moments.
pub fn combine(gradient: &mut [f32], values: &[f32], plane: usize, factors: &[[f32; 3]]) {
    let tasks = gradient.par_chunks_exact_mut(plane).zip(values.par_chunks_exact(plane)).enumerate();
    tasks.for_each(|(at, (gradient, values))| {
        combine_plane(gradient, values, factors[at % factors.len()]);
    });
}

vectorized! {
    fn combine_plane<'a>(gradient: &'a mut [f32], values: &'a [f32], factors: [f32; 3]) -> () {
        let [a, b, c] = factors;
        for (g, x) in lanes_mut(gradient).iter_mut().zip(lanes(values)) {
            for l in 0..LANES {
                g[l] = a * g[l] + (b * x[l] + c);
            }
        }
    }
}
