//! The table of models that stands in the README.

use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::device::hil;
use crate::evaluate::corrupt::Robustness;
use crate::evaluate::photographs::Photographs;
use crate::model_dir::{Manifest, ModelDir};

/// A model with what is recorded of it.
pub struct Entry {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its last recorded run on a device.
    pub device: Option<hil::Report>,
    /// Its recorded accuracies on corrupted images.
    pub robustness: Option<Robustness>,
    /// Its recorded figures on photographs.
    pub photographs: Option<Photographs>,
}

impl Entry {
    /// Reads all models of a folder that have a manifest, by name.
    ///
    /// # Errors
    /// Where the folder cannot be read or a record is damaged.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        model_dirs(folder)?.iter().map(Self::of).collect()
    }

    /// Reads one model's manifest and records.
    ///
    /// # Errors
    /// Where the manifest is missing or a record is damaged.
    pub fn of(dir: &ModelDir) -> Result<Self> {
        let (device, robustness) = (record(&dir.device_record())?, record(&dir.robustness())?);
        let photographs = record(&dir.photographs())?;
        Ok(Self { manifest: dir.manifest()?, device, robustness, photographs })
    }
}

/// Returns the model folders with a manifest in a folder, by name.
///
/// # Errors
/// Where the folder cannot be read.
pub fn model_dirs(folder: &Path) -> Result<Vec<ModelDir>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths.iter().map(|path| ModelDir::new(path)).filter(|dir| dir.manifest_path().exists()).collect())
}

/// Reads a record where there is one.
///
/// # Errors
/// Where it is damaged, with its path.
pub fn record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Ok(bytes) = std::fs::read(path) else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?))
}

/// Formats what the models' confidences are worth as a Markdown table.
pub fn confidence_markdown(entries: &[Entry]) -> String {
    let mut text = String::from(
        "| model | temperature | ECE with temperature, without | sure answers | right when sure |\n|---|---|---|---|---|\n",
    );
    for Entry { manifest, .. } in entries {
        let Some(calibration) = &manifest.calibration else { continue };
        text += &format!(
            "| `{}` | {:.2} | {:.2} %, {:.2} % | {:.1} % | {:.2} % |\n",
            manifest.name,
            calibration.temperature,
            100.0 * calibration.ece,
            100.0 * calibration.ece_plain,
            100.0 * calibration.coverage,
            100.0 * calibration.answered_accuracy,
        );
    }
    text
}

/// Formats the models as a Markdown table.
pub fn markdown(entries: &[Entry]) -> String {
    let mut text = String::from(
        "| model | data | float | int8 | weights + tables | activations | MACs | instructions on the M4 | images whose chip logits differ |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for Entry { manifest, device, .. } in entries {
        let instructions = device.as_ref().and_then(|report| report.instructions_per_image);
        let equal = device.as_ref().map(|report| format!("{} of {}", report.mismatches, report.images));
        text += &format!(
            "| `{}` | {} | {:.2} % | {:.2} % | {} B | {} B | {:.3}M | {} | {} |\n",
            manifest.name,
            manifest.dataset.name,
            100.0 * manifest.accuracy.float,
            100.0 * manifest.accuracy.int8,
            manifest.weight_bytes,
            manifest.activation_bytes,
            manifest.macs as f64 / 1e6,
            instructions.map_or("–".into(), |count| format!("{:.2}M", count / 1e6)),
            equal.unwrap_or_else(|| "–".into()),
        );
    }
    text
}
