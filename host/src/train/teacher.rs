//! What teachers say of the training images: computed once, kept as a file, read by the student's loss.

use shared::CLASSES;

/// Logits of every training image, in the data set's order.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftLabels {
    /// One set a teacher, `[images][10]`.
    pub teachers: Vec<Vec<[f32; CLASSES]>>,
}

impl SoftLabels {
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
