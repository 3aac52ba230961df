//! Kaggle's CSV form: header `label,pixel1,…,pixelN`, one square gray image a row.

use std::fs::File;
use std::path::Path;

use shared::MAX_CLASSES;
use shared::input::InputShape;

use super::{DatasetError, Samples};

const REMEDY: &str = "expected label 0..=99, then pixel1 to pixelN in 0..=255 with N a square, such as 784 in Kaggle's fashion-mnist_*.csv";

/// Reads a CSV file; rows stay in file order, which is not the order of the IDX files.
///
/// # Errors
/// [`DatasetError::Io`] where the file cannot be read; [`DatasetError::Malformed`] with line and
/// column where the header, the number of columns or a value is wrong, or no row follows.
pub fn read(path: &Path) -> Result<Samples, DatasetError> {
    let file = File::open(path).map_err(|source| DatasetError::Io { path: path.into(), source })?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut record = csv::ByteRecord::new();
    let malformed = |field: String, problem: String| DatasetError::Malformed {
        path: path.into(),
        field,
        problem,
        remedy: REMEDY,
    };
    let mut next = |record: &mut csv::ByteRecord| {
        reader.read_byte_record(record).map_err(|error| malformed("row".into(), error.to_string()))
    };
    if !next(&mut record)? {
        return Err(malformed("header".into(), "the file is empty".into()));
    }
    let shape = check_header(&record).map_err(|problem| malformed("header".into(), problem))?;
    let mut samples = Samples::empty(shape);
    let mut line = 1;
    while next(&mut record)? {
        line += 1;
        if record.len() != 1 + shape.len() {
            let problem = format!("{} columns instead of {}", record.len(), 1 + shape.len());
            return Err(malformed(format!("line {line}"), problem));
        }
        for (column, cell) in record.iter().enumerate() {
            let highest = if column == 0 { MAX_CLASSES - 1 } else { 255 };
            let value = parse_cell(cell, highest).ok_or_else(|| {
                let name = if column == 0 { "label".into() } else { format!("pixel{column}") };
                let shown = String::from_utf8_lossy(cell);
                malformed(format!("line {line}, {name}"), format!("`{shown}` is not in 0..={highest}"))
            })?;
            if column == 0 { samples.labels.push(value) } else { samples.pixels.push(value) }
        }
    }
    if samples.is_empty() {
        return Err(malformed("rows".into(), "none after the header".into()));
    }
    Ok(samples)
}

/// Writes samples as CSV with the header, the same form that [`read`] takes.
pub fn write(samples: &Samples, path: &Path) -> Result<(), DatasetError> {
    let mut text = String::from("label");
    for pixel in 1..=samples.shape.len() {
        text += &format!(",pixel{pixel}");
    }
    text.push('\n');
    for index in 0..samples.len() {
        text += &samples.labels[index].to_string();
        for value in samples.image(index) {
            text.push(',');
            text += &value.to_string();
        }
        text.push('\n');
    }
    crate::files::write_whole(path, text.as_bytes())
        .map_err(|source| DatasetError::Io { path: path.into(), source })
}

/// Checks the names of the columns and returns the shape of the images.
fn check_header(record: &csv::ByteRecord) -> Result<InputShape, String> {
    let side = record.len().saturating_sub(1).isqrt();
    let shape = InputShape::new(side, side, 1).filter(|shape| 1 + shape.len() == record.len());
    let shape = shape.ok_or_else(|| format!("{} columns, which is no label and a square", record.len()))?;
    for (column, cell) in record.iter().enumerate() {
        let expected = if column == 0 { "label".to_owned() } else { format!("pixel{column}") };
        if cell != expected.as_bytes() {
            let shown = String::from_utf8_lossy(cell);
            return Err(format!("column {} is `{shown}`, expected `{expected}`", column + 1));
        }
    }
    Ok(shape)
}

fn parse_cell(cell: &[u8], highest: usize) -> Option<u8> {
    let value: u8 = std::str::from_utf8(cell).ok()?.trim().parse().ok()?;
    (usize::from(value) <= highest).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shared::fashion_mnist::{Label, PIXELS, SHAPE};

    use super::*;

    fn text_of_two() -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.csv");
        let mut samples = Samples::empty(SHAPE);
        samples.push(&[9; PIXELS], Label::Trouser as u8);
        samples.push(&[255; PIXELS], Label::Bag as u8);
        write(&samples, &path).unwrap();
        assert_eq!(read(&path).unwrap(), samples);
        fs::read_to_string(&path).unwrap()
    }

    fn message_for(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.csv");
        fs::write(&path, text).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("bad.csv"), "{message}");
        message
    }

    #[test]
    fn short_row_letter_and_256_are_named_with_their_line() {
        let text = text_of_two();
        let short = text.trim_end().rsplit_once(',').unwrap().0;
        assert!(message_for(short).contains("line 3: 784 columns"));
        let lines: Vec<&str> = text.lines().collect();
        let letter = [lines[0], &lines[1].replacen(",9,", ",x,", 1)].join("\n");
        assert!(message_for(&letter).contains("line 2, pixel1: `x`"));
        let too_big = [lines[0], lines[1], &lines[2].replacen(",255", ",256", 1)].join("\n");
        assert!(message_for(&too_big).contains("line 3, pixel1: `256`"));
        let label = [lines[0], &lines[1].replacen("1,", "120,", 1)].join("\n");
        assert!(message_for(&label).contains("line 2, label: `120`"));
    }

    #[test]
    fn empty_file_missing_header_and_no_rows_are_told_apart() {
        let text = text_of_two();
        assert!(message_for("").contains("the file is empty"));
        assert!(message_for(text.lines().next().unwrap()).contains("none after the header"));
        assert!(message_for(text.split_once('\n').unwrap().1).contains("column 1 is `1`"));
    }
}
