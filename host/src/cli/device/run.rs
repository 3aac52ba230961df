//! `host device run`: one image or photograph on the device, every logit compared.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use shared::protocol::Verdict;

use super::frames::{photograph, send_photograph, verdict_name};
use super::{Connected, LinkArgs, TargetArgs, gate, speed};
use crate::cli::{DataArgs, Failure, print_json, print_line, remark, shown};
use crate::dataset::Samples;
use crate::dataset::photo::Photo;
use crate::device::hil;
use crate::model_dir::ModelDir;
use crate::report::png;
use crate::task::Task;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device run --emulate --image 0 --screen screen.png\n  host device run --emulate --model models/photo --photo shirt.jpg"
)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Index in the test part
    #[arg(long, default_value_t = 0, conflicts_with = "photo")]
    image: usize,
    /// A photograph of your own, sent as a camera's frame of at most 256 pixels (64 for the garment finder)
    #[arg(long, value_name = "FILE")]
    photo: Option<PathBuf>,
    /// Save what the emulated board's own display shows as PNG
    #[arg(long, value_name = "FILE", requires = "emulate")]
    screendump: Option<PathBuf>,
    /// Save the app's screen as PNG, four times as large
    #[arg(long, value_name = "FILE")]
    screen: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl RunArgs {
    pub(super) fn run(&self) -> Result<()> {
        let dir = ModelDir::new(&self.target.model);
        let network = dir.read_firmware()?;
        let task = &network.quantized().task;
        let shown_to_it = self.shown(&dir, task)?;
        let elf = self.link.image(&self.target, &dir)?;
        let mut device = self.link.connect(&self.target, elf.as_deref(), &dir)?;
        let (one, answer, what) = match shown_to_it {
            Shown::Image(one) => {
                let answer = device.client.classify(task.input, one.image(0))?;
                let what = format!("image {} (labelled {})", self.image, task.name(one.label(0)));
                (one, answer, what)
            }
            Shown::Photo(photo) => {
                let (answer, one) = send_photograph(&mut device.client, &photo, task)?;
                (one, answer, self.photo.as_deref().map(shown).unwrap_or_default())
            }
        };
        let report = hil::compare(dir.name(), &network, &one, std::slice::from_ref(&answer));
        self.save_screens(&mut device)?;
        device.show_log();
        let predicted = task.name(answer.class.into());
        if self.json {
            let answers = std::slice::from_ref(&answer);
            print_json(&serde_json::json!({
                "model": dir.name(),
                "image": self.photo.is_none().then_some(self.image),
                "photo": self.photo.as_deref().map(shown),
                "label": self.photo.is_none().then(|| task.name(one.label(0))),
                "predicted": predicted,
                "verdict": verdict_name(answer.verdict),
                "logits": answer.logits,
                "mismatches": report.mismatches,
                "instructions": speed(&self.link, &self.target, &device.identity, answers)?.instructions,
            }))?;
        } else {
            let said = match answer.verdict {
                Verdict::Nothing => "nothing there".to_owned(),
                Verdict::Unsure => format!("{predicted}, not sure"),
                Verdict::Sure => predicted.to_owned(),
            };
            print_line(format_args!("{what}: {said}"))?;
            print_line(format_args!("logits {:?}, {}", answer.logits, equality(report.mismatches)))?;
        }
        gate(&report)
    }

    /// The photograph or the test image that was asked for.
    fn shown(&self, dir: &ModelDir, task: &Task) -> Result<Shown> {
        if let Some(path) = &self.photo {
            return Ok(Shown::Photo(photograph(path, task)?));
        }
        let test = self.data.load_for(dir, task)?.test;
        if self.image >= test.len() {
            let problem = format!("--image {}: the test part has {} images, from 0", self.image, test.len());
            return Err(Failure::Usage(problem).into());
        }
        Ok(Shown::Image(test.select(&[self.image])))
    }

    /// Saves the app's screen and the emulated display, where asked.
    fn save_screens(&self, device: &mut Connected) -> Result<()> {
        if let Some(path) = &self.screen {
            let picture = device.client.screen()?;
            let pixels = png::enlarged(picture.width, picture.height, &picture.pixels, 4);
            png::write_gray(path, 4 * picture.width, 4 * picture.height, &pixels)?;
            remark(format_args!("screen saved as {}", shown(path)));
        }
        if let Some(path) = &self.screendump {
            let problem =
                format!("--screendump: {} has no display that its emulator draws", self.target.board);
            let monitor = device.monitor.as_mut().ok_or(Failure::Usage(problem))?;
            // An answer goes out before the display is drawn; this one comes after it.
            device.client.hello()?;
            monitor.screendump()?.write(path)?;
            remark(format_args!("display saved as {}", shown(path)));
        }
        Ok(())
    }
}

/// What a board is asked about.
enum Shown {
    /// One test image.
    Image(Samples),
    /// A photograph, small enough for the board.
    Photo(Photo),
}

fn equality(mismatches: usize) -> &'static str {
    if mismatches == 0 { "all equal to the desktop's" } else { "NOT equal to the desktop's" }
}
