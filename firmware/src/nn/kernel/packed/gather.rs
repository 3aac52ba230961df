//! Activations under two windows, widened, with the padding around them.

use crate::nn::kernel::routines;
use crate::nn::window::Window;

/// An input with what lies around it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// `[height][width][channels]`.
    pub input: &'s [i8],
    /// Zero points, as many as the longest run asked for.
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

    /// Widens `taps` neighbouring pixels of two rows; row and column may lie in the padding.
    ///
    /// * `firsts`: row and column of the first tap of either.
    /// * `words`: `[taps][channels]`, as [`widen_2`](routines::widen_2) writes them.
    #[inline(never)]
    pub fn widen(&self, firsts: [[isize; 2]; 2], taps: usize, words: &mut [u32]) {
        // Taps inside the input: from, to.
        let inside = firsts.map(|[row, column]| {
            let from = ((-column).max(0) as usize).min(taps);
            let to = ((self.width as isize - column).max(0) as usize).min(taps);
            if (row as usize) < self.height { [from, to] } else { [taps, taps] }
        });
        let mut words = words;
        let mut tap = 0;
        while tap < taps {
            let mut end = taps;
            let mut source = |at: usize| {
                let ([row, column], [from, to]) = (firsts[at], inside[at]);
                if tap < from || tap >= to {
                    end = if tap < from { end.min(from) } else { end };
                    return self.padding;
                }
                end = end.min(to);
                let pixel = row as usize * self.width + (column + tap as isize) as usize;
                self.input.get(pixel * self.channels..).unwrap_or_default()
            };
            let (first, second) = (source(0), source(1));
            let length = (end - tap) * self.channels;
            let Some((now, rest)) = words.split_at_mut_checked(length) else { return };
            routines::widen_2(first, second, now, length / 4);
            words = rest;
            tap = end;
        }
    }
}
