//! A model's folder: which file is which, and the manifest.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prost::Message;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dataset::identity::sha256_hex;
use crate::evaluate::calibration::{Calibration, Confidence};
use crate::onnx::proto::{self, ModelProto};
use crate::onnx::{float, int8};
use crate::quantize::LayerGrid;
use crate::quantize::network::{FirmwareNetwork, QuantizedNetwork};
use crate::task::Task;
use crate::train::architecture::{LayerSpec, NetworkError};
use crate::train::{Architecture, Recipe};

/// A folder under `models/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDir {
    path: PathBuf,
}

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
}

/// There is no model in a folder.
#[derive(Debug, Error)]
#[error("{}: no model here; this project's models are {known}, and `cargo run -p host -- train` makes one", path.display())]
pub struct NoModel {
    /// The file that is missing.
    pub path: PathBuf,
    /// Names that exist.
    pub known: String,
}

impl NoModel {
    /// Says that `path` is missing.
    pub fn at(path: PathBuf) -> Self {
        let entries = std::fs::read_dir(crate::project_root().join("models")).into_iter().flatten().flatten();
        let is_model = |folder: &PathBuf| folder.join("model.int8.onnx").exists();
        let mut known: Vec<String> = entries
            .map(|entry| entry.path())
            .filter(is_model)
            .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
            .collect();
        known.sort();
        Self { path, known: known.join(", ") }
    }
}

impl ModelDir {
    /// Names a folder; what does not exist here is looked for in the project and among its models.
    ///
    /// So `nano`, `models/nano` and a path to it name the same model.
    pub fn new(path: &Path) -> Self {
        let root = crate::project_root();
        let in_project = [root.join(path), root.join("models").join(path)];
        let is_elsewhere = path.is_relative() && !path.exists();
        let found = in_project.into_iter().find(|folder| is_elsewhere && folder.exists());
        Self { path: found.unwrap_or_else(|| path.into()) }
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder's own name.
    pub fn name(&self) -> String {
        let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        absolute.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
    }

    /// Float ONNX.
    pub fn float_onnx(&self) -> PathBuf {
        self.path.join("model.onnx")
    }

    /// int8 ONNX.
    pub fn int8_onnx(&self) -> PathBuf {
        self.path.join("model.int8.onnx")
    }

    /// burn's own weights.
    pub fn weights(&self) -> PathBuf {
        self.path.join("model.bpk")
    }

    /// The steps that a network was trained with, where it was trained with rounding.
    pub fn grids_path(&self) -> PathBuf {
        self.path.join("grids.json")
    }

    /// Reads the trained steps of every layer; empty where there are none.
    ///
    /// # Errors
    /// Where the file is there but damaged.
    pub fn grids(&self) -> Result<Vec<LayerGrid>> {
        let path = self.grids_path();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text)
            .with_context(|| format!("{}: damaged; train the model again", path.display()))
    }

    /// Writes the trained steps; removes the file where there are none.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write_grids(&self, grids: &[LayerGrid]) -> Result<()> {
        let path = self.grids_path();
        if grids.is_empty() {
            if path.exists() {
                std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
            }
            return Ok(());
        }
        Ok(crate::files::write_whole(&path, (serde_json::to_string(grids)? + "\n").as_bytes())?)
    }

    /// The manifest.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// Result of the last full run on a device, where one was recorded.
    pub fn device_record(&self) -> PathBuf {
        self.path.join("device.json")
    }

    /// Accuracies on corrupted images, where they were recorded.
    pub fn robustness(&self) -> PathBuf {
        self.path.join("robustness.json")
    }

    /// Recorded figures on photographs, of a model of Fashion-MNIST.
    pub fn photographs(&self) -> PathBuf {
        self.path.join("photographs.json")
    }

    /// The card for people.
    pub fn card(&self) -> PathBuf {
        self.path.join("README.md")
    }

    /// Training curves as a picture.
    pub fn curves(&self) -> PathBuf {
        self.path.join("curves.svg")
    }

    /// Training curves as numbers.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.csv")
    }

    /// State for `--resume`.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.bin")
    }

    /// State for `--resume` of the phase with rounding.
    pub fn rounding_checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.rounding.bin")
    }

    /// Reads the manifest.
    ///
    /// # Errors
    /// With the path and the remedy.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.manifest_path();
        if !path.exists() {
            return Err(NoModel::at(path).into());
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text)
            .with_context(|| format!("{}: damaged; train the model again", path.display()))
    }

    /// Writes the manifest, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_string_pretty(manifest)? + "\n";
        Ok(crate::files::write_whole(&self.manifest_path(), text.as_bytes())?)
    }

    /// Reads the float ONNX file, where the model has one.
    ///
    /// # Errors
    /// Where the file is there but damaged.
    pub fn read_float(&self) -> Result<Option<ModelProto>> {
        let path = self.float_onnx();
        if !path.exists() {
            return Ok(None);
        }
        let (model, file) = (proto::read(&path)?, path.display().to_string());
        // Unsupported graphs are refused here rather than by an engine in its own words.
        let layers = float::layers(&model, &file)?;
        float::task(&model, &layers, &file)?;
        Ok(Some(model))
    }

    /// Reads the int8 ONNX file: the protobuf and the network it holds.
    ///
    /// # Errors
    /// Where the file is missing, damaged or no int8 network.
    pub fn read_int8(&self) -> Result<(ModelProto, QuantizedNetwork)> {
        let path = self.int8_onnx();
        if !path.exists() {
            return Err(NoModel::at(path).into());
        }
        let model = proto::read(&path)?;
        let network = int8::read(&model, &path.display().to_string())?;
        Ok((model, network))
    }

    /// Reads the int8 ONNX file as the firmware's network.
    ///
    /// # Errors
    /// As [`ModelDir::read_int8`], or where the tables do not fit.
    pub fn read_firmware(&self) -> Result<FirmwareNetwork> {
        let network = self.read_int8()?.1.to_firmware();
        network.with_context(|| format!("{}", self.int8_onnx().display()))
    }

    /// Returns what the model classifies, as its int8 ONNX file says.
    ///
    /// # Errors
    /// As [`ModelDir::read_int8`].
    pub fn task(&self) -> Result<Task> {
        Ok(self.read_int8()?.1.task)
    }

    /// Returns what the firmware's confidences are scaled with: the manifest's, or nothing special.
    ///
    /// # Errors
    /// Where there is a manifest but it is damaged.
    pub fn confidence(&self) -> Result<Confidence> {
        if !self.manifest_path().exists() {
            return Ok(Confidence::default());
        }
        let calibration = self.manifest()?.calibration;
        Ok(calibration.map_or_else(Confidence::default, |calibration| calibration.confidence()))
    }

    /// Returns the first eight bytes of the int8 file's sha256.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn network_hash(&self) -> Result<[u8; 8]> {
        let path = self.int8_onnx();
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(short_hash(&bytes))
    }
}

/// First eight bytes of a sha256.
fn short_hash(bytes: &[u8]) -> [u8; 8] {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    std::array::from_fn(|index| digest[index])
}

/// Serializes a model and returns it with its sha256.
pub fn encode(model: &ModelProto) -> (Vec<u8>, String) {
    let bytes = model.encode_to_vec();
    let sha256 = sha256_hex(&bytes);
    (bytes, sha256)
}
