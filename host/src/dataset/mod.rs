//! Labelled images of one shape: reading, recognising, drawing, splitting, augmenting.
//!
//! A [`Samples`] is one part (training or test), a [`Dataset`] both with their identity. The readers
//! ([`idx`], [`table`], [`pictures`]) turn files into samples and know nothing of where files lie; [`locate`] knows
//! the folders, [`fetch`] and [`fetch_photos`] the network, [`drawn`] makes garments out of nothing but a seed.

pub mod augment;
pub mod cache;
pub mod drawn;
pub mod fetch;
pub mod fetch_photos;
pub mod folders;
pub mod identity;
pub mod idx;
pub mod locate;
pub mod npy;
pub mod photo;
pub mod pictures;
pub mod ppm;
pub mod split;
pub mod strangers;
pub mod table;

use std::path::PathBuf;

use shared::input::InputShape;
use thiserror::Error;

pub use locate::{Choice, load};

use crate::task::{Task, TaskError};
use split::{Split, SplitError};

/// What can be wrong with a data set, with the file and the remedy in the message.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A file could not be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read but does not hold what its format promises.
    #[error("{path}: {field}: {problem}; {remedy}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The header field, row or column that is wrong.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The files are readable but are not the data set they are named after.
    #[error("{path}: {problem}; {remedy}")]
    WrongDataset {
        /// The folder or file.
        path: PathBuf,
        /// Which data set it seems to be.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The classes or the input are none that a network can have.
    #[error("{path}: {source}")]
    Task {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        source: TaskError,
    },
    /// No data was found and none could be downloaded.
    #[error("{0}")]
    Missing(String),
    /// A downloaded file's checksum is wrong.
    #[error("{file}: sha256 is {found}, expected {expected}; delete it and run `host data fetch` again")]
    Checksum {
        /// The file's name.
        file: String,
        /// The sum of what came.
        found: String,
        /// The published sum.
        expected: String,
    },
}

impl DatasetError {
    /// Exit code for this error: 3 for data that is missing or not itself, 1 for a damaged file.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Malformed { .. } | Self::Task { .. } => 1,
            Self::WrongDataset { .. } | Self::Missing(_) | Self::Checksum { .. } => 3,
        }
    }
}

/// One part of a data set: images and their labels, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Shape of every image.
    pub shape: InputShape,
    /// `[n][height][width][channels]` bytes, row-major, 0 = black, 255 = brightest.
    pub pixels: Vec<u8>,
    /// `[n]` class numbers.
    pub labels: Vec<u8>,
}

impl Samples {
    /// Makes a part without images.
    pub fn empty(shape: InputShape) -> Self {
        Self { shape, pixels: Vec::new(), labels: Vec::new() }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns image `index` as `[height][width][channels]` bytes. Panics where `index >= len()`.
    pub fn image(&self, index: usize) -> &[u8] {
        let start = index * self.shape.len();
        &self.pixels[start..start + self.shape.len()]
    }

    /// Iterates over all images in order.
    pub fn images(&self) -> std::slice::ChunksExact<'_, u8> {
        self.pixels.chunks_exact(self.shape.len())
    }

    /// Returns the class of image `index`. Panics where `index >= len()`.
    pub fn label(&self, index: usize) -> usize {
        self.labels[index].into()
    }

    /// Appends one image. Panics where it has another length than the shape asks for.
    pub fn push(&mut self, image: &[u8], label: u8) {
        assert_eq!(image.len(), self.shape.len(), "an image of another shape");
        self.pixels.extend_from_slice(image);
        self.labels.push(label);
    }

    /// Returns the images at `indices`, in that order. Panics on an index out of range.
    pub fn select(&self, indices: &[usize]) -> Samples {
        let mut selected = Samples::empty(self.shape);
        for &index in indices {
            selected.push(self.image(index), self.labels[index]);
        }
        selected
    }

    /// Returns the first `count` images, or all where there are fewer.
    pub fn take(&self, count: usize) -> Samples {
        let count = count.min(self.len());
        Samples {
            shape: self.shape,
            pixels: self.pixels[..count * self.shape.len()].to_vec(),
            labels: self.labels[..count].to_vec(),
        }
    }

    /// Counts the images of each of `classes` classes.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// Returns mean and standard deviation of all pixels, in 0..=255.
    pub fn pixel_statistics(&self) -> (f64, f64) {
        let count = self.pixels.len().max(1) as f64;
        let mean = self.pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / count;
        let variance = self.pixels.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }
}

/// Which data set this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The official Fashion-MNIST, proved by its content.
    FashionMnist,
    /// Garments drawn by [`drawn`] from a seed; never to be reported as Fashion-MNIST.
    Drawn,
    /// The garment photographs: clothing-dataset-small.
    Photos,
    /// The user's own images, unchecked.
    Custom,
}

impl Kind {
    /// Returns the name used on the command line and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Kind::FashionMnist => "fashion-mnist",
            Kind::Drawn => "drawn",
            Kind::Photos => "photos",
            Kind::Custom => "custom",
        }
    }
}

/// Training and test part with their identity.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it is.
    pub kind: Kind,
    /// Where it came from, for people: a path, or the drawing seed.
    pub source: String,
    /// Shape of the images, names of the classes, and how a frame becomes such an image.
    pub task: Task,
    /// The training part, validation images among them.
    pub train: Samples,
    /// The training part a quarter larger, to cut changed images out of; for photographs that are trained on.
    pub large: Option<Samples>,
    /// The test part.
    pub test: Samples,
    /// Which images of the training part are the validation images, where the data says so itself.
    pub validation: Option<std::ops::Range<usize>>,
    /// Files of the test images, in their order; empty where images have none of their own.
    pub test_files: Vec<PathBuf>,
    /// sha256 over labels and pixels of both parts in order, hex.
    pub sha256: String,
}

impl Dataset {
    /// Joins two parts and computes their hash.
    pub fn new(kind: Kind, source: String, task: Task, train: Samples, test: Samples) -> Self {
        let sha256 = identity::content_sha256(&[&train, &test]);
        Self {
            kind,
            source,
            task,
            train,
            large: None,
            test,
            validation: None,
            test_files: Vec::new(),
            sha256,
        }
    }

    /// Name for manifests and reports: the kind's, or the folder's own of a user's data.
    pub fn name(&self) -> String {
        let folder = std::path::absolute(&self.source).ok();
        let folder =
            folder.as_deref().and_then(std::path::Path::file_name).map(|name| name.to_string_lossy());
        match (self.kind, folder) {
            (Kind::Custom, Some(name)) => name.into_owned(),
            _ => self.kind.name().into(),
        }
    }

    /// Splits the training part: as the data says, else `fraction` of it by `seed` for validation.
    ///
    /// # Errors
    /// [`SplitError`] where either side would be empty.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<Split, SplitError> {
        match &self.validation {
            Some(range) => Ok(Split {
                train: (0..self.train.len()).filter(|index| !range.contains(index)).collect(),
                validation: range.clone().collect(),
            }),
            None => split::split(self.train.len(), fraction, seed),
        }
    }
}
