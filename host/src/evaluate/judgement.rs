//! One engine's answers to a set of images, and what they say about it.

use anyhow::Result;
use serde::Serialize;

use super::arg_max_f32;
use super::calibration::softmax;
use super::classification::ConfusionMatrix;
use crate::dataset::Samples;
use crate::runtime::Engine;

/// Bins of the reliability curve, of equal width.
const BINS: usize = 10;

/// Answers to all images, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Name of the engine.
    pub engine: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Class of each image.
    pub labels: Vec<u8>,
    /// Class that each was taken for.
    pub predicted: Vec<usize>,
    /// The winner's probability, 0..=1.
    pub confidence: Vec<f64>,
}

/// How sure answers of a class are, and how right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassCalibration {
    /// Name of the answer.
    pub class: String,
    /// Images that got it.
    pub answers: usize,
    /// Mean probability that it was given, 0..=1.
    pub confidence: f64,
    /// Fraction of them that are right.
    pub accuracy: f64,
}

impl Judgement {
    /// Asks an engine about every image; probabilities are softmax(logits / `temperature`).
    ///
    /// # Errors
    /// The engine's, with the image's number.
    pub fn of(
        engine: &mut dyn Engine,
        samples: &Samples,
        classes: &[String],
        temperature: f64,
    ) -> Result<Self> {
        let logits = engine.logits(samples)?;
        let predicted: Vec<usize> = logits.iter().map(|row| arg_max_f32(row)).collect();
        let confidence = logits.iter().zip(&predicted).map(|(row, &class)| softmax(row, temperature)[class]);
        Ok(Self {
            engine: engine.name().into(),
            classes: classes.to_vec(),
            labels: samples.labels.clone(),
            confidence: confidence.collect(),
            predicted,
        })
    }

    /// Fraction of the answers with at least this probability, and the fraction of those that are right (1 of none).
    pub fn sure(&self, from: f64) -> (f64, f64) {
        let sure: Vec<usize> =
            (0..self.labels.len()).filter(|&index| self.confidence[index] >= from).collect();
        let right = sure.iter().filter(|&&index| self.is_right(index)).count();
        let accuracy = if sure.is_empty() { 1.0 } else { right as f64 / sure.len() as f64 };
        (sure.len() as f64 / self.labels.len().max(1) as f64, accuracy)
    }

    /// Whether an image's answer is right.
    pub fn is_right(&self, index: usize) -> bool {
        self.predicted[index] == usize::from(self.labels[index])
    }

    /// The confusion matrix.
    pub fn matrix(&self) -> ConfusionMatrix {
        ConfusionMatrix::new(&self.classes, &self.predicted, &self.labels)
    }

    /// Wrong answers by falling probability; the lower index wins ties.
    pub fn worst(&self, count: usize) -> Vec<usize> {
        let mut wrong: Vec<usize> = (0..self.labels.len()).filter(|&index| !self.is_right(index)).collect();
        wrong.sort_by(|&a, &b| self.confidence[b].total_cmp(&self.confidence[a]).then(a.cmp(&b)));
        wrong.truncate(count);
        wrong
    }

    /// Images that `other` answers differently.
    pub fn flips(&self, other: &Self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&index| self.predicted[index] != other.predicted[index]).collect()
    }

    /// Mean confidence and accuracy of each answer.
    pub fn by_class(&self) -> Vec<ClassCalibration> {
        let classes = self.classes.iter().enumerate();
        classes
            .map(|(class, name)| {
                let given: Vec<usize> =
                    (0..self.labels.len()).filter(|&index| self.predicted[index] == class).collect();
                let count = given.len().max(1) as f64;
                ClassCalibration {
                    class: name.clone(),
                    answers: given.len(),
                    confidence: given.iter().map(|&index| self.confidence[index]).sum::<f64>() / count,
                    accuracy: given.iter().filter(|&&index| self.is_right(index)).count() as f64 / count,
                }
            })
            .collect()
    }

    /// Mean confidence and accuracy of each bin of confidence that holds an answer.
    pub fn reliability(&self) -> Vec<(f64, f64)> {
        let mut bins = [(0usize, 0.0, 0usize); BINS];
        for (index, &confidence) in self.confidence.iter().enumerate() {
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.0 += 1;
            bin.1 += confidence;
            bin.2 += usize::from(self.is_right(index));
        }
        let filled = bins.into_iter().filter(|bin| bin.0 > 0);
        filled.map(|(count, sum, right)| (sum / count as f64, right as f64 / count as f64)).collect()
    }

    /// Formats as CSV: `index,label,predicted,confidence`, classes by number.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("index,label,predicted,confidence\n");
        for (index, label) in self.labels.iter().enumerate() {
            text += &format!("{index},{label},{},{:.6}\n", self.predicted[index], self.confidence[index]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement() -> Judgement {
        Judgement {
            engine: "test".into(),
            classes: crate::task::Task::fashion_mnist().classes,
            labels: vec![0, 1, 2, 3],
            predicted: vec![0, 2, 2, 4],
            confidence: vec![0.9, 0.6, 0.8, 0.95],
        }
    }

    #[test]
    fn the_surest_mistake_comes_first() {
        assert_eq!(judgement().worst(5), [3, 1]);
        assert_eq!(judgement().worst(1), [3]);
    }

    #[test]
    fn classes_and_bins_are_means_of_their_answers() {
        let by_class = judgement().by_class();
        assert_eq!((by_class[2].answers, by_class[2].accuracy), (2, 0.5));
        assert!((by_class[2].confidence - 0.7).abs() < 1e-12);
        assert_eq!(by_class[9].answers, 0);
        let bins = judgement().reliability();
        assert_eq!(bins.len(), 3);
        assert!((bins[2].0 - 0.925).abs() < 1e-12 && (bins[2].1 - 0.5).abs() < 1e-12, "{bins:?}");
    }

    #[test]
    fn sure_answers_have_the_probability_asked_for() {
        assert_eq!(judgement().sure(0.8), (0.75, 2.0 / 3.0));
        assert_eq!(judgement().sure(0.99), (0.0, 1.0));
    }

    #[test]
    fn flips_are_other_answers_right_or_wrong() {
        let other = Judgement { predicted: vec![0, 1, 3, 4], ..judgement() };
        assert_eq!(judgement().flips(&other), [1, 2]);
    }
}
