//! Camera frame or data-set bytes → network input. The only copy of that rule.
//!
//! A data-set image is already 28×28, bright on black: [`quantize_pixels`] is all it needs, and it is
//! exact. A camera frame is made gray, cropped to its central square, averaged down to 28×28 and,
//! where its border is brighter than mid-gray, inverted, because the networks know garments bright
//! on black only.

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
/// A 28×28 gray frame is taken to be network-ready, as data-set images are, and passes unchanged.
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
    let square = frame.width().min(frame.height());
    let left = (frame.width() - square) / 2;
    let top = (frame.height() - square) / 2;
    let mut pixels = [0; PIXELS];
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let rows = cell(index / SIDE, square);
        let columns = cell(index % SIDE, square);
        *pixel = mean_luma(frame, left, top, columns, rows);
    }
    let is_ready = (frame.format(), frame.width(), frame.height()) == (PixelFormat::Gray8, SIDE, SIDE);
    if !is_ready && border_mean(&pixels) > 127 {
        pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
    }
    pixels
}

/// Source pixels that output row or column `index` covers: at least one, never past `square`.
fn cell(index: usize, square: usize) -> core::ops::Range<usize> {
    let start = index * square / SIDE;
    let end = ((index + 1) * square / SIDE).max(start + 1);
    start..end.min(square)
}

fn mean_luma(
    frame: &Frame<'_>,
    left: usize,
    top: usize,
    columns: core::ops::Range<usize>,
    rows: core::ops::Range<usize>,
) -> u8 {
    let count = (columns.len() * rows.len()).max(1) as u32;
    let mut sum = 0u32;
    for y in rows {
        for x in columns.clone() {
            sum += u32::from(frame.luma(left + x, top + y));
        }
    }
    ((sum + count / 2) / count) as u8
}

/// Mean over the outermost ring of pixels.
fn border_mean(pixels: &[u8; PIXELS]) -> u32 {
    let mut sum = 0;
    for along in 0..SIDE - 1 {
        for at in [along, (SIDE - 1) * SIDE + along + 1, (along + 1) * SIDE, along * SIDE + SIDE - 1] {
            sum += u32::from(pixels[at]);
        }
    }
    sum / (4 * (SIDE as u32 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient() -> [u8; PIXELS] {
        core::array::from_fn(|index| {
            let inside = (3..25).contains(&(index / SIDE)) && (3..25).contains(&(index % SIDE));
            if inside { (index % 256) as u8 } else { 0 }
        })
    }

    #[test]
    fn quantizing_is_exact_and_reversible() {
        for pixel in 0..=255u8 {
            assert_eq!(i16::from(quantize_pixel(pixel)), i16::from(pixel) - 128);
        }
    }

    #[test]
    fn a_data_set_image_passes_through_unchanged() {
        let image = gradient();
        let frame = Frame::new(PixelFormat::Gray8, 28, 28, &image).unwrap();
        assert_eq!(frame_to_pixels(&frame), image);
    }

    #[test]
    fn dark_on_white_is_inverted_but_for_data_set_images() {
        let negative = gradient().map(|pixel| 255 - pixel);
        let ready = Frame::new(PixelFormat::Gray8, 28, 28, &negative).unwrap();
        assert_eq!(frame_to_pixels(&ready), negative);
        let doubled: Vec<u8> = (0..56 * 56).map(|at| negative[(at / 56 / 2) * SIDE + at % 56 / 2]).collect();
        let photo = Frame::new(PixelFormat::Gray8, 56, 56, &doubled).unwrap();
        assert_eq!(frame_to_pixels(&photo), gradient());
    }

    #[test]
    fn a_wide_frame_is_cropped_to_its_middle() {
        let mut wide = [0u8; 60 * 28];
        for row in 0..28 {
            wide[row * 60 + 30] = 200;
        }
        let frame = Frame::new(PixelFormat::Gray8, 60, 28, &wide).unwrap();
        let pixels = frame_to_pixels(&frame);
        assert!((0..28).all(|row| pixels[row * SIDE + 14] == 200 && pixels[row * SIDE + 13] == 0));
    }

    #[test]
    fn tiny_and_huge_frames_neither_panic_nor_overflow() {
        for (width, height) in [(1, 1), (3, 40), (27, 27), (28, 28), (29, 31), (640, 480)] {
            let bytes = vec![9u8; width * height];
            let frame = Frame::new(PixelFormat::Gray8, width as u16, height as u16, &bytes).unwrap();
            assert_eq!(frame_to_pixels(&frame), [9; PIXELS], "{width}×{height}");
        }
    }

    #[test]
    fn the_border_counts_every_outer_pixel_once() {
        let mut pixels = [0; PIXELS];
        for (at, pixel) in pixels.iter_mut().enumerate() {
            let (row, column) = (at / SIDE, at % SIDE);
            if row == 0 || row == SIDE - 1 || column == 0 || column == SIDE - 1 {
                *pixel = 108;
            }
        }
        assert_eq!(border_mean(&pixels), 108);
    }
}
