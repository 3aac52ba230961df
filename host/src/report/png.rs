//! PNG files.

use std::io;
use std::path::Path;

use shared::input::InputShape;

/// Writes an image, every pixel `zoom` times each way, whole or not at all.
///
/// * `pixels`: `[height][width][channels]` bytes.
///
/// # Errors
/// Whatever the file system or the encoder answers.
pub fn write_image(path: &Path, shape: InputShape, pixels: &[u8], zoom: usize) -> io::Result<()> {
    let enlarged = enlarged_image(shape, pixels, zoom);
    let (width, height) = (shape.width * zoom, shape.height * zoom);
    crate::files::write_whole(path, &encode(color_of(shape), width, height, &enlarged)?)
}

/// Encodes an image, `[height][width][channels]` bytes.
///
/// # Errors
/// The encoder's.
pub fn encode_image(shape: InputShape, pixels: &[u8]) -> io::Result<Vec<u8>> {
    encode(color_of(shape), shape.width, shape.height, pixels)
}

fn color_of(shape: InputShape) -> png::ColorType {
    if shape.channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale }
}

fn enlarged_image(shape: InputShape, pixels: &[u8], zoom: usize) -> Vec<u8> {
    let InputShape { height, width, channels } = shape;
    let at = |row: usize, column: usize| {
        let start = ((row / zoom) * width + column / zoom) * channels;
        &pixels[start..start + channels]
    };
    (0..height * zoom)
        .flat_map(|row| (0..width * zoom).flat_map(move |column| at(row, column)))
        .copied()
        .collect()
}

/// Writes a gray picture, whole or not at all.
///
/// * `pixels`: `[height][width]` gray bytes.
///
/// # Errors
/// Whatever the file system or the encoder answers.
pub fn write_gray(path: &Path, width: usize, height: usize, pixels: &[u8]) -> io::Result<()> {
    crate::files::write_whole(path, &encode(png::ColorType::Grayscale, width, height, pixels)?)
}

/// Encodes a gray picture, `[height][width]` bytes.
///
/// # Errors
/// The encoder's.
pub fn encode_gray(width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    encode(png::ColorType::Grayscale, width, height, pixels)
}

/// Encodes images one below another, as small as can be.
///
/// * `pixels`: `[n][height][width][channels]` bytes.
///
/// # Errors
/// The encoder's.
pub fn encode_column(shape: InputShape, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let height = pixels.len() / (shape.width * shape.channels);
    encode_with(png::Compression::High, color_of(shape), shape.width, height, pixels)
}

/// Encodes a colour picture, `[height][width][3]` bytes.
///
/// # Errors
/// The encoder's.
pub fn encode_rgb(width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    encode(png::ColorType::Rgb, width, height, pixels)
}

fn encode(color: png::ColorType, width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    encode_with(png::Compression::default(), color, width, height, pixels)
}

fn encode_with(
    compression: png::Compression,
    color: png::ColorType,
    width: usize,
    height: usize,
    pixels: &[u8],
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(compression);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(io::Error::other)?;
    Ok(bytes)
}

/// Enlarges a gray picture by repeating every pixel `zoom` times each way.
pub fn enlarged(width: usize, height: usize, pixels: &[u8], zoom: usize) -> Vec<u8> {
    let at = |row: usize, column: usize| pixels[(row / zoom) * width + column / zoom];
    (0..height * zoom).flat_map(|row| (0..width * zoom).map(move |column| at(row, column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_enlarged_pixel_by_pixel() {
        let shape = InputShape::new(1, 2, 3).unwrap();
        assert_eq!(
            enlarged_image(shape, &[1, 2, 3, 4, 5, 6], 2),
            [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6].repeat(2)
        );
    }

    #[test]
    fn a_written_picture_decodes_to_the_same_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let pixels = enlarged(2, 1, &[3, 200], 2);
        assert_eq!(pixels, [3, 3, 200, 200, 3, 3, 200, 200]);
        write_gray(&path, 4, 2, &pixels).unwrap();
        let file = io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut decoded = vec![0; 8];
        reader.next_frame(&mut decoded).unwrap();
        assert_eq!(decoded, pixels);
    }
}
