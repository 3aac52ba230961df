//! One record an epoch, and its CSV form.

use serde::{Deserialize, Serialize};

/// What one epoch came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean cross-entropy over the (augmented) training images, as they were met.
    pub loss: f64,
    /// Fraction of them classified correctly.
    pub accuracy: f64,
    /// Mean cross-entropy over the validation images.
    pub validation_loss: f64,
    /// Fraction of the validation images classified correctly.
    pub validation_accuracy: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Wall-clock seconds, validation included.
    pub seconds: f64,
}

/// Formats the history as CSV with a header.
pub fn to_csv(history: &[EpochRecord]) -> String {
    let mut text =
        String::from("epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate,seconds\n");
    for record in history {
        text += &format!(
            "{},{:.6},{:.6},{:.6},{:.6},{:.6e},{:.2}\n",
            record.epoch,
            record.loss,
            record.accuracy,
            record.validation_loss,
            record.validation_accuracy,
            record.learning_rate,
            record.seconds
        );
    }
    text
}

/// Reads what [`to_csv`] wrote; `None` where it is something else.
pub fn from_csv(text: &str) -> Option<Vec<EpochRecord>> {
    let mut lines = text.lines();
    lines.next().filter(|header| header.starts_with("epoch,loss,"))?;
    lines
        .map(|line| {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
            let &[epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate, seconds] =
                cells.as_slice()
            else {
                return None;
            };
            Some(EpochRecord {
                epoch: epoch as usize,
                loss,
                accuracy,
                validation_loss,
                validation_accuracy,
                learning_rate,
                seconds,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_comes_back_from_its_csv() {
        let record = EpochRecord {
            epoch: 3,
            loss: 0.25,
            accuracy: 0.5,
            validation_loss: 0.125,
            validation_accuracy: 0.75,
            learning_rate: 1e-3,
            seconds: 2.5,
        };
        assert_eq!(from_csv(&to_csv(&[record])), Some(vec![record]));
        assert_eq!(from_csv("something else"), None);
        assert_eq!(from_csv("epoch,loss,accuracy\n1,2\n"), None);
    }
}
