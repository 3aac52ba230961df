//! `host bench train`: seconds an epoch here and in PyTorch, in one run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::{Deserialize, Serialize};
use shared::input::InputShape;

use super::{Failure, print_json, print_line, remark};
use crate::dataset::locate::Pictures;
use crate::dataset::{self, Choice, Dataset};
use crate::report::table;
use crate::train::architecture::NetworkFile;
use crate::train::device::Backend;
use crate::train::lanes::profile::{self, Entry};
use crate::train::run::Job;
use crate::train::{Architecture, Interrupt, Recipe, train};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  host bench train --net small --threads 2 --profile\n\n\
PyTorch is whatever `--python` imports as torch; without it only this side is timed:\n  \
python3 -m venv .venv && .venv/bin/pip install torch numpy\n  \
host bench train --python .venv/bin/python\n\n\
Both train on the same images with the same batch and validate after every epoch; the fastest epoch counts. \
PyTorch runs with glibc told to keep its large blocks, which nearly doubles its speed. Photographs are augmented alike \
on both sides; images of Fashion-MNIST on this side only.\n\n\
A network of photographs is timed on the garment photographs or --data:\n  host bench train --net photo --threads 2")]
pub(super) struct TrainBenchArgs {
    /// Which network, by its default recipe
    #[arg(long, value_name = "NAME", default_value = "article")]
    net: String,
    /// Threads of either side
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Epochs of either side
    #[arg(long, default_value_t = 2)]
    epochs: usize,
    /// The Python that has PyTorch
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Folder with the four IDX files, or of pictures
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Also tell where an epoch's time goes, operation by operation
    #[arg(long)]
    profile: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    network: String,
    threads: usize,
    images: usize,
    host_seconds_per_epoch: f64,
    /// None where PyTorch is not installed.
    pytorch_seconds_per_epoch: Option<f64>,
    /// Ours / PyTorch's.
    ratio: Option<f64>,
    pytorch: Option<String>,
    /// What an epoch's operations took, the longest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<Entry>,
}

impl Report {
    fn print(&self) -> Result<()> {
        let ours = self.host_seconds_per_epoch;
        print_line(format_args!(
            "{}, {} images an epoch, {} thread(s): {ours:.2} s here",
            self.network, self.images, self.threads
        ))?;
        if !self.profile.is_empty() {
            print_line(profile_table(&self.profile, ours))?;
        }
        match (self.pytorch_seconds_per_epoch, self.ratio, &self.pytorch) {
            (Some(theirs), Some(ratio), Some(version)) => {
                print_line(format_args!("PyTorch {version}: {theirs:.2} s, ratio {ratio:.2}"))
            }
            _ => Ok(()),
        }
    }
}

/// What the script prints.
#[derive(Debug, Deserialize)]
struct Timed {
    seconds_per_epoch: f64,
    torch: String,
}

impl TrainBenchArgs {
    pub(super) fn run(self) -> Result<()> {
        if self.threads == 0 || self.epochs == 0 {
            return Err(Failure::Usage("--threads and --epochs must be at least 1".into()).into());
        }
        // Before anything starts the pool.
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build_global()
            .context("the threads were started before they were counted")?;
        let mut recipe = Recipe::of_network(&self.net)?;
        recipe.epochs = self.epochs;
        recipe.quantization = None;
        let choice = match &mut recipe.augmentation.photo {
            Some(photo) => {
                // PyTorch's side has none.
                photo.strangers = 0.0;
                Choice::Photos
            }
            None => Choice::FashionMnist,
        };
        let pictures = Pictures { shape: NetworkFile::named(&self.net)?.input, for_training: true };
        let dataset = dataset::load(choice, self.data.as_deref(), pictures, |line| remark(line))?;
        let count = recipe.split(&dataset)?.train.len();
        if self.profile {
            profile::start();
        }
        let ours = self.ours(&dataset, &recipe)?;
        let mut entries = if self.profile { profile::stop() } else { Vec::new() };
        for entry in &mut entries {
            entry.calls /= self.epochs as u64;
            entry.seconds /= self.epochs as f64;
            entry.flops /= self.epochs as u64;
        }
        let theirs = self.theirs(&dataset, &recipe);
        if let Err(absent) = &theirs {
            remark(format_args!("PyTorch skipped: {absent:#}"));
        }
        let theirs = theirs.ok();
        let report = Report {
            network: self.net.clone(),
            threads: self.threads,
            images: count,
            host_seconds_per_epoch: ours,
            pytorch_seconds_per_epoch: theirs.as_ref().map(|timed| timed.seconds_per_epoch),
            ratio: theirs.as_ref().map(|timed| ours / timed.seconds_per_epoch),
            pytorch: theirs.map(|timed| timed.torch),
            profile: entries,
        };
        if self.json { print_json(&report) } else { report.print() }
    }

    fn ours(&self, dataset: &Dataset, recipe: &Recipe) -> Result<f64> {
        let checkpoint = std::env::temp_dir().join(format!("bench-train-{}.bin", std::process::id()));
        let architecture = Architecture::named(&self.net, dataset.task.clone())?;
        let job = Job {
            architecture: &architecture,
            recipe,
            dataset,
            device: Backend::Cpu.device().map_err(Failure::Usage)?,
            checkpoint: &checkpoint,
            resume: false,
            start: None,
            teacher: None,
        };
        let outcome = train(&job, &Interrupt::new(false), &mut ());
        let _ = std::fs::remove_file(&checkpoint);
        let outcome = outcome?.ok_or_else(|| anyhow!("nothing interrupts this"))?;
        Ok(outcome.history.iter().map(|record| record.seconds).fold(f64::INFINITY, f64::min))
    }

    fn theirs(&self, dataset: &Dataset, recipe: &Recipe) -> Result<Timed> {
        let folder = std::env::temp_dir().join(format!("bench-train-{}", std::process::id()));
        let task = self.task(dataset, recipe, &folder)?;
        let timed = self.python(&task);
        let _ = std::fs::remove_dir_all(&folder);
        timed
    }

    /// Writes what PyTorch trains on into a folder; returns the script's argument.
    fn task(&self, dataset: &Dataset, recipe: &Recipe, folder: &Path) -> Result<PathBuf> {
        let parts = recipe.split(dataset)?;
        let order: Vec<usize> = parts.train.iter().chain(&parts.validation).copied().collect();
        let samples = dataset.train.select(&order);
        let sizes = |shape: InputShape| [shape.height, shape.width, shape.channels];
        let [images, labels, large] = ["images", "labels", "large"].map(|name| folder.join(name));
        crate::files::write_whole(&images, &samples.pixels)?;
        crate::files::write_whole(&labels, &samples.labels)?;
        let larger = dataset.large.as_ref().filter(|_| recipe.augmentation.photo.is_some());
        let larger = larger.map(|larger| larger.select(&order));
        if let Some(larger) = &larger {
            crate::files::write_whole(&large, &larger.pixels)?;
        }
        let task = serde_json::json!({
            "layers": NetworkFile::named(&self.net)?.layers,
            "classes": dataset.task.classes.len(),
            "shape": sizes(samples.shape),
            "batch_size": recipe.batch_size,
            "threads": self.threads,
            "epochs": self.epochs,
            "images": images,
            "labels": labels,
            "train_images": parts.train.len(),
            "large": larger.as_ref().map(|_| &large),
            "large_shape": larger.as_ref().map(|larger| sizes(larger.shape)),
            "augmentation": recipe.augmentation,
        });
        let path = folder.join("task.json");
        crate::files::write_whole(&path, task.to_string().as_bytes())?;
        Ok(path)
    }

    fn python(&self, task: &Path) -> Result<Timed> {
        let script = crate::project_root().join("scripts/train_pytorch.py");
        let output = Command::new(&self.python)
            .arg(&script)
            .arg(task)
            .envs([("MALLOC_MMAP_THRESHOLD_", "4294967296"), ("MALLOC_TRIM_THRESHOLD_", "4294967296")])
            .output()
            .with_context(|| self.python.display().to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(anyhow!("{}: {}", self.python.display(), last_line(&text, &script)));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Operations with their share of the epoch, and what is left for batches, loss, optimizer and averages.
fn profile_table(entries: &[Entry], epoch: f64) -> String {
    let row = |name: &str, calls: String, seconds: f64, rate: String| {
        vec![
            name.to_owned(),
            calls,
            format!("{seconds:.2}"),
            format!("{:.1} %", 100.0 * seconds / epoch.max(1e-9)),
            rate,
        ]
    };
    let mut rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let rate = match entry.flops {
                0 => "–".into(),
                flops => format!("{:.0}", flops as f64 / entry.seconds.max(1e-9) / 1e9),
            };
            row(&entry.operation, entry.calls.to_string(), entry.seconds, rate)
        })
        .collect();
    let counted: f64 = entries.iter().map(|entry| entry.seconds).sum();
    rows.push(row("everything else", "–".into(), (epoch - counted).max(0.0), "–".into()));
    table::format(&["operation", "calls", "s an epoch", "share", "GFLOP/s"], &rows)
}

/// The last line that says something.
fn last_line<'a>(text: &'a str, script: &'a Path) -> std::borrow::Cow<'a, str> {
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(|| script.to_string_lossy(), Into::into)
}
