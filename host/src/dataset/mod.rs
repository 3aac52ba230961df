//! Labelled 28×28 gray images: reading, recognising, drawing, splitting, augmenting.
//!
//! A [`Samples`] is one part (training or test), a [`Dataset`] both with their identity. The readers
//! ([`idx`], [`table`]) turn files into samples and know nothing of where files lie; [`locate`] knows
//! the folders, [`fetch`] the network, [`drawn`] makes garments out of nothing but a seed.

pub mod augment;
pub mod drawn;
pub mod fetch;
pub mod identity;
pub mod idx;
pub mod locate;
pub mod photo;
pub mod split;
pub mod table;

use std::path::PathBuf;

use shared::{CLASSES, Label, PIXELS};
use thiserror::Error;

pub use locate::{Choice, load};

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
            Self::Io { .. } | Self::Malformed { .. } => 1,
            Self::WrongDataset { .. } | Self::Missing(_) | Self::Checksum { .. } => 3,
        }
    }
}

/// One part of a data set: images and their labels, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Samples {
    /// `[n][28][28]` gray bytes, row-major, 0 = background (black), 255 = brightest.
    pub pixels: Vec<u8>,
    /// `[n]` class numbers, each `0..=9`.
    pub labels: Vec<u8>,
}

impl Samples {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns image `index` as `[28][28]` gray bytes. Panics where `index >= len()`.
    pub fn image(&self, index: usize) -> &[u8; PIXELS] {
        let start = index * PIXELS;
        self.pixels[start..start + PIXELS].try_into().expect("the slice is PIXELS long")
    }

    /// Returns the label of image `index`. Panics where `index >= len()`.
    pub fn label(&self, index: usize) -> Label {
        Label::from_index(self.labels[index].into()).expect("readers admit labels 0..=9 only")
    }

    /// Appends one image.
    pub fn push(&mut self, image: &[u8; PIXELS], label: Label) {
        self.pixels.extend_from_slice(image);
        self.labels.push(label as u8);
    }

    /// Returns the images at `indices`, in that order. Panics on an index out of range.
    pub fn select(&self, indices: &[usize]) -> Samples {
        let mut selected = Samples::default();
        for &index in indices {
            selected.push(self.image(index), self.label(index));
        }
        selected
    }

    /// Returns the first `count` images, or all where there are fewer.
    pub fn take(&self, count: usize) -> Samples {
        let count = count.min(self.len());
        Samples { pixels: self.pixels[..count * PIXELS].to_vec(), labels: self.labels[..count].to_vec() }
    }

    /// Counts the images of each class.
    pub fn class_counts(&self) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
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
    /// The user's own images, unchecked.
    Custom,
}

impl Kind {
    /// Returns the name used on the command line and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Kind::FashionMnist => "fashion-mnist",
            Kind::Drawn => "drawn",
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
    /// The training part.
    pub train: Samples,
    /// The test part.
    pub test: Samples,
    /// sha256 over labels and pixels of both parts in order, hex.
    pub sha256: String,
}

impl Dataset {
    /// Joins two parts and computes their hash.
    pub fn new(kind: Kind, source: String, train: Samples, test: Samples) -> Self {
        let sha256 = identity::content_sha256(&[&train, &test]);
        Self { kind, source, train, test, sha256 }
    }
}
