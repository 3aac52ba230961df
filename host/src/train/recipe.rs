//! How a network is trained: everything that, with the data, decides the weights.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::architecture::{NetworkError, NetworkFile};
use crate::dataset::augment::{Augmentation, is_zero};
use crate::dataset::split::{Split, SplitError};
use crate::dataset::{Choice, Dataset};
use crate::task::Task;

/// The step rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Adam (Kingma and Ba, 2014).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2017).
    AdamW,
}

/// How the learning rate runs over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same rate throughout.
    Constant,
    /// Linear warm-up over the first 15 % of the steps, then half a cosine down to zero.
    Cosine,
}

impl Schedule {
    /// Returns the factor on the learning rate at `step` of `steps`.
    pub fn factor(self, step: usize, steps: usize) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let progress = (step as f64 + 0.5) / steps.max(1) as f64;
                const WARM_UP: f64 = 0.15;
                if progress < WARM_UP {
                    progress / WARM_UP
                } else {
                    let rest = (progress - WARM_UP) / (1.0 - WARM_UP);
                    0.5 * (1.0 + (std::f64::consts::PI * rest).cos())
                }
            }
        }
    }
}

/// A training recipe, as written into manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step; a last, smaller batch is used too, on the CPU cut to a multiple of 16.
    pub batch_size: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Fraction of the training part kept for validation.
    pub validation_split: f64,
    /// Seed of the split, the initial weights, the order, the augmentation and the dropout.
    pub seed: u64,
    /// Seed of the split where it is not `seed`: a student's split is its teachers', whatever its own seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// The step rule.
    pub optimizer: OptimizerName,
    /// Decoupled weight decay (AdamW only).
    pub weight_decay: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Decay of the exponential weight average that is validated and saved; 0 = none.
    pub average_decay: f64,
    /// Random changes to the training images.
    pub augmentation: Augmentation,
    /// Share of each target that is spread evenly over all classes (Szegedy et al., 2016), 0..1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// α of the Beta distribution by which pairs of images are mixed (Zhang et al., 2018); 0 = none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mixup: f64,
    /// Exponent of the classes' weights in the loss: (mean count / count) to this power; 0 = all alike.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub class_balance: f64,
    /// Learning from a teacher besides the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
    /// Training on with rounded weights and activations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QuantizationAware>,
}

/// How a teacher's answers enter the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distillation {
    /// Models under `models/` that answer, their probabilities averaged.
    pub teachers: Vec<String>,
    /// Share of the teacher's term, 0..=1.
    pub weight: f64,
    /// Divisor of both sides' logits.
    pub temperature: f64,
    /// What the teachers are asked about.
    #[serde(default, skip_serializing_if = "Asking::is_once")]
    pub asking: Asking,
}

/// What teachers are asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asking {
    /// Every image and its mirror image, once before the training; photographs as with `augmented`, as no change of
    /// one is like another.
    #[default]
    Once,
    /// Every image and its mirror image at each shift of the augmentation, once before the training; nothing is
    /// blackened. Photographs as with `augmented`.
    Shifted,
    /// Every image as the student sees it, changed, in every epoch (Beyer et al., 2022); costs the teachers' forward
    /// pass.
    Augmented,
}

impl Asking {
    /// Whether it is [`Asking::Once`], the default, which files leave out.
    pub fn is_once(&self) -> bool {
        *self == Self::Once
    }

    /// What follows in a description of the distillation: nothing for the default.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Once => "",
            Self::Shifted => ", asked about each shifted image",
            Self::Augmented => ", asked about each augmented image",
        }
    }
}

/// A recipe as a file: which network, and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// The network: its name, or a file's path.
    pub network: String,
    /// The data set it is for; Fashion-MNIST where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Choice>,
    /// What it classifies, where that is settled; the data set's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// How it is trained.
    pub recipe: Recipe,
}

/// Why a recipe cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// There is no such file.
    #[error("{path} cannot be read; this project's recipes are {known}")]
    Missing {
        /// The file.
        path: String,
        /// What the file system said.
        source: std::io::Error,
        /// Names that exist.
        known: String,
    },
    /// The file is no recipe.
    #[error("{path}: not a recipe; models/recipes/nano.json shows the fields")]
    Damaged {
        /// The file.
        path: String,
        /// The field and its place.
        source: serde_json::Error,
    },
}

impl RecipeFile {
    /// Reads `models/recipes/NAME.json`, or the file at a path that ends in `.json`.
    ///
    /// # Errors
    /// [`RecipeError`] with the path and, for a wrong name, the ones that exist.
    pub fn named(name: &str) -> Result<Self, RecipeError> {
        let folder = crate::project_root().join("models/recipes");
        let path = match name.ends_with(".json") {
            true => PathBuf::from(name),
            false => folder.join(format!("{name}.json")),
        };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|source| {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut known: Vec<String> = entries
                .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
                .collect();
            known.sort();
            RecipeError::Missing { path: shown.clone(), source, known: known.join(", ") }
        })?;
        serde_json::from_str(&text).map_err(|source| RecipeError::Damaged { path: shown, source })
    }
}

impl QuantizationAware {
    /// A short phase with 4-bit weights.
    pub const DEFAULT: Self = Self { epochs: 1, learning_rate: 5e-4, weight_bits: 4 };
}

/// The second phase of a training: batch norm folded, weights and activations rounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuantizationAware {
    /// Passes over the training images.
    pub epochs: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Bits of the weights between the first and the last layer: 4 or 8.
    pub weight_bits: u32,
}

impl Recipe {
    /// Splits the training images into those to learn from and those to choose by.
    ///
    /// # Errors
    /// [`SplitError`] where either side would be empty.
    pub fn split(&self, dataset: &Dataset) -> Result<Split, SplitError> {
        dataset.split(self.validation_split, self.split_seed.unwrap_or(self.seed))
    }

    /// Returns the same recipe with its split's seed named.
    pub fn with_split_named(&self) -> Self {
        Self { split_seed: Some(self.split_seed.unwrap_or(self.seed)), ..self.clone() }
    }

    /// Whether both keep the same images for validation.
    pub fn splits_as(&self, other: &Self) -> bool {
        let split = |recipe: Self| (recipe.validation_split, recipe.split_seed);
        split(self.with_split_named()) == split(other.with_split_named())
    }

    /// Returns what a network's file says of its training, else the defaults.
    ///
    /// # Errors
    /// [`NetworkError`] where there is no such network.
    pub fn of_network(network: &str) -> Result<Self, NetworkError> {
        Ok(NetworkFile::named(network)?.recipe.unwrap_or_default())
    }
}

/// What was chosen on validation images for `small`.
impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch_size: 128,
            learning_rate: 4e-3,
            validation_split: 1.0 / 12.0,
            seed: 12_345,
            split_seed: None,
            optimizer: OptimizerName::AdamW,
            weight_decay: 0.02,
            schedule: Schedule::Cosine,
            average_decay: 0.999,
            augmentation: Augmentation { flip: true, ..Augmentation::default() },
            label_smoothing: 0.0,
            mixup: 0.0,
            class_balance: 0.0,
            distillation: None,
            quantization: Some(QuantizationAware::DEFAULT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn the_cosine_warms_up_and_ends_near_zero() {
        let factor = |step| Schedule::Cosine.factor(step, 1_000);
        assert!(factor(0) < 0.01 && factor(149) > 0.99 && factor(999) < 1e-3);
        assert!((0..150).all(|step| factor(step) <= factor(step + 1)));
        assert!((150..999).all(|step| factor(step) >= factor(step + 1)));
    }

    #[test]
    fn a_split_of_its_own_outlives_the_seed() {
        let dataset = drawn::dataset(1, 60, 1);
        let recipe = Recipe::default();
        let other = Recipe { seed: 2, ..recipe.clone() };
        assert!(
            !other.splits_as(&recipe) && other.split(&dataset).unwrap() != recipe.split(&dataset).unwrap()
        );
        let kept = Recipe { split_seed: Some(recipe.seed), ..other };
        assert!(kept.splits_as(&recipe));
        assert_eq!(kept.split(&dataset).unwrap(), recipe.split(&dataset).unwrap());
    }

    #[test]
    fn the_article_keeps_its_own_numbers() {
        let recipe = Recipe::of_network("article").unwrap();
        assert_eq!((recipe.epochs, recipe.batch_size, recipe.seed), (50, 512, 12_345));
        assert_eq!((recipe.learning_rate, recipe.validation_split), (1e-3, 0.2));
    }
}
