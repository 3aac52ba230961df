//! The emulated chip: logits, instructions, boards.

use anyhow::{Context, Result};
use serde_json::Value;

use super::command::{text_of, typed};
use super::{CHIP_MODELS, Prover, README};
use crate::device::board::Board;
use crate::device::emulator;
use crate::prove::{Claim, Label};

/// Test images sent to the emulated chip in a quick run.
const QUICK_IMAGES: &str = "200";

impl Prover<'_> {
    /// The emulated chip: logits and instructions.
    pub(super) fn chip(&mut self) {
        let heading = "images whose chip logits differ";
        for name in CHIP_MODELS {
            if self.scope.quick && name != "nano" {
                self.skip(format!("{name}: {heading}"), "left out by --quick");
                continue;
            }
            let data = self.data_of(name);
            let mut arguments =
                vec!["device", "hil", "--emulate", "--model", name, "--dataset", &data, "--json"];
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
    pub(super) fn kernels(&mut self) -> Result<()> {
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
    pub(super) fn boards(&mut self) -> Result<()> {
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
}
