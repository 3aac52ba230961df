//! A model's folder: which file is which, and the manifest.

mod manifest;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use prost::Message;
use thiserror::Error;

use crate::dataset::identity::sha256_hex;
use crate::evaluate::calibration::Confidence;
use crate::import::record::Record;
use crate::onnx::proto::{self, ModelProto};
use crate::onnx::{float, int8};
use crate::quantize::LayerGrid;
use crate::quantize::network::{FirmwareNetwork, QuantizedNetwork};
use crate::task::{Task, visible};

pub use manifest::{Accuracies, Confusion, DatasetEntry, Manifest, TeacherAccuracies};

/// A folder under `models/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDir {
    path: PathBuf,
}

/// A file whose sha256 is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// `model.onnx`.
    Float,
    /// `model.int8.onnx`.
    Int8,
    /// burn's own weights.
    Weights,
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
        absolute.file_name().map_or_else(|| "model".into(), |name| visible(&name.to_string_lossy()))
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

    /// What is kept of an import.
    pub fn import_record(&self) -> PathBuf {
        self.path.join("import.json")
    }

    /// Locked while a training writes into the folder.
    pub fn lock(&self) -> PathBuf {
        self.path.join("checkpoint.lock")
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
        Manifest::read(&path)
    }

    /// Writes the manifest, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        manifest.write(&self.manifest_path())
    }

    /// Writes the manifest's checksum again, and that of burn's weights where they are kept; for edited manifests.
    ///
    /// # Errors
    /// Where there is no manifest, or it is none but for its checksum.
    pub fn write_checksums(&self) -> Result<()> {
        let mut manifest = Manifest::read_edited(&self.manifest_path())?;
        if let Ok(bytes) = std::fs::read(self.weights()) {
            manifest.weights_sha256 = Some(sha256_hex(&bytes));
        }
        self.write_manifest(&manifest)
    }

    /// Removes the manifest: while a model's files are made again it has none.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn remove_manifest(&self) -> Result<()> {
        let path = self.manifest_path();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| path.display().to_string())
            }
            _ => Ok(()),
        }
    }

    /// Compares a file with the sha256 that the manifest, or the record of an import, has of it.
    ///
    /// # Errors
    /// With both, and the remedy.
    pub fn check(&self, file: Kept) -> Result<()> {
        let Some((recorded, command)) = self.recorded(file)? else { return Ok(()) };
        let path = match file {
            Kept::Float => self.float_onnx(),
            Kept::Int8 => self.int8_onnx(),
            Kept::Weights => self.weights(),
        };
        let have = sha256_hex(&std::fs::read(&path).with_context(|| path.display().to_string())?);
        if have != recorded {
            bail!(
                "{}: damaged, or of another model: its sha256 is {have}, the recorded one {recorded}; restore it, or \
                 make the model again with `{command}`",
                path.display(),
            );
        }
        Ok(())
    }

    /// The sha256 recorded of a file, and the command that makes the model again.
    fn recorded(&self, file: Kept) -> Result<Option<(String, String)>> {
        if self.manifest_path().exists() {
            let manifest = self.manifest()?;
            let sha256 = match file {
                Kept::Float => Some(manifest.onnx_sha256),
                Kept::Int8 => Some(manifest.int8_sha256),
                Kept::Weights => manifest.weights_sha256,
            };
            return Ok(sha256.map(|sha256| (sha256, manifest.command)));
        }
        let Some(record) = Record::of(self)? else { return Ok(None) };
        let sha256 = match file {
            Kept::Float => record.onnx_sha256,
            Kept::Int8 => Some(record.int8_sha256),
            Kept::Weights => None,
        };
        Ok(sha256.map(|sha256| (sha256, record.command)))
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
        self.check(Kept::Float)?;
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
        self.check(Kept::Int8)?;
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
