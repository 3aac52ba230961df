//! PNG files.

use std::io;
use std::path::Path;

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

/// Encodes a colour picture, `[height][width][3]` bytes.
///
/// # Errors
/// The encoder's.
pub fn encode_rgb(width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    encode(png::ColorType::Rgb, width, height, pixels)
}

fn encode(color: png::ColorType, width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
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
