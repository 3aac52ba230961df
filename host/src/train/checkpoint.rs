//! One file that holds everything a training needs to go on exactly where it stopped.
//!
//! Layout: the magic `FMCKPT2\n`, the header's length (u32, little endian), the header's sha256 in 64 hexadecimal
//! digits, a JSON header with the state and each section's length and sha256, then the sections. It is written whole
//! or not at all.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::architecture::Architecture;
use super::history::EpochRecord;
use super::recipe::Recipe;
use crate::dataset::identity::sha256_hex;

const MAGIC: &[u8; 8] = b"FMCKPT2\n";

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Not readable or not writable.
    #[error("checkpoint {0}")]
    Io(std::io::Error),
    /// Readable but damaged.
    #[error("{path}: {field}: {problem}; train again without --resume")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The part that is wrong.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Whole, but of another training.
    #[error(
        "{path}: was made with another {what}; repeat the first command's options or train without --resume"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// `network`, `recipe` or `data set`.
        what: &'static str,
    },
}

/// Everything but the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The network and its task.
    pub architecture: Architecture,
    /// The recipe; `epochs` may be raised on resuming.
    pub recipe: Recipe,
    /// The data set's hash.
    pub dataset_sha256: String,
    /// Epoch to go on with, from 0.
    pub epoch: usize,
    /// Step within that epoch to go on with, from 0.
    pub step: usize,
    /// Sum of the losses of this epoch's images so far.
    pub loss_sum: f64,
    /// Correctly classified images of this epoch so far.
    pub correct: usize,
    /// Images of this epoch so far.
    pub seen: usize,
    /// Seconds spent on this epoch so far.
    pub seconds: f64,
    /// Finished epochs.
    pub history: Vec<EpochRecord>,
}

/// State and tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Everything but the tensors.
    pub state: State,
    /// burnpack record of the network being trained.
    pub model: Vec<u8>,
    /// burnpack record of the optimizer.
    pub optimizer: Vec<u8>,
    /// Averaged weights, f32 little endian; empty without averaging.
    pub average: Vec<u8>,
    /// Weights of the best epoch so far, f32 little endian; empty before the first ended.
    pub best: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    state: State,
    sections: Vec<Section>,
}

#[derive(Serialize, Deserialize)]
struct Section {
    name: String,
    bytes: usize,
    sha256: String,
}

const SECTION_NAMES: [&str; 4] = ["model", "optimizer", "average", "best"];

impl Checkpoint {
    /// Writes the checkpoint whole or not at all.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] with the path.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let contents = [&self.model, &self.optimizer, &self.average, &self.best];
        let sections = SECTION_NAMES.iter().zip(contents).map(|(name, bytes)| Section {
            name: (*name).into(),
            bytes: bytes.len(),
            sha256: sha256_hex(bytes),
        });
        let header = Header { state: self.state.clone(), sections: sections.collect() };
        let header = serde_json::to_vec(&header).map_err(|error| CheckpointError::Io(error.into()))?;
        let (length, sum) = ((header.len() as u32).to_le_bytes(), sha256_hex(&header));
        let mut file = [&MAGIC[..], &length, sum.as_bytes(), &header].concat();
        contents.iter().for_each(|bytes| file.extend_from_slice(bytes));
        crate::files::write_whole(path, &file).map_err(CheckpointError::Io)
    }

    /// Reads a checkpoint and checks every section's hash.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] or [`CheckpointError::Damaged`].
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let named = |error: std::io::Error| {
            CheckpointError::Io(std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        let bytes = std::fs::read(path).map_err(named)?;
        let damaged = |field: &str, problem: String| CheckpointError::Damaged {
            path: path.into(),
            field: field.into(),
            problem,
        };
        let after_magic = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| damaged("magic number", "this is no checkpoint of this program".into()))?;
        let cut_off = || damaged("header", "the file is cut off".into());
        let (length, rest) = after_magic.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (sum, rest) = rest.split_first_chunk::<64>().ok_or_else(cut_off)?;
        let (header, mut rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        if sha256_hex(header).as_bytes() != sum {
            return Err(damaged("header", "the checksum is wrong".into()));
        }
        let header: Header =
            serde_json::from_slice(header).map_err(|error| damaged("header", error.to_string()))?;
        let mut take = |name: &str| -> Result<Vec<u8>, CheckpointError> {
            let section = header.sections.iter().find(|section| section.name == name);
            let section = section.ok_or_else(|| damaged(name, "the section is missing".into()))?;
            let (own, after) = rest
                .split_at_checked(section.bytes)
                .ok_or_else(|| damaged(name, "the file is cut off".into()))?;
            if sha256_hex(own) != section.sha256 {
                return Err(damaged(name, "the checksum is wrong".into()));
            }
            rest = after;
            Ok(own.to_vec())
        };
        let [model, optimizer, average, best] = SECTION_NAMES.map(&mut take);
        let [model, optimizer, average, best] = [model?, optimizer?, average?, best?];
        if !rest.is_empty() {
            return Err(damaged("sections", format!("{} bytes too many", rest.len())));
        }
        Ok(Self { model, optimizer, average, best, state: header.state })
    }

    /// Checks that this checkpoint belongs to the training asked for; only `epochs` may differ.
    ///
    /// # Errors
    /// [`CheckpointError::Other`].
    pub fn check(
        &self,
        path: &Path,
        architecture: &Architecture,
        recipe: &Recipe,
        sha256: &str,
    ) -> Result<(), CheckpointError> {
        let other = |what| Err(CheckpointError::Other { path: path.into(), what });
        if self.state.architecture != *architecture {
            return other("network");
        }
        if self.state.dataset_sha256 != sha256 {
            return other("data set");
        }
        // A split by the seed and one by the same seed named are one split.
        let (same_split, recipe) = (self.state.recipe.with_split_named(), &recipe.with_split_named());
        let same_length = Recipe { epochs: recipe.epochs, ..same_split };
        let length_matters = recipe.schedule != super::recipe::Schedule::Constant;
        if same_length != *recipe || (length_matters && self.state.recipe.epochs != recipe.epochs) {
            return other("recipe");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    fn architecture(name: &str) -> Architecture {
        Architecture::named(name, Task::fashion_mnist()).unwrap()
    }

    fn example() -> Checkpoint {
        let state = State {
            architecture: architecture("article"),
            recipe: Recipe::of_network("article").unwrap(),
            dataset_sha256: "ab".into(),
            epoch: 2,
            step: 7,
            loss_sum: 0.1,
            correct: 3,
            seen: 4,
            seconds: 1.5,
            history: vec![],
        };
        Checkpoint { state, model: vec![1; 9], optimizer: vec![2; 5], average: vec![], best: vec![3; 4] }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        example().save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), example());
    }

    #[test]
    fn every_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.bin");
        example().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let last = whole.len() - 1;
        let mut flipped = whole.clone();
        flipped[last] ^= 1;
        let mut other_header = whole.clone();
        other_header[100] ^= 1;
        let cases = [
            (other_header, "header: the checksum is wrong"),
            ([&whole[..], &[0]].concat(), "sections: 1 bytes too many"),
            (b"nonsense".to_vec(), "magic number"),
            (whole[..10].to_vec(), "header"),
            (whole[..last].to_vec(), "best: the file is cut off"),
            (flipped, "best: the checksum is wrong"),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            let message = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("checkpoint.bin"), "{message}");
        }
    }

    #[test]
    fn another_training_is_refused_but_more_epochs_are_not() {
        let checkpoint = example();
        let path = Path::new("checkpoint.bin");
        let (article, small) = (architecture("article"), architecture("small"));
        let mut recipe = Recipe::of_network("article").unwrap();
        recipe.epochs = 60;
        assert!(checkpoint.check(path, &article, &recipe, "ab").is_ok());
        assert!(checkpoint.check(path, &article, &recipe, "cd").is_err());
        assert!(checkpoint.check(path, &small, &recipe, "ab").is_err());
        recipe.seed += 1;
        let message = checkpoint.check(path, &article, &recipe, "ab").unwrap_err().to_string();
        assert!(message.contains("another recipe"), "{message}");
    }
}
