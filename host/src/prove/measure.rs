//! What is run for the claims.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::stated::Text;
use super::{Claim, Label, Skipped};
use crate::bench::{networks, peers};
use crate::device::board::Board;
use crate::device::emulator;
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Profile};

const README: &str = "README.md";
/// Models whose images of the chip are run.
const CHIP_MODELS: [&str; 7] =
    ["nano", "small", "flagship", "article", "small-robust", "photo", "photo-mini"];
/// Test images sent to the emulated chip in a quick run.
const QUICK_IMAGES: &str = "200";
/// Frames of the link's soak in a quick run, and in a whole one.
const SOAK_FRAMES: [&str; 2] = ["20000", "200000"];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Only what takes little time.
    pub quick: bool,
    /// A cold build, too.
    pub build: bool,
    /// Training beside PyTorch's, too.
    pub training: bool,
}

/// Collects claims.
pub struct Prover<'a> {
    scope: Scope,
    readme: Text,
    rows: HashMap<String, HashMap<String, String>>,
    /// What was measured.
    pub claims: Vec<Claim>,
    /// What was not.
    pub skipped: Vec<Skipped>,
    /// Is told each claim.
    say: &'a mut dyn FnMut(&Claim),
}

impl<'a> Prover<'a> {
    /// Reads what is stated.
    ///
    /// # Errors
    /// Where the README cannot be read.
    pub fn new(scope: Scope, say: &'a mut dyn FnMut(&Claim)) -> Result<Self> {
        let readme = Text::read(README)?;
        let named =
            |row: HashMap<String, String>| Some((row.get("model")?.trim_matches('`').to_owned(), row));
        let rows = readme.rows("models").into_iter().filter_map(named).collect();
        Ok(Self { scope, readme, rows, claims: Vec::new(), skipped: Vec::new(), say })
    }

    /// Measures everything in the scope.
    ///
    /// # Errors
    /// Where a committed file is damaged; a command that fails is a claim that is not equal.
    pub fn run(&mut self) -> Result<()> {
        self.sizes()?;
        self.accuracies();
        self.photographs();
        self.chip();
        self.kernels()?;
        self.boards()?;
        self.soak();
        self.page();
        self.published();
        if self.scope.build {
            self.build()?;
        } else {
            self.skip("minutes of a cold build", "asked for with --build");
        }
        if self.scope.training {
            self.training();
        } else {
            self.skip("training time beside PyTorch's", "asked for with --training; needs PyTorch");
        }
        Ok(())
    }

    fn add(&mut self, claim: Claim) {
        (self.say)(&claim);
        self.claims.push(claim);
    }

    fn skip(&mut self, claim: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped { claim: claim.into(), reason: reason.into() });
    }

    /// Cell of the README's table of models.
    fn cell(&self, model: &str, heading: &str) -> Option<String> {
        self.rows.get(model)?.get(heading).cloned()
    }

    /// Runs one of the program's own commands; where it fails, that is what was measured.
    fn ask(&mut self, claim: &str, label: Label, arguments: &[&str]) -> Option<Value> {
        match own_command(arguments) {
            Ok(document) => Some(document),
            Err(error) => {
                let command = typed(arguments);
                self.add(Claim::new(claim, label, README, None, format!("{error:#}"), command));
                None
            }
        }
    }

    /// Bytes and multiply-accumulates, of the committed files.
    fn sizes(&mut self) -> Result<()> {
        let names: Vec<String> = self.rows.keys().cloned().collect();
        let mut names = names;
        names.sort();
        for name in names {
            let dir = ModelDir::new(&crate::project_root().join("models").join(&name));
            let plan = NetworkPlan::new(&dir.read_firmware()?, Profile::Size)?;
            let macs: usize = plan.decisions().iter().map(|decision| decision.macs).sum();
            let command = format!("host codegen --model {name} --profile size");
            for (heading, measured) in [
                ("weights + tables", format!("{} B", plan.constant_bytes())),
                ("activations", format!("{} B", plan.arena_bytes())),
                ("MACs", format!("{:.3}M", macs as f64 / 1e6)),
            ] {
                let stated = self.cell(&name, heading);
                self.add(Claim::new(
                    format!("{name}: {heading}"),
                    Label::Measured,
                    README,
                    stated,
                    measured,
                    &command,
                ));
            }
        }
        for (name, most) in [("nano", 16), ("small", 32), ("flagship", 64)] {
            let bytes = self.claims.iter().find(|claim| claim.claim == format!("{name}: weights + tables"));
            let bytes: u64 = bytes
                .and_then(|claim| claim.measured.as_ref()?.strip_suffix(" B")?.parse().ok())
                .unwrap_or(u64::MAX);
            let stated = self.readme.figure("in at most {}.");
            let claim = format!("{name}: fits {most} KiB");
            let held = Claim::new(
                claim,
                Label::Measured,
                README,
                stated,
                format!("{bytes} B"),
                format!("host codegen --model {name} --profile size"),
            );
            self.add(held.with_equal(bytes <= most * 1024));
        }
        Ok(())
    }

    /// Accuracies on all test images: int8 by the firmware's integers, float in tract where the file is kept.
    fn accuracies(&mut self) {
        let out = std::env::temp_dir().join(format!("prove-{}", std::process::id()));
        let out_text = out.display().to_string();
        let others = ["minivgg", "teacher", "photo-teacher"];
        for name in CHIP_MODELS.into_iter().chain(others) {
            if self.scope.quick && others.contains(&name) {
                self.skip(format!("{name}: accuracy"), "left out by --quick");
                continue;
            }
            let has_float =
                ModelDir::new(&crate::project_root().join("models").join(name)).float_onnx().is_file();
            for (heading, engine) in [("int8", "integer"), ("float", "tract")] {
                if engine == "tract" && (!has_float || self.scope.quick) {
                    let reason = if has_float {
                        "left out by --quick"
                    } else {
                        "its float file is not kept; its manifest's command makes it"
                    };
                    self.skip(format!("{name}: {heading} accuracy"), reason);
                    continue;
                }
                let arguments = [
                    "evaluate", "--model", name, "--engine", engine, "--photos", "0", "--json", "--out",
                    &out_text,
                ];
                let claim = format!("{name}: {heading} accuracy");
                let Some(document) = self.ask(&claim, Label::Measured, &arguments) else { continue };
                let measured = percent(&document["accuracy"], 2);
                let stated = self.cell(name, heading);
                self.add(Claim::new(
                    claim,
                    Label::Measured,
                    README,
                    stated,
                    measured.clone(),
                    typed(&arguments[..5]),
                ));
                if (name, heading) == ("article", "int8") {
                    let stated = self.readme.figure("the first line: {} as int8");
                    self.add(Claim::new(
                        "article's accuracy in the notebook's table",
                        Label::Measured,
                        README,
                        stated,
                        measured,
                        typed(&arguments[..5]),
                    ));
                }
            }
        }
        let _ = std::fs::remove_dir_all(out);
    }

    /// What a model of Fashion-MNIST is worth on photographs.
    fn photographs(&mut self) {
        let arguments = ["robustness", "--photographs", "--model", "small", "--json"];
        let Some(document) = self.ask("small on photographs", Label::Measured, &arguments) else { return };
        let stated = self.readme.figure("`small` on {} of 290 photographs");
        let measured = percent(&document["accuracy"], 1);
        self.add(Claim::new(
            "small: right on photographs",
            Label::Measured,
            README,
            stated,
            measured,
            typed(&arguments),
        ));
        let stated = self.readme.figure("(`small` on 41.4 % of {} photographs");
        self.add(Claim::new(
            "photographs judged",
            Label::Measured,
            README,
            stated,
            document["images"].to_string(),
            typed(&arguments),
        ));
    }

    /// The emulated chip: logits and instructions.
    fn chip(&mut self) {
        let heading = "images whose chip logits differ";
        for name in CHIP_MODELS {
            if self.scope.quick && name != "nano" {
                self.skip(format!("{name}: {heading}"), "left out by --quick");
                continue;
            }
            let mut arguments = vec!["device", "hil", "--emulate", "--model", name, "--json"];
            if self.scope.quick {
                arguments.extend(["--images", QUICK_IMAGES]);
            }
            let claim = format!("{name}: {heading}");
            let Some(document) = self.ask(&claim, Label::Emulated, &arguments) else { continue };
            let measured = format!("{} of {}", document["mismatches"], document["images"]);
            let stated = self.cell(name, heading);
            let is_equal = if self.scope.quick {
                document["mismatches"] == 0
            } else {
                stated.as_ref() == Some(&measured)
            };
            self.add(
                Claim::new(claim, Label::Emulated, README, stated, measured, typed(&arguments))
                    .with_equal(is_equal),
            );
            let heading = "instructions on the M4";
            let count = document["instructions_per_image"].as_f64().unwrap_or(0.0);
            let stated = self.cell(name, heading);
            self.add(Claim::new(
                format!("{name}: {heading}"),
                Label::Emulated,
                README,
                stated,
                format!("{:.2}M", count / 1e6),
                typed(&arguments),
            ));
        }
    }

    /// Instructions and bytes of code, as docs/kernels.json has them.
    fn kernels(&mut self) -> Result<()> {
        const PLACE: &str = "docs/kernels.json";
        let path = crate::report::kernels::record_path();
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let record: Value = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        let mut arguments = vec!["bench", "kernels", "--emulate", "--json"];
        if self.scope.quick {
            arguments.extend(["nano", "--profile", "speed"]);
            self.skip("kernels of the other networks", "left out by --quick");
        }
        let Some(document) = self.ask("instructions by network", Label::Emulated, &arguments) else {
            return Ok(());
        };
        for counted in document["networks"].as_array().into_iter().flatten() {
            let is_same =
                |entry: &&Value| entry["name"] == counted["name"] && entry["profile"] == counted["profile"];
            let recorded = record["networks"].as_array().and_then(|all| all.iter().find(is_same));
            let name = format!("{}, {}", text_of(&counted["name"]), text_of(&counted["profile"]));
            for (key, label) in [
                ("instructions", Label::Emulated),
                ("model_cycles", Label::Model),
                ("code_bytes", Label::Measured),
                ("constant_bytes", Label::Measured),
                ("ram_bytes", Label::Emulated),
            ] {
                let stated = recorded.map(|entry| entry[key].to_string());
                self.add(Claim::new(
                    format!("{name}: {key}"),
                    label,
                    PLACE,
                    stated,
                    counted[key].to_string(),
                    typed(&arguments),
                ));
            }
        }
        Ok(())
    }

    /// Every emulated board: its logits against the desktop's, sizes as docs/boards.json has them.
    fn boards(&mut self) -> Result<()> {
        const PLACE: &str = "docs/boards.json";
        if self.scope.quick {
            self.skip("the emulated boards", "left out by --quick");
            return Ok(());
        }
        let record = crate::device::estimate::read_record()?;
        for board in Board::all()?.iter().filter(|board| board.emulator().is_some()) {
            if let Err(error) = emulator::find(board) {
                self.skip(format!("board {}", board.name), error.to_string());
                continue;
            }
            let arguments = ["bench", "boards", &board.name, "--json"];
            let Some(document) = self.ask(&board.name, Label::Emulated, &arguments) else { continue };
            for image in document["images"].as_array().into_iter().flatten() {
                let model = text_of(&image["model"]);
                let recorded =
                    record.images.iter().find(|entry| entry.board == board.name && entry.model == model);
                let stated = recorded.and_then(|entry| entry.built.as_ref());
                let name = format!("{} with {model}", board.name);
                let built = &image["built"];
                if built.is_null() {
                    let agrees = Claim::new(
                        format!("{name}: does not fit"),
                        Label::Measured,
                        PLACE,
                        Some("does not fit".into()),
                        "does not fit",
                        typed(&arguments),
                    );
                    self.add(agrees.with_equal(recorded.is_some() && stated.is_none()));
                    continue;
                }
                for key in ["flash_bytes", "ram_bytes"] {
                    let figure = stated
                        .map(|built| if key == "flash_bytes" { built.flash_bytes } else { built.ram_bytes });
                    self.add(Claim::new(
                        format!("{name}: {key}"),
                        Label::Measured,
                        PLACE,
                        figure.map(|bytes| bytes.to_string()),
                        built[key].to_string(),
                        typed(&arguments),
                    ));
                }
                let run = stated.and_then(|built| built.run.as_ref());
                let stated = run.map(|run| format!("{} of {}", run.mismatches, run.images));
                let measured = format!("{} of {}", built["run"]["mismatches"], built["run"]["images"]);
                self.add(Claim::new(
                    format!("{name}: images whose logits differ"),
                    Label::Emulated,
                    PLACE,
                    stated,
                    measured,
                    typed(&arguments),
                ));
            }
        }
        Ok(())
    }

    /// Client and app over a line that damages bytes.
    fn soak(&mut self) {
        let frames = SOAK_FRAMES[usize::from(!self.scope.quick)];
        let arguments =
            ["device", "soak", "--frames", frames, "--noise", "0.001", "--model", "nano", "--json"];
        let Some(document) = self.ask("the link", Label::Measured, &arguments) else { return };
        let measured = format!(
            "{} wrong answers, at most {} frame(s) lost an incident",
            document["wrong"], document["longest_recovery_frames"]
        );
        let is_held = document["wrong"] == 0 && document["longest_recovery_frames"].as_u64() <= Some(1);
        let stated = Some("0 wrong answers, at most 1 frame(s) lost an incident".into());
        self.add(
            Claim::new(
                format!("the link, {frames} frames, one byte in 1000 damaged"),
                Label::Measured,
                "docs/boards.md",
                stated,
                measured,
                typed(&arguments),
            )
            .with_equal(is_held),
        );
    }

    /// Size of the page to try models in.
    fn page(&mut self) {
        let out = std::env::temp_dir().join(format!("prove-{}.html", std::process::id()));
        let out_text = out.display().to_string();
        let arguments = ["report", "--try", "--model", "small", "--model", "photo-mini", "--out", &out_text];
        let command = typed(&arguments[..6]);
        let stated =
            Text::read("docs/web.md").ok().and_then(|text| text.figure("20 test pictures of each has {};"));
        let measured = match run_own(&arguments) {
            Ok(_) => std::fs::metadata(&out)
                .map_or_else(|error| error.to_string(), |file| format!("{} KB", (file.len() + 500) / 1000)),
            Err(error) => format!("{error:#}"),
        };
        let _ = std::fs::remove_file(out);
        self.add(Claim::new(
            "the page with small and photo-mini",
            Label::Measured,
            "docs/web.md",
            stated,
            measured,
            command,
        ));
    }

    /// What others published, for comparison only.
    fn published(&mut self) {
        for name in networks::NAMES {
            for peer in peers::of(name) {
                self.add(Claim {
                    claim: format!("{name}: instructions of {}", peer.name),
                    label: Label::Published,
                    place: "docs/kernels.md".into(),
                    stated: Some(peer.instructions.to_string()),
                    measured: None,
                    equal: None,
                    command: "host bench kernels".into(),
                });
            }
        }
    }

    /// CPU minutes of a cold build.
    fn build(&mut self) -> Result<()> {
        let target = tempfile_folder();
        let command = format!("cargo build -p host --target-dir {}", target.display());
        let begun = cpu_seconds();
        let output = Command::new("cargo")
            .args(["build", "-p", "host", "--target-dir"])
            .arg(&target)
            .current_dir(crate::project_root())
            .output()?;
        let minutes = (cpu_seconds() - begun) / 60.0;
        let _ = std::fs::remove_dir_all(&target);
        if !output.status.success() {
            bail!("cargo build: {}", String::from_utf8_lossy(&output.stderr));
        }
        let stated = self.readme.figure("The first build takes {} CPU minutes");
        let range = stated.as_ref().and_then(|range| range.split_once(" to "));
        let is_within = range.is_some_and(|(_, most)| most.parse().is_ok_and(|most: f64| minutes <= most));
        let measured = format!("{minutes:.1}");
        let claim = Claim::new(
            "CPU minutes of a cold build, at most",
            Label::Measured,
            README,
            stated.clone(),
            measured,
            command,
        );
        self.add(claim.with_equal(is_within));
        Ok(())
    }

    /// An epoch here and in PyTorch.
    fn training(&mut self) {
        let arguments = ["bench", "train", "--json"];
        let Some(document) = self.ask("training time", Label::Measured, &arguments) else { return };
        let ratio = document["ratio"].as_f64().unwrap_or(f64::INFINITY);
        let claim = Claim::new(
            "an epoch's time over PyTorch's, at most 1",
            Label::Measured,
            "docs/training.md",
            Some("1.00".into()),
            format!("{ratio:.2}"),
            typed(&arguments),
        );
        self.add(claim.with_equal(ratio <= 1.0));
    }
}

/// Runs this program and reads its JSON.
fn own_command(arguments: &[&str]) -> Result<Value> {
    let text = run_own(arguments)?;
    serde_json::from_slice(&text).with_context(|| format!("{}: no JSON", typed(arguments)))
}

/// Runs this program and returns its standard output.
fn run_own(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(std::env::current_exe()?).arg("--quiet").args(arguments).output()?;
    if !output.status.success() {
        let problem = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", typed(arguments), problem.lines().last().unwrap_or("it failed"));
    }
    Ok(output.stdout)
}

/// A command as it is typed.
fn typed(arguments: &[&str]) -> String {
    format!("host {}", arguments.join(" "))
}

fn percent(fraction: &Value, digits: usize) -> String {
    fraction.as_f64().map_or_else(|| "no number".into(), |value| format!("{:.digits$} %", 100.0 * value))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn tempfile_folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("prove-build-{}", std::process::id()))
}

/// User and system time of finished children in seconds, where the system tells it; else wall-clock time.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // proc(5): cutime and cstime are fields 16 and 17; the name in parentheses may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (ticks(13), ticks(14)) {
        (Some(user), Some(system)) => (user + system) / 100.0,
        _ => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64()),
    }
}
