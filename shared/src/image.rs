//! Borrowed views of camera frames, checked once when they are made.
//!
//! Leaves out decoding of files (host) and any copy of pixels.

/// Order of bytes in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum PixelFormat {
    /// One byte a pixel, 0 = black.
    Gray8 = 0,
    /// Two bytes a pixel, little endian, red in the five high bits.
    Rgb565 = 1,
    /// YUV 4:2:2, bytes Y0 U Y1 V for two pixels; the width is even.
    Yuv422 = 2,
    /// Three bytes a pixel: red, green, blue.
    Rgb888 = 3,
}

impl PixelFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Gray8, Self::Rgb565, Self::Yuv422, Self::Rgb888];

    /// Returns the bytes a pixel takes on average.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb565 | Self::Yuv422 => 2,
            Self::Rgb888 => 3,
        }
    }

    /// Returns the pixels that share bytes: two in YUV 4:2:2, one otherwise.
    pub const fn group(self) -> usize {
        if matches!(self, Self::Yuv422) { 2 } else { 1 }
    }

    /// Returns the colour of pixel `x` of a run of pixels; black beyond its end.
    ///
    /// * `bytes`: whole groups of pixels.
    #[inline(always)]
    pub fn rgb(self, bytes: &[u8], x: usize) -> [u8; 3] {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        match self {
            Self::Gray8 => [byte(x); 3],
            Self::Rgb888 => [byte(3 * x), byte(3 * x + 1), byte(3 * x + 2)],
            Self::Rgb565 => rgb_of_rgb565(u16::from_le_bytes([byte(2 * x), byte(2 * x + 1)])),
            Self::Yuv422 => {
                let pair = 4 * (x / 2);
                rgb_of_yuv(byte(2 * x), byte(pair + 1), byte(pair + 3))
            }
        }
    }

    /// Returns the brightness of pixel `x` of a run of pixels, 0 = black; 0 beyond its end.
    ///
    /// RGB becomes luma as [`luma`] says.
    #[inline(always)]
    pub fn luma(self, bytes: &[u8], x: usize) -> u8 {
        match self {
            Self::Gray8 => bytes.get(x).copied().unwrap_or(0),
            Self::Yuv422 => bytes.get(2 * x).copied().unwrap_or(0),
            Self::Rgb565 | Self::Rgb888 => {
                let [red, green, blue] = self.rgb(bytes, x);
                luma(red, green, blue)
            }
        }
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError {
    /// Width or height is zero, the width of a YUV frame is odd, or the stride is shorter than a row.
    BadSize {
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
    },
    /// The bytes are not as many as size and stride ask for.
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
    stride: usize,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Wraps `bytes`, row-major without padding.
    ///
    /// # Errors
    /// [`FrameError`] where size and byte count do not fit together.
    pub fn new(format: PixelFormat, width: u16, height: u16, bytes: &'a [u8]) -> Result<Self, FrameError> {
        let stride = usize::from(width) * format.bytes_per_pixel();
        Self::with_stride(format, width, height, stride, bytes)
    }

    /// Wraps `bytes` whose rows begin `stride` bytes apart; the last row ends with its last pixel.
    ///
    /// # Errors
    /// [`FrameError`] where size, stride and byte count do not fit together.
    pub fn with_stride(
        format: PixelFormat,
        width: u16,
        height: u16,
        stride: usize,
        bytes: &'a [u8],
    ) -> Result<Self, FrameError> {
        let row = usize::from(width) * format.bytes_per_pixel();
        if width == 0 || height == 0 || !usize::from(width).is_multiple_of(format.group()) || stride < row {
            return Err(FrameError::BadSize { width, height });
        }
        let need = stride.saturating_mul(usize::from(height) - 1).saturating_add(row);
        if bytes.len() != need {
            return Err(FrameError::BadLength { need, have: bytes.len() });
        }
        Ok(Self { format, width, height, stride, bytes })
    }

    /// Returns the bytes of a row's pixels; none outside the frame.
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = self.stride.saturating_mul(y);
        let row = self.width() * self.format.bytes_per_pixel();
        self.bytes.get(start..start.saturating_add(row)).unwrap_or_default()
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
        self.format.luma(self.row(y), x)
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

/// Lays a colour with transparency on white: each channel `(c·α + 255·(255 − α)) / 255`, rounded.
///
/// * `pixel`: red, green, blue, alpha; 255 is opaque.
///
/// ```
/// use shared::image::over_white;
/// assert_eq!(over_white([10, 20, 30, 255]), [10, 20, 30]);
/// assert_eq!(over_white([10, 20, 30, 0]), [255; 3]);
/// assert_eq!(over_white([0, 100, 255, 128]), [127, 177, 255]);
/// ```
pub const fn over_white(pixel: [u8; 4]) -> [u8; 3] {
    const fn blend(colour: u8, alpha: u8) -> u8 {
        ((colour as u32 * alpha as u32 + 255 * (255 - alpha as u32) + 127) / 255) as u8
    }
    let [red, green, blue, alpha] = pixel;
    [blend(red, alpha), blend(green, alpha), blend(blue, alpha)]
}

/// Expands to 8 bits a channel by repeating the high bits.
const fn rgb_of_rgb565(pixel: u16) -> [u8; 3] {
    let (red, green, blue) = ((pixel >> 11) as u8, (pixel >> 5 & 63) as u8, (pixel & 31) as u8);
    [red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]
}

/// Full-range YUV (JPEG File Interchange Format 1.02) to RGB with factors in 256ths, rounded.
const fn rgb_of_yuv(y: u8, u: u8, v: u8) -> [u8; 3] {
    const fn clamp(value: i32) -> u8 {
        let value = (value + 128) >> 8;
        if value < 0 {
            0
        } else if value > 255 {
            255
        } else {
            value as u8
        }
    }
    let (y, u, v) = (256 * y as i32, u as i32 - 128, v as i32 - 128);
    [clamp(y + 359 * v), clamp(y - 88 * u - 183 * v), clamp(y + 454 * u)]
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
        let green = Frame::new(PixelFormat::Rgb565, 2, 1, &[0, 0, 0xe0, 0x07]).unwrap();
        assert_eq!([green.luma(0, 0), green.luma(1, 0), green.luma(2, 0), green.luma(0, 1)], [0, 149, 0, 0]);
    }

    #[test]
    fn colours_of_yuv_follow_jfif() {
        assert_eq!(rgb_of_yuv(77, 128, 128), [77; 3]);
        for (yuv, rgb) in
            [([76, 85, 255], [254, 0, 0]), ([150, 44, 21], [0, 255, 1]), ([29, 255, 107], [0, 0, 255])]
        {
            let [y, u, v] = yuv;
            let near = rgb_of_yuv(y, u, v).iter().zip(rgb).all(|(have, want)| have.abs_diff(want) <= 1);
            assert!(near, "{yuv:?} is {:?}", rgb_of_yuv(y, u, v));
        }
    }

    #[test]
    fn a_stride_skips_what_lies_between_rows() {
        let bytes = [1, 2, 99, 3, 4];
        let frame = Frame::with_stride(PixelFormat::Gray8, 2, 2, 3, &bytes).unwrap();
        assert_eq!((frame.row(0), frame.row(1), frame.row(2)), (&[1, 2][..], &[3, 4][..], &[][..]));
        assert!(Frame::with_stride(PixelFormat::Gray8, 2, 2, 1, &bytes[..3]).is_err());
    }
}
