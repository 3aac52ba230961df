//! What `host evaluate` says, as JSON or as text.

use anyhow::Result;
use serde::Serialize;

use super::EngineName;
use crate::cli::print_line;
use crate::evaluate::classification::{ClassScores, FEW_IMAGES, Scores, by_class};
use crate::evaluate::compose;
use crate::evaluate::judgement::ClassCalibration;
use crate::report::table;

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub model: String,
    pub dataset: String,
    pub engine: String,
    pub images: usize,
    pub accuracy: f64,
    /// Wilson's 95 % interval of the accuracy.
    pub accuracy_interval: [f64; 2],
    pub macro_f1: f64,
    /// Fraction of the images answered as sure, and of those the right ones.
    pub sure_share: f64,
    pub sure_accuracy: f64,
    /// Pictures without a class; absent for models that the garment finder feeds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Strangers>,
    #[serde(serialize_with = "by_class")]
    pub report: Vec<ClassScores>,
    pub macro_avg: Scores,
    pub weighted_avg: Scores,
    pub confusion: Vec<Vec<usize>>,
    pub calibration: Vec<ClassCalibration>,
    /// Images that int8 and float give different classes; absent where the float file is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flips: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photos: Option<compose::Composed>,
    pub files: Vec<String>,
}

/// Pictures of one kind that show no class.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Strangers {
    pub kind: &'static str,
    pub images: usize,
    /// Fraction answered as sure.
    pub sure_share: f64,
}

impl Document {
    /// Prints the document as text.
    ///
    /// * `report`: the classification report; `engine`: what answered.
    pub fn print(&self, report: &str, engine: EngineName) -> Result<()> {
        print_line(format_args!(
            "{} ({}) on {} test images of {}: {:.2} %\n",
            self.model,
            self.engine,
            self.images,
            self.dataset,
            100.0 * self.accuracy
        ))?;
        print_line(report)?;
        let [low, high] = self.accuracy_interval;
        if self.images < FEW_IMAGES {
            print_line(format_args!(
                "accuracy between {:.1} and {:.1} % (Wilson's 95 % interval, as there are few images)",
                100.0 * low,
                100.0 * high
            ))?;
        }
        self.print_sure()?;
        print_line("")?;
        self.print_tables()?;
        match self.flips {
            Some(flips) => print_line(format_args!("int8 and float disagree on {flips} images"))?,
            None if engine == EngineName::Integer => {
                print_line("int8 against float: the float file is not kept")?
            }
            None => {}
        }
        if let Some(photos) = &self.photos {
            print_line(format_args!(
                "{} photos composed of test images: {:.2} % answered as the original image, {:.2} % right",
                photos.photos,
                100.0 * photos.as_original,
                100.0 * photos.accuracy
            ))?;
        }
        print_line("\nwritten:")?;
        self.files.iter().try_for_each(|file| print_line(format_args!("  {file}")))
    }

    /// How many answers are sure, and how many of pictures without a class.
    fn print_sure(&self) -> Result<()> {
        print_line(format_args!(
            "{:.2} % of the images are answered as sure, {:.2} % of those right",
            100.0 * self.sure_share,
            100.0 * self.sure_accuracy
        ))?;
        if !self.strangers.is_empty() {
            let shares = self.strangers.iter().map(|kind| kind.sure_share);
            let mean = shares.sum::<f64>() / self.strangers.len() as f64;
            print_line(format_args!(
                "{:.2} % of pictures without a class are answered as sure:",
                100.0 * mean
            ))?;
            for kind in &self.strangers {
                print_line(format_args!("  {:<26} {:>6.2} %", kind.kind, 100.0 * kind.sure_share))?;
            }
        }
        Ok(())
    }

    /// The confusion matrix, and how sure the answers of each class are.
    fn print_tables(&self) -> Result<()> {
        let names: Vec<&str> = self.report.iter().map(|row| row.class.as_str()).collect();
        let numbers: Vec<String> = (0..names.len()).map(|class| class.to_string()).collect();
        let mut header = vec!["true \\ predicted"];
        header.extend(numbers.iter().map(String::as_str));
        let rows = names.iter().enumerate().map(|(class, name)| {
            let counts = self.confusion[class].iter().map(usize::to_string);
            std::iter::once(format!("{class} {name}")).chain(counts).collect()
        });
        print_line(table::format(&header, &rows.collect::<Vec<_>>()))?;
        let rows = self.calibration.iter().map(|row| {
            let percent = |value: f64| format!("{:.2} %", 100.0 * value);
            vec![row.class.clone(), row.answers.to_string(), percent(row.confidence), percent(row.accuracy)]
        });
        print_line(table::format(
            &["answer", "images", "mean confidence", "right"],
            &rows.collect::<Vec<_>>(),
        ))
    }
}
