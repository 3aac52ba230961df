//! Confusion matrix and classification report, numbers and layout as scikit-learn's.

use std::fmt::Write;

use serde::{Serialize, Serializer};

use crate::model_dir::Confusion;

/// How often each class was taken for each: `counts[label][predicted]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Images by label and answer.
    pub counts: Vec<Vec<usize>>,
}

/// Scores of one class, or a mean over the classes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Scores {
    /// Right ones among those given this class, 0..=1; 0 where none was.
    pub precision: f64,
    /// Right ones among those of this class, 0..=1; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Images of this class.
    pub support: usize,
}

/// A row of the report, with the class's name.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassScores {
    /// Name of the class.
    pub class: String,
    /// Its scores.
    pub scores: Scores,
}

/// Serializes rows as a map from the class's name to its scores, in their order.
///
/// # Errors
/// The serializer's.
pub fn by_class<S: Serializer>(rows: &[ClassScores], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|row| (&row.class, row.scores)))
}

/// Precision, recall and F1 of every class, and their means.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassificationReport {
    /// One row a class, in the labels' order.
    pub classes: Vec<ClassScores>,
    /// Fraction of images classified correctly.
    pub accuracy: f64,
    /// Mean over the classes.
    pub macro_avg: Scores,
    /// Mean over the classes, weighted by their support.
    pub weighted_avg: Scores,
}

/// Wilson's 95 % interval of a fraction, `right` of `count` (Wilson, 1927); 0 to 1 where nothing was counted.
pub fn interval(right: usize, count: usize) -> [f64; 2] {
    /// Normal quantile of 97.5 %.
    const Z: f64 = 1.959_963_984_540_054;
    if count == 0 {
        return [0.0, 1.0];
    }
    let (count, share) = (count as f64, right as f64 / count as f64);
    let centre = share + Z * Z / (2.0 * count);
    let reach = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    let whole = 1.0 + Z * Z / count;
    [((centre - reach) / whole).max(0.0), ((centre + reach) / whole).min(1.0)]
}

/// Parts with fewer images have their accuracy's interval told.
pub const FEW_IMAGES: usize = 2_000;

impl ConfusionMatrix {
    /// Counts answers. The last two slices hold numbers of classes, one an image.
    pub fn new(classes: &[String], predicted: &[usize], labels: &[u8]) -> Self {
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        for (&predicted, &label) in predicted.iter().zip(labels) {
            counts[usize::from(label)][predicted] += 1;
        }
        Self { classes: classes.to_vec(), counts }
    }

    /// Images of a class.
    pub fn support(&self, class: usize) -> usize {
        self.counts[class].iter().sum()
    }

    /// The most frequent confusions: at most `count` pairs, most frequent first, then by label and answer.
    pub fn most_confused(&self, count: usize) -> Vec<Confusion> {
        let classes = self.classes.len();
        let pairs = (0..classes * classes).map(|at| (at / classes, at % classes));
        let wrong =
            pairs.filter(|&(label, predicted)| label != predicted && self.counts[label][predicted] > 0);
        let mut all: Vec<Confusion> = wrong
            .map(|(label, predicted)| Confusion { label, predicted, images: self.counts[label][predicted] })
            .collect();
        all.sort_by_key(|confusion| std::cmp::Reverse(confusion.images));
        all.truncate(count);
        all
    }

    /// Formats as CSV: a header of answers, one row a label.
    pub fn to_csv(&self) -> String {
        let names: Vec<String> = self.classes.iter().map(|name| csv_field(name)).collect();
        let mut text = format!("true \\ predicted,{}\n", names.join(","));
        for (name, row) in names.iter().zip(&self.counts) {
            let cells: Vec<String> = row.iter().map(usize::to_string).collect();
            let _ = writeln!(text, "{name},{}", cells.join(","));
        }
        text
    }

    /// Computes the report.
    pub fn report(&self) -> ClassificationReport {
        let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let scores: Vec<Scores> = (0..self.classes.len())
            .map(|class| {
                let right = self.counts[class][class];
                let given: usize = self.counts.iter().map(|row| row[class]).sum();
                let support = self.support(class);
                Scores {
                    precision: ratio(right, given),
                    recall: ratio(right, support),
                    f1: ratio(2 * right, given + support),
                    support,
                }
            })
            .collect();
        let images: usize = scores.iter().map(|scores| scores.support).sum();
        let right: usize = (0..self.classes.len()).map(|class| self.counts[class][class]).sum();
        let mean = |weight: &dyn Fn(&Scores) -> f64| {
            let total: f64 = scores.iter().map(weight).sum();
            let of = |value: &dyn Fn(&Scores) -> f64| {
                let sum: f64 = scores.iter().map(|scores| value(scores) * weight(scores)).sum();
                if total == 0.0 { 0.0 } else { sum / total }
            };
            Scores {
                precision: of(&|scores| scores.precision),
                recall: of(&|scores| scores.recall),
                f1: of(&|scores| scores.f1),
                support: images,
            }
        };
        ClassificationReport {
            accuracy: ratio(right, images),
            macro_avg: mean(&|_| 1.0),
            weighted_avg: mean(&|scores| scores.support as f64),
            classes: self
                .classes
                .iter()
                .zip(&scores)
                .map(|(class, &scores)| ClassScores { class: class.clone(), scores })
                .collect(),
        }
    }
}

/// Quotes a name that has a comma, a quote or a line break in it (RFC 4180).
fn csv_field(name: &str) -> String {
    let is_plain = !name.contains([',', '"', '\n', '\r']);
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl ClassificationReport {
    /// Formats as `sklearn.metrics.classification_report(labels, predicted, target_names=…, digits=digits)` does.
    pub fn to_text(&self, digits: usize) -> String {
        const LAST: &str = "weighted avg";
        let longest = self.classes.iter().map(|row| row.class.chars().count()).max().unwrap_or(0);
        let width = longest.max(LAST.len()).max(digits);
        let mut text = format!(
            "{:>width$}  {:>9} {:>9} {:>9} {:>9}\n\n",
            "", "precision", "recall", "f1-score", "support"
        );
        let row = |text: &mut String, name: &str, scores: &Scores| {
            let Scores { precision, recall, f1, support } = scores;
            let _ = writeln!(
                text,
                "{name:>width$}  {precision:>9.digits$} {recall:>9.digits$} {f1:>9.digits$} {support:>9}"
            );
        };
        for ClassScores { class, scores } in &self.classes {
            row(&mut text, class, scores);
        }
        let images = self.macro_avg.support;
        let _ = writeln!(
            text,
            "\n{:>width$}  {:>9} {:>9} {:>9.digits$} {images:>9}",
            "accuracy", "", "", self.accuracy
        );
        row(&mut text, "macro avg", &self.macro_avg);
        row(&mut text, LAST, &self.weighted_avg);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    fn matrix(predicted: &[usize], labels: &[u8]) -> ConfusionMatrix {
        ConfusionMatrix::new(&Task::fashion_mnist().classes, predicted, labels)
    }

    #[test]
    fn scores_follow_from_the_counts() {
        // Three of class 0, one taken for 1; one of class 1, right; nothing else.
        let matrix = matrix(&[0, 0, 1, 1], &[0, 0, 0, 1]);
        let report = matrix.report();
        let [first, second] = [report.classes[0].scores, report.classes[1].scores];
        assert_eq!((first.precision, first.recall, first.support), (1.0, 2.0 / 3.0, 3));
        assert_eq!((second.precision, second.recall, second.f1), (0.5, 1.0, 2.0 / 3.0));
        assert_eq!(report.accuracy, 0.75);
        assert!((report.weighted_avg.precision - 0.875).abs() < 1e-12);
        assert!((report.macro_avg.precision - 0.15).abs() < 1e-12);
        assert_eq!(matrix.to_csv().lines().nth(1), Some("T-shirt/top,2,1,0,0,0,0,0,0,0,0"));
    }

    #[test]
    fn an_interval_is_wilson_s() {
        // Values of statsmodels' proportion_confint(284, 341, method="wilson") and (0, 10).
        let [low, high] = interval(284, 341);
        assert!((low - 0.78953).abs() < 1e-4 && (high - 0.86872).abs() < 1e-4, "{low} {high}");
        let [low, high] = interval(0, 10);
        assert!(low == 0.0 && (high - 0.277_53).abs() < 1e-4, "{high}");
        assert_eq!(interval(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn the_most_frequent_confusion_comes_first() {
        let matrix = matrix(&[1, 2, 2, 3], &[0, 0, 0, 3]);
        let pairs: Vec<_> =
            matrix.most_confused(8).iter().map(|pair| (pair.label, pair.predicted, pair.images)).collect();
        assert_eq!(pairs, [(0, 2, 2), (0, 1, 1)]);
        assert_eq!(matrix.most_confused(1).len(), 1);
    }

    #[test]
    fn nothing_at_all_is_zero_and_no_panic() {
        let text = matrix(&[], &[]).report().to_text(2);
        assert!(text.contains("accuracy                           0.00         0"), "{text}");
    }
}
