//! Photos: PNG, JPEG and BMP files, and what the chip would see of them.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage};
use shared::PIXELS;
use shared::image::{Frame, PixelFormat, luma};
use shared::preprocess::frame_to_pixels;
use thiserror::Error;

/// Endings of the files that are read, lower case.
pub const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];
/// Bytes that a decoder may take.
const MAX_DECODED: u64 = 512 << 20;

/// Why a file is no photo.
#[derive(Debug, Error)]
pub enum PhotoError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is damaged or of another kind.
    #[error("{path}: {problem}; PNG, JPEG and BMP are read")]
    Format {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        problem: String,
    },
}

/// A picture in colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Width in pixels, 1..=65535.
    pub width: usize,
    /// Height in pixels, 1..=65535.
    pub height: usize,
    /// `[height][width][3]` red, green, blue.
    pub rgb: Vec<u8>,
}

impl Photo {
    /// Reads a file, by its contents whatever its name; turned as the camera noted, transparency on white.
    ///
    /// # Errors
    /// [`PhotoError`] with the path.
    pub fn read(path: &Path) -> Result<Self, PhotoError> {
        let bytes = std::fs::read(path).map_err(|source| PhotoError::Io { path: path.into(), source })?;
        decode(&bytes).map_err(|problem| PhotoError::Format { path: path.into(), problem })
    }

    /// Writes a PNG file, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        crate::files::write_whole(path, &crate::report::png::encode_rgb(self.width, self.height, &self.rgb)?)
    }

    /// Does what the chip does with a camera's frame; gray by the same weights.
    ///
    /// A 28×28 photo is taken for a data-set image. `None` where the size is no frame's.
    pub fn to_pixels(&self) -> Option<[u8; PIXELS]> {
        let gray: Vec<u8> = self.rgb.as_chunks().0.iter().map(|&[r, g, b]| luma(r, g, b)).collect();
        let (width, height) = (u16::try_from(self.width).ok()?, u16::try_from(self.height).ok()?);
        Some(frame_to_pixels(&Frame::new(PixelFormat::Gray8, width, height, &gray).ok()?))
    }
}

fn decode(bytes: &[u8]) -> Result<Photo, String> {
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(u16::MAX.into());
    limits.max_image_height = Some(u16::MAX.into());
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    let rgb = if picture.color().has_alpha() { on_white(&picture) } else { picture.into_rgb8() };
    Ok(Photo { width: rgb.width() as usize, height: rgb.height() as usize, rgb: rgb.into_raw() })
}

/// Shops' cut-out garments are transparent around.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0;
        let blend = |color: u8| {
            let (color, alpha) = (u32::from(color), u32::from(alpha));
            ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        Rgb([blend(red), blend(green), blend(blue)])
    })
}

/// Returns the photos of a folder, by name; other files and folders are left alone.
///
/// # Errors
/// [`PhotoError::Io`] where the folder cannot be read.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, PhotoError> {
    let refuse = |source| PhotoError::Io { path: folder.into(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use image::ImageFormat;

    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_of_file_gives_its_pixels() {
        let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(9, 5, Rgb([200, 30, 60])));
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Jpeg] {
            let photo = decode(&encoded(&picture, format)).unwrap();
            assert_eq!((photo.width, photo.height), (9, 5), "{format:?}");
            let far = photo
                .rgb
                .as_chunks()
                .0
                .iter()
                .flat_map(|&[r, g, b]| [r.abs_diff(200), g.abs_diff(30), b.abs_diff(60)]);
            assert!(far.max().unwrap() <= 4, "{format:?}");
        }
    }

    #[test]
    fn transparency_lies_on_white_and_sixteen_bits_are_cut() {
        let clear = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 0, 0, 0])));
        assert_eq!(decode(&encoded(&clear, ImageFormat::Png)).unwrap().rgb, [255; 12]);
        let deep = image::ImageBuffer::from_pixel(2, 1, image::Luma([0x8000u16]));
        let deep = DynamicImage::ImageLuma16(deep);
        assert_eq!(decode(&encoded(&deep, ImageFormat::Png)).unwrap().rgb, [128; 6]);
    }

    #[test]
    fn what_is_no_photo_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.png");
        std::fs::write(&path, b"no picture").unwrap();
        let message = Photo::read(&path).unwrap_err().to_string();
        assert!(message.contains("notes.png") && message.contains("JPEG"), "{message}");
        let cut = &encoded(&DynamicImage::new_rgb8(40, 40), ImageFormat::Png)[..60];
        assert!(decode(cut).is_err());
        std::fs::write(folder.path().join("b.JPG"), b"").unwrap();
        std::fs::write(folder.path().join("c.txt"), b"").unwrap();
        assert_eq!(in_folder(folder.path()).unwrap(), [folder.path().join("b.JPG"), path]);
    }
}
