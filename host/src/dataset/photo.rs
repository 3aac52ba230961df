//! Photos: PNG, JPEG, BMP, WebP, GIF and TIFF files, and what the chip would see of them.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};
use shared::image::{Frame, PixelFormat, over_white};
use shared::preprocess::{Seen, frame_to_input};
use thiserror::Error;

use crate::task::Task;

/// Endings of the files that are read, lower case.
pub const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff"];
/// Bytes that a decoder may take.
const MAX_DECODED: u64 = 512 << 20;
/// Pixels of the largest picture that is decoded: a file of a few kilobytes may claim any number.
const MAX_PIXELS: u64 = 100_000_000;

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
    #[error("{path}: {problem}; PNG, JPEG, BMP, WebP, GIF and TIFF are read")]
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
        Self::from_bytes(path, &Self::bytes(path)?)
    }

    /// Reads a file as it is.
    ///
    /// # Errors
    /// [`PhotoError::Io`] with the path.
    pub fn bytes(path: &Path) -> Result<Vec<u8>, PhotoError> {
        std::fs::read(path).map_err(|source| PhotoError::Io { path: path.into(), source })
    }

    /// Decodes a file's bytes; `path` is for the message.
    ///
    /// # Errors
    /// [`PhotoError::Format`] with the path.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, PhotoError> {
        decode(bytes).map_err(|problem| PhotoError::Format { path: path.into(), problem })
    }

    /// Writes a PNG file, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        crate::files::write_whole(path, &crate::report::png::encode_rgb(self.width, self.height, &self.rgb)?)
    }

    /// The photograph as a JPEG file, its longer side at most `side` pixels.
    ///
    /// # Errors
    /// The encoder's, for a size of zero.
    pub fn to_small_jpeg(&self, side: u32) -> Result<Vec<u8>, image::ImageError> {
        let small = self.smaller(side);
        let (width, height) = (small.width as u32, small.height as u32);
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 85).encode(
            &small.rgb,
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    }

    /// A copy whose longer side is at most `side` pixels, averaged.
    pub fn smaller(&self, side: u32) -> Self {
        let (width, height) = (self.width as u32, self.height as u32);
        let whole = RgbImage::from_raw(width, height, self.rgb.clone()).filter(|_| width.max(height) > side);
        let Some(whole) = whole else { return self.clone() };
        let small = DynamicImage::ImageRgb8(whole).thumbnail(side, side).into_rgb8();
        Self { width: small.width() as usize, height: small.height() as usize, rgb: small.into_raw() }
    }

    /// Its gray values, `[height][width]`, by the same rule as the chip's.
    pub fn gray(&self) -> Vec<u8> {
        let pixels = self.rgb.as_chunks().0.iter();
        pixels.map(|&[red, green, blue]| shared::image::luma(red, green, blue)).collect()
    }

    /// Does what the chip does with a camera's frame; returns the network's input and whether it shows anything.
    ///
    /// `None` where the size is no frame's.
    pub fn to_input(&self, task: &Task) -> Option<(Vec<u8>, Seen)> {
        let (width, height) = (u16::try_from(self.width).ok()?, u16::try_from(self.height).ok()?);
        let gray: Vec<u8>;
        // Gray before the finder, which looks at every pixel many times and knows data-set images by it.
        let (format, bytes) = if task.input.channels == 1 {
            gray = self.gray();
            (PixelFormat::Gray8, &gray)
        } else {
            (PixelFormat::Rgb888, &self.rgb)
        };
        let frame = Frame::new(format, width, height, bytes).ok()?;
        let mut pixels = vec![0; task.input.len()];
        let seen = frame_to_input(task.preprocessing, task.input, &frame, &mut pixels);
        Some((pixels, seen))
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
    let format = reader.format();
    if format == Some(ImageFormat::Jpeg) && is_cut_off(bytes) {
        return Err("the JPEG data is cut off".into());
    }
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width}×{height} pixels, more than {} million", MAX_PIXELS / 1_000_000));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    let is_opaque = !picture.color().has_alpha() || (format == Some(ImageFormat::Bmp) && is_clear(&picture));
    let rgb = if is_opaque { picture.into_rgb8() } else { on_white(&picture) };
    Ok(Photo { width: rgb.width() as usize, height: rgb.height() as usize, rgb: rgb.into_raw() })
}

/// Whether a JPEG file ends within its last scan. Decoders fill the rest with gray and say nothing.
fn is_cut_off(bytes: &[u8]) -> bool {
    // ITU-T T.81, B.1.1.3: within a scan every 0xff is followed by 0 or a restart marker.
    let last = |marker: [u8; 2]| bytes.array_windows().rposition(|window: &[u8; 2]| *window == marker);
    let (start_of_scan, end_of_image) = (last([0xff, 0xda]), last([0xff, 0xd9]));
    start_of_scan.is_some_and(|start| end_of_image.is_none_or(|end| end < start))
}

/// Whether nothing is opaque: some programs write 32-bit BMP files with an alpha channel of zeros.
fn is_clear(picture: &DynamicImage) -> bool {
    picture.to_rgba8().pixels().all(|pixel| pixel.0[3] == 0)
}

/// Shops' cut-out garments are transparent around.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| Rgb(over_white(picture.get_pixel(x, y).0)))
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
        // macOS puts a hidden `._name.jpg` beside every file it copies.
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_file() && !is_hidden && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the photos of a folder and of the folders in it, each folder's own first; hidden folders are left alone.
///
/// # Errors
/// [`PhotoError::Io`] where a folder cannot be read.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>, PhotoError> {
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    Ok(paths)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), PhotoError> {
    paths.extend(in_folder(folder)?);
    let refuse = |source| PhotoError::Io { path: folder.into(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Links to folders are not followed, as they may lead back.
        if entry.file_type().map_err(refuse)?.is_dir() && !is_hidden {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| collect(folder, paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_of_file_gives_its_pixels() {
        let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(9, 5, Rgb([200, 30, 60])));
        for format in [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Gif,
            ImageFormat::Tiff,
        ] {
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
    fn a_small_copy_keeps_the_aspect() {
        let photo = Photo { width: 300, height: 150, rgb: [200, 30, 60].repeat(300 * 150) };
        let small = decode(&photo.to_small_jpeg(100).unwrap()).unwrap();
        assert_eq!((small.width, small.height), (100, 50));
        let same = decode(&photo.to_small_jpeg(400).unwrap()).unwrap();
        assert_eq!((same.width, same.height), (300, 150));
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
    fn a_jpeg_cut_off_anywhere_is_refused() {
        let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, x as u8, y as u8]));
        let whole = encoded(&DynamicImage::ImageRgb8(picture), ImageFormat::Jpeg);
        assert!(decode(&whole).is_ok());
        for part in [10, 40, 60, 90, 99] {
            assert!(decode(&whole[..whole.len() * part / 100]).is_err(), "{part} %");
        }
    }

    #[test]
    fn a_picture_of_more_pixels_than_memory_is_refused_before_it_is_decoded() {
        // The header of a 1-bit PNG of 40,000×40,000; its data would be 200 MB of zeros.
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 40_000, 40_000);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, &[0x78, 1]).unwrap();
        let message = decode(&bytes).unwrap_err();
        assert!(message.contains("40000×40000"), "{message}");
    }

    #[test]
    fn a_bmp_whose_alpha_is_all_zero_is_opaque() {
        let picture = image::RgbaImage::from_pixel(3, 2, image::Rgba([10, 200, 30, 0]));
        let bmp = encoded(&DynamicImage::ImageRgba8(picture), ImageFormat::Bmp);
        assert_eq!(decode(&bmp).unwrap().rgb, [10, 200, 30].repeat(6));
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
        std::fs::write(folder.path().join("._notes.png"), b"").unwrap();
        assert_eq!(in_folder(folder.path()).unwrap(), [folder.path().join("b.JPG"), path.clone()]);
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("d.tif"), b"").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), inner.join("back")).unwrap();
        assert_eq!(below(folder.path()).unwrap(), [folder.path().join("b.JPG"), path, inner.join("d.tif")]);
    }
}
