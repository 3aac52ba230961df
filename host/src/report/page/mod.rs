//! A model's report as one HTML file that loads nothing.
//!
//! Everything stands in the file: styles, SVG charts, PNG pictures as `data:` addresses. A content security policy
//! forbids the browser to load anything else.

mod chip;
mod origin;
mod parts;
mod pictures;

use std::path::PathBuf;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ablations::Group;
use super::models::Entry;
use super::{chart, heatmap, kernels};
use crate::dataset::Samples;
use crate::evaluate::compose::Composed;
use crate::evaluate::judgement::Judgement;
use crate::plan::NetworkPlan;
use crate::task::Task;
use crate::train::history::EpochRecord;
pub use origin::Origin;
use origin::{imported, recipe};
use parts::{classification, drawing, grouped, percent, table};

/// What the browser may use: nothing from elsewhere, no scripts.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// What a report tells of.
pub struct Report<'a> {
    /// The model.
    pub origin: Origin<'a>,
    /// All committed models, for comparison.
    pub all: &'a [Entry],
    /// Name of the data set they are of.
    pub dataset: &'a str,
    /// What the model classifies.
    pub task: &'a Task,
    /// The test images.
    pub test: &'a Samples,
    /// The answers to them.
    pub judgement: &'a Judgement,
    /// The float network's answers, where its file is kept.
    pub float: Option<&'a Judgement>,
    /// 25 images shown with their answers.
    pub chosen: &'a [usize],
    /// Files of the test images; empty where images have none of their own.
    pub files: &'a [PathBuf],
    /// Answers to composed photos.
    pub photos: Option<&'a Composed>,
    /// The training, epoch by epoch.
    pub history: &'a [EpochRecord],
    /// The plan that is flashed.
    pub plan: &'a NetworkPlan,
    /// What the kernels' benchmark counted.
    pub kernels: Option<&'a kernels::Record>,
    /// Runs that differ from the recipe in one thing.
    pub ablations: &'a [Group],
}

impl Report<'_> {
    /// Writes the page.
    pub fn html(&self) -> String {
        let name = self.origin.name();
        let title = format!("{name}: a classifier for microcontrollers");
        let made = match &self.origin {
            Origin::Trained(entry) => {
                vec![
                    ("made", "How it was made", recipe(entry)),
                    ("training", "Training", self.training(entry)),
                ]
            }
            Origin::Imported { record, .. } => vec![("made", "Where it comes from", imported(record))],
        };
        let told = [
            ("judged", "How good it is", self.judged()),
            ("seen", "What it sees", self.seen()),
            ("photos", "Photos", self.photographs()),
            ("robust", "Corrupted pictures", self.robustness()),
            ("chip", "On the chip", self.chip()),
            ("others", "Beside the others", self.others()),
        ];
        let sections: Vec<_> = made.into_iter().chain(told).collect();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="generator" content="cargo run -p host -- report";
                    link rel="icon" href="data:,";
                    title { (title) }
                    style { (PreEscaped(include_str!("page.css"))) }
                }
                body {
                    header {
                        h1 { (name) }
                        p.soft {
                            (self.task.input) " pictures in, one of " (self.task.classes.len()) " classes out; "
                            (self.judgement.labels.len()) " test images of " (self.dataset)
                            ", answered by the engine " code { (self.judgement.engine) } "."
                        }
                        (self.figures())
                        nav aria-label="Sections" {
                            @for (id, heading, _) in &sections { a href={ "#" (id) } { (heading) } }
                        }
                    }
                    main {
                        @for (id, heading, body) in &sections {
                            section id=(id) { h2 { (heading) } (body) }
                        }
                    }
                    footer { p.soft { "Made by " code { "cargo run -p host -- report" } " from the model's files." } }
                }
            }
        };
        page.into_string()
    }

    fn figures(&self) -> Markup {
        let [weights, activations, macs] = match self.origin.entry().map(|entry| &entry.manifest) {
            Some(manifest) => [manifest.weight_bytes, manifest.activation_bytes, manifest.macs],
            None => {
                let macs = self.plan.decisions().iter().map(|step| step.macs).sum();
                [self.plan.constant_bytes(), self.plan.arena_bytes(), macs]
            }
        };
        let mut figures = vec![
            ("right on these images", percent(self.judgement.matrix().report().accuracy)),
            ("float, all test images", self.origin.float_accuracy().map_or("–".into(), percent)),
            ("weights and tables", format!("{} B", grouped(weights))),
            ("activations and scratch", format!("{} B", grouped(activations))),
            ("multiply-accumulates", grouped(macs)),
        ];
        if let Some(device) = self.origin.device() {
            let instructions = device.instructions_per_image.unwrap_or(0.0);
            figures.push(("instructions on a Cortex-M4", format!("{:.2} M", instructions / 1e6)));
            figures.push((
                "images whose chip logits differ",
                format!("{} of {}", device.mismatches, grouped(device.images)),
            ));
        }
        html! { dl.figures { @for (what, value) in &figures { div { dt { (what) } dd { (value) } } } } }
    }

    fn training(&self, entry: &Entry) -> Markup {
        let charts = chart::curves(self.history, &entry.manifest.recipe);
        html! {
            @if self.history.is_empty() { p { "The history was not kept." } }
            @else { div.pictures { @for chart in &charts { (drawing(&chart.svg())) } } }
        }
    }

    fn judged(&self) -> Markup {
        let matrix = self.judgement.matrix();
        let calibration: Vec<Vec<String>> = self
            .judgement
            .by_class()
            .iter()
            .map(|row| {
                vec![
                    row.class.clone(),
                    row.answers.to_string(),
                    percent(row.confidence),
                    percent(row.accuracy),
                ]
            })
            .collect();
        let coverage = self.origin.entry().and_then(|entry| entry.manifest.calibration.as_ref());
        html! {
            (classification(&matrix.report()))
            figure {
                (drawing(&heatmap::svg(&matrix, self.origin.name())))
                figcaption { "Stronger where more images fall, by the square root of a row's share, so that rare mistakes are seen." }
            }
            h3 { "What its confidences are worth" }
            div.pictures {
                (drawing(&chart::reliability(&self.judgement.reliability()).svg()))
                @if let Some(calibration) = coverage { (drawing(&chart::coverage(&calibration.curve).svg())) }
            }
            @if let Some(calibration) = coverage {
                p {
                    "At temperature " (format!("{:.2}", calibration.temperature)) " the expected calibration error is "
                    (percent(calibration.ece)) ", without it " (percent(calibration.ece_plain))
                    ". " (percent(calibration.coverage)) " of the test images are answered as sure, right on "
                    (percent(calibration.answered_accuracy)) " of those."
                }
            }
            (table("By answer", &["answer", "images", "mean confidence", "right"], &calibration))
        }
    }

    fn robustness(&self) -> Markup {
        let Some(robustness) = self.origin.entry().and_then(|entry| entry.robustness.as_ref()) else {
            return html! { p { "Not recorded: " code { "host robustness --record" } " does it." } };
        };
        let rows: Vec<Vec<String>> = robustness
            .rows
            .iter()
            .map(|row| {
                vec![
                    row.corruption.clone(),
                    row.amount.map_or("–".into(), |amount| amount.to_string()),
                    row.float.map_or("–".into(), percent),
                    percent(row.int8),
                ]
            })
            .collect();
        let caption = format!("Accuracy on {} corrupted test images", robustness.images);
        table(&caption, &["corruption", "amount", "float", "int8"], &rows)
    }

    fn others(&self) -> Markup {
        let rows: Vec<Vec<String>> = self
            .all
            .iter()
            .map(|entry| {
                let manifest = &entry.manifest;
                let instructions = entry.device.as_ref().and_then(|device| device.instructions_per_image);
                vec![
                    manifest.name.clone(),
                    percent(manifest.accuracy.float),
                    percent(manifest.accuracy.int8),
                    grouped(manifest.weight_bytes),
                    grouped(manifest.activation_bytes),
                    grouped(manifest.macs),
                    instructions.map_or("–".into(), |count| format!("{:.2} M", count / 1e6)),
                ]
            })
            .collect();
        let runs: Vec<Vec<String>> = self.ablations.iter().map(|group| group.cells().to_vec()).collect();
        html! {
            (table(
                "The project's models",
                &["model", "float", "int8", "weights B", "activations B", "MACs", "instructions"],
                &rows,
            ))
            h3 { "Ablations" }
            (table(
                "Runs that differ from a recipe in one thing; test accuracies stand with the recipes only",
                &["network", "what differs", "runs", "validation", "int8, test"],
                &runs,
            ))
        }
    }
}
