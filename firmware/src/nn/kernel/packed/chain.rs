//! A convolution of the image feeding another one, row by row through a line buffer.
//!
//! The first one's activations never exist as a whole: before each row of outputs its missing rows are
//! computed behind those that the buffer still holds. Nothing is computed twice.

use super::Memory;
use super::conv::PackedConv;
use super::plane::PlaneConv;
use crate::nn::window::Window;

/// Two convolutions with a line buffer between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainConv<'a> {
    /// Convolves the image, pooled or not.
    pub first: PlaneConv<'a>,
    /// Convolves what the first one gives; unpooled.
    pub second: PackedConv<'a>,
}

impl ChainConv<'_> {
    const fn row_bytes(&self) -> usize {
        self.second.window.in_width * self.second.in_channels
    }

    /// Returns the bytes of the line buffer: as many rows as the second one's window has.
    pub const fn buffer_len(&self) -> usize {
        self.second.window.kernel_height * self.row_bytes()
    }

    /// Returns the words of scratch of either convolution.
    pub const fn scratch(&self) -> usize {
        let rows = self.first_rows(0, self.second.window.kernel_height).0.image_scratch();
        let patch = self.second.scratch();
        if rows > patch { rows } else { patch }
    }

    /// Returns whether both are what their kernels need and fit together.
    pub const fn is_consistent(&self) -> bool {
        let [height, width] = self.first.out_size();
        let window = &self.second.window;
        self.first.fits_image()
            && self.second.is_consistent()
            && !self.second.pool
            && height == window.in_height
            && width == window.in_width
            && self.first.channels == self.second.in_channels
            && window.kernel_height <= window.in_height
    }

    /// The first convolution cut to output rows `from..to`, and the first image row that it reads.
    const fn first_rows(&self, from: usize, to: usize) -> (PlaneConv<'_>, usize) {
        let window = &self.first.window;
        let (step, taps) = if self.first.pool { (2, 4) } else { (window.stride_y, 3) };
        let begin = (from * step).saturating_sub(window.pad_top);
        let end = ((to - 1) * step + taps).saturating_sub(window.pad_top);
        let end = if end < window.in_height { end } else { window.in_height };
        let rows = to - from;
        let cut = Window {
            in_height: end.saturating_sub(begin),
            pad_top: window.pad_top.saturating_sub(from * step),
            out_height: if self.first.pool { 2 * rows } else { rows },
            ..*window
        };
        (PlaneConv { window: cut, ..self.first }, begin)
    }

    /// Runs both.
    ///
    /// * `image`: `[in_height][in_width]`, one channel.
    /// * `memory`: the line buffer as input, output `[out_height][out_width][out_channels]` of the second.
    #[inline(always)]
    pub fn run(&self, image: &[i8], memory: Memory<'_>) {
        run(self, image, memory);
    }
}

#[inline(never)]
fn run(layer: &ChainConv<'_>, image: &[i8], memory: Memory<'_>) {
    let Memory { activations, input, mut output, scratch } = memory;
    let (window, row_bytes) = (&layer.second.window, layer.row_bytes());
    // Rows of the first one's output that the buffer holds.
    let (mut from, mut to) = (0usize, 0usize);
    for y in 0..window.out_height {
        let first = (y * window.stride_y).saturating_sub(window.pad_top);
        let end = (y * window.stride_y + window.kernel_height).saturating_sub(window.pad_top);
        let end = end.min(window.in_height);
        if first > from {
            for row in 0..to.saturating_sub(first) {
                move_row(
                    activations,
                    input + row * row_bytes,
                    input + (first - from + row) * row_bytes,
                    row_bytes,
                );
            }
        }
        let new = to.max(first);
        if new < end {
            let (rows, image_row) = layer.first_rows(new, end);
            let image = image.get(image_row * layer.first.window.in_width..).unwrap_or_default();
            let output = input + (new - first) * row_bytes;
            rows.run_image(
                image,
                Memory { activations: &mut *activations, input, output, scratch: &mut *scratch },
            );
        }
        (from, to) = (first, end.max(first));
        let row = Window {
            in_height: to - from,
            pad_top: window.pad_top.saturating_sub(y * window.stride_y),
            out_height: 1,
            ..*window
        };
        let row = PackedConv { window: row, ..layer.second };
        row.run_windows(Memory { activations: &mut *activations, input, output, scratch: &mut *scratch });
        output += window.out_width * layer.second.out_channels;
    }
}

/// Copies a row of the buffer to a place below it.
#[inline(always)]
fn move_row(activations: &mut [i8], to: usize, from: usize, row_bytes: usize) {
    let Some((low, high)) = activations.split_at_mut_checked(from) else { return };
    if let (Some(to), Some(from)) = (low.get_mut(to..to + row_bytes), high.get(..row_bytes)) {
        to.copy_from_slice(from);
    }
}
