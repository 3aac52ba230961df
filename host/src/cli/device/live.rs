//! `host device live`: a stream of pictures to the board, thumbnail and answer in the terminal.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use shared::input::InputShape;
use shared::protocol::{Answer, Verdict};

use super::{LinkArgs, TargetArgs, send_photograph, side_of_frames};
use crate::cli::{Failure, print_line, remark, shown, terminal};
use crate::dataset::photo::{self, Photo};
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
                    "verdict": super::verdict_name(answer.verdict),
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
                let reader: Box<dyn BufRead> = Box::new(BufReader::new(std::io::stdin()));
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
                let photo = read_ppm(reader)?;
                *number += 1;
                Ok(photo.map(|photo| (format!("picture {number}"), photo)))
            }
        }
    }
}

/// Reads the next binary PPM of a stream: `P6 WIDTH HEIGHT 255`, one white space, pixels; `None` at its end.
fn read_ppm(reader: &mut dyn BufRead) -> Result<Option<Photo>> {
    const LARGEST: usize = 16_384;
    let Some(magic) = word(reader)? else { return Ok(None) };
    let no_ppm = || Failure::Usage("standard input is no stream of binary PPM pictures (P6, 8 bits)".into());
    if magic != "P6" {
        bail!(no_ppm());
    }
    let mut fields = [0usize; 3];
    for field in &mut fields {
        *field = word(reader)?.and_then(|text| text.parse().ok()).ok_or_else(no_ppm)?;
    }
    let [width, height, most] = fields;
    if most != 255 || !(1..=LARGEST).contains(&width) || !(1..=LARGEST).contains(&height) {
        bail!(no_ppm());
    }
    let mut rgb = vec![0; 3 * width * height];
    reader.read_exact(&mut rgb).context("the last picture of the stream is cut off")?;
    Ok(Some(Photo { width, height, rgb }))
}

/// Reads a word and the one white space behind it; lines that begin with `#` are remarks.
fn word(reader: &mut dyn BufRead) -> Result<Option<String>> {
    let mut text = String::new();
    loop {
        let mut byte = [0];
        if reader.read(&mut byte)? == 0 {
            return Ok((!text.is_empty()).then_some(text));
        }
        match byte[0] {
            b'#' if text.is_empty() => {
                let mut remark = Vec::new();
                reader.read_until(b'\n', &mut remark)?;
            }
            letter if letter.is_ascii_whitespace() => {
                if !text.is_empty() {
                    return Ok(Some(text));
                }
            }
            _ if text.len() >= 16 => return Ok(Some(text)),
            letter => text.push(char::from(letter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_s_pictures_come_one_after_the_other() {
        let bytes =
            [&b"P6\n# by ffmpeg\n2 1\n255\n"[..], &[1, 2, 3, 4, 5, 6], b"P6 1 1 255\n", &[7, 8, 9]].concat();
        let mut reader = &bytes[..];
        let first = read_ppm(&mut reader).unwrap().unwrap();
        assert_eq!((first.width, first.height, &first.rgb[..]), (2, 1, &[1, 2, 3, 4, 5, 6][..]));
        assert_eq!(read_ppm(&mut reader).unwrap().unwrap().rgb, [7, 8, 9]);
        assert!(read_ppm(&mut reader).unwrap().is_none());
        for bad in [&b"P5 1 1 255 a"[..], b"P6 1 1 65535 aaaaaa", b"P6 0 1 255 ", b"P6 1 1 255 a", b"hello"] {
            assert!(read_ppm(&mut &bad[..]).is_err(), "{bad:?}");
        }
    }
}
