//! The manifest: what a model is, where it came from and how good it is.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::dataset::identity::sha256_hex;
use crate::evaluate::calibration::Calibration;
use crate::task::Task;
use crate::train::architecture::{LayerSpec, NetworkError};
use crate::train::{Architecture, Recipe};

/// Key of the manifest that holds the sha256 of all others.
const CHECKSUM: &str = "checksum";

/// What a model is, where it came from and how good it is. Keys keep their names and meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model: its folder's.
    pub name: String,
    /// Name of the network.
    pub network: String,
    /// Layers of the network.
    pub layers: Vec<LayerSpec>,
    /// What it classifies.
    pub task: Task,
    /// What it was trained on.
    pub dataset: DatasetEntry,
    /// Seed of everything random.
    pub seed: u64,
    /// The command that rebuilds it.
    pub command: String,
    /// How it was trained.
    pub recipe: Recipe,
    /// Epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Training images used for the activation ranges.
    pub calibration_images: usize,
    /// Fractions of images classified correctly.
    pub accuracy: Accuracies,
    /// Mean of the classes' F1 on the test images, int8, 0..=1; none for models made before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// How good its teachers are together, where it had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teachers: Option<TeacherAccuracies>,
    /// How confidences are scaled and what they are worth; none for models made before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The most frequent confusions among the test images, int8, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusions: Vec<Confusion>,
    /// Weights, biases and requantization tables as the firmware stores them.
    pub weight_bytes: usize,
    /// Bytes of the activation arena.
    pub activation_bytes: usize,
    /// Multiply-accumulates of one inference.
    pub macs: usize,
    /// sha256 of `model.onnx`.
    pub onnx_sha256: String,
    /// sha256 of `model.int8.onnx`; its first eight bytes are the network hash in the firmware.
    pub int8_sha256: String,
    /// sha256 of `model.bpk`, burn's weights; none for models made before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
}

/// Which data set a model learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// `fashion-mnist`, `drawn`, `photos`, or the name of the user's folder.
    pub name: String,
    /// sha256 over labels and pixels of both parts, in order.
    pub sha256: String,
}

/// Images of one class taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Class of the images.
    pub label: usize,
    /// What they are taken for.
    pub predicted: usize,
    /// How many.
    pub images: usize,
}

/// Accuracies, 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accuracies {
    /// Float network on the test images.
    pub float: f64,
    /// Integer engine on the test images.
    pub int8: f64,
    /// The network as trained (with rounding, where it was trained so) on the validation images.
    pub validation: f64,
}

/// Accuracies of a model's teachers, their probabilities averaged over images and mirror images, 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TeacherAccuracies {
    /// On the validation images, by which teachers were chosen.
    pub validation: f64,
    /// On the test images.
    pub test: f64,
}

impl Manifest {
    /// Returns the network with its task.
    ///
    /// # Errors
    /// [`NetworkError`] where the layers do not fit the task.
    pub fn architecture(&self) -> Result<Architecture, NetworkError> {
        Architecture::new(self.network.clone(), self.layers.clone(), self.task.clone())
    }

    /// Reads a manifest and compares it with its checksum; manifests of before have none.
    ///
    /// # Errors
    /// With the path and the remedy.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let damaged = || format!("{}: damaged; train the model again", path.display());
        let manifest = serde_json::from_str(&text).with_context(damaged)?;
        let mut document: serde_json::Value = serde_json::from_str(&text).with_context(damaged)?;
        let recorded = document.as_object_mut().and_then(|keys| keys.remove(CHECKSUM));
        if let Some(recorded) = recorded
            && recorded != checksum(&document)
        {
            bail!(
                "{}: its checksum is wrong: the file is damaged, or was edited; restore it, or where the edit is \
                 meant write checksums again with `host models --checksums`",
                path.display()
            );
        }
        Ok(manifest)
    }

    /// Reads a manifest whatever its checksum.
    ///
    /// # Errors
    /// Where it is no manifest.
    pub fn read_edited(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes the manifest with its checksum, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        // Of the text as it is read, so that no number is rounded between.
        let sum = checksum(&serde_json::from_str(&text)?);
        // Behind the last key, a string, so that the others stand in the order of the fields.
        let keys = text.strip_suffix("\n}").unwrap_or(&text);
        let text = format!("{keys},\n  \"{CHECKSUM}\": {sum}\n}}\n");
        Ok(crate::files::write_whole(path, text.as_bytes())?)
    }
}

/// sha256 of a document as JSON without spaces and with sorted keys, as serde_json keeps them.
fn checksum(document: &serde_json::Value) -> serde_json::Value {
    sha256_hex(document.to_string().as_bytes()).into()
}
