//! What teachers say of the training images: computed once, kept as files, read by the student's loss.

use std::path::{Path, PathBuf};

use shared::CLASSES;
use thiserror::Error;

use super::run::{has_lanes, lane_logits};
use super::{NetName, TrainedNet};
use crate::dataset::Dataset;
use crate::dataset::identity::sha256_hex;

/// A trained network that teaches.
#[derive(Debug, Clone)]
pub struct Teacher {
    /// Which network.
    pub network: NetName,
    /// burn's weights of it.
    pub weights: PathBuf,
}

/// Why a teacher cannot be asked.
#[derive(Debug, Error)]
pub enum TeacherError {
    /// The weights are missing or another network's.
    #[error("teacher: {0}")]
    Weights(String),
    /// Its answers cannot be kept.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Logits of every training image, in the data set's order.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftLabels {
    /// One set a teacher, `[images][10]`.
    pub teachers: Vec<Vec<[f32; CLASSES]>>,
}

impl SoftLabels {
    /// Asks every teacher about the unchanged training images, or reads what it said before.
    ///
    /// * `folder`: where answers are kept, by the hashes of weights and data.
    ///
    /// # Errors
    /// [`TeacherError`] with the path.
    pub fn of(teachers: &[Teacher], dataset: &Dataset, folder: &Path) -> Result<Self, TeacherError> {
        let answers = teachers.iter().map(|teacher| answers(teacher, dataset, folder));
        Ok(Self { teachers: answers.collect::<Result<_, _>>()? })
    }

    /// Returns the teachers' mean probabilities at `temperature`, `[indices][10]`.
    pub fn probabilities(&self, indices: &[usize], temperature: f32) -> Vec<f32> {
        let mut output = Vec::with_capacity(indices.len() * CLASSES);
        for &index in indices {
            let mut mean = [0.0; CLASSES];
            for teacher in &self.teachers {
                let logits = &teacher[index];
                let highest = logits.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
                let powers = logits.map(|logit| ((logit - highest) / temperature).exp());
                let sum: f32 = powers.iter().sum();
                let share = 1.0 / (sum * self.teachers.len() as f32);
                mean.iter_mut().zip(powers).for_each(|(mean, power)| *mean += power * share);
            }
            output.extend(mean);
        }
        output
    }
}

fn answers(teacher: &Teacher, dataset: &Dataset, folder: &Path) -> Result<Vec<[f32; CLASSES]>, TeacherError> {
    let weights = std::fs::read(&teacher.weights)
        .map_err(|error| TeacherError::Weights(format!("{}: {error}", teacher.weights.display())))?;
    let [weights, data] = [sha256_hex(&weights), dataset.sha256.clone()].map(|sha| sha[..16].to_owned());
    let kept = folder.join(format!("{}-{weights}-{data}.f32", teacher.network.name()));
    let count = dataset.train.len();
    if let Ok(bytes) = std::fs::read(&kept)
        && bytes.len() == 4 * CLASSES * count
    {
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        return Ok(values.as_chunks().0.to_vec());
    }
    let net = TrainedNet::load(teacher.network, &teacher.weights).map_err(TeacherError::Weights)?;
    let logits = match has_lanes(teacher.network, &net.device) {
        true => lane_logits(&net.net, &dataset.train, &net.device),
        false => net.logits(&dataset.train),
    };
    let bytes: Vec<u8> = logits.iter().flatten().flat_map(|logit| logit.to_le_bytes()).collect();
    crate::files::write_whole(&kept, &bytes)?;
    Ok(logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn answers_are_computed_once_and_are_the_network_s() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = drawn::dataset(3, 4, 1);
        let net = TrainedNet::untrained(NetName::Nano, 5).folded();
        let weights = folder.path().join("teacher.bpk");
        net.save(&weights).unwrap();
        let teachers = [Teacher { network: NetName::Nano, weights: weights.clone() }];
        let first = SoftLabels::of(&teachers, &dataset, folder.path()).unwrap();
        for (ours, theirs) in first.teachers[0].iter().zip(net.logits(&dataset.train)) {
            assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-4), "{ours:?} {theirs:?}");
        }
        assert_eq!(SoftLabels::of(&teachers, &dataset, folder.path()).unwrap(), first);
        std::fs::write(&weights, b"no weights").unwrap();
        let message = SoftLabels::of(&teachers, &dataset, folder.path()).unwrap_err().to_string();
        assert!(message.contains("teacher.bpk"), "{message}");
    }

    #[test]
    fn probabilities_are_the_mean_of_softmaxes() {
        let mut sure = [0.0; CLASSES];
        sure[3] = 60.0;
        let labels = SoftLabels { teachers: vec![vec![sure], vec![[1.0; CLASSES]]] };
        let probabilities = labels.probabilities(&[0], 2.0);
        assert!((probabilities[3] - 0.55).abs() < 1e-6 && (probabilities[0] - 0.05).abs() < 1e-6);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
