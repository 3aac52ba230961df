//! Where a sliding window touches its input: sizes, strides, padding.

use core::ops::Range;

/// Geometry of a convolution or pooling window over one plane; all values in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Input rows, at least 1.
    pub in_height: usize,
    /// Input columns, at least 1.
    pub in_width: usize,
    /// Output rows.
    pub out_height: usize,
    /// Output columns.
    pub out_width: usize,
    /// Window rows.
    pub kernel_height: usize,
    /// Window columns.
    pub kernel_width: usize,
    /// Rows from one window to the next.
    pub stride_y: usize,
    /// Columns from one window to the next.
    pub stride_x: usize,
    /// Padding rows above the input.
    pub pad_top: usize,
    /// Padding columns left of the input.
    pub pad_left: usize,
}

impl Window {
    /// Computes the output size for padding `[top, left, bottom, right]`, as ONNX's Conv does (floor).
    ///
    /// Returns `None` where the window is larger than the padded input, or a size is zero.
    pub const fn new(
        [in_height, in_width]: [usize; 2],
        [kernel_height, kernel_width]: [usize; 2],
        [stride_y, stride_x]: [usize; 2],
        [pad_top, pad_left, pad_bottom, pad_right]: [usize; 4],
    ) -> Option<Self> {
        let padded_height = in_height + pad_top + pad_bottom;
        let padded_width = in_width + pad_left + pad_right;
        let empty = in_height == 0 || in_width == 0 || kernel_height == 0 || kernel_width == 0;
        if empty || stride_y == 0 || stride_x == 0 {
            return None;
        }
        if padded_height < kernel_height || padded_width < kernel_width {
            return None;
        }
        Some(Self {
            in_height,
            in_width,
            out_height: (padded_height - kernel_height) / stride_y + 1,
            out_width: (padded_width - kernel_width) / stride_x + 1,
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            pad_top,
            pad_left,
        })
    }

    /// Returns the number of input pixels of a plane.
    pub const fn in_pixels(&self) -> usize {
        self.in_height * self.in_width
    }

    /// Returns the number of output pixels of a plane.
    pub const fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Returns the number of taps: kernel height × width.
    pub const fn taps(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    /// Returns the taps of output row `out_y` that lie inside the input, and the input row of the first.
    #[inline(always)]
    pub fn rows(&self, out_y: usize) -> (Range<usize>, usize) {
        inside(out_y * self.stride_y, self.pad_top, self.kernel_height, self.in_height)
    }

    /// Returns the taps of output column `out_x` that lie inside the input, and the input column of the first.
    #[inline(always)]
    pub fn columns(&self, out_x: usize) -> (Range<usize>, usize) {
        inside(out_x * self.stride_x, self.pad_left, self.kernel_width, self.in_width)
    }
}

/// Clips a window that starts at `start − pad` to `0..size`.
#[inline(always)]
fn inside(start: usize, pad: usize, kernel: usize, size: usize) -> (Range<usize>, usize) {
    let first = pad.saturating_sub(start).min(kernel);
    let end = (size + pad).saturating_sub(start).min(kernel);
    (first..end.max(first), (start + first).saturating_sub(pad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_onnx() {
        let size = |window: Option<Window>| window.map(|w| (w.out_height, w.out_width));
        assert_eq!(size(Window::new([28, 28], [3, 3], [1, 1], [1, 1, 1, 1])), Some((28, 28)));
        assert_eq!(size(Window::new([28, 28], [3, 3], [2, 2], [0, 0, 1, 1])), Some((14, 14)));
        assert_eq!(size(Window::new([5, 4], [3, 2], [2, 3], [0, 0, 0, 0])), Some((2, 1)));
        assert_eq!(Window::new([2, 2], [3, 3], [1, 1], [0; 4]), None);
        assert_eq!(Window::new([2, 2], [1, 1], [0, 1], [0; 4]), None);
    }

    #[test]
    fn clipping_counts_only_taps_inside() {
        let window = Window::new([4, 4], [3, 3], [1, 1], [1, 1, 1, 1]).unwrap();
        assert_eq!(window.rows(0), (1..3, 0));
        assert_eq!(window.rows(1), (0..3, 0));
        assert_eq!(window.rows(3), (0..2, 2));
        let beyond = Window::new([1, 1], [2, 2], [1, 1], [3, 3, 3, 3]).unwrap();
        assert!(beyond.columns(0).0.is_empty());
        assert_eq!(beyond.columns(2), (1..2, 0));
        assert!(beyond.columns(5).0.is_empty());
    }
}
