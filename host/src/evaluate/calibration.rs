//! Does a confidence of 90 % mean nine right in ten? Temperature, calibration error, and when to be unsure.
//!
//! The temperature divides all logits and is fitted on validation images (Guo et al., 2017); the firmware gets
//! it as part of its softmax's multiplier. What is said of the test images is computed once, for the report.

use firmware::nn::confidence::confidences;
use serde::{Deserialize, Serialize};

use super::arg_max_f32;

/// Bins of the expected calibration error, of equal width.
const BINS: usize = 15;
/// Share of the answered validation images that shall be right.
const SURE: f64 = 0.98;
/// A threshold that no share reaches.
const NEVER_SURE: u16 = 257;
/// Share of the strangers that may be answered.
const DECEIVED: f64 = 0.10;
/// The temperature is looked for between 1 / this and this.
const WIDEST: f64 = 8.0;

/// How a model's confidences are scaled, and what they are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Divisor of the logits.
    pub temperature: f64,
    /// A winner with fewer 256ths is marked as unsure, so that 98 % of the other validation answers are right and at
    /// most 10 % of the strangers are among them.
    pub unsure_below: u16,
    /// Expected calibration error on the test images without the temperature, 0..=1.
    pub ece_plain: f64,
    /// The same with it.
    pub ece: f64,
    /// Largest difference of an integer share from the real softmax on the test images, 0..=1.
    pub largest_share_error: f64,
    /// Fraction of the test images answered without being unsure.
    pub coverage: f64,
    /// Fraction of those that are right.
    pub answered_accuracy: f64,
    /// Fraction of pictures without a class that are answered without being unsure, the mean over their kinds; only
    /// for models of photographs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strangers: Option<f64>,
    /// Coverage and accuracy on the test images, threshold by threshold.
    pub curve: Vec<Point>,
}

/// What the firmware needs of a calibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Divisor of the logits.
    pub temperature: f64,
    /// Least share of a sure winner, in 256ths.
    pub unsure_below: u16,
}

impl Confidence {
    /// Least probability of a sure winner; above 1 where no answer is sure.
    pub fn sure_from(&self) -> f64 {
        f64::from(self.unsure_below) / 256.0
    }
}

impl Default for Confidence {
    fn default() -> Self {
        Self { temperature: 1.0, unsure_below: 0 }
    }
}

/// What answering only above a threshold gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Least share of the winner, in 256ths.
    pub threshold: u16,
    /// Fraction of the images answered.
    pub coverage: f64,
    /// Fraction of those that are right.
    pub accuracy: f64,
}

/// Logits in the integer engine's own units, with what they should have said.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// `[images][classes]`, accumulators times the logit scale.
    pub logits: &'a [Vec<f32>],
    /// `[images]` numbers of classes.
    pub labels: &'a [u8],
}

/// Returns the multiplier of the firmware's integer softmax for a logit step and a temperature.
///
/// `logit_scale / temperature · log2(e) · 256 · 2³²`, rounded; saturates at 2⁶³ − 1, where one step is certainty.
pub fn confidence_multiplier(logit_scale: f32, temperature: f64) -> i64 {
    let factor = f64::from(logit_scale) / temperature * std::f64::consts::LOG2_E * 256.0;
    (factor * 4_294_967_296.0).round() as i64
}

impl Calibration {
    /// Returns what the firmware needs.
    pub fn confidence(&self) -> Confidence {
        Confidence { temperature: self.temperature, unsure_below: self.unsure_below }
    }

    /// Fits temperature and threshold on validation images, and judges both on test images.
    ///
    /// * `strangers`: logits of pictures without a class, kind by kind; they raise the threshold.
    pub fn fit(
        validation: Judged<'_>,
        test: Judged<'_>,
        strangers: &[Vec<Vec<f32>>],
        logit_scale: f32,
    ) -> Self {
        let temperature = validation.best_temperature();
        let multiplier = confidence_multiplier(logit_scale, temperature);
        let share = |logits: &Vec<f32>| {
            let in_steps: Vec<i32> =
                logits.iter().map(|logit| (logit / logit_scale).round() as i32).collect();
            let mut shares = vec![0; logits.len()];
            confidences(&in_steps, multiplier, &mut shares);
            shares
        };
        let shares = |judged: &Judged<'_>| -> Vec<Vec<u16>> { judged.logits.iter().map(share).collect() };
        let validation_shares = shares(&validation);
        let winners: Vec<Vec<u16>> = strangers
            .iter()
            .map(|kind| kind.iter().map(|logits| share(logits)[arg_max_f32(logits)]).collect())
            .collect();
        let deceived = |threshold: u16| {
            let kinds = winners.iter().map(|kind| {
                let sure = kind.iter().filter(|&&winner| winner >= threshold).count();
                sure as f64 / kind.len().max(1) as f64
            });
            kinds.sum::<f64>() / winners.len().max(1) as f64
        };
        let unsure_below = (0..=NEVER_SURE)
            .find(|&threshold| {
                validation.point(&validation_shares, threshold).accuracy >= SURE
                    && deceived(threshold) <= DECEIVED
            })
            .unwrap_or(NEVER_SURE);
        let test_shares = shares(&test);
        let errors = test.logits.iter().zip(&test_shares).flat_map(|(logits, shares)| {
            let real = softmax(logits, temperature);
            shares
                .iter()
                .zip(real)
                .map(|(&share, real)| (f64::from(share) / 256.0 - real).abs())
                .collect::<Vec<_>>()
        });
        let chosen = test.point(&test_shares, unsure_below);
        let curve = [0, 64, 96, 128, 160, 192, 208, 224, 240, 248, 253];
        Self {
            temperature,
            unsure_below,
            ece_plain: test.calibration_error(1.0),
            ece: test.calibration_error(temperature),
            largest_share_error: errors.fold(0.0, f64::max),
            coverage: chosen.coverage,
            answered_accuracy: chosen.accuracy,
            strangers: (!strangers.is_empty()).then(|| deceived(unsure_below)),
            curve: curve.iter().map(|&threshold| test.point(&test_shares, threshold)).collect(),
        }
    }
}

impl Judged<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.logits.iter().zip(self.labels).map(|(logits, &label)| (&logits[..], usize::from(label)))
    }

    /// Mean −ln p(label).
    fn loss(&self, temperature: f64) -> f64 {
        let losses =
            self.pairs().map(|(logits, label)| -softmax(logits, temperature)[label].max(1e-300).ln());
        losses.sum::<f64>() / self.labels.len().max(1) as f64
    }

    /// Divisor with the least loss, by golden sections over its logarithm; the loss is convex in 1 / T.
    fn best_temperature(&self) -> f64 {
        let ratio = (5.0f64.sqrt() - 1.0) / 2.0;
        let (mut low, mut high) = (-WIDEST.ln(), WIDEST.ln());
        for _ in 0..40 {
            let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
            if self.loss(left.exp()) < self.loss(right.exp()) { high = right } else { low = left }
        }
        ((low + high) / 2.0).exp()
    }

    /// Σ bins |accuracy − confidence| · share of the images (Naeini et al., 2015).
    fn calibration_error(&self, temperature: f64) -> f64 {
        let mut bins = [[0.0; 2]; BINS];
        for (logits, label) in self.pairs() {
            let class = arg_max_f32(logits);
            let confidence = softmax(logits, temperature)[class];
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin[0] += f64::from(u8::from(class == label));
            bin[1] += confidence;
        }
        let gaps: f64 = bins.iter().map(|[right, confidence]| (right - confidence).abs()).sum();
        gaps / self.labels.len().max(1) as f64
    }

    fn point(&self, shares: &[Vec<u16>], threshold: u16) -> Point {
        let (mut answered, mut right) = (0usize, 0usize);
        for ((logits, label), shares) in self.pairs().zip(shares) {
            let class = arg_max_f32(logits);
            if shares[class] >= threshold {
                answered += 1;
                right += usize::from(class == label);
            }
        }
        let coverage = answered as f64 / self.labels.len().max(1) as f64;
        // Nothing answered is nothing wrong.
        let accuracy = if answered == 0 { 1.0 } else { right as f64 / answered as f64 };
        Point { threshold, coverage, accuracy }
    }
}

/// exp(logit / T) / Σ exp(logit / T), in doubles.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |&logit: &f32| ((f64::from(logit) - f64::from(highest)) / temperature).exp();
    let powers: Vec<f64> = logits.iter().map(power).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images whose winner leads by `lead` and is right in `right` of 20 cases.
    fn answers(lead: f32, right: usize) -> (Vec<Vec<f32>>, Vec<u8>) {
        let logits = |winner: usize| (0..10).map(|class| if class == winner { lead } else { 0.0 }).collect();
        let all = (0..2_000)
            .map(|at| (logits(at % 10), if at / 10 % 20 < right { at % 10 } else { (at + 1) % 10 }));
        let (logits, labels): (Vec<_>, Vec<_>) = all.unzip();
        (logits, labels.into_iter().map(|label| label as u8).collect())
    }

    #[test]
    fn the_temperature_makes_the_confidence_the_accuracy() {
        let (logits, labels) = answers(9.0, 16);
        let judged = Judged { logits: &logits, labels: &labels };
        let calibration = Calibration::fit(judged, judged, &[], 0.001);
        // 0.8 = 1 / (1 + 9 e^(−9/T)).
        assert!((calibration.temperature - 9.0 / 36f64.ln()).abs() < 0.01, "{}", calibration.temperature);
        assert!((calibration.ece_plain - 0.199).abs() < 0.001 && calibration.ece < 0.002, "{calibration:?}");
        assert!(calibration.largest_share_error < 0.006, "{}", calibration.largest_share_error);
    }

    #[test]
    fn a_network_with_a_large_logit_step_has_its_confidence_too() {
        // A factor that no layer's multiplier could have: 0.5 · log2(e) · 256 is 184.7 a step.
        let logits = vec![vec![1.0, 0.5, 0.0]; 100];
        let labels: Vec<u8> = (0..100).map(|at| u8::from(at % 4 == 0)).collect();
        let judged = Judged { logits: &logits, labels: &labels };
        let calibration = Calibration::fit(judged, judged, &[], 0.5);
        assert!(calibration.largest_share_error < 0.01, "{calibration:?}");
        assert_eq!(confidence_multiplier(f32::MAX, 1e-9), i64::MAX);
    }

    #[test]
    fn the_threshold_leaves_out_what_is_often_wrong() {
        let (mut logits, mut labels) = answers(9.0, 20);
        let (weak, wrong) = answers(2.0, 10);
        logits.extend(weak);
        labels.extend(wrong);
        let judged = Judged { logits: &logits, labels: &labels };
        let calibration = Calibration::fit(judged, judged, &[], 0.001);
        assert_eq!((calibration.coverage, calibration.answered_accuracy), (0.5, 1.0));
        assert_eq!(calibration.curve[0], Point { threshold: 0, coverage: 1.0, accuracy: 0.75 });
        // Strangers that look as sure as the weak answers change nothing; surer ones leave less to answer.
        let stranger = |lead: f32| vec![vec![lead, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]; 10];
        let weak = Calibration::fit(judged, judged, &[stranger(2.0)], 0.001);
        assert_eq!((weak.unsure_below, weak.strangers), (calibration.unsure_below, Some(0.0)));
        let strong = Calibration::fit(judged, judged, &[stranger(2.0), stranger(20.0)], 0.001);
        assert_eq!((strong.unsure_below, strong.coverage), (NEVER_SURE, 0.0));
    }
}
