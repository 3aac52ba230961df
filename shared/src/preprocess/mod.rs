//! Camera frame or data-set bytes → network input. The only copy of that rule.
//!
//! | module | rule | needs |
//! |---|---|---|
//! | [`garment`] | finds the garment, makes it bright on black; for networks trained on Fashion-MNIST | a whole frame |
//! | [`square`] | cuts out the centre and averages it down, gray or RGB; for networks trained on photographs | rows as they come |
//!
//! Which of them a network wants is part of the network: [`Preprocessing`]. The quantization is the same for
//! all and exact: [`quantize_pixel`].

pub mod garment;
pub mod square;

use crate::image::{Frame, PixelFormat};
use crate::input::InputShape;

/// Zero point of the network input: the quantized value of black.
pub const INPUT_ZERO_POINT: i8 = -128;

/// Scale of the network input: one step is 1/255 of full brightness.
pub const INPUT_SCALE_RECIPROCAL: u32 = 255;

/// An input whose brightest and darkest values are closer than this shows nothing.
///
/// Every image of Fashion-MNIST spans 254; an evenly lit wall with a camera's noise spans less than 16.
pub const LEAST_CONTRAST: u8 = 16;

/// How a frame becomes a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "kebab-case")]
pub enum Preprocessing {
    /// [`garment`]: for square gray inputs.
    Garment,
    /// [`square`]: for inputs of any shape.
    Square,
}

impl Preprocessing {
    /// Returns the name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garment => "garment",
            Self::Square => "square",
        }
    }

    /// Whether the rule yields inputs of this shape.
    pub const fn fits(self, shape: InputShape) -> bool {
        match self {
            Self::Garment => shape.channels == 1 && shape.height == shape.width,
            Self::Square => true,
        }
    }
}

/// Whether there is something to classify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Seen {
    /// The input shows something.
    Something,
    /// The input is of one brightness, or no garment was found in the frame.
    Nothing,
}

/// Quantizes a pixel: `x_q = pixel − 128`, exact for scale 1/255 and zero point −128.
///
/// ```
/// use shared::preprocess::quantize_pixel;
/// assert_eq!([quantize_pixel(0), quantize_pixel(128), quantize_pixel(255)], [-128, 0, 127]);
/// ```
pub const fn quantize_pixel(pixel: u8) -> i8 {
    (pixel ^ 0x80) as i8
}

/// Quantizes an input; the common part where the lengths differ.
///
/// * `pixels`: `[height][width][channels]` bytes, row-major, 0 = black.
/// * `input_q`: the same layout, i8, zero point −128, scale 1/255.
pub fn quantize_pixels(pixels: &[u8], input_q: &mut [i8]) {
    for (x_q, &pixel) in input_q.iter_mut().zip(pixels) {
        *x_q = quantize_pixel(pixel);
    }
}

/// Turns a frame into a network's input.
///
/// * `pixels`: `[height][width][channels]` bytes of `shape`, written whole; a shorter slice is left as it is.
///
/// ```
/// use shared::image::{Frame, PixelFormat};
/// use shared::input::InputShape;
/// use shared::preprocess::{Preprocessing, Seen, frame_to_input};
/// let white_paper = [255u8; 56 * 56];
/// let frame = Frame::new(PixelFormat::Gray8, 56, 56, &white_paper).unwrap();
/// let (shape, mut pixels) = (InputShape::new(28, 28, 1).unwrap(), [1; 784]);
/// assert_eq!(frame_to_input(Preprocessing::Garment, shape, &frame, &mut pixels), Seen::Nothing);
/// assert_eq!(pixels, [0; 784]); // nothing but background
/// ```
pub fn frame_to_input(rule: Preprocessing, shape: InputShape, frame: &Frame<'_>, pixels: &mut [u8]) -> Seen {
    let Some(pixels) = pixels.get_mut(..shape.len()) else { return Seen::Nothing };
    match rule {
        Preprocessing::Garment => garment::frame_to_input(shape.height, frame, pixels),
        Preprocessing::Square => square::frame_to_input(shape, frame, pixels),
    }
}

/// Whether an input shows anything: [`Seen::Nothing`] below a contrast of [`LEAST_CONTRAST`].
pub fn seen(pixels: &[u8]) -> Seen {
    let (darkest, brightest) =
        pixels.iter().fold((255, 0), |(low, high), &pixel| (pixel.min(low), pixel.max(high)));
    if u8::saturating_sub(brightest, darkest) < LEAST_CONTRAST { Seen::Nothing } else { Seen::Something }
}

/// Returns how a pixel format tells its pixels to a network: brightness, or red, green and blue.
#[inline(always)]
fn channels_of(format: PixelFormat, bytes: &[u8], x: usize, channels: usize) -> [u8; 3] {
    if channels == 3 { format.rgb(bytes, x) } else { [format.luma(bytes, x), 0, 0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizing_is_exact_and_reversible() {
        for pixel in 0..=255u8 {
            assert_eq!(i16::from(quantize_pixel(pixel)), i16::from(pixel) - 128);
        }
    }

    #[test]
    fn an_even_input_shows_nothing() {
        assert_eq!(seen(&[]), Seen::Nothing);
        assert_eq!(seen(&[7; 100]), Seen::Nothing);
        assert_eq!(seen(&[7, 22]), Seen::Nothing);
        assert_eq!(seen(&[7, 23]), Seen::Something);
    }
}
