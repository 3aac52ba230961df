//! Activations under two windows, widened, with the padding around them.

use crate::nn::kernel::routines::{self, GatherTask};
use crate::nn::window::Window;

/// An input with what lies around it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// `[height][width][channels]`.
    pub input: &'s [i8],
    /// Zero points, as many as a row of the window has activations.
    pub padding: &'s [i8],
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels, a multiple of 4.
    pub channels: usize,
}

impl<'s> Source<'s> {
    /// Takes the layer's input out of the activations.
    #[inline(always)]
    pub fn new(
        activations: &'s [i8],
        start: usize,
        padding: &'s [i8],
        window: &Window,
        channels: usize,
    ) -> Self {
        let input = super::part(activations, start, window.in_pixels() * channels);
        Self { input, padding, height: window.in_height, width: window.in_width, channels }
    }

    /// Widens the pixels under two windows, row by row; rows and columns may lie in the padding.
    ///
    /// * `firsts`: row and column of the first pixel of either; wrapped where negative.
    /// * `taps`: columns of a window.
    /// * `words`: `[rows][taps][channels]`, as [`gather_2`](routines::gather_2) writes them.
    #[inline(always)]
    pub fn widen(&self, firsts: [[usize; 2]; 2], taps: usize, words: &mut [u32]) {
        let rows = (words.len() / (taps * self.channels).max(1)) as u32;
        // Where no column lies in the padding a row of the window is one run.
        let last = self.width.wrapping_sub(taps);
        let (runs, run_pixels) = if firsts[0][1] <= last && firsts[1][1] <= last { (1, taps) } else { (taps, 1) };
        let task = GatherTask {
            rows,
            runs: runs as u32,
            quads: (run_pixels * self.channels / 4) as u32,
            height: self.height as u32,
            width: (self.width + 1 - run_pixels) as u32,
            row: [firsts[0][0] as u32, firsts[1][0] as u32],
            column: [firsts[0][1] as u32, firsts[1][1] as u32],
            pitch: (self.width * self.channels) as u32,
            channels: self.channels as u32,
            ..GatherTask::default()
        };
        routines::gather_2(self.input, self.padding, words, task);
    }
}
