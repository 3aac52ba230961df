//! Borrowed views of camera frames, checked once when they are made.
//!
//! Leaves out decoding of files (host) and any copy of pixels.

/// Order of bytes in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum PixelFormat {
    /// One byte a pixel, 0 = black.
    Gray8 = 0,
    /// Two bytes a pixel, little endian, red in the five high bits.
    Rgb565 = 1,
    /// YUV 4:2:2, bytes Y0 U Y1 V for two pixels; the width is even.
    Yuv422 = 2,
}

impl PixelFormat {
    /// Returns the format numbered `code` in the serial protocol.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Gray8),
            1 => Some(Self::Rgb565),
            2 => Some(Self::Yuv422),
            _ => None,
        }
    }

    /// Returns the bytes a pixel takes on average.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb565 | Self::Yuv422 => 2,
        }
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError {
    /// Width or height is zero, or the width of a YUV frame is odd.
    BadSize {
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
    },
    /// The byte count is not width × height × bytes a pixel.
    BadLength {
        /// Bytes the size asks for.
        need: usize,
        /// Bytes that came.
        have: usize,
    },
}

/// A borrowed camera frame.
///
/// ```
/// use shared::image::{Frame, PixelFormat};
/// // One red and one white RGB565 pixel.
/// let frame = Frame::new(PixelFormat::Rgb565, 2, 1, &[0x00, 0xf8, 0xff, 0xff]).unwrap();
/// assert_eq!((frame.luma(0, 0), frame.luma(1, 0)), (76, 255));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    format: PixelFormat,
    width: u16,
    height: u16,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Wraps `bytes`, row-major without padding.
    ///
    /// # Errors
    /// [`FrameError`] where size and byte count do not fit together.
    pub fn new(format: PixelFormat, width: u16, height: u16, bytes: &'a [u8]) -> Result<Self, FrameError> {
        let odd_yuv = format == PixelFormat::Yuv422 && !width.is_multiple_of(2);
        if width == 0 || height == 0 || odd_yuv {
            return Err(FrameError::BadSize { width, height });
        }
        let need = usize::from(width) * usize::from(height) * format.bytes_per_pixel();
        if bytes.len() != need {
            return Err(FrameError::BadLength { need, have: bytes.len() });
        }
        Ok(Self { format, width, height, bytes })
    }

    /// Returns the order of bytes.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Returns the width in pixels, at least 1.
    pub const fn width(&self) -> usize {
        self.width as usize
    }

    /// Returns the height in pixels, at least 1.
    pub const fn height(&self) -> usize {
        self.height as usize
    }

    /// Returns the brightness of a pixel, 0 = black; 0 outside the frame.
    ///
    /// RGB becomes luma as [`luma`] says.
    pub fn luma(&self, x: usize, y: usize) -> u8 {
        let index = y * self.width() + x;
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or(0);
        match self.format {
            PixelFormat::Gray8 => byte(index),
            PixelFormat::Yuv422 => byte(2 * index),
            PixelFormat::Rgb565 => luma_of_rgb565(u16::from_le_bytes([byte(2 * index), byte(2 * index + 1)])),
        }
    }
}

/// Returns the brightness of a colour by ITU-R BT.601 in integers: (77 R + 150 G + 29 B) / 256, cut off.
///
/// ```
/// use shared::image::luma;
/// assert_eq!([luma(0, 0, 0), luma(255, 0, 0), luma(255, 255, 255)], [0, 76, 255]);
/// ```
pub const fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((77 * red as u32 + 150 * green as u32 + 29 * blue as u32) >> 8) as u8
}

/// Expands to 8 bits a channel by repeating the high bits, then weighs as [`luma`] does.
fn luma_of_rgb565(pixel: u16) -> u8 {
    let (red, green, blue) = ((pixel >> 11) as u8, (pixel >> 5 & 63) as u8, (pixel & 31) as u8);
    luma(red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lengths_are_checked() {
        let bytes = [0; 12];
        assert!(Frame::new(PixelFormat::Gray8, 4, 3, &bytes).is_ok());
        assert!(Frame::new(PixelFormat::Yuv422, 2, 3, &bytes).is_ok());
        let odd = Frame::new(PixelFormat::Yuv422, 3, 2, &bytes).unwrap_err();
        assert_eq!(odd, FrameError::BadSize { width: 3, height: 2 });
        let short = Frame::new(PixelFormat::Rgb565, 4, 3, &bytes).unwrap_err();
        assert_eq!(short, FrameError::BadLength { need: 24, have: 12 });
        assert!(Frame::new(PixelFormat::Gray8, 0, 3, &[]).is_err());
    }

    #[test]
    fn every_format_finds_its_luma() {
        let yuv = [10, 128, 20, 128, 30, 128, 40, 128];
        let frame = Frame::new(PixelFormat::Yuv422, 2, 2, &yuv).unwrap();
        assert_eq!(
            [frame.luma(0, 0), frame.luma(1, 0), frame.luma(0, 1), frame.luma(1, 1)],
            [10, 20, 30, 40]
        );
        assert_eq!(luma_of_rgb565(0), 0);
        assert_eq!(luma_of_rgb565(0x07e0), 149);
    }
}
