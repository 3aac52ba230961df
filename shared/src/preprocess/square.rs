//! The centre of a frame, averaged down by area; gray or RGB, row by row.
//!
//! The largest centred rectangle of the input's proportions is cut out: a square for a square input. Each
//! value is the exact mean over its cell, fractions of pixels counted by their area, rounded half up; a
//! frame of the input's own size passes unchanged. Where the frame is the smaller one, its pixels repeat.
//!
//! [`Square`] takes the frame's bytes in order and in pieces, so that a board never holds a whole frame:
//! sums for one row of cells are all it keeps.

use super::{Seen, channels_of, seen};
use crate::image::{Frame, PixelFormat};
use crate::input::InputShape;

/// Sums of one cell for one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// Over the rows that ended.
    whole: u64,
    /// Over the row that is coming in.
    row: u32,
}

/// The rectangle of a frame that becomes the input, and how far it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    shape: InputShape,
    format: PixelFormat,
    frame_width: usize,
    frame_height: usize,
    /// Left, top, width and height of the rectangle in pixels.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// Pixel of the frame that comes next.
    x: usize,
    y: usize,
}

impl Cell {
    /// Nothing summed up yet.
    pub const EMPTY: Self = Self { whole: 0, row: 0 };
}

impl Square {
    /// Begins a frame.
    ///
    /// Returns `None` where width or height is zero, the width of a YUV frame is odd, or the shape is not
    /// [valid](InputShape::is_valid).
    pub fn new(shape: InputShape, format: PixelFormat, width: u16, height: u16) -> Option<Self> {
        let (frame_width, frame_height) = (usize::from(width), usize::from(height));
        if frame_width == 0 || frame_height == 0 || !frame_width.is_multiple_of(format.group()) {
            return None;
        }
        if !shape.is_valid() {
            return None;
        }
        // The widest rectangle whose height still fits, or the highest whose width does.
        let by_width = (frame_width * shape.height / shape.width).max(1);
        let by_height = (frame_height * shape.width / shape.height).max(1);
        let (width, height) = match by_width <= frame_height {
            true => (frame_width, by_width),
            false => (by_height.min(frame_width), frame_height),
        };
        let (left, top) = ((frame_width - width) / 2, (frame_height - height) / 2);
        Some(Self { shape, format, frame_width, frame_height, left, top, width, height, x: 0, y: 0 })
    }

    /// Returns the cells that [`Square::push`] needs: one a column and channel.
    pub const fn cells(shape: InputShape) -> usize {
        shape.width * shape.channels
    }

    /// Whether the frame's last byte came.
    pub const fn is_complete(&self) -> bool {
        self.y == self.frame_height
    }

    /// Takes the next bytes of the frame.
    ///
    /// * `bytes`: whole groups of pixels (see [`PixelFormat::group`]); what exceeds the frame is ignored.
    /// * `cells`: at least [`Square::cells`], zeroed before the first piece and left alone between pieces.
    /// * `pixels`: `[height][width][channels]` of the shape; rows are written as they are complete.
    pub fn push(&mut self, bytes: &[u8], cells: &mut [Cell], pixels: &mut [u8]) {
        let pixel_count = bytes.len() / self.format.bytes_per_pixel();
        let mut at = 0;
        while at < pixel_count && !self.is_complete() {
            let count = (pixel_count - at).min(self.frame_width - self.x);
            let piece = bytes.get(at * self.format.bytes_per_pixel()..).unwrap_or_default();
            if (self.top..self.top + self.height).contains(&self.y) {
                self.push_span(piece, count, cells);
            }
            (at, self.x) = (at + count, self.x + count);
            if self.x == self.frame_width {
                if (self.top..self.top + self.height).contains(&self.y) {
                    self.end_row(self.y - self.top, cells, pixels);
                }
                (self.x, self.y) = (0, self.y + 1);
            }
        }
    }

    /// Adds `count` pixels of one row, the first at column `x`, to the cells' rows.
    fn push_span(&self, bytes: &[u8], count: usize, cells: &mut [Cell]) {
        let (columns, channels) = (self.shape.width, self.shape.channels);
        let first = self.x.max(self.left);
        let end = (self.x + count).min(self.left + self.width);
        for x in first..end {
            let values = channels_of(self.format, bytes, x - self.x, channels);
            // The pixel covers start..start + columns, and a cell `width`, in parts of a pixel.
            let start = (x - self.left) * columns;
            let mut from = start;
            while from < start + columns {
                let column = from / self.width;
                let to = (start + columns).min((column + 1) * self.width);
                let places = cells.get_mut(column * channels..(column + 1) * channels).unwrap_or_default();
                for (cell, value) in places.iter_mut().zip(values) {
                    cell.row += u32::from(value) * (to - from) as u32;
                }
                from = to;
            }
        }
    }

    /// Adds the row to the cells it covers, and writes those that it ends.
    fn end_row(&self, y: usize, cells: &mut [Cell], pixels: &mut [u8]) {
        let (rows, line) = (self.shape.height, Self::cells(self.shape));
        let area = self.width as u64 * self.height as u64;
        let start = y * rows;
        let mut from = start;
        while from < start + rows {
            let row = from / self.height;
            let to = (start + rows).min((row + 1) * self.height);
            let is_full = to == (row + 1) * self.height;
            let places = pixels.get_mut(row * line..(row + 1) * line).unwrap_or_default();
            for (index, cell) in cells.iter_mut().take(line).enumerate() {
                cell.whole += u64::from(cell.row) * (to - from) as u64;
                if is_full {
                    if let Some(pixel) = places.get_mut(index) {
                        *pixel = ((cell.whole + area / 2) / area) as u8;
                    }
                    cell.whole = 0;
                }
            }
            from = to;
        }
        cells.iter_mut().for_each(|cell| cell.row = 0);
    }
}

/// Widest input row: [`InputShape::MAX_SIDE`] columns of three channels.
const MAX_CELLS: usize = 3 * InputShape::MAX_SIDE;

/// Turns a whole frame into an input; see the [module](self).
///
/// * `pixels`: `[height][width][channels]` of `shape`.
pub fn frame_to_input(shape: InputShape, frame: &Frame<'_>, pixels: &mut [u8]) -> Seen {
    let size = (frame.width() as u16, frame.height() as u16);
    let Some(mut square) = Square::new(shape, frame.format(), size.0, size.1) else { return Seen::Nothing };
    let mut cells = [Cell::default(); MAX_CELLS];
    for y in 0..frame.height() {
        square.push(frame.row(y), &mut cells, pixels);
    }
    seen(pixels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape() -> impl Strategy<Value = InputShape> {
        (1usize..20, 1usize..20, prop::bool::ANY).prop_map(|(height, width, is_gray)| InputShape {
            height,
            width,
            channels: if is_gray { 1 } else { 3 },
        })
    }

    /// The mean over a cell straight from the definition, in exact integers.
    fn mean(square: &Square, frame: &Frame<'_>, row: usize, column: usize, channel: usize) -> u8 {
        let share = |cell: usize, cell_size: usize, pixel: usize, pixel_size: usize| -> u64 {
            let (a, b) = (cell * cell_size, (cell + 1) * cell_size);
            let (c, d) = (pixel * pixel_size, (pixel + 1) * pixel_size);
            b.min(d).saturating_sub(a.max(c)) as u64
        };
        let mut sum = 0;
        for y in 0..square.height {
            for x in 0..square.width {
                let bytes = frame.row(square.top + y);
                let value =
                    channels_of(square.format, bytes, square.left + x, square.shape.channels)[channel];
                sum += u64::from(value)
                    * share(row, square.height, y, square.shape.height)
                    * share(column, square.width, x, square.shape.width);
            }
        }
        let area = (square.width * square.height) as u64;
        ((sum + area / 2) / area) as u8
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_what_the_whole_frame_gives_and_both_are_the_mean(
            shape in shape(),
            format in prop::sample::select(&PixelFormat::ALL[..]),
            (width, height) in (1u16..40, 1u16..40),
            padding in 0usize..9,
            pieces in prop::collection::vec(1usize..50, 1..20),
            seed in any::<u64>(),
        ) {
            let width = width * format.group() as u16;
            let row = usize::from(width) * format.bytes_per_pixel();
            let stride = row + padding;
            let mut state = seed | 1;
            let bytes: Vec<u8> = (0..stride * (usize::from(height) - 1) + row)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            let frame = Frame::with_stride(format, width, height, stride, &bytes).unwrap();
            let mut whole = vec![0; shape.len()];
            frame_to_input(shape, &frame, &mut whole);

            let packed: Vec<u8> = (0..usize::from(height)).flat_map(|y| frame.row(y).to_vec()).collect();
            let mut square = Square::new(shape, format, width, height).unwrap();
            let (mut cells, mut streamed) = (vec![Cell::default(); Square::cells(shape)], vec![0; shape.len()]);
            let (mut rest, mut sizes) = (&packed[..], pieces.iter().cycle());
            while !rest.is_empty() {
                prop_assert!(!square.is_complete());
                let group = format.group() * format.bytes_per_pixel();
                let size = (sizes.next().unwrap() * group).min(rest.len());
                let (piece, others) = rest.split_at(size);
                square.push(piece, &mut cells, &mut streamed);
                rest = others;
            }
            prop_assert!(square.is_complete());
            prop_assert_eq!(&streamed, &whole);
            for (row, column) in [(0, 0), (shape.height - 1, shape.width - 1), (shape.height / 2, shape.width / 3)] {
                for channel in 0..shape.channels {
                    let at = (row * shape.width + column) * shape.channels + channel;
                    prop_assert_eq!(whole[at], mean(&square, &frame, row, column, channel));
                }
            }
        }
    }

    #[test]
    fn a_frame_of_the_input_s_size_passes_unchanged() {
        let bytes: Vec<u8> = (0..40 * 24 * 3).map(|at| (at * 7 % 251) as u8).collect();
        let frame = Frame::new(PixelFormat::Rgb888, 24, 40, &bytes).unwrap();
        let mut pixels = vec![0; bytes.len()];
        let shape = InputShape { height: 40, width: 24, channels: 3 };
        assert_eq!(frame_to_input(shape, &frame, &mut pixels), Seen::Something);
        assert_eq!(pixels, bytes);
    }

    #[test]
    fn the_centre_is_cut_out() {
        let bytes: Vec<u8> = (0..12).map(|x| if (4..8).contains(&x) { 200 } else { 0 }).collect();
        let frame = Frame::new(PixelFormat::Gray8, 12, 1, &bytes).unwrap();
        let mut pixels = [0; 4];
        frame_to_input(InputShape { height: 1, width: 4, channels: 1 }, &frame, &mut pixels);
        assert_eq!(pixels, [200; 4]);
        // A higher frame than wide.
        let column = Frame::new(PixelFormat::Gray8, 1, 12, &bytes).unwrap();
        let mut pixels = [0; 4];
        frame_to_input(InputShape { height: 2, width: 2, channels: 1 }, &column, &mut pixels);
        assert_eq!(pixels, [200; 4], "row 5 or 6 only");
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let shape = InputShape { height: 4, width: 4, channels: 1 };
        assert!(Square::new(shape, PixelFormat::Gray8, 0, 3).is_none());
        assert!(Square::new(shape, PixelFormat::Yuv422, 3, 3).is_none());
        assert!(Square::new(InputShape { channels: 2, ..shape }, PixelFormat::Gray8, 3, 3).is_none());
    }

    #[test]
    fn the_largest_frame_neither_overflows_nor_panics() {
        let shape = InputShape { height: 2, width: 256, channels: 1 };
        let mut square = Square::new(shape, PixelFormat::Gray8, u16::MAX, u16::MAX).unwrap();
        let (mut cells, mut pixels) = ([Cell::default(); 256], [0; 512]);
        let row = vec![255; usize::from(u16::MAX)];
        for _ in 0..u16::MAX {
            square.push(&row, &mut cells, &mut pixels);
        }
        assert!(square.is_complete());
        assert_eq!(pixels, [255; 512]);
    }
}
