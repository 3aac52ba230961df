//! `host device live`: a stream of pictures to the board, thumbnail and answer in the terminal.

use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use shared::input::InputShape;
use shared::protocol::{Answer, Verdict};

use super::frames::{send_photograph, side_of_frames, verdict_name};
use super::{LinkArgs, TargetArgs};
use crate::cli::{Failure, print_line, remark, shown, terminal};
use crate::dataset::photo::{self, Photo};
use crate::dataset::ppm;
use crate::device::DeviceError;
use crate::evaluate::calibration::softmax;
use crate::model_dir::ModelDir;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device live --emulate --model models/photo-mini --from ~/Pictures/clothes\n  host device live --board pico2 --port auto --model models/photo --from camera\n  ffmpeg -i video.mp4 -f image2pipe -c:v ppm - | host device live --emulate --model models/photo-mini --from -"
)]
pub(in crate::cli) struct LiveArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    link: LinkArgs,
    /// Where pictures come from: a folder, `camera` or a camera's device (through ffmpeg), `board` for the
    /// board's own camera, or `-` for PPM pictures on standard input
    #[arg(long, value_name = "FOLDER|CAMERA|board|-")]
    from: String,
    /// Stop after so many pictures [default: all of a folder, else at Ctrl-C]
    #[arg(long, value_name = "COUNT")]
    count: Option<usize>,
    /// One JSON document a line instead of thumbnails
    #[arg(long)]
    json: bool,
}

impl LiveArgs {
    pub(super) fn run(&self) -> Result<()> {
        let dir = ModelDir::new(&self.target.model);
        let network = dir.read_firmware()?;
        let task = &network.quantized().task;
        let confidence = dir.confidence()?;
        let mut source = match self.from.as_str() {
            "board" => None,
            from => Some(Source::open(from)?),
        };
        let elf = self.link.image(&self.target, &dir)?;
        let mut device = self.link.connect(&self.target, elf.as_deref(), &dir)?;
        let mut sent = 0;
        while self.count.is_none_or(|count| sent < count) {
            let (name, answer, picture) = match &mut source {
                Some(source) => {
                    let Some((name, photo)) = source.next()? else { break };
                    let photo = photo.smaller(side_of_frames(task));
                    let (answer, one) = send_photograph(&mut device.client, &photo, task)?;
                    (name, answer, (task.input, one.image(0).to_vec()))
                }
                // The board keeps its pictures; its screen has a thumbnail.
                None => {
                    let answer = device.client.look()?;
                    let screen = device.client.screen()?;
                    let shape = InputShape { height: screen.height, width: screen.width, channels: 1 };
                    (format!("picture {}", sent + 1), answer, (shape, screen.pixels))
                }
            };
            let scale = network.quantized().logit_scale();
            let logits: Vec<f32> = answer.logits.iter().map(|&logit| logit as f32 * scale).collect();
            let shares = softmax(&logits, confidence.temperature);
            let probability = shares.get(usize::from(answer.class)).copied().unwrap_or(0.0);
            let milliseconds = 1e3 * f64::from(answer.ticks) / f64::from(device.identity.tick_hz.max(1));
            if self.json {
                print_line(serde_json::json!({
                    "picture": name,
                    "predicted": task.name(answer.class.into()),
                    "probability": probability,
                    "verdict": verdict_name(answer.verdict),
                    "logits": answer.logits,
                    "milliseconds": milliseconds,
                }))?;
            } else {
                let thumbnail = terminal::picture(picture.0, &picture.1, terminal::stdout_has_color());
                print_line(thumbnail.trim_end_matches('\n'))?;
                print_line(format_args!(
                    "{name}: {}, {milliseconds:.1} ms",
                    said(&answer, task.name(answer.class.into()), probability)
                ))?;
            }
            sent += 1;
        }
        if sent == 0 {
            return Err(Failure::Usage(format!("--from {}: no picture came", self.from)).into());
        }
        remark(format_args!("{sent} pictures"));
        Ok(())
    }
}

fn said(answer: &Answer, name: &str, probability: f64) -> String {
    match answer.verdict {
        Verdict::Nothing => "nothing there".to_owned(),
        Verdict::Unsure => format!("not sure ({name}? {:.0} %)", 100.0 * probability),
        Verdict::Sure => format!("{name}, {:.0} %", 100.0 * probability),
    }
}

/// Where pictures come from.
enum Source {
    /// Files that are left, the next one last.
    Files(Vec<PathBuf>),
    /// Binary PPM pictures, one after the other, and their number.
    Stream { reader: Box<dyn BufRead>, number: usize, _program: Option<Program> },
}

/// A program that ends with this value.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Source {
    fn open(from: &str) -> Result<Self> {
        let path = Path::new(from);
        match from {
            "-" => {
                let reader: Box<dyn BufRead> = Box::new(BufReader::new(io::stdin()));
                Ok(Self::Stream { reader, number: 0, _program: None })
            }
            _ if path.is_dir() => {
                let mut files = photo::below(path)?;
                if files.is_empty() {
                    bail!(Failure::Usage(format!("--from {from}: the folder holds no pictures")));
                }
                files.reverse();
                Ok(Self::Files(files))
            }
            _ if path.is_file() => Ok(Self::Files(vec![path.to_owned()])),
            "camera" => Self::camera("/dev/video0"),
            _ if from.starts_with("/dev/") => Self::camera(from),
            _ => bail!(Failure::Usage(format!("--from {from}: there is no such folder, file or camera"))),
        }
    }

    fn camera(device: &str) -> Result<Self> {
        if !Path::new(device).exists() {
            bail!(DeviceError::Missing(format!(
                "there is no camera at {device}; --from names another device"
            )));
        }
        let arguments =
            ["-v", "error", "-f", "v4l2", "-i", device, "-r", "4", "-f", "image2pipe", "-c:v", "ppm", "-"];
        let mut program = Command::new("ffmpeg")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| DeviceError::Missing(format!("ffmpeg does not run ({error}); install it")))?;
        let output = program.stdout.take().context("ffmpeg's output was piped")?;
        let reader: Box<dyn BufRead> = Box::new(BufReader::new(output));
        Ok(Self::Stream { reader, number: 0, _program: Some(Program(program)) })
    }

    /// Returns the next picture and its name; a file that is no picture is named and passed over.
    fn next(&mut self) -> Result<Option<(String, Photo)>> {
        match self {
            Self::Files(files) => {
                while let Some(path) = files.pop() {
                    match Photo::read(&path) {
                        Ok(photo) => return Ok(Some((shown(&path), photo))),
                        Err(error) => remark(format_args!("passed over: {error:#}")),
                    }
                }
                Ok(None)
            }
            Self::Stream { reader, number, .. } => {
                let photo = ppm::read(reader).map_err(bad_stream)?;
                *number += 1;
                Ok(photo.map(|photo| (format!("picture {number}"), photo)))
            }
        }
    }
}

/// What a person is told of a stream that cannot be read.
fn bad_stream(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::InvalidData => {
            let problem = "standard input is no stream of binary PPM pictures (P6, 8 bits)";
            Failure::Usage(problem.into()).into()
        }
        ErrorKind::UnexpectedEof => anyhow!("the last picture of the stream is cut off"),
        _ => error.into(),
    }
}
