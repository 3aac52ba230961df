//! Cameras: frames that come row by row and are never kept whole.

use shared::image::PixelFormat;

/// A camera of a board.
pub trait Camera {
    /// Returns how its pixels are stored.
    fn format(&self) -> PixelFormat;
    /// Returns width and height of its frames in pixels.
    fn size(&self) -> (u16, u16);
    /// Takes a picture.
    ///
    /// * `row`: is given every row, from top to bottom, of [`Camera::size`]'s width in [`Camera::format`].
    ///
    /// # Errors
    /// [`NoPicture`] where the camera stopped sending; rows given until then are worth nothing.
    fn capture(&mut self, row: &mut dyn FnMut(&[u8])) -> Result<(), NoPicture>;
}

/// A camera stopped in the middle of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoPicture;

/// A camera that paints its pictures: a dark garment on a light ground, another one with every picture.
///
/// For emulated boards and tests; a desktop's `Painted` gives the same rows.
#[derive(Debug, Clone, Default)]
pub struct Painted {
    number: u16,
}

impl Painted {
    /// Width of its frames.
    pub const WIDTH: u16 = 160;
    /// Height of its frames.
    pub const HEIGHT: u16 = 120;

    /// Begins with the first picture.
    pub const fn new() -> Self {
        Self { number: 0 }
    }

    /// Colour of a pixel: body, sleeves as far as the picture's number says, ground with a slope of brightness.
    fn pixel(&self, x: u16, y: u16) -> u16 {
        let (x, y) = (i32::from(x), i32::from(y));
        let (across, sleeve) = ((x - 80).abs(), 34 + 6 * i32::from(self.number % 5));
        let is_body = across < 24 && (24..104).contains(&y);
        let is_sleeve = across < sleeve && (24..44 + across / 4).contains(&y);
        if is_body || is_sleeve {
            return ((4 + across / 8) << 11 | (10 + y / 16) << 5 | 14) as u16;
        }
        ((26 + x / 40) << 11 | (52 + y / 20) << 5 | 26) as u16
    }
}

impl Camera for Painted {
    fn format(&self) -> PixelFormat {
        PixelFormat::Rgb565
    }

    fn size(&self) -> (u16, u16) {
        (Self::WIDTH, Self::HEIGHT)
    }

    fn capture(&mut self, row: &mut dyn FnMut(&[u8])) -> Result<(), NoPicture> {
        for y in 0..Self::HEIGHT {
            let mut bytes = [0; 2 * Self::WIDTH as usize];
            for (x, pixel) in bytes.chunks_exact_mut(2).enumerate() {
                pixel.copy_from_slice(&self.pixel(x as u16, y).to_le_bytes());
            }
            row(&bytes);
        }
        self.number = self.number.wrapping_add(1);
        Ok(())
    }
}
