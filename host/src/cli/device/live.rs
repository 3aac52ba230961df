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
use crate::device::client::Client;
use crate::evaluate::calibration::softmax;
use crate::model_dir::ModelDir;
use crate::task::Task;

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
        let model = network.quantized();
        let confidence = dir.confidence()?;
        let mut source = match self.from.as_str() {
            "board" => None,
            from => Some(Source::open(from)?),
        };
        let elf = self.link.image(&self.target, &dir)?;
        let mut device = self.link.connect(&self.target, elf.as_deref(), &dir)?;
        let mut seen = 0;
        while self.count.is_none_or(|count| seen < count) {
            let sight = match &mut source {
                Some(source) => match source.next()? {
                    Some((name, photo)) => {
                        Sight::of_photograph(&mut device.client, name, &photo, &model.task)?
                    }
                    None => break,
                },
                None => Sight::of_camera(&mut device.client, seen + 1)?,
            };
            let logits: Vec<f32> =
                sight.answer.logits.iter().map(|&logit| logit as f32 * model.logit_scale()).collect();
            let shares = softmax(&logits, confidence.temperature);
            let probability = shares.get(usize::from(sight.answer.class)).copied().unwrap_or(0.0);
            let milliseconds =
                1e3 * f64::from(sight.answer.ticks) / f64::from(device.identity.tick_hz.max(1));
            sight.show(model.task.name(sight.answer.class.into()), probability, milliseconds, self.json)?;
            seen += 1;
        }
        if seen == 0 {
            return Err(Failure::Usage(format!("--from {}: no picture came", self.from)).into());
        }
        remark(format_args!("{seen} pictures"));
        Ok(())
    }
}

/// A picture that the board looked at, and what it said.
struct Sight {
    name: String,
    answer: Answer,
    /// Shape and pixels of what is shown in the terminal.
    thumbnail: (InputShape, Vec<u8>),
}

impl Sight {
    /// Sends a photograph.
    fn of_photograph(client: &mut Client, name: String, photo: &Photo, task: &Task) -> Result<Self> {
        let (answer, one) = send_photograph(client, &photo.smaller(side_of_frames(task)), task)?;
        Ok(Self { name, answer, thumbnail: (task.input, one.image(0).to_vec()) })
    }

    /// Has the board look through its own camera. It keeps its pictures; its screen has a thumbnail.
    fn of_camera(client: &mut Client, number: usize) -> Result<Self> {
        let answer = client.look()?;
        let screen = client.screen()?;
        let shape = InputShape { height: screen.height, width: screen.width, channels: 1 };
        Ok(Self { name: format!("picture {number}"), answer, thumbnail: (shape, screen.pixels) })
    }

    /// Prints what was seen, as JSON or with its thumbnail.
    fn show(&self, class: &str, probability: f64, milliseconds: f64, json: bool) -> Result<()> {
        let Self { name, answer, thumbnail: (shape, pixels) } = self;
        if json {
            return print_line(serde_json::json!({
                "picture": name,
                "predicted": class,
                "probability": probability,
                "verdict": verdict_name(answer.verdict),
                "logits": answer.logits,
                "milliseconds": milliseconds,
            }));
        }
        let picture = terminal::picture(*shape, pixels, terminal::stdout_has_color());
        print_line(picture.trim_end_matches('\n'))?;
        print_line(format_args!("{name}: {}, {milliseconds:.1} ms", said(answer, class, probability)))
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
