//! `host doctor`: what this machine has for the project.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Failure, print_json, print_line, shown};
use crate::bench;
use crate::dataset::locate::{load_official_offline, photos_folder};
use crate::device::board::Board;
use crate::device::build::can_build;
use crate::device::{emulator, toolchain};
use crate::report::models::Entry;
use crate::runtime::ort;
use crate::web;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0, or 5 where something is missing that is not optional. Training, exporting, quantizing and\n\
verifying with tract need nothing but Rust; the rest says what it is for.\n\nExample:\n  host doctor --json"
)]
pub(super) struct DoctorArgs {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// One thing that a machine may have.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    used_for: &'static str,
    found: bool,
    /// The project's own commands do without it.
    optional: bool,
    /// Version or place where it is there, else what is wrong.
    detail: String,
    /// How to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl Finding {
    fn new(
        what: &'static str,
        used_for: &'static str,
        found: Result<String, String>,
        remedy: &'static str,
    ) -> Self {
        let is_there = found.is_ok();
        let detail = found.unwrap_or_else(|problem| problem);
        let remedy = (!is_there).then_some(remedy);
        Self { what, used_for, found: is_there, optional: false, detail, remedy }
    }
}

impl DoctorArgs {
    pub(super) fn run(self) -> Result<()> {
        let findings = examine();
        if self.json {
            print_json(&findings)?;
        } else {
            for finding in &findings {
                let mark = match (finding.found, finding.optional) {
                    (true, _) => "ok",
                    (false, true) => "optional",
                    (false, false) => "missing",
                };
                print_line(format_args!("{mark:<8}  {:<18} {}", finding.what, finding.detail))?;
                if let Some(remedy) = finding.remedy {
                    print_line(format_args!("          for {}; get it with: {remedy}", finding.used_for))?;
                }
            }
        }
        let missing: Vec<&str> = findings
            .iter()
            .filter(|finding| !finding.found && !finding.optional)
            .map(|finding| finding.what)
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Failure::Missing(format!("missing here: {}", missing.join(", "))).into()),
        }
    }
}

fn examine() -> Vec<Finding> {
    let mut findings = needed();
    findings.extend(extras().into_iter().map(|finding| Finding { optional: true, ..finding }));
    findings
}

/// What the project's own commands use.
fn needed() -> Vec<Finding> {
    vec![
        Finding::new("Rust", "everything", version("rustc", &["--version"]), "https://rustup.rs"),
        Finding::new(
            "Fashion-MNIST",
            "training and judging; without it garments are drawn",
            in_one_line(load_official_offline().map(|dataset| dataset.source)),
            "cargo run -p host -- data fetch    (or set FASHION_MNIST_DIR)",
        ),
        Finding::new(
            "photographs",
            "training and judging the photo models",
            in_one_line(photos_folder().map(|folder| shown(&folder))),
            "cargo run -p host -- data fetch --dataset garment-photos    (or set GARMENT_PHOTOS_DIR)",
        ),
        Finding::new(
            "models",
            "everything but training",
            committed_models(),
            "git checkout -- models, or cargo run -p host -- train",
        ),
        Finding::new(
            "ONNX Runtime",
            "verify and evaluate with ort",
            ort::find_library().map(|path| shown(&path)),
            ort::HOW_TO_GET,
        ),
        Finding::new(
            "embedded compiler",
            "device build, run, hil",
            embedded_compiler(),
            "scripts/setup-embedded.sh, or rustup target add thumbv7em-none-eabihf",
        ),
        Finding::new(
            "QEMU",
            "device run and hil --emulate, bench kernels --emulate",
            qemu(),
            "scripts/setup-embedded.sh, or your system's package qemu-system-arm",
        ),
    ]
}

/// What some of its commands and tests use.
fn extras() -> Vec<Finding> {
    vec![
        Finding::new(
            "other emulators",
            "device run and hil --emulate on boards such as riscv-virt and pico",
            other_emulators(),
            "scripts/setup-embedded.sh",
        ),
        Finding::new(
            "compiler for WebAssembly",
            "serve, report --try",
            in_one_line(toolchain::cargo(web::build::TARGET, &[]).map(|_| web::build::TARGET.to_owned())),
            "rustup target add wasm32-unknown-unknown, or scripts/setup-embedded.sh",
        ),
        Finding::new(
            "espflash",
            "flashing an ESP32-C3",
            version("espflash", &["--version"]),
            "cargo install espflash --locked",
        ),
        Finding::new(
            "probe-rs",
            "flashing a board with a debug probe",
            version("probe-rs", &["--version"]),
            "https://probe.rs/docs/getting-started/installation/",
        ),
        Finding::new(
            "PyTorch",
            "bench train's comparison",
            python(&crate::project_root(), "torch"),
            ".venv/bin/pip install torch numpy",
        ),
        Finding::new(
            "scikit-learn",
            "the test of the classification report",
            python(&crate::project_root(), "scikit-learn"),
            ".venv/bin/pip install scikit-learn",
        ),
        Finding::new(
            "ChromeDriver",
            "the test of the HTML page",
            version("chromedriver", &["--version"]),
            "your system's packages chromium and chromium-driver",
        ),
    ]
}

/// Names of the models in the project's folder.
fn committed_models() -> Result<String, String> {
    let models = crate::project_root().join("models");
    let entries = Entry::all(&models).map_err(|error| format!("{error:#}"))?;
    let names: Vec<String> = entries.into_iter().map(|entry| entry.manifest.name).collect();
    if names.is_empty() { Err(format!("none in {}", shown(&models))) } else { Ok(names.join(", ")) }
}

/// Target of the board of benchmarks, where this machine compiles for it.
fn embedded_compiler() -> Result<String, String> {
    let board = in_one_line(Board::named(bench::BOARD))?;
    in_one_line(can_build(&board)).map(|()| board.target)
}

/// Version of the emulator of the board of benchmarks.
fn qemu() -> Result<String, String> {
    let board = in_one_line(Board::named(bench::BOARD))?;
    in_one_line(emulator::find(&board)).and_then(|()| version("qemu-system-arm", &["--version"]))
}

/// The result with an error's first line.
fn in_one_line<T, E: ToString>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| first_line(&error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// First line of what a program says about itself.
pub(super) fn version(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program} does not run: {error}"))?;
    match output.status.success() {
        true => Ok(first_line(&String::from_utf8_lossy(&output.stdout))),
        false => Err(format!("{program} ends with {}", output.status)),
    }
}

/// Version of a Python package in the project's environment, else in the system's Python.
fn python(root: &Path, package: &str) -> Result<String, String> {
    let own = root.join(".venv/bin/python");
    let program = if own.is_file() { own.display().to_string() } else { "python3".into() };
    let script = format!("from importlib.metadata import version; print('{package}', version('{package}'))");
    version(&program, &["-c", &script]).map_err(|_| format!("{program} has no {package}"))
}

/// Boards that are emulated here, or the first that cannot be.
fn other_emulators() -> Result<String, String> {
    let boards = in_one_line(Board::all())?;
    let emulated = boards.iter().filter(|board| board.emulator().is_some());
    let names: Result<Vec<&str>, String> = emulated
        .map(|board| emulator::find(board).map(|()| board.name.as_str()).map_err(|error| error.to_string()))
        .collect();
    names.map(|names| names.join(", "))
}
