//! The command line: one file a subcommand, each from clap types to a call into the library.

mod bench;
mod bench_train;
mod codegen;
mod dashboard;
mod data;
mod device;
mod doctor;
mod estimate;
mod evaluate;
mod export;
mod import;
mod models;
mod predict;
mod program;
mod progress;
mod prove;
mod quantize;
mod report;
mod robustness;
mod serve;
mod terminal;
mod train;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::{Args, FromArgMatches, Parser, Subcommand};
use thiserror::Error;

use crate::dataset::locate::Pictures;
use crate::dataset::{self, Choice, Dataset, DatasetError, Kind};
use crate::device::DeviceError;
use crate::model_dir::{ModelDir, NoModel};
use crate::plan::PlanningError;
use crate::task::{Task, visible};
use crate::train::architecture::NetworkError;
use crate::train::recipe::RecipeError;
use crate::train::teacher::TeacherError;

/// Trains, checks and ships a clothing classifier for a microcontroller.
#[derive(Debug, Parser)]
#[command(
    name = "host",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done · 1 failure · 2 usage · 3 data missing, unreachable or failing its checksum · \
4 a gate failed · 5 a device or tool is missing · 130 interrupted, checkpoint written.\n\n\
Data goes to standard output, progress and remarks to standard error.\n\n\
Start with: host train\n\
Something missing? Try: host doctor"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// No progress and no remarks: only data, warnings and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// Set once, before a command runs.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether `--quiet` was given.
fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Says something on standard error, unless `--quiet`.
fn remark(text: impl std::fmt::Display) {
    if !is_quiet() {
        eprintln!("{}", program::typed(&text.to_string(), program::name()));
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at, fetch or draw the data set
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Train a network, export it, quantize it and generate the firmware's code
    Train(train::TrainArgs),
    /// Write the float ONNX file again and prove that it says what was trained
    Export(export::ExportArgs),
    /// Make a model folder of somebody's ONNX file: read exactly, quantized, compared
    Import(import::ImportArgs),
    /// Write the int8 ONNX file from the float one
    Quantize(quantize::QuantizeArgs),
    /// Generate the firmware's network from the int8 ONNX file
    Codegen(codegen::CodegenArgs),
    /// Run the test images through every engine and compare
    Verify(verify::VerifyArgs),
    /// Judge a model on the test images: report, confusion matrix, predictions, mistakes
    Evaluate(evaluate::EvaluateArgs),
    /// Write everything about a model on one HTML page
    Report(report::ReportArgs),
    /// Try models in a browser: the firmware's engine in a page on 127.0.0.1
    Serve(serve::ServeArgs),
    /// Say what photos show
    Predict(predict::PredictArgs),
    /// Measure accuracy on corrupted test images
    Robustness(robustness::RobustnessArgs),
    /// Estimate what a network takes of the boards, before one is bought or anything is trained
    Estimate(estimate::EstimateArgs),
    /// List the models with their figures, as the README's table
    Models(models::ModelsArgs),
    /// Measure kernels and training, beside what others need
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Build, emulate and test the firmware
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Measure every stated figure again and compare
    Prove(prove::ProveArgs),
    /// Say what is installed, what is missing and how to get it
    Doctor(doctor::DoctorArgs),
    /// Print a shell's completions
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "For the program that `cargo install --path host` installs, which is called garments.\n\n\
Examples:\n  host completions bash > ~/.local/share/bash-completion/completions/garments\n  \
host completions zsh > ~/.zfunc/_garments"
)]
struct CompletionsArgs {
    /// Which shell's
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Name of the installed program.
const INSTALLED: &str = "garments";

impl CompletionsArgs {
    fn run(self) -> Result<()> {
        // Into memory first: clap_complete panics where standard output is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program::command(), INSTALLED, &mut script);
        print_line(String::from_utf8_lossy(&script).trim_end())
    }
}

/// Where the data set comes from.
#[derive(Debug, Clone, Args)]
struct DataArgs {
    /// Which data set; `auto` falls back to drawn garments where Fashion-MNIST cannot be had
    #[arg(long, value_enum, default_value = "auto", value_name = "NAME")]
    dataset: Choice,
    /// Folder of pictures (one folder a class), or with the four IDX files (gzipped or plain) or two CSV files
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

impl DataArgs {
    /// Whether the data was named.
    fn is_named(&self) -> bool {
        self.data.is_some() || self.dataset != Choice::Auto
    }

    /// Loads the data a model was made for.
    ///
    /// # Errors
    /// Where there are none, or they have other inputs or classes than the model.
    fn load_for(&self, dir: &ModelDir, task: &Task) -> Result<Dataset> {
        let learned = dir.manifest().map(|manifest| manifest.dataset.name).unwrap_or_default();
        let data = match learned.as_str() {
            "photos" if !self.is_named() => Self { dataset: Choice::Photos, ..self.clone() },
            _ => self.clone(),
        };
        let dataset = data.load(Pictures { shape: Some(task.input), for_training: false })?;
        match task.difference(&dataset.task) {
            None => Ok(dataset),
            Some(difference) => Err(Failure::Usage(format!(
                "{}: it has {difference}; name the model's data with --data FOLDER",
                dataset.source
            ))
            .into()),
        }
    }

    /// Loads the data.
    fn load(&self, pictures: Pictures) -> Result<Dataset, DatasetError> {
        let dataset = dataset::load(self.dataset, self.data.as_deref(), pictures, |line| remark(line))?;
        if dataset.kind == Kind::Drawn {
            eprintln!("┌─────────────────────────────────────────────────────────────────────────┐");
            eprintln!("│ DRAWN GARMENTS, not Fashion-MNIST: accuracies here say nothing about it │");
            eprintln!("└─────────────────────────────────────────────────────────────────────────┘");
        }
        Ok(dataset)
    }
}

/// Reads a number of images, at least one.
fn image_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| "give a number of images, 1 or more".into())
}

/// A failure with an exit code of its own.
#[derive(Debug, Error)]
enum Failure {
    /// A gate failed: 4.
    #[error("{0}")]
    Gate(String),
    /// Interrupted, with a checkpoint: 130.
    #[error("{0}")]
    Interrupted(String),
    /// A library is missing: 5.
    #[error("{0}")]
    Missing(String),
    /// Options that contradict each other: 2.
    #[error("{0}")]
    Usage(String),
}

/// Parses the arguments, runs the command and returns the exit code.
pub fn run() -> u8 {
    let parsed = program::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    QUIET.store(cli.quiet, Ordering::Relaxed);
    if cli.quiet {
        crate::counter::be_quiet();
    }
    let done = match cli.command {
        Command::Data(command) => command.run(),
        Command::Train(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Quantize(args) => args.run(),
        Command::Codegen(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Evaluate(args) => args.run(),
        Command::Report(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Predict(args) => args.run(),
        Command::Robustness(args) => args.run(),
        Command::Estimate(args) => args.run(),
        Command::Models(args) => args.run(),
        Command::Bench(command) => command.run(),
        Command::Device(command) => command.run(),
        Command::Prove(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Completions(args) => args.run(),
    };
    match done {
        Ok(()) => 0,
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            eprintln!("error: {}", program::typed(&plain(&in_one_line(&error)), program::name()));
            exit_code(&error)
        }
    }
}

/// A text of several lines in which names of files may stand, for a terminal.
fn plain(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// An error and its causes, those left out that the text before them already tells.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whoever read standard output has seen enough, as in `host data head | less`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<DatasetError>() {
            return error.exit_code();
        }
        if let Some(DeviceError::Missing(_)) = cause.downcast_ref() {
            return 5;
        }
        if let Some(DeviceError::Fit { .. } | DeviceError::TooLarge { .. }) = cause.downcast_ref() {
            return 4;
        }
        if cause.is::<NoModel>() {
            return 3;
        }
        if cause.is::<RecipeError>() || cause.is::<NetworkError>() {
            return 2;
        }
        if let Some(TeacherError::Classes(_)) = cause.downcast_ref() {
            return 2;
        }
        if let Some(PlanningError::Flash { .. }) = cause.downcast_ref() {
            return 4;
        }
        match cause.downcast_ref::<Failure>() {
            Some(Failure::Gate(_)) => return 4,
            Some(Failure::Missing(_)) => return 5,
            Some(Failure::Interrupted(_)) => return 130,
            Some(Failure::Usage(_)) => return 2,
            None => {}
        }
    }
    1
}

/// Prints one line of data. A closed pipe is an error that ends the command quietly.
fn print_line(text: impl std::fmt::Display) -> Result<()> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Prints one JSON document.
fn print_json(document: &impl serde::Serialize) -> Result<()> {
    print_line(serde_json::to_string_pretty(document)?)
}

/// Shows a path relative to the working directory where that is shorter.
fn shown(path: &std::path::Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    visible(&path.strip_prefix(&here).unwrap_or(path).display().to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Commands that only hold others.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        let path = format!("{path} {}", command.get_name());
        if command.get_subcommands().next().is_none() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.push((path, after));
            return;
        }
        command.get_subcommands().for_each(|inner| leaves(inner, &path, found));
    }

    #[test]
    fn every_command_s_help_has_an_example_of_itself() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        assert!(found.len() > 20, "{found:?}");
        // `bench table` takes nothing.
        for (path, after) in found.iter().filter(|(path, _)| !path.ends_with("bench table")) {
            assert!(after.contains("Example") && after.contains(path.trim()), "{path}: {after}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let source = std::io::Error::other("no such disk");
        let error = DatasetError::Io { path: "x".into(), source };
        assert_eq!(in_one_line(&error.into()), "x: no such disk");
        let error = anyhow::anyhow!("no such disk").context("the folder");
        assert_eq!(in_one_line(&error), "the folder: no such disk");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
