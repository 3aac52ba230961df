//! What is kept of an import beside the model: `import.json`.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::model_dir::ModelDir;

/// What `import.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The command that imports it again.
    pub command: String,
    /// Name of the file.
    pub file: String,
    /// Its sha256, hex.
    pub sha256: String,
    /// What was folded, dropped or added.
    pub remarks: Vec<String>,
    /// Name of the data that calibrated and judged it.
    pub dataset: String,
    /// sha256 of that data.
    pub data_sha256: String,
    /// Pictures that calibrated it; 0 of a file that was quantized already.
    pub calibration_images: usize,
    /// Share of right answers of the file and of the integer engine on the test part, where its classes are the
    /// model's.
    pub accuracy: Option<[f64; 2]>,
    /// Share of test pictures that both answer alike.
    pub agreement: f64,
    /// sha256 of `model.onnx`; none of a file that was quantized already.
    pub onnx_sha256: Option<String>,
    /// sha256 of `model.int8.onnx`.
    pub int8_sha256: String,
}

impl Record {
    /// Reads the record of a model that was imported; `None` where there is none.
    ///
    /// # Errors
    /// Where it is damaged, with its path.
    pub fn of(dir: &ModelDir) -> Result<Option<Self>> {
        let path = dir.import_record();
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let record = serde_json::from_str(&text).with_context(|| {
            format!("{}: damaged, or of another version; import the file again", path.display())
        });
        record.map(Some)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write(&self, dir: &ModelDir) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(crate::files::write_whole(&dir.import_record(), text.as_bytes())?)
    }
}
