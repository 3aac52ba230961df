//! A model's report as one HTML file that loads nothing.
//!
//! Everything stands in the file: styles, SVG charts, PNG pictures as `data:` addresses. A content security policy
//! forbids the browser to load anything else.

mod origin;
mod parts;

use std::path::PathBuf;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ablations::Group;
use super::canvas::Canvas;
use super::models::Entry;
use super::{arena, chart, garments, heatmap, kernels};
use crate::dataset::Samples;
use crate::device::hil;
use crate::evaluate::compose::{self, Composed};
use crate::evaluate::judgement::Judgement;
use crate::import::record::Record;
use crate::plan::NetworkPlan;
use crate::task::Task;
use crate::train::history::EpochRecord;
use origin::{imported, recipe};
use parts::{canvas, classification, drawing, grouped, percent, photograph, table, thumbnail};

/// What the browser may use: nothing from elsewhere, no scripts.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// Pictures of mistakes and photos shown at most.
const SHOWN: usize = 25;

/// How a model came to be, with what is recorded of it.
pub enum Origin<'a> {
    /// Trained here.
    Trained(&'a Entry),
    /// Imported from somebody's file.
    Imported {
        /// The folder's name.
        name: &'a str,
        /// What the import kept.
        record: &'a Record,
        /// The last recorded run on a device.
        device: Option<&'a hil::Report>,
    },
}

impl Origin<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Trained(entry) => &entry.manifest.name,
            Self::Imported { name, .. } => name,
        }
    }

    /// Share of right answers of the float network on all test images, where it is known.
    fn float_accuracy(&self) -> Option<f64> {
        match self {
            Self::Trained(entry) => Some(entry.manifest.accuracy.float),
            Self::Imported { record, .. } => record.accuracy.map(|[float, _]| float),
        }
    }

    fn device(&self) -> Option<&hil::Report> {
        match self {
            Self::Trained(entry) => entry.device.as_ref(),
            Self::Imported { device, .. } => *device,
        }
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Trained(entry) => Some(entry),
            Self::Imported { .. } => None,
        }
    }
}

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

    fn answers(&self, indices: &[usize]) -> Canvas {
        garments::answers(self.test, self.judgement, indices)
    }

    /// In words what a picture of answers shows, for those who cannot see it.
    fn in_words(&self, indices: &[usize]) -> String {
        let words: Vec<String> = indices
            .iter()
            .map(|&index| {
                format!(
                    "{} taken for {}",
                    self.task.name(self.test.label(index)),
                    self.task.name(self.judgement.predicted[index])
                )
            })
            .collect();
        words.join("; ")
    }

    fn seen(&self) -> Markup {
        let worst = self.judgement.worst(SHOWN);
        let flips = self.float.map(|float| self.judgement.flips(float));
        html! {
            h3 { "Predictions" }
            figure {
                (canvas(&self.answers(self.chosen), &format!("Garments with the answers: {}", self.in_words(self.chosen))))
                figcaption { "Chosen by a seed, not by how they came out." }
            }
            h3 { "The worst mistakes" }
            @if worst.is_empty() { p { "There are none." } } @else {
                figure {
                    (canvas(&self.answers(&worst), &format!("Wrong answers with the highest probability: {}", self.in_words(&worst))))
                    figcaption { "Wrong answers by falling probability." }
                }
            }
            h3 { "int8 against float" }
            @match &flips {
                None => p { "The float file is not kept beside this model." },
                Some(flips) if flips.is_empty() => p { "int8 and float give every image the same class." },
                Some(flips) => {
                    p { (flips.len()) " of " (self.test.len()) " images get another class than from the float network." }
                    @let shown = &flips[..flips.len().min(SHOWN)];
                    figure { (canvas(&self.answers(shown), &format!("Images that int8 and float disagree on: {}", self.in_words(shown)))) }
                },
            }
        }
    }

    /// The worst mistakes, each photograph as it is and as the network sees it.
    fn mistaken_photographs(&self) -> Markup {
        let worst = self.judgement.worst(SHOWN);
        html! {
            p { "Wrong answers by falling probability: the photograph as it is, and what the network sees of it." }
            @if worst.is_empty() { p { "There are none." } }
            ul.misses {
                @for index in worst {
                    @let (label, predicted) = (self.task.name(self.test.label(index)), self.task.name(self.judgement.predicted[index]));
                    li {
                        @if let Some(path) = self.files.get(index) {
                            (photograph(path, &format!("Test photograph {index}, {label}")))
                        }
                        (thumbnail(self.task.input, self.test.image(index), &format!("What is seen of it, {label}")))
                        div { "No. " (index) ", " (label) }
                        div { "predicted: " span.wrong { (predicted) } ", " (percent(self.judgement.confidence[index])) }
                    }
                }
            }
        }
    }

    fn photographs(&self) -> Markup {
        if !self.files.is_empty() {
            return self.mistaken_photographs();
        }
        let Some(photos) = self.photos else {
            return html! { p { "No photos were composed for this page." } };
        };
        html! {
            p {
                (photos.photos) " photograph-like pictures were composed of the first test images: 640×480 in colour, off the centre, dark on white or light on gray, tinted, with noise. "
                (percent(photos.as_original)) " get the class that their original gets, " (percent(photos.accuracy)) " the right one."
            }
            h3 { "All " (photos.misses.len()) " misses" }
            ul.misses {
                @for miss in &photos.misses {
                    @let image = self.test.image(miss.index);
                    @let label = self.task.name(miss.label.into());
                    li {
                        (thumbnail(self.task.input, image, &format!("Test image {}, {label}", miss.index)))
                        @if let Some((seen, _)) = compose::photo(image, miss.index, photos.seed).to_input(self.task) {
                            (thumbnail(self.task.input, &seen, &format!("What is seen in its photo, {label}")))
                        }
                        div { "No. " (miss.index) ", " (label) }
                        div { "original: " span.right[miss.original == usize::from(miss.label)] { (self.task.name(miss.original)) } }
                        div { "photo: " span.wrong[miss.photo != usize::from(miss.label)] { (self.task.name(miss.photo)) } }
                    }
                }
            }
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

    /// Rows of the table of steps: as counted, or as the planner estimates where nothing was counted.
    fn steps(&self, counted: Option<&kernels::Entry>) -> Vec<Vec<String>> {
        match counted.filter(|entry| !entry.layers.is_empty()) {
            Some(entry) => entry
                .layers
                .iter()
                .map(|step| {
                    vec![
                        step.layers.clone(),
                        step.kernel.clone(),
                        grouped(step.macs),
                        grouped(step.instructions as usize),
                        grouped(step.constant_bytes),
                        grouped(step.memory_bytes),
                    ]
                })
                .collect(),
            None => self
                .plan
                .decisions()
                .iter()
                .map(|step| {
                    vec![
                        step.layers.clone(),
                        step.kernel.into(),
                        grouped(step.macs),
                        format!("about {}", grouped(step.estimate)),
                        grouped(step.constant_bytes),
                        grouped(step.memory_bytes),
                    ]
                })
                .collect(),
        }
    }

    fn chip(&self) -> Markup {
        let name = self.origin.name();
        let counted: Vec<&kernels::Entry> = self
            .kernels
            .map(|record| record.networks.iter().filter(|entry| entry.name == name).collect())
            .unwrap_or_default();
        let board = self.kernels.map_or("", |record| record.board.as_str());
        let rows: Vec<Vec<String>> = counted
            .iter()
            .map(|entry| {
                vec![
                    format!("{board}, {}", entry.profile),
                    grouped(entry.instructions as usize),
                    format!("{:.2} M", entry.model_cycles as f64 / 1e6),
                    grouped(entry.code_bytes),
                    grouped(entry.constant_bytes),
                    grouped(entry.ram_bytes),
                ]
            })
            .collect();
        let steps = self.steps(counted.first().copied());
        html! {
            @if !rows.is_empty() {
                (table(
                    "One inference, by board and profile; instructions are exact counts in the emulator, cycles a model",
                    &["board", "instructions", "model cycles", "code B", "constants B", "RAM B"],
                    &rows,
                ))
            }
            (table("Layers, profile speed", &["layers", "kernel", "MACs", "instructions", "constants B", "memory B"], &steps))
            div.scroll tabindex="0" role="region" aria-label="Memory" { (drawing(&arena::svg(self.plan, name))) }
        }
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
