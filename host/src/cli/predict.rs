//! `host predict`: what photos show.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use shared::input::InputShape;
use shared::preprocess::Seen;
use shared::protocol::Verdict;

use super::evaluate::EngineName;
use super::{Failure, plain, print_json, print_line, shown, terminal};
use crate::dataset::photo::{self, Photo};
use crate::evaluate::calibration::{Confidence, softmax};
use crate::model_dir::ModelDir;
use crate::report::png;
use crate::runtime::Engine;
use crate::task::Task;

#[derive(Debug, Args)]
#[command(
    after_help = "A photo is made what the chip makes of a camera's frame. For models of Fashion-MNIST: gray, the\n\
garment found by its difference from the border, cut out as a square, averaged to 28×28, light on dark. For\n\
other models: the centre, averaged to the network's input.\n\n\
Examples:\n  host predict shirt.jpg\n  host predict shirt.jpg --show        as it is, and what the network sees of it\n  \
host predict photos/ > answers.csv   a folder gives a CSV\n  host predict --model models/small drawn.png --json"
)]
pub(super) struct PredictArgs {
    /// PNG, JPEG, BMP, WebP, GIF or TIFF files, or folders of them and of such folders
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/photo")]
    model: PathBuf,
    /// What answers
    #[arg(long, value_enum, default_value = "integer")]
    engine: EngineName,
    /// Show the photograph as it is, and beside it what the network sees
    #[arg(long, conflicts_with = "json")]
    show: bool,
    /// Write what the network sees as FILE.HEIGHTxWIDTH.png into this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// CSV, as for a folder
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// A class with its probability.
#[derive(Debug, Clone, Serialize)]
struct Candidate {
    class: String,
    index: usize,
    confidence: f64,
}

/// What one photo shows.
#[derive(Debug, Serialize)]
struct Prediction {
    file: String,
    /// Three likeliest classes.
    top: Vec<Candidate>,
    /// The winner is below the model's threshold.
    unsure: bool,
    /// The photo shows nothing: the classes mean nothing.
    nothing: bool,
}

impl PredictArgs {
    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        let mut engine = self.engine.load(&dir)?;
        let (task, confidence) = (dir.task()?, dir.confidence()?);
        let as_csv = self.csv || (!self.json && self.files.iter().any(|path| path.is_dir()));
        let mut predictions = Vec::new();
        let mut problems = Vec::new();
        if as_csv {
            print_line(
                "file,class,confidence,second,second_confidence,third,third_confidence,unsure,nothing",
            )?;
        }
        let mut kept = Vec::new();
        for path in self.photos()? {
            // One bad file among many is told and does not stop the others.
            let photo = match Photo::read(&path) {
                Ok(photo) => photo,
                Err(error) => {
                    eprintln!("error: {}", plain(&error.to_string()));
                    problems.push(error);
                    continue;
                }
            };
            let seen = photo.to_input(&task).ok_or_else(|| anyhow::anyhow!("{}: no size", path.display()))?;
            let prediction = predict(engine.as_mut(), &path, &task, &seen, confidence)?;
            let (pixels, _) = seen;
            if let Some(folder) = &self.keep {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let path = free_path(folder, &name, &task, &kept);
                png::write_image(&path, task.input, &pixels, 1)?;
                kept.push(path);
            }
            if as_csv {
                print_line(csv_line(&prediction)?)?;
            } else if !self.json {
                print_line(text_line(&prediction))?;
            }
            if self.show {
                print_line(both(&photo, &task, &pixels).trim_end_matches('\n'))?;
            }
            predictions.push(prediction);
        }
        if self.json {
            let document = serde_json::json!({ "model": dir.name(), "engine": engine.name(), "predictions": predictions });
            print_json(&document)?;
        }
        match problems.len() {
            0 => Ok(()),
            count => Err(anyhow::anyhow!("could not read {count} of {} files", count + predictions.len())),
        }
    }

    /// Files as named, folders by their contents.
    fn photos(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                let inside = photo::below(path)?;
                if inside.is_empty() {
                    let problem = format!(
                        "{}: no PNG, JPEG, BMP, WebP, GIF or TIFF file in this folder",
                        path.display()
                    );
                    return Err(Failure::Usage(problem).into());
                }
                paths.extend(inside);
            } else {
                paths.push(path.clone());
            }
        }
        Ok(paths)
    }
}

/// Names a picture's file; files of several folders that share a name are numbered.
fn free_path(folder: &Path, name: &str, task: &Task, kept: &[PathBuf]) -> PathBuf {
    let size = format!("{}x{}", task.input.height, task.input.width);
    let first = folder.join(format!("{name}.{size}.png"));
    let numbered = (2..).map(|number| folder.join(format!("{name}.{number}.{size}.png")));
    std::iter::once(first).chain(numbered).find(|path| !kept.contains(path)).unwrap_or_default()
}

fn predict(
    engine: &mut dyn Engine,
    path: &Path,
    task: &Task,
    (pixels, seen): &(Vec<u8>, Seen),
    confidence: Confidence,
) -> Result<Prediction> {
    let logits = engine.answer(pixels)?.logits;
    let shares = softmax(&logits, confidence.temperature);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let candidate =
        |&index: &usize| Candidate { class: task.name(index).into(), index, confidence: shares[index] };
    let top: Vec<Candidate> = order.iter().take(3).map(candidate).collect();
    let unsure = top.first().is_some_and(|best| best.confidence < confidence.sure_from());
    let verdict = Verdict::of(*seen, !unsure);
    let (unsure, nothing) = (verdict != Verdict::Sure, verdict == Verdict::Nothing);
    Ok(Prediction { file: shown(path), top, unsure, nothing })
}

/// The photograph, made as high as the network's input, beside what the network sees.
fn both(photo: &Photo, task: &Task, pixels: &[u8]) -> String {
    let has_color = terminal::stdout_has_color();
    let seen = terminal::picture(task.input, pixels, has_color);
    let width =
        (photo.width * task.input.height).div_ceil(photo.height.max(1)).clamp(1, 2 * task.input.height);
    let shape = InputShape { height: task.input.height, width, channels: 3 };
    let small: Vec<u8> = (0..shape.height * width)
        .flat_map(|at| {
            let (row, column) = (at / width * photo.height / shape.height, at % width * photo.width / width);
            let start = (row * photo.width + column) * 3;
            photo.rgb[start..start + 3].to_vec()
        })
        .collect();
    terminal::beside(&terminal::picture(shape, &small, has_color), terminal::columns(width, has_color), &seen)
}

fn text_line(prediction: &Prediction) -> String {
    if prediction.nothing {
        return format!("{}: nothing there", prediction.file);
    }
    let top: Vec<String> = prediction
        .top
        .iter()
        .map(|candidate| format!("{} {:.1} %", candidate.class, 100.0 * candidate.confidence))
        .collect();
    let unsure = if prediction.unsure { "  (unsure)" } else { "" };
    format!("{}: {}{unsure}", prediction.file, top.join(", "))
}

fn csv_line(prediction: &Prediction) -> Result<String> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b' ')).from_writer(Vec::new());
    writer.write_field(&prediction.file)?;
    for candidate in prediction.top.iter().map(Some).chain([None; 2]).take(3) {
        let Some(candidate) = candidate else {
            // A network of two classes has no third.
            writer.write_field("")?;
            writer.write_field("")?;
            continue;
        };
        writer.write_field(&candidate.class)?;
        writer.write_field(format!("{:.4}", candidate.confidence))?;
    }
    writer.write_field(prediction.unsure.to_string())?;
    writer.write_field(prediction.nothing.to_string())?;
    writer.write_record(None::<&[u8]>)?;
    let bytes = writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
