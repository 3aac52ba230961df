//! What a step minimizes: cross-entropy with the labels, mixed with that of the teachers' answers.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::TrainedNet;
use super::batches::{Batch, Plan};
use super::forward::Mode;
use super::inference::{has_lanes, interleaved, planar};
use super::run::Job;
use super::teacher::Teaching;

/// The loss of one training.
pub(super) struct Objective<'a> {
    job: &'a Job<'a>,
    /// With gradients.
    device: Device,
    uses_lanes: bool,
    /// Weight of each class.
    class_weights: Vec<f32>,
}

impl<'a> Objective<'a> {
    /// * `device`: the job's, with gradients; `uses_lanes`: whether batches are whole numbers of lanes.
    pub fn new(job: &'a Job<'a>, plan: &Plan<'_>, device: &Device, uses_lanes: bool) -> Self {
        let class_weights = class_weights(plan, job.dataset.task.classes.len(), job.recipe.class_balance);
        Self { job, device: device.clone(), uses_lanes, class_weights }
    }

    /// What the teachers say of a batch, `[n · classes]` probabilities at the recipe's temperature, even for strangers.
    pub fn taught(&self, batch: &Batch) -> Option<Vec<f32>> {
        let distillation = self.job.recipe.distillation.as_ref()?;
        let temperature = distillation.temperature as f32;
        let classes = self.job.dataset.task.classes.len();
        Some(match self.job.teacher? {
            Teaching::Kept(labels) => {
                let answers = labels.probabilities(&batch.indices, &batch.shifts, temperature);
                mixed_answers(&without_strangers(answers, classes, batch, None), classes, batch)
            }
            // These saw the mixture itself.
            Teaching::Live(teachers) => {
                let answers = self.asked(teachers, batch, temperature);
                without_strangers(answers, classes, batch, batch.mixed)
            }
        })
    }

    /// The mean of the teachers' probabilities for the images of a batch as they are, `[n · classes]`.
    fn asked(&self, teachers: &[TrainedNet], batch: &Batch, temperature: f32) -> Vec<f32> {
        let (shape, device) = (self.job.dataset.task.input, &self.job.device);
        let mut mean = vec![0.0; batch.labels.len() * self.job.dataset.task.classes.len()];
        for teacher in teachers {
            let logits = if self.uses_lanes && has_lanes(&teacher.architecture, device) {
                teacher.net.forward_lanes(interleaved(&batch.images, shape, device), Mode::Infer)
            } else {
                teacher.net.forward(planar(batch.images.clone(), shape, device))
            };
            let shares = softmax(logits.div_scalar(temperature), 1);
            let shares = shares.into_data().to_vec::<f32>().expect("probabilities are f32");
            mean.iter_mut().zip(shares).for_each(|(mean, share)| *mean += share / teachers.len() as f32);
        }
        mean
    }

    /// Cross-entropy with the labels, mixed with the teachers' where the recipe distils.
    ///
    /// (1 − w) · CE(y, p) + w · T² · CE(p_T(teacher), p_T) (Hinton, Vinyals, Dean, 2015).
    pub fn loss(&self, logits: &Tensor<2>, batch: &Batch, taught: Option<Vec<f32>>) -> Tensor<1> {
        let recipe = self.job.recipe;
        let is_plain = recipe.label_smoothing == 0.0
            && recipe.class_balance == 0.0
            && batch.mixed.is_none()
            && batch.strangers.is_empty();
        let hard = if is_plain {
            let labels = TensorData::new(batch.labels.clone(), [batch.labels.len()]);
            let labels = Tensor::<1, Int>::from_data(labels, &self.device);
            CrossEntropyLossConfig::new().init(&self.device).forward(logits.clone(), labels)
        } else {
            let targets = TensorData::new(self.targets(batch), logits.dims());
            let targets = Tensor::<2>::from_data(targets, &self.device);
            let total = targets.clone().sum();
            (targets * log_softmax(logits.clone(), 1)).sum().neg() / total
        };
        let (Some(distillation), Some(taught)) = (&recipe.distillation, taught) else { return hard };
        let (weight, temperature) = (distillation.weight, distillation.temperature);
        let targets = Tensor::<2>::from_data(TensorData::new(taught, logits.dims()), &self.device);
        let student = log_softmax(logits.clone().div_scalar(temperature), 1);
        let soft = (targets * student).sum_dim(1).mean().neg();
        hard * (1.0 - weight) as f32 + soft * (weight * temperature * temperature) as f32
    }

    /// Targets `[n · classes]`: smoothed, mixed as the images are, weighted by class; even for strangers.
    fn targets(&self, batch: &Batch) -> Vec<f32> {
        let classes = self.job.dataset.task.classes.len();
        let smoothing = self.job.recipe.label_smoothing as f32;
        let count = batch.labels.len();
        let mut targets = vec![0.0; count * classes];
        let mut add = |image: usize, from: usize, share: f32| {
            if batch.is_stranger(from) {
                let row = &mut targets[image * classes..(image + 1) * classes];
                return row.iter_mut().for_each(|target| *target += share / classes as f32);
            }
            let label = batch.labels[from];
            let weight = share * self.class_weights[label as usize];
            let row = &mut targets[image * classes..(image + 1) * classes];
            row.iter_mut().for_each(|target| *target += weight * smoothing / classes as f32);
            row[label as usize] += weight * (1.0 - smoothing);
        };
        for image in 0..count {
            let share = batch.mixed.unwrap_or(1.0);
            add(image, image, share);
            if share < 1.0 {
                add(image, count - 1 - image, 1.0 - share);
            }
        }
        targets
    }
}

/// A teacher's probabilities `[n · classes]`, even by as much of each image as shows no class.
///
/// * `mixed`: the first image's share where the answers are about mixtures.
fn without_strangers(mut answers: Vec<f32>, classes: usize, batch: &Batch, mixed: Option<f32>) -> Vec<f32> {
    let share = mixed.unwrap_or(1.0);
    let last = batch.labels.len() - 1;
    for (image, row) in answers.chunks_exact_mut(classes).enumerate() {
        let unknown = share * f32::from(batch.is_stranger(image))
            + (1.0 - share) * f32::from(batch.is_stranger(last - image));
        row.iter_mut().for_each(|answer| *answer += unknown * (1.0 / classes as f32 - *answer));
    }
    answers
}

/// Answers about single images, mixed as the images of the batch are.
fn mixed_answers(answers: &[f32], classes: usize, batch: &Batch) -> Vec<f32> {
    let share = batch.mixed.unwrap_or(1.0);
    let partners = answers.chunks_exact(classes).rev().flatten();
    answers.iter().zip(partners).map(|(answer, partner)| share * answer + (1.0 - share) * partner).collect()
}

/// (mean count / count) to the power of `balance`, by class.
fn class_weights(plan: &Plan<'_>, classes: usize, balance: f64) -> Vec<f32> {
    let mut counts = vec![0usize; classes];
    plan.indices.iter().for_each(|&index| counts[plan.samples.label(index)] += 1);
    let mean = plan.indices.len() as f64 / classes.max(1) as f64;
    counts.into_iter().map(|count| (mean / count.max(1) as f64).powf(balance) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(mixed: Option<f32>, strangers: Vec<bool>) -> Batch {
        let (images, shifts) = (vec![], vec![]);
        Batch { images, labels: vec![0, 1, 1], indices: vec![0, 1, 2], shifts, mixed, strangers }
    }

    const ANSWERS: [f32; 6] = [1.0, 0.0, 0.5, 0.5, 0.0, 1.0];

    #[test]
    fn answers_are_mixed_as_the_images_are() {
        assert_eq!(mixed_answers(&ANSWERS, 2, &batch(None, vec![])), ANSWERS);
        assert_eq!(
            mixed_answers(&ANSWERS, 2, &batch(Some(0.75), vec![])),
            [0.75, 0.25, 0.5, 0.5, 0.25, 0.75]
        );
    }

    #[test]
    fn answers_are_even_by_the_share_that_shows_no_class() {
        let is_first = vec![true, false, false];
        let even = without_strangers(ANSWERS.to_vec(), 2, &batch(None, is_first.clone()), None);
        assert_eq!(even, [0.5, 0.5, 0.5, 0.5, 0.0, 1.0]);
        let even = without_strangers(ANSWERS.to_vec(), 2, &batch(Some(0.75), is_first), Some(0.75));
        assert_eq!(even, [0.625, 0.375, 0.5, 0.5, 0.125, 0.875]);
    }
}
