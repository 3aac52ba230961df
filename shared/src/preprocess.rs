//! Camera frame or data-set bytes → network input. The only copy of that rule.
//!
//! A data-set image is already 28×28, bright on black: [`quantize_pixels`] is all it needs, and it is
//! exact. In a camera frame the garment is found, cut out as a square, averaged down to 28×28 and made
//! bright on black, because the networks know nothing else.

use crate::image::{Frame, PixelFormat};
use crate::{PIXELS, SIDE};

/// Zero point of the network input: the quantized value of black.
pub const INPUT_ZERO_POINT: i8 = -128;

/// Scale of the network input: one step is 1/255 of full brightness.
pub const INPUT_SCALE_RECIPROCAL: u32 = 255;

/// Quantizes a pixel: `x_q = pixel − 128`, exact for scale 1/255 and zero point −128.
///
/// ```
/// use shared::preprocess::quantize_pixel;
/// assert_eq!([quantize_pixel(0), quantize_pixel(128), quantize_pixel(255)], [-128, 0, 127]);
/// ```
pub const fn quantize_pixel(pixel: u8) -> i8 {
    (pixel ^ 0x80) as i8
}

/// Quantizes a data-set image.
///
/// * `pixels`: `[28][28]` gray bytes, row-major, 0 = black.
/// * returns `[28][28]` i8, row-major, zero point −128, scale 1/255.
pub fn quantize_pixels(pixels: &[u8; PIXELS]) -> [i8; PIXELS] {
    let mut input_q = [INPUT_ZERO_POINT; PIXELS];
    for (x_q, &pixel) in input_q.iter_mut().zip(pixels) {
        *x_q = quantize_pixel(pixel);
    }
    input_q
}

/// Turns a camera frame into a gray 28×28 image, bright on black.
///
/// 1. The **background** is the median brightness of the frame's outermost ring; what lies further from it than
///    99 % of that ring does, and a little more, is garment.
/// 2. The **garment** spans the rows and columns that hold enough such pixels. The square around it, centred, is
///    cut out, as the data set's makers did; beyond the frame there is background.
/// 3. Its **area averages** over 28×28 cells, with fractions of pixels at the cells' edges, are exact.
/// 4. Distances from the background become brightness: **bright on black**, whichever of the two is darker.
/// 5. What the averages blurred is **sharpened**.
///
/// Where nothing is found the frame's central square is taken. A 28×28 gray frame is taken to be network-ready,
/// as data-set images are, and passes unchanged. Integers only, no allocation, two passes over the frame.
///
/// * returns `[28][28]` gray bytes, row-major, 0 = black.
///
/// ```
/// use shared::image::{Frame, PixelFormat};
/// use shared::preprocess::frame_to_pixels;
/// let white_paper = [255u8; 56 * 56];
/// let frame = Frame::new(PixelFormat::Gray8, 56, 56, &white_paper).unwrap();
/// assert_eq!(frame_to_pixels(&frame), [0; 784]); // nothing but background
/// ```
pub fn frame_to_pixels(frame: &Frame<'_>) -> [u8; PIXELS] {
    let mut pixels = [0; PIXELS];
    if (frame.format(), frame.width(), frame.height()) == (PixelFormat::Gray8, SIDE, SIDE) {
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel = frame.luma(index % SIDE, index / SIDE);
        }
        return pixels;
    }
    let background = Background::of(frame);
    let square = garment(frame, &background).unwrap_or_else(|| Square::central(frame));
    for (index, pixel) in pixels.iter_mut().enumerate() {
        *pixel = square.mean(frame, background.luma, index % SIDE, index / SIDE);
    }
    let sum: i32 = pixels.iter().map(|&pixel| i32::from(pixel) - i32::from(background.luma)).sum();
    for pixel in &mut pixels {
        *pixel = background.distance(*pixel, sum >= 0);
    }
    sharpen(&mut pixels);
    pixels
}

/// Takes an eighth of both neighbours' difference off each pixel, along rows, then along columns.
///
/// So what a lens and the averages blurred is undone to first order; the data set's makers sharpened, too
/// (Xiao, Rasul, Vollgraf, 2017, section 2).
fn sharpen(pixels: &mut [u8; PIXELS]) {
    let mut line = |first: usize, step: usize| {
        let mut before = 0;
        for along in 0..SIDE {
            let at = |along: usize| pixels.get(first + along * step).map_or(0, |&pixel| i32::from(pixel));
            let after = if along + 1 < SIDE { at(along + 1) } else { 0 };
            let here = at(along);
            if let Some(pixel) = pixels.get_mut(first + along * step) {
                *pixel = ((10 * here - before - after + 4) >> 3).clamp(0, 255) as u8;
            }
            before = here;
        }
    };
    (0..SIDE).for_each(|row| line(row * SIDE, 1));
    (0..SIDE).for_each(|column| line(column, SIDE));
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
    fn mean(&self, frame: &Frame<'_>, outside: u8, column: usize, row: usize) -> u8 {
        let (columns, rows) = (Span::of(column, self.side), Span::of(row, self.side));
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

/// What a cell covers along one axis, in 28ths of a pixel: `start..start + side`.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: i32,
    end: i32,
}

impl Span {
    fn of(index: usize, side: i32) -> Self {
        Self { start: index as i32 * side, end: (index as i32 + 1) * side }
    }

    /// Pixels touched.
    fn pixels(&self) -> core::ops::Range<i32> {
        self.start / SIDE as i32..(self.end + SIDE as i32 - 1) / SIDE as i32
    }

    /// 28ths of a pixel inside.
    fn share(&self, pixel: i32) -> u32 {
        let (start, end) = (pixel * SIDE as i32, (pixel + 1) * SIDE as i32);
        (end.min(self.end) - start.max(self.start)).max(0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn quantizing_is_exact_and_reversible() {
        for pixel in 0..=255u8 {
            assert_eq!(i16::from(quantize_pixel(pixel)), i16::from(pixel) - 128);
        }
    }

    #[test]
    fn a_data_set_image_passes_through_unchanged() {
        for image in [dress(), dress().map(|pixel| 255 - pixel)] {
            let frame = Frame::new(PixelFormat::Gray8, 28, 28, &image).unwrap();
            assert_eq!(frame_to_pixels(&frame), image);
        }
    }

    #[test]
    fn a_garment_is_found_wherever_it_lies_dark_or_bright() {
        let image = dress();
        let mut expected = image;
        sharpen(&mut expected);
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
        sharpen(&mut pixels);
        // (10 · 110 − 100 − 180) / 8 and (10 · 180 − 110 − 110) / 8.
        assert_eq!(pixels[14 * SIDE + 9..14 * SIDE + 14], [99, 103, 198, 103, 99]);
    }

    #[test]
    fn fractions_of_pixels_count_by_their_area() {
        // Half of a 57-pixel square is bright: the middle column of cells is half bright.
        let bytes: [u8; 57 * 57] = core::array::from_fn(|at| if at % 57 < 27 { 200 } else { 0 });
        let square = Square { left: 0, top: 0, side: 57 };
        let frame = Frame::new(PixelFormat::Gray8, 57, 57, &bytes).unwrap();
        let row: [u8; SIDE] = core::array::from_fn(|column| square.mean(&frame, 0, column, 3));
        // 27 pixels are 756 28ths, 13 cells of 57 and 15 of the next.
        assert_eq!((row[12], row[13], row[14]), (200, (200.0 * 15.0 / 57.0f64).round() as u8, 0));
    }

    #[test]
    fn tiny_and_huge_frames_neither_panic_nor_overflow() {
        for (width, height) in [(1, 1), (1, 2), (3, 40), (27, 27), (28, 28), (29, 31), (640, 480)] {
            for value in [0, 9, 255] {
                let mut bytes = vec![value; width * height];
                let frame = Frame::new(PixelFormat::Gray8, width as u16, height as u16, &bytes).unwrap();
                let is_ready = (width, height) == (28, 28);
                let expected = if is_ready { value } else { 0 };
                assert_eq!(frame_to_pixels(&frame), [expected; PIXELS], "{width}×{height}");
                bytes[width * height / 2] ^= 0xff;
                let frame = Frame::new(PixelFormat::Gray8, width as u16, height as u16, &bytes).unwrap();
                let _ = frame_to_pixels(&frame);
            }
        }
    }
}
