//! Accuracy and agreement from logits and labels.

pub mod calibration;
pub mod classification;
pub mod compose;
pub mod corrupt;
pub mod judgement;
pub mod photographs;
pub mod roundtrip;
pub mod verify;

use crate::dataset::Samples;
use crate::runtime::Engine;

/// Returns the index of the largest logit; the lowest index wins ties, everywhere in this project.
pub fn arg_max_f32(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, index| if logits[index] > logits[best] { index } else { best })
}

/// Returns the fraction of `predicted` classes that equal `labels`.
pub fn accuracy(predicted: &[usize], labels: &[u8]) -> f64 {
    let correct = predicted.iter().zip(labels).filter(|(p, l)| **p == usize::from(**l)).count();
    correct as f64 / labels.len().max(1) as f64
}

/// Returns the fraction of images that an engine classifies correctly.
///
/// # Errors
/// The engine's.
pub fn accuracy_of(engine: &mut dyn Engine, samples: &Samples) -> anyhow::Result<f64> {
    let classes: Vec<usize> = engine.logits(samples)?.iter().map(|row| arg_max_f32(row)).collect();
    Ok(accuracy(&classes, &samples.labels))
}

/// Returns the fraction of positions where `a` and `b` hold the same class.
pub fn agreement(a: &[usize], b: &[usize]) -> f64 {
    let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
    same as f64 / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_index_wins_ties() {
        let mut logits = [0.0; 10];
        assert_eq!(arg_max_f32(&logits), 0);
        (logits[4], logits[7]) = (1.0, 1.0);
        assert_eq!(arg_max_f32(&logits), 4);
    }

    #[test]
    fn fractions_are_of_all_images() {
        assert_eq!(accuracy(&[1, 2, 3, 4], &[1, 2, 0, 0]), 0.5);
        assert_eq!(agreement(&[1, 2, 3, 4], &[1, 2, 3, 0]), 0.75);
    }
}
