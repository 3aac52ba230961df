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
