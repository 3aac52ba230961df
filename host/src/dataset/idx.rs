//! The IDX format of MNIST and Fashion-MNIST, plain or gzipped.
//!
//! Source: LeCun, Cortes, Burges, *The MNIST database*, "file formats": a big-endian magic number
//! `00 00 08 rank`, one u32 a dimension, then unsigned bytes in row-major order.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use shared::MAX_CLASSES;
use shared::input::InputShape;

use super::{DatasetError, Samples};

const REMEDY: &str = "fetch the official file again with `host data fetch`";
const MAGIC_LABELS: u32 = 0x0801;
const MAGIC_IMAGES: u32 = 0x0803;

/// Reads an image file and its label file, plain or gzipped (told by the gzip magic, not the name).
///
/// # Errors
/// [`DatasetError::Io`] where a file cannot be read, [`DatasetError::Malformed`] where gzip is cut
/// off or corrupt, a magic number, size, count or length is wrong, or a label exceeds 99.
pub fn read(images: &Path, labels: &Path) -> Result<Samples, DatasetError> {
    let (shape, pixels) = parse_images(images, &read_maybe_gzipped(images)?)?;
    let labels_read = parse_labels(labels, &read_maybe_gzipped(labels)?)?;
    let count = pixels.len() / shape.len();
    if count != labels_read.len() {
        return Err(malformed(
            labels,
            "count",
            format!("{} labels beside {count} images in {}", labels_read.len(), images.display()),
        ));
    }
    Ok(Samples { shape, pixels, labels: labels_read })
}

/// Writes gray samples as a pair of gzipped IDX files, for tests and for handing drawn data to other tools.
pub fn write(samples: &Samples, images: &Path, labels: &Path) -> Result<(), DatasetError> {
    let count = (samples.len() as u32).to_be_bytes();
    let [height, width] = [samples.shape.height, samples.shape.width].map(|side| (side as u32).to_be_bytes());
    let image_bytes = [&MAGIC_IMAGES.to_be_bytes()[..], &count, &height, &width, &samples.pixels].concat();
    let label_bytes = [&MAGIC_LABELS.to_be_bytes()[..], &count, &samples.labels].concat();
    for (path, bytes) in [(images, image_bytes), (labels, label_bytes)] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let zipped = encoder.write_all(&bytes).and_then(|()| encoder.finish());
        zipped
            .and_then(|zipped| crate::files::write_whole(path, &zipped))
            .map_err(|source| DatasetError::Io { path: path.into(), source })?;
    }
    Ok(())
}

fn read_maybe_gzipped(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::Io { path: path.into(), source })?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    // Parallel compressors and `cat a.gz b.gz` write several members; a plain decoder stops after the first.
    MultiGzDecoder::new(&bytes[..])
        .read_to_end(&mut plain)
        .map_err(|error| malformed(path, "gzip stream", format!("{error} (cut off or damaged)")))?;
    Ok(plain)
}

fn malformed(path: &Path, field: &str, problem: String) -> DatasetError {
    DatasetError::Malformed { path: path.into(), field: field.into(), problem, remedy: REMEDY }
}

/// Splits `bytes` after a header of `1 + rank` big-endian words; returns the dimensions and the rest.
fn header<'a, const RANK: usize>(
    path: &Path,
    bytes: &'a [u8],
    magic: u32,
) -> Result<([usize; RANK], &'a [u8]), DatasetError> {
    let length = 4 * (1 + RANK);
    if bytes.len() < length {
        let problem = format!("{} bytes, fewer than the header's {length}", bytes.len());
        return Err(malformed(path, "header", problem));
    }
    let word = |index: usize| {
        let at = 4 * index;
        u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    if word(0) != magic {
        let problem = format!("{:#010x}, expected {magic:#010x}", word(0));
        return Err(malformed(path, "magic number", problem));
    }
    let mut dimensions = [0; RANK];
    for (axis, dimension) in dimensions.iter_mut().enumerate() {
        *dimension = word(axis + 1) as usize;
    }
    let rest = &bytes[length..];
    let expected = dimensions.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
    if expected != Some(rest.len()) {
        let problem = format!("header says {dimensions:?}, but {} bytes follow", rest.len());
        return Err(malformed(path, "count", problem));
    }
    if dimensions[0] == 0 {
        return Err(malformed(path, "count", "the file holds nothing".into()));
    }
    Ok((dimensions, rest))
}

fn parse_images(path: &Path, bytes: &[u8]) -> Result<(InputShape, Vec<u8>), DatasetError> {
    let ([_, height, width], pixels) = header::<3>(path, bytes, MAGIC_IMAGES)?;
    let Some(shape) = InputShape::new(height, width, 1) else {
        let problem = format!("{height}×{width}; each side is 1 to {} pixels", InputShape::MAX_SIDE);
        return Err(malformed(path, "image size", problem));
    };
    Ok((shape, pixels.to_vec()))
}

fn parse_labels(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, DatasetError> {
    let ([_], labels) = header::<1>(path, bytes, MAGIC_LABELS)?;
    if let Some(row) = labels.iter().position(|&label| usize::from(label) >= MAX_CLASSES) {
        let problem = format!("{} is not a class (0..=99)", labels[row]);
        return Err(malformed(path, &format!("label {row}"), problem));
    }
    Ok(labels.to_vec())
}

#[cfg(test)]
mod tests {
    use shared::fashion_mnist::{Label, PIXELS, SHAPE};

    use super::*;

    /// Two images, written and given back as decoded bytes with their paths.
    fn written() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf, Samples) {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = (folder.path().join("images.gz"), folder.path().join("labels.gz"));
        let mut samples = Samples::empty(SHAPE);
        samples.push(&[7; PIXELS], Label::Sandal as u8);
        samples.push(&[200; PIXELS], Label::Dress as u8);
        write(&samples, &images, &labels).unwrap();
        (folder, images, labels, samples)
    }

    fn message_after(change: impl Fn(&mut Vec<u8>, &mut Vec<u8>)) -> String {
        let (_folder, images, labels, _) = written();
        let mut image_bytes = read_maybe_gzipped(&images).unwrap();
        let mut label_bytes = read_maybe_gzipped(&labels).unwrap();
        change(&mut image_bytes, &mut label_bytes);
        fs::write(&images, image_bytes).unwrap();
        fs::write(&labels, label_bytes).unwrap();
        read(&images, &labels).unwrap_err().to_string()
    }

    #[test]
    fn gzipped_and_plain_files_read_alike() {
        let (_folder, images, labels, samples) = written();
        assert_eq!(read(&images, &labels).unwrap(), samples);
        fs::write(&images, read_maybe_gzipped(&images).unwrap()).unwrap();
        assert_eq!(read(&images, &labels).unwrap(), samples);
    }

    #[test]
    fn truncated_gzip_is_named() {
        let (_folder, images, labels, _) = written();
        let bytes = fs::read(&images).unwrap();
        fs::write(&images, &bytes[..bytes.len() / 2]).unwrap();
        let message = read(&images, &labels).unwrap_err().to_string();
        assert!(message.contains("images.gz") && message.contains("gzip stream"), "{message}");
        assert!(message.contains("host data fetch"), "{message}");
    }

    #[test]
    fn every_damaged_field_is_named() {
        type Damage = fn(&mut Vec<u8>, &mut Vec<u8>);
        let cases: [(&str, Damage); 8] = [
            ("magic number", |images, _| images[3] = 1),
            ("magic number", |_, labels| labels[2] = 9),
            ("count", |images, _| images[7] = 3),
            ("count", |_, labels| labels.push(0)),
            ("count", |_, labels| {
                labels[7] = 1;
                labels.pop();
            }),
            ("header", |images, _| images.clear()),
            ("label 1: 100", |_, labels| labels[9] = 100),
            ("count", |images, _| images[4..16].fill(0xff)),
        ];
        for (field, damage) in cases {
            let message = message_after(damage);
            assert!(message.contains(field), "{field}: {message}");
        }
        let other_side = message_after(|images, _| {
            images.truncate(16);
            images.resize(16 + 2 * 300 * 28, 0);
            images[10..12].copy_from_slice(&300u16.to_be_bytes());
        });
        assert!(other_side.contains("image size: 300×28"), "{other_side}");
    }

    #[test]
    fn images_of_another_size_are_read_with_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = (folder.path().join("images.gz"), folder.path().join("labels.gz"));
        let mut samples = Samples::empty(InputShape::new(40, 24, 1).unwrap());
        samples.push(&[3; 960], 57);
        write(&samples, &images, &labels).unwrap();
        assert_eq!(read(&images, &labels).unwrap(), samples);
    }

    #[test]
    fn all_members_of_a_gzip_file_are_read() {
        let (_folder, images, labels, samples) = written();
        let plain = read_maybe_gzipped(&images).unwrap();
        let zip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let members: Vec<u8> = plain.chunks(500).flat_map(zip).collect();
        fs::write(&images, members).unwrap();
        assert_eq!(read(&images, &labels).unwrap(), samples);
    }
}
