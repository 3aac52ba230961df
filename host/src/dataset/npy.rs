//! NumPy's array files: pictures without labels, to calibrate on.

use std::path::Path;

use shared::input::InputShape;

use super::{DatasetError, Samples};

const MAGIC: &[u8] = b"\x93NUMPY";
const REMEDY: &str = "expected numpy.save of pixels, uint8 or float32 of pixel / 255, [n, height, width], [n, height, width, channels] or [n, channels, height, width]";
/// Most bytes of a header.
const LONGEST_HEADER: usize = 4_096;
/// A float may be so far from a whole number of 255ths.
const ROUNDING: f32 = 0.01;

/// Reads pictures of the shape given; labels are 0.
///
/// # Errors
/// [`DatasetError::Io`] where the file cannot be read, [`DatasetError::Malformed`] with the field that is wrong.
pub fn read(path: &Path, shape: InputShape) -> Result<Samples, DatasetError> {
    let bytes = std::fs::read(path).map_err(|source| DatasetError::Io { path: path.into(), source })?;
    let malformed = |(field, problem): (&str, String)| DatasetError::Malformed {
        path: path.into(),
        field: field.into(),
        problem,
        remedy: REMEDY,
    };
    let array = Array::parse(&bytes).map_err(malformed)?;
    let pixels = array.pixels(shape).map_err(malformed)?;
    let labels = vec![0; pixels.len() / shape.len()];
    Ok(Samples { shape, pixels, labels })
}

/// A file's header and data.
struct Array<'a> {
    element: &'a str,
    dims: Vec<usize>,
    data: &'a [u8],
}

type Problem = (&'static str, String);

impl<'a> Array<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(("magic", "it is no array of NumPy's".to_owned()))?;
        let short = || ("header", "the file ends in it".to_owned());
        let (&[major, _], rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (length, rest) = match major {
            1 => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
                (usize::from(u16::from_le_bytes(*length)), rest)
            }
            2 | 3 => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
                (u32::from_le_bytes(*length) as usize, rest)
            }
            other => return Err(("version", format!("it is {other}; 1 to 3 are read"))),
        };
        if length > LONGEST_HEADER {
            return Err(("header", format!("it has {length} bytes")));
        }
        let (header, data) = rest.split_at_checked(length).ok_or_else(short)?;
        let header = std::str::from_utf8(header).map_err(|error| ("header", error.to_string()))?;
        let value = |key: &'static str| {
            let after = header.split_once(&format!("'{key}':")).map(|(_, after)| after.trim_start());
            after.ok_or((key, "it is missing".to_owned()))
        };
        if value("fortran_order")?.starts_with("True") {
            return Err(("fortran_order", "columns come first; save numpy.ascontiguousarray(a)".into()));
        }
        let element = value("descr")?.split('\'').nth(1).unwrap_or("");
        let dims = value("shape")?.split(['(', ')']).nth(1).unwrap_or("");
        let sizes = dims.split(',').map(str::trim).filter(|size| !size.is_empty());
        let dims: Option<Vec<usize>> = sizes.map(|size| size.parse().ok()).collect();
        Ok(Self { element, dims: dims.ok_or(("shape", "it is no list of sizes".to_owned()))?, data })
    }

    /// `[n][height][width][channels]` bytes.
    fn pixels(&self, shape: InputShape) -> Result<Vec<u8>, Problem> {
        let InputShape { height, width, channels } = shape;
        let channels_first = match self.dims[..] {
            [_, h, w] if [h, w, 1] == [height, width, channels] => false,
            [_, h, w, c] if [h, w, c] == [height, width, channels] => false,
            [_, c, h, w] if [h, w, c] == [height, width, channels] => true,
            _ => return Err(("shape", format!("it is {:?}, the network reads {shape}", self.dims))),
        };
        let count = self.dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let values: Vec<u8> = match self.element {
            "|u1" => self.data.to_vec(),
            "<f4" => {
                let (floats, _) = self.data.as_chunks::<4>();
                floats.iter().map(|&bytes| pixel(f32::from_le_bytes(bytes))).collect::<Result<_, _>>()?
            }
            other => return Err(("descr", format!("the element type is {other}"))),
        };
        if count != Some(values.len()) || values.is_empty() {
            return Err(("data", format!("{} values for a shape of {:?}", values.len(), self.dims)));
        }
        if !channels_first || channels == 1 {
            return Ok(values);
        }
        let plane = height * width;
        let pictures = values.chunks_exact(shape.len());
        let pixels = pictures.flat_map(|picture| {
            (0..plane).flat_map(move |at| (0..channels).map(move |channel| picture[channel * plane + at]))
        });
        Ok(pixels.collect())
    }
}

/// A float as the pixel that it is a 255th part of.
fn pixel(value: f32) -> Result<u8, Problem> {
    let scaled = value * 255.0;
    let rounded = scaled.round();
    match (0.0..=255.0).contains(&rounded) && (scaled - rounded).abs() <= ROUNDING {
        true => Ok(rounded as u8),
        false => Err(("data", format!("{value} is no pixel / 255"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: InputShape = InputShape { height: 2, width: 1, channels: 3 };

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Samples, DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        read(&path, SHAPE)
    }

    #[test]
    fn both_orders_and_both_types_are_the_same_pictures() {
        let last =
            file("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 1, 3), }", &[1, 2, 3, 4, 5, 6]);
        let first =
            file("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3, 2, 1), }", &[1, 4, 2, 5, 3, 6]);
        let floats: Vec<u8> = (1..=6u8).flat_map(|pixel| (f32::from(pixel) / 255.0).to_le_bytes()).collect();
        let floats = file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1, 3), }", &floats);
        for bytes in [last, first, floats] {
            assert_eq!(read_bytes(&bytes).unwrap().pixels, [1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn what_is_no_array_of_pictures_is_refused_with_its_field() {
        let cases = [
            (b"no array".to_vec(), "magic"),
            (
                file("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 1, 3), }", &[0; 6]),
                "fortran_order",
            ),
            (file("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2, 1, 3), }", &[0; 48]), "descr"),
            (file("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 5, 5), }", &[0; 25]), "shape"),
            (
                file("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 2, 1, 3), }", &[0; 6]),
                "data",
            ),
            (file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1, 3), }", &[0x41; 24]), "data"),
            (file("{'fortran_order': False, 'shape': (1, 2, 1, 3), }", &[0; 6]), "descr"),
        ];
        for (bytes, field) in cases {
            let message = read_bytes(&bytes).unwrap_err().to_string();
            assert!(message.contains(field) && message.contains("numpy.save"), "{message}");
        }
    }
}
