//! The link, the page, what others published, build and training.

use std::process::Command;

use anyhow::{Result, bail};

use super::command::{NotHere, cpu_seconds, run_own, typed};
use super::{Prover, README};
use crate::bench::{networks, peers};
use crate::prove::stated::Text;
use crate::prove::{Claim, Label};

/// Frames of the link's soak in a quick run, and in a whole one.
const SOAK_FRAMES: [&str; 2] = ["20000", "200000"];

impl Prover<'_> {
    /// Client and app over a line that damages bytes.
    pub(super) fn soak(&mut self) {
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

    /// Some seconds of each fuzz target.
    pub(super) fn fuzz(&mut self) {
        let output = Command::new("scripts/fuzz.sh").arg("10").current_dir(crate::project_root()).output();
        let (measured, is_held) = match output {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let last = text.lines().last().unwrap_or_default();
                (format!("no fault in {}", last.trim_start_matches("all: ")), last.starts_with("all: "))
            }
            Ok(output) => (String::from_utf8_lossy(&output.stderr).into_owned(), false),
            Err(error) => (format!("scripts/fuzz.sh: {error}"), false),
        };
        let claim = "the fuzz targets, 10 s each";
        let stated = Some("no fault".into());
        let claim =
            Claim::new(claim, Label::Measured, "docs/proof.md", stated, measured, "scripts/fuzz.sh 10");
        self.add(claim.with_equal(is_held));
    }

    /// Size of the page to try models in.
    pub(super) fn page(&mut self) {
        let claim = "the page with small and photo-mini, less than";
        let out = std::env::temp_dir().join(format!("prove-{}.html", std::process::id()));
        let out_text = out.display().to_string();
        let arguments = ["report", "--try", "--model", "small", "--model", "photo-mini", "--out", &out_text];
        let command = typed(&arguments[..6]);
        let web = Text::read("docs/web.md").ok();
        let stated = web.and_then(|text| text.figure("20 test pictures of each has less than {};"));
        let most: Option<u64> = stated.as_ref().and_then(|most| most.strip_suffix(" KB")?.parse().ok());
        let (measured, is_held) = match run_own(&arguments).and_then(|_| Ok(std::fs::metadata(&out)?.len())) {
            Ok(bytes) => (format!("{bytes} B"), most.is_some_and(|most| bytes < 1000 * most)),
            Err(error) if error.is::<NotHere>() => {
                return self.skip(claim, error.to_string());
            }
            Err(error) => (format!("{error:#}"), false),
        };
        let _ = std::fs::remove_file(out);
        let claim = Claim::new(claim, Label::Measured, "docs/web.md", stated, measured, command);
        self.add(claim.with_equal(is_held));
    }

    /// What others published, for comparison only.
    pub(super) fn published(&mut self) {
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
    pub(super) fn build(&mut self) -> Result<()> {
        let target = std::env::temp_dir().join(format!("prove-build-{}", std::process::id()));
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

    /// An epoch here and in PyTorch, which is that of `TORCH_PYTHON` or of `python3`.
    pub(super) fn training(&mut self) {
        let python = std::env::var("TORCH_PYTHON").unwrap_or_else(|_| "python3".into());
        for net in ["article", "small", "photo"] {
            let arguments = ["bench", "train", "--net", net, "--threads", "2", "--json", "--python", &python];
            let title = format!("an epoch of {net} over PyTorch's");
            let Some(document) = self.ask(&title, Label::Measured, &arguments) else { continue };
            let ratio = document["ratio"].as_f64();
            let measured = match (ratio, document["pytorch"].as_str()) {
                (Some(ratio), Some(version)) => format!("{ratio:.2} of PyTorch {version}"),
                _ => "PyTorch did not run".into(),
            };
            let claim = Claim::new(
                title,
                Label::Measured,
                "docs/training.md",
                Some("at most 1".into()),
                measured,
                typed(&arguments[..7]),
            );
            self.add(claim.with_equal(ratio.is_some_and(|ratio| ratio <= 1.0)));
        }
    }
}
