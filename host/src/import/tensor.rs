//! Constants of any type: weights as `f32`, shapes and indices as `i64`.

use std::path::{Component, Path};

use crate::onnx::proto::{ModelProto, TensorProto};

/// Most elements of a constant; a microcontroller holds far fewer.
pub(crate) const MOST_ELEMENTS: usize = 1 << 25;

/// A constant, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Values,
}

/// Its elements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl Tensor {
    /// A list of whole numbers.
    pub(crate) fn ints(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], values: Values::Ints(values) }
    }

    /// Floats of these dimensions.
    pub(crate) fn floats_of(dims: &[usize], values: Vec<f64>) -> Self {
        let values = Values::Floats(values.into_iter().map(|value| value as f32).collect());
        Self { dims: dims.to_vec(), values }
    }

    /// Elements as floats; whole numbers are converted.
    pub(crate) fn floats(&self) -> Vec<f32> {
        match &self.values {
            Values::Floats(values) => values.clone(),
            Values::Ints(values) => values.iter().map(|&value| value as f32).collect(),
        }
    }

    /// Elements, where they are whole numbers.
    pub(crate) fn as_ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Ints(values) => Some(values),
            Values::Floats(_) => None,
        }
    }

    /// The one element, as a float.
    pub(crate) fn scalar(&self) -> Option<f32> {
        match self.floats()[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Picks elements: element `i` of the result is element `map[i]`.
    pub(crate) fn picked(&self, dims: Vec<usize>, map: &[usize]) -> Self {
        let values = match &self.values {
            Values::Floats(values) => Values::Floats(map.iter().map(|&at| values[at]).collect()),
            Values::Ints(values) => Values::Ints(map.iter().map(|&at| values[at]).collect()),
        };
        Self { dims, values }
    }

    /// Decodes a stored tensor.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn read(tensor: &TensorProto) -> Result<Self, String> {
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
        let dims = dims.ok_or_else(|| format!("its dimensions {:?} are negative", tensor.dims))?;
        let count = count(&dims)?;
        if tensor.data_location == Some(1) {
            return Err("its data lie in a file of their own".into());
        }
        let values = decode(tensor, &tensor.raw_data)?;
        let have = match &values {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
        };
        if have != count {
            return Err(format!("it holds {have} values, its dimensions {dims:?} tell of {count}"));
        }
        if let Values::Floats(values) = &values
            && let Some(odd) = values.iter().find(|value| value.is_nan())
        {
            return Err(format!("it holds {odd}, which is no number"));
        }
        Ok(Self { dims, values })
    }
}

/// Product of dimensions.
///
/// # Errors
/// Where it is beyond [`MOST_ELEMENTS`].
pub(crate) fn count(dims: &[usize]) -> Result<usize, String> {
    let count = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match count {
        Some(count) if count <= MOST_ELEMENTS => Ok(count),
        _ => Err(format!("dimensions {dims:?} are beyond {MOST_ELEMENTS} elements")),
    }
}

/// Values of every ONNX type that holds numbers (`TensorProto.DataType`).
fn decode(tensor: &TensorProto, raw: &[u8]) -> Result<Values, String> {
    let words = &tensor.int32_data[..];
    let floats = |width: usize, of: &dyn Fn(&[u8]) -> f32| raw.chunks_exact(width).map(of).collect();
    let ints = |width: usize, of: &dyn Fn(&[u8]) -> i64| -> Values {
        if raw.is_empty() {
            return Values::Ints(words.iter().map(|&word| i64::from(word)).collect());
        }
        Values::Ints(raw.chunks_exact(width).map(of).collect())
    };
    let half = |bits: u16| half(bits);
    let is_raw = !raw.is_empty();
    Ok(match tensor.data_type {
        1 if is_raw => Values::Floats(floats(4, &|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        1 => Values::Floats(tensor.float_data.clone()),
        10 if is_raw => Values::Floats(floats(2, &|b| half(u16::from_le_bytes([b[0], b[1]])))),
        10 => Values::Floats(words.iter().map(|&word| half(word as u16)).collect()),
        11 if is_raw => Values::Floats(floats(8, &|b| f64_of(b) as f32)),
        11 => Values::Floats(tensor.double_data.iter().map(|&value| value as f32).collect()),
        16 if is_raw => Values::Floats(floats(2, &|b| brain(u16::from_le_bytes([b[0], b[1]])))),
        16 => Values::Floats(words.iter().map(|&word| brain(word as u16)).collect()),
        2 | 9 => ints(1, &|b| i64::from(b[0])),
        3 => ints(1, &|b| i64::from(b[0] as i8)),
        4 => ints(2, &|b| i64::from(u16::from_le_bytes([b[0], b[1]]))),
        5 => ints(2, &|b| i64::from(i16::from_le_bytes([b[0], b[1]]))),
        6 => ints(4, &|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        7 if is_raw => ints(8, &|b| i64::from_le_bytes(eight(b))),
        7 => Values::Ints(tensor.int64_data.clone()),
        other => return Err(format!("its element type {other} is none that networks are made of")),
    })
}

fn eight(bytes: &[u8]) -> [u8; 8] {
    std::array::from_fn(|at| bytes[at])
}

fn f64_of(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(eight(bytes))
}

/// bfloat16: the upper half of an f32.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// IEEE 754 binary16, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// Puts constants that lie in files beside the model into it.
///
/// # Errors
/// The constant's name and what is wrong.
pub fn inline(model: &mut ModelProto, folder: &Path) -> Result<(), (String, String)> {
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if tensor.data_location == Some(1) {
            tensor.raw_data =
                external_bytes(tensor, folder).map_err(|problem| (tensor.name.clone(), problem))?;
            tensor.data_location = None;
            tensor.external_data.clear();
        }
    }
    Ok(())
}

/// Reads `location`, `offset` and `length` of external data; the file must lie in the model's own folder.
fn external_bytes(tensor: &TensorProto, folder: &Path) -> Result<Vec<u8>, String> {
    use std::io::{Read, Seek, SeekFrom};
    let entry = |key: &str| {
        tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    };
    let location = entry("location").ok_or("its external data has no location")?;
    let is_inside = Path::new(location).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_inside {
        return Err(format!("its external data {location:?} lies outside the model's folder"));
    }
    let number = |key: &str| match entry(key) {
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("its {key} {text:?} is no number")),
        None => Ok(None),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let path = folder.join(location);
    let missing = |error: std::io::Error| {
        format!("its data in {}: {error}; keep that file beside the model", path.display())
    };
    let mut file = std::fs::File::open(&path).map_err(missing)?;
    file.seek(SeekFrom::Start(offset)).map_err(missing)?;
    let mut bytes = Vec::new();
    let most = length.unwrap_or(8 * MOST_ELEMENTS as u64).min(8 * MOST_ELEMENTS as u64);
    file.take(most).read_to_end(&mut bytes).map_err(missing)?;
    match length {
        Some(length) if bytes.len() as u64 != length => {
            Err(format!("{} ends before byte {}", path.display(), offset.saturating_add(length)))
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data_type: i32, dims: &[i64], raw: &[u8]) -> TensorProto {
        TensorProto { data_type, dims: dims.to_vec(), raw_data: raw.to_vec(), ..TensorProto::default() }
    }

    #[test]
    fn half_floats_are_read_exactly() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (1, 5.960_464_5e-8)] {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert_eq!(brain(0x3f80), 1.0);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(Tensor::read(&tensor(1, &[2], &[0; 4])).unwrap_err().contains("1 values"));
        assert!(Tensor::read(&tensor(1, &[-1], &[0; 4])).unwrap_err().contains("negative"));
        assert!(Tensor::read(&tensor(1, &[1 << 40, 1 << 40], &[])).unwrap_err().contains("beyond"));
        assert!(Tensor::read(&tensor(8, &[1], &[0; 4])).unwrap_err().contains("type 8"));
        let nan = tensor(1, &[1], &f32::NAN.to_le_bytes());
        assert!(Tensor::read(&nan).unwrap_err().contains("no number"));
    }

    #[test]
    fn external_data_stays_in_the_models_folder() {
        use crate::onnx::proto::StringStringEntryProto;
        let mut outside = tensor(1, &[1], &[]);
        outside.data_location = Some(1);
        outside.external_data =
            vec![StringStringEntryProto { key: "location".into(), value: "../weights".into() }];
        let error = external_bytes(&outside, Path::new("/tmp")).unwrap_err();
        assert!(error.contains("outside the model's folder"), "{error}");
    }
}
