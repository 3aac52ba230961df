//! Finds the garment in a frame and makes it bright on black, as the images of Fashion-MNIST are.
//!
//! The finder needs the frame's edges and extent before the first pixel of the result, so it reads a whole
//! frame, twice.

use super::{Seen, seen};
use crate::image::{Frame, PixelFormat};

/// Turns a frame into a gray image of `side` × `side` pixels, bright on black.
///
/// 1. The **background** is the median brightness of the frame's outermost ring; what lies further from it than
///    99 % of that ring does, and a little more, is garment.
/// 2. The **garment** spans the rows and columns that hold enough such pixels. The square around it, centred, is
///    cut out, as the data set's makers did; beyond the frame there is background.
/// 3. Its **area averages** over `side` × `side` cells, with fractions of pixels at the cells' edges, are exact.
/// 4. Distances from the background become brightness: **bright on black**, whichever of the two is darker.
/// 5. What the averages blurred is **sharpened**.
///
/// Where nothing is found the frame's central square is taken, and the answer is [`Seen::Nothing`]. A gray frame
/// of the input's own size with a dark corner is taken to be network-ready, as data-set images are (of 70,000
/// images of Fashion-MNIST each has a corner darker than 64), and passes unchanged. Integers only, no
/// allocation, two passes over the frame.
///
/// * `pixels`: `[side][side]` gray bytes, row-major, 0 = black; written whole.
pub fn frame_to_input(side: usize, frame: &Frame<'_>, pixels: &mut [u8]) -> Seen {
    if is_network_ready(side, frame) {
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel = frame.luma(index % side, index / side);
        }
        return seen(pixels);
    }
    let background = Background::of(frame);
    let found = garment(frame, &background);
    let square = found.unwrap_or_else(|| Square::central(frame));
    for (index, pixel) in pixels.iter_mut().enumerate() {
        *pixel = square.mean(frame, background.luma, side, index % side, index / side);
    }
    let sum: i32 = pixels.iter().map(|&pixel| i32::from(pixel) - i32::from(background.luma)).sum();
    for pixel in pixels.iter_mut() {
        *pixel = background.distance(*pixel, sum >= 0);
    }
    sharpen(side, pixels);
    if found.is_some() { seen(pixels) } else { Seen::Nothing }
}

/// Whether a frame is an input already: gray, of its size, and not all corners bright.
fn is_network_ready(side: usize, frame: &Frame<'_>) -> bool {
    const DARK: u8 = 64;
    let corners = [(0, 0), (side - 1, 0), (0, side - 1), (side - 1, side - 1)];
    (frame.format(), frame.width(), frame.height()) == (PixelFormat::Gray8, side, side)
        && corners.into_iter().any(|(x, y)| frame.luma(x, y) < DARK)
}

/// Takes an eighth of both neighbours' difference off each pixel, along rows, then along columns.
///
/// So what a lens and the averages blurred is undone to first order; the data set's makers sharpened, too
/// (Xiao, Rasul, Vollgraf, 2017, section 2).
fn sharpen(side: usize, pixels: &mut [u8]) {
    let mut line = |first: usize, step: usize| {
        let mut before = 0;
        for along in 0..side {
            let at = |along: usize| pixels.get(first + along * step).map_or(0, |&pixel| i32::from(pixel));
            let after = if along + 1 < side { at(along + 1) } else { 0 };
            let here = at(along);
            if let Some(pixel) = pixels.get_mut(first + along * step) {
                *pixel = ((10 * here - before - after + 4) >> 3).clamp(0, 255) as u8;
            }
            before = here;
        }
    };
    (0..side).for_each(|row| line(row * side, 1));
    (0..side).for_each(|column| line(column, side));
}

/// What a frame shows where there is no garment.
#[derive(Debug, Clone, Copy)]
struct Background {
    /// Median brightness of the outermost ring.
    luma: u8,
    /// Distance from it that is still background.
    spread: u8,
}

impl Background {
    /// Distances beyond the ring's own that still count as background.
    const MARGIN: u32 = 8;

    fn of(frame: &Frame<'_>) -> Self {
        let (right, bottom) = (frame.width() - 1, frame.height() - 1);
        let mut counts = [0u32; 256];
        let mut count = |x: usize, y: usize| {
            if let Some(entry) = counts.get_mut(usize::from(frame.luma(x, y))) {
                *entry += 1;
            }
        };
        for x in 0..=right {
            count(x, 0);
            count(x, bottom);
        }
        for y in 1..bottom {
            count(0, y);
            count(right, y);
        }
        let total: u32 = counts.iter().sum();
        let luma = at_rank(counts.iter().copied(), total / 2);
        // Distances from the median, nearest first: both sides of it at once.
        let at = |value: u32| counts.get(value as usize).copied().unwrap_or(0);
        let middle = u32::from(luma);
        let distances = (0..256).map(|distance| match distance {
            0 => at(middle),
            _ => at(middle + distance) + middle.checked_sub(distance).map_or(0, at),
        });
        let spread = u32::from(at_rank(distances, total - total / 100 - 1)) + Self::MARGIN;
        // A ring full of garment says nothing about the background's noise.
        Self { luma, spread: spread.min(48) as u8 }
    }

    fn is_garment(&self, luma: u8) -> bool {
        luma.abs_diff(self.luma) > self.spread
    }

    /// Distance towards the garment's side of the background, stretched to 0..=255.
    fn distance(&self, luma: u8, is_bright: bool) -> u8 {
        let (distance, room) = match is_bright {
            true => (luma.saturating_sub(self.luma), 255 - self.luma),
            false => (self.luma.saturating_sub(luma), self.luma),
        };
        // A garment of almost the background's brightness is not stretched without end.
        let room = u32::from(room.max(64));
        ((u32::from(distance) * 255 + room / 2) / room).min(255) as u8
    }
}

/// Returns the first value up to which the counts add up to more than `rank`.
fn at_rank(counts: impl Iterator<Item = u32>, rank: u32) -> u8 {
    let mut seen = 0;
    for (value, count) in counts.enumerate() {
        seen += count;
        if seen > rank {
            return value.min(255) as u8;
        }
    }
    255
}

/// A square of the frame, which it may leave.
#[derive(Debug, Clone, Copy)]
struct Square {
    left: i32,
    top: i32,
    /// In pixels, at least 1.
    side: i32,
}

/// Returns the square around the garment, or `None` where there is none worth the name.
fn garment(frame: &Frame<'_>, background: &Background) -> Option<Square> {
    let (width, height) = (frame.width(), frame.height());
    let in_row = |y: usize| (0..width).filter(|&x| background.is_garment(frame.luma(x, y))).count();
    let in_column = |x: usize| (0..height).filter(|&y| background.is_garment(frame.luma(x, y))).count();
    // A few bright pixels are noise.
    let (few_in_row, few_in_column) = (width / 128, height / 128);
    let top = (0..height).find(|&y| in_row(y) > few_in_row)?;
    let bottom = (top..height).rev().find(|&y| in_row(y) > few_in_row)?;
    let left = (0..width).find(|&x| in_column(x) > few_in_column)?;
    let right = (left..width).rev().find(|&x| in_column(x) > few_in_column)?;
    let (wide, tall) = ((right - left + 1) as i32, (bottom - top + 1) as i32);
    let side = wide.max(tall);
    if side * 16 < width.min(height) as i32 {
        return None;
    }
    Some(Square { left: left as i32 - (side - wide) / 2, top: top as i32 - (side - tall) / 2, side })
}

impl Square {
    /// The largest one in the frame's middle.
    fn central(frame: &Frame<'_>) -> Self {
        let side = frame.width().min(frame.height());
        Self {
            left: ((frame.width() - side) / 2) as i32,
            top: ((frame.height() - side) / 2) as i32,
            side: side as i32,
        }
    }

    /// Mean brightness of a cell, pixels at its edges by the share that lies inside.
    fn mean(&self, frame: &Frame<'_>, outside: u8, cells: usize, column: usize, row: usize) -> u8 {
        let (columns, rows) = (Span::of(cells, column, self.side), Span::of(cells, row, self.side));
        let mut sum = 0u64;
        for down in rows.pixels() {
            for across in columns.pixels() {
                let (x, y) = (usize::try_from(self.left + across), usize::try_from(self.top + down));
                let luma = match (x, y) {
                    (Ok(x), Ok(y)) if x < frame.width() && y < frame.height() => frame.luma(x, y),
                    _ => outside,
                };
                sum += u64::from(luma) * u64::from(rows.share(down) * columns.share(across));
            }
        }
        let weight = self.side as u64 * self.side as u64;
        ((sum + weight / 2) / weight.max(1)) as u8
    }
}

/// What a cell covers along one axis, in parts of a pixel, of which there are as many as cells.
#[derive(Debug, Clone, Copy)]
struct Span {
    cells: i32,
    start: i32,
    end: i32,
}

impl Span {
    fn of(cells: usize, index: usize, side: i32) -> Self {
        Self { cells: cells as i32, start: index as i32 * side, end: (index as i32 + 1) * side }
    }

    /// Pixels touched.
    fn pixels(&self) -> core::ops::Range<i32> {
        self.start / self.cells..(self.end + self.cells - 1) / self.cells
    }

    /// Parts of a pixel inside.
    fn share(&self, pixel: i32) -> u32 {
        let (start, end) = (pixel * self.cells, (pixel + 1) * self.cells);
        (end.min(self.end) - start.max(self.start)).max(0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fashion_mnist::{PIXELS, SIDE};

    fn frame_to_pixels(frame: &Frame<'_>) -> [u8; PIXELS] {
        let mut pixels = [0; PIXELS];
        frame_to_input(SIDE, frame, &mut pixels);
        pixels
    }

    /// Fills the picture from edge to edge downwards, is centred, and has shades up to white.
    fn dress() -> [u8; PIXELS] {
        core::array::from_fn(|index| {
            let (row, column) = (index / SIDE, index % SIDE);
            let is_inside = (9 - row / 6..=18 + row / 6).contains(&column);
            if is_inside { 120 + (row * 4 + column) as u8 } else { 0 }
        })
    }

    /// `width`×480, the image `zoom` times enlarged at (`left`, `top`), each pixel made by `shade`.
    fn scene(
        image: &[u8; PIXELS],
        zoom: usize,
        left: usize,
        top: usize,
        shade: fn(u8) -> u8,
    ) -> [u8; 320 * 240] {
        core::array::from_fn(|at| {
            let (x, y) = (at % 320, at / 320);
            let inside = (left..left + SIDE * zoom).contains(&x) && (top..top + SIDE * zoom).contains(&y);
            shade(if inside { image[(y - top) / zoom * SIDE + (x - left) / zoom] } else { 0 })
        })
    }

    fn seen(bytes: &[u8; 320 * 240]) -> [u8; PIXELS] {
        frame_to_pixels(&Frame::new(PixelFormat::Gray8, 320, 240, bytes).unwrap())
    }

    fn largest_difference(a: &[u8; PIXELS], b: &[u8; PIXELS]) -> u8 {
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn a_data_set_image_passes_through_unchanged_and_its_negative_is_found() {
        let image = dress();
        let frame = Frame::new(PixelFormat::Gray8, 28, 28, &image).unwrap();
        assert_eq!(frame_to_pixels(&frame), image);
        let on_white = image.map(|pixel| 255 - pixel);
        let frame = Frame::new(PixelFormat::Gray8, 28, 28, &on_white).unwrap();
        let mut expected = image;
        sharpen(SIDE, &mut expected);
        assert_eq!(frame_to_pixels(&frame), expected);
    }

    #[test]
    fn a_frame_without_a_garment_shows_nothing() {
        for shade in [0u8, 90, 255] {
            let mut bytes = [shade; 320 * 240];
            bytes.iter_mut().step_by(7).for_each(|pixel| *pixel = pixel.saturating_sub(5));
            let frame = Frame::new(PixelFormat::Gray8, 320, 240, &bytes).unwrap();
            assert_eq!(frame_to_input(SIDE, &frame, &mut [0; PIXELS]), Seen::Nothing, "{shade}");
        }
        let bytes = scene(&dress(), 6, 100, 40, |pixel| 255 - pixel);
        let frame = Frame::new(PixelFormat::Gray8, 320, 240, &bytes).unwrap();
        assert_eq!(frame_to_input(SIDE, &frame, &mut [0; PIXELS]), Seen::Something);
    }

    #[test]
    fn a_garment_is_found_wherever_it_lies_dark_or_bright() {
        let image = dress();
        let mut expected = image;
        sharpen(SIDE, &mut expected);
        for (left, top) in [(0, 0), (3, 60), (100, 40), (320 - 6 * SIDE, 240 - 6 * SIDE)] {
            let on_black = seen(&scene(&image, 6, left, top, |pixel| pixel));
            assert_eq!(on_black, expected, "at {left}, {top}");
            let on_white = seen(&scene(&image, 6, left, top, |pixel| 255 - pixel));
            assert_eq!(on_white, expected, "at {left}, {top}");
            let on_gray =
                seen(&scene(&image, 6, left, top, |pixel| 100 + (u16::from(pixel) * 155 / 255) as u8));
            assert!(largest_difference(&on_gray, &expected) <= 3, "at {left}, {top}");
        }
    }

    #[test]
    fn speckles_beside_the_garment_do_not_matter() {
        let mut bytes = scene(&dress(), 5, 30, 50, |pixel| 255 - pixel);
        for at in [5 * 320 + 300, 230 * 320 + 4, 100 * 320 + 310] {
            bytes[at] = 0;
        }
        assert_eq!(seen(&bytes), seen(&scene(&dress(), 5, 30, 50, |pixel| 255 - pixel)));
    }

    #[test]
    fn sharpening_undoes_a_blur_of_an_eighth() {
        let mut pixels = [100; PIXELS];
        for row in pixels.as_chunks_mut::<SIDE>().0 {
            row[10..13].copy_from_slice(&[110, 180, 110]);
        }
        sharpen(SIDE, &mut pixels);
        // (10 · 110 − 100 − 180) / 8 and (10 · 180 − 110 − 110) / 8.
        assert_eq!(pixels[14 * SIDE + 9..14 * SIDE + 14], [99, 103, 198, 103, 99]);
    }

    #[test]
    fn fractions_of_pixels_count_by_their_area() {
        // Half of a 57-pixel square is bright: the middle column of cells is half bright.
        let bytes: [u8; 57 * 57] = core::array::from_fn(|at| if at % 57 < 27 { 200 } else { 0 });
        let square = Square { left: 0, top: 0, side: 57 };
        let frame = Frame::new(PixelFormat::Gray8, 57, 57, &bytes).unwrap();
        let row: [u8; SIDE] = core::array::from_fn(|column| square.mean(&frame, 0, SIDE, column, 3));
        // 27 pixels are 756 28ths, 13 cells of 57 and 15 of the next.
        assert_eq!((row[12], row[13], row[14]), (200, (200.0 * 15.0 / 57.0f64).round() as u8, 0));
    }

    #[test]
    fn tiny_and_huge_frames_neither_panic_nor_overflow() {
        for (width, height) in [(1, 1), (1, 2), (3, 40), (27, 27), (28, 28), (29, 31), (640, 480)] {
            for value in [0, 9, 255] {
                let mut bytes = vec![value; width * height];
                let frame = Frame::new(PixelFormat::Gray8, width as u16, height as u16, &bytes).unwrap();
                let is_ready = (width, height) == (28, 28) && value < 64;
                let expected = if is_ready { value } else { 0 };
                assert_eq!(frame_to_pixels(&frame), [expected; PIXELS], "{width}×{height}");
                bytes[width * height / 2] ^= 0xff;
                let frame = Frame::new(PixelFormat::Gray8, width as u16, height as u16, &bytes).unwrap();
                let _ = frame_to_pixels(&frame);
            }
        }
    }
}
