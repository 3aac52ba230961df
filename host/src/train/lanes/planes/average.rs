//! Mean over windows.

use rayon::prelude::*;

use super::{LANES, lanes, lanes_mut};

/// Mean over windows; `output[y][x] = Σ input[y · stride + i][x · stride + j] / size²`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePool {
    /// Rows and columns before pooling.
    pub input: [usize; 2],
    /// Side of the window.
    pub size: usize,
    /// Step of the window.
    pub stride: usize,
}

impl AveragePool {
    /// Returns the rows and columns after pooling.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| (side - self.size) / self.stride + 1)
    }

    /// Pairs of an output pixel and one of its input pixels.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let ([_, width], [out_height, out_width]) = (self.input, self.output());
        let (size, stride) = (self.size, self.stride);
        (0..out_height * out_width).flat_map(move |to| {
            let origin = (to / out_width * width + to % out_width) * stride;
            (0..size * size).map(move |at| (to, origin + at / size * width + at % size))
        })
    }

    /// Pools planes of `[height][width][16]`.
    pub fn forward(&self, values: &[f32]) -> Vec<f32> {
        self.add_up(values, self.input, self.output(), |(pooled, pixel)| (pixel, pooled))
    }

    /// Returns the gradient of the input.
    pub fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        self.add_up(gradient, self.output(), self.input, |pair| pair)
    }

    /// Adds shares of pixels of planes of `from` rows and columns to pixels of planes of `to`.
    ///
    /// * `turn`: of a pair of output and input pixel the source and the target.
    fn add_up(
        &self,
        values: &[f32],
        from: [usize; 2],
        to: [usize; 2],
        turn: impl Fn((usize, usize)) -> (usize, usize) + Sync,
    ) -> Vec<f32> {
        let [from, to] = [from, to].map(|[height, width]| height * width * LANES);
        let mut output = vec![0.0; values.len() / from * to];
        let factor = 1.0 / (self.size * self.size) as f32;
        values.par_chunks_exact(from).zip(output.par_chunks_exact_mut(to)).for_each(|(from, to)| {
            let (from, to) = (lanes(from), lanes_mut(to));
            for (source, target) in self.pairs().map(&turn) {
                for l in 0..LANES {
                    to[target][l] += factor * from[source][l];
                }
            }
        });
        output
    }
}
