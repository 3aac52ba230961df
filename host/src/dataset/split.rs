//! Splits the training part into training and validation images.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// Indices into the training part; together they are a permutation of `0..n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Images to learn from.
    pub train: Vec<usize>,
    /// Images to choose by, never learned from.
    pub validation: Vec<usize>,
}

/// The fraction leaves one side empty.
#[derive(Debug, Error, PartialEq)]
#[error(
    "--val-split {fraction} of {count} images leaves nothing to {side}; use a fraction between 0 and 1 such as 0.2"
)]
pub struct SplitError {
    /// The fraction asked for.
    pub fraction: f64,
    /// Images to split.
    pub count: usize,
    /// `train on` or `validate with`.
    pub side: &'static str,
}

/// Shuffles `0..count` with `seed` and takes the last `round(count · fraction)` as validation.
///
/// # Errors
/// [`SplitError`] where either side would be empty or the fraction is not a number in 0..1.
pub fn split(count: usize, fraction: f64, seed: u64) -> Result<Split, SplitError> {
    let validation_count = (count as f64 * fraction).round();
    let refuse = |side| Err(SplitError { fraction, count, side });
    if validation_count.is_nan() || validation_count < 1.0 {
        return refuse("validate with");
    }
    if validation_count >= count as f64 {
        return refuse("train on");
    }
    let mut train: Vec<usize> = (0..count).collect();
    train.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let validation = train.split_off(count - validation_count as usize);
    Ok(Split { train, validation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_together_are_a_permutation() {
        let parts = split(100, 0.2, 1).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len()), (80, 20));
        let mut all = [parts.train, parts.validation].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(split(50, 0.5, 7), split(50, 0.5, 7));
        assert_ne!(split(50, 0.5, 7), split(50, 0.5, 8));
    }

    #[test]
    fn an_empty_side_is_refused() {
        for fraction in [0.0, 1.0, -1.0, 3.0, f64::NAN] {
            assert!(split(100, fraction, 1).is_err(), "{fraction}");
        }
    }
}
