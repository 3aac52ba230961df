//! Images in forms that fill words: three channels as four, columns of gray ones.

use crate::nn::window::Window;

/// Writes each pixel with a fourth channel of −128, which stands for 0.
///
/// * `image`: `[pixels][3]` i8; `output`: `[pixels][4]` i8. Where one is shorter, the common part is written.
#[inline(never)]
pub fn spread(image: &[i8], output: &mut [i8]) {
    for (place, pixel) in output.as_chunks_mut::<4>().0.iter_mut().zip(image.as_chunks::<3>().0) {
        let &[red, green, blue] = pixel;
        *place = [red, green, blue, i8::MIN];
    }
}

/// A gray image as the pixels under each column of windows, so that a convolution over it has channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Where the kernel slides over the image.
    pub window: Window,
    /// Value of the padding.
    pub zero_point: i8,
}

impl Columns {
    /// Bytes a position: the kernel's columns, filled up to whole words.
    pub const fn depth(&self) -> usize {
        self.window.kernel_width.next_multiple_of(4)
    }

    /// Bytes written: `[in_height][out_width][depth]`.
    pub const fn len(&self) -> usize {
        self.window.in_height * self.window.out_width * self.depth()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The window that slides over what is written: one column wide.
    pub const fn across(&self) -> Window {
        let Window { out_width, .. } = self.window;
        Window { in_width: out_width, kernel_width: 1, stride_x: 1, pad_left: 0, ..self.window }
    }

    /// Writes the columns; what fills up a word is the padding's value.
    ///
    /// * `image`: `[in_height][in_width]` i8; `output`: [`Columns::len`] i8.
    #[inline(never)]
    pub fn write(&self, image: &[i8], output: &mut [i8]) {
        let window = &self.window;
        let rows = output.chunks_exact_mut((window.out_width * self.depth()).max(1));
        for (row, pixels) in rows.zip(image.chunks_exact(window.in_width.max(1))) {
            for (x, place) in row.chunks_exact_mut(self.depth().max(1)).enumerate() {
                place.fill(self.zero_point);
                let (taps, first) = window.columns(x);
                let under = pixels.get(first..).unwrap_or_default();
                let to = place.get_mut(taps).unwrap_or_default();
                to.iter_mut().zip(under).for_each(|(to, &pixel)| *to = pixel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pixel_gets_a_fourth_channel() {
        let mut output = [0; 9];
        super::spread(&[1, 2, 3, 4, 5, 6, 7], &mut output);
        assert_eq!(output, [1, 2, 3, -128, 4, 5, 6, -128, 0]);
    }

    #[test]
    fn columns_are_the_pixels_under_each_window() {
        // Two rows of three pixels, kernels two wide, a column of padding before and after.
        let window = crate::nn::window::Window::new([2, 3], [1, 2], [1, 2], [0, 1, 0, 1]).unwrap();
        let columns = super::Columns { window, zero_point: -9 };
        let mut output = [0; 16];
        columns.write(&[1, 2, 3, 4, 5, 6], &mut output);
        assert_eq!(output, [-9, 1, -9, -9, 2, 3, -9, -9, -9, 4, -9, -9, 5, 6, -9, -9]);
        let across = columns.across();
        assert_eq!([across.out_height, across.out_width, across.taps()], [2, 2, 1]);
    }
}
