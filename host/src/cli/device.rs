//! `host device`: boards listed, built, flashed, asked and compared with the desktop.

mod build;
mod flash;
mod list;
mod live;
mod monitor;
mod soak;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use shared::image::PixelFormat;
use shared::protocol::{Answer, Verdict};

use super::codegen::PlanArgs;
use super::{DataArgs, Failure, is_quiet, print_json, print_line, remark, shown};
use crate::dataset::Samples;
use crate::dataset::photo::Photo;
use crate::device::board::Board;
use crate::device::client::{Client, Identity, frame_limit};
use crate::device::emulator::{Emulator, Process};
use crate::device::hil::Speed;
use crate::device::log::Line;
use crate::device::monitor::Monitor;
use crate::device::{DeviceError, hil, port};
use crate::model_dir::ModelDir;
use crate::report::png;
use crate::task::Task;
use build::BuildArgs;
use flash::FlashArgs;
use list::ListArgs;
use live::LiveArgs;
use monitor::MonitorArgs;
use soak::SoakArgs;

#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// List the boards
    List(ListArgs),
    /// Build a board's firmware with a model in it
    Build(BuildArgs),
    /// Build, flash and greet a board
    Flash(FlashArgs),
    /// Classify one test image on the device and compare every logit
    Run(RunArgs),
    /// Classify the whole test set on the device and compare every logit
    Hil(HilArgs),
    /// Stream pictures to the board; thumbnail and answer in the terminal
    Live(LiveArgs),
    /// Show the board's decoded log
    Monitor(MonitorArgs),
    /// Talk over a line that damages bytes, and count what it costs
    Soak(SoakArgs),
}

/// Which image on which board.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// Board: the name of its folder in firmware/boards; `device build` also takes `all`
    #[arg(long, value_name = "NAME", default_value = "mps2-an386")]
    board: String,
    #[command(flatten)]
    plan: PlanArgs,
}

/// How to reach the device.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("device").required(true).args(["emulate", "port"])))]
pub(super) struct LinkArgs {
    /// Emulate the board with QEMU
    #[arg(long)]
    emulate: bool,
    /// Serial port of a flashed board, such as /dev/ttyACM0; `auto` finds it by its USB numbers
    #[arg(long)]
    port: Option<String>,
    /// Firmware to emulate instead of building it
    #[arg(long, value_name = "FILE", requires = "emulate")]
    elf: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device run --emulate --image 0 --screen screen.png\n  host device run --emulate --model models/photo --photo shirt.jpg"
)]
pub(super) struct RunArgs {
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

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device hil --emulate --model models/nano --images 200\n  host device hil --port /dev/ttyACM0 --model models/small"
)]
pub(super) struct HilArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Only the first images of the test part
    #[arg(long, value_name = "COUNT", value_parser = super::image_count)]
    images: Option<usize>,
    /// Emulators side by side [default: one a processor]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Keep the result as device.json in the model folder, if all test images were sent and all are equal
    #[arg(long)]
    record: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl DeviceCommand {
    pub(super) fn run(self) -> Result<()> {
        match self {
            DeviceCommand::List(args) => args.run(),
            DeviceCommand::Build(args) => args.run(),
            DeviceCommand::Flash(args) => args.run(),
            DeviceCommand::Live(args) => args.run(),
            DeviceCommand::Monitor(args) => args.run(),
            DeviceCommand::Run(args) => run_one(&args),
            DeviceCommand::Hil(args) => run_all(&args),
            DeviceCommand::Soak(args) => args.run(),
        }
    }
}

impl TargetArgs {
    fn board(&self) -> Result<Board> {
        Ok(Board::named(&self.board)?)
    }
}

/// A device that said who it is, and the emulator that must live as long.
struct Connected {
    client: Client,
    identity: Identity,
    log: Option<Receiver<Line>>,
    monitor: Option<Monitor>,
    _emulator: Option<Process>,
}

impl LinkArgs {
    /// Builds the image where one is emulated and none was named.
    fn image(&self, target: &TargetArgs, dir: &ModelDir) -> Result<Option<PathBuf>> {
        match (&self.port, &self.elf) {
            (Some(_), _) => Ok(None),
            (None, Some(elf)) => Ok(Some(elf.clone())),
            (None, None) => {
                let board = target.board()?;
                crate::device::emulator::find(&board)?;
                remark(format_args!("building {} with {}", board.name, dir.name()));
                crate::device::build::build(&board, dir, target.plan.options()).map(Some)
            }
        }
    }

    /// Connects, and refuses a device with another network than the model's.
    fn connect(&self, target: &TargetArgs, elf: Option<&Path>, dir: &ModelDir) -> Result<Connected> {
        let (mut client, log, monitor, emulator) = match (&self.port, elf) {
            (Some(port), _) => {
                let name = match port.as_str() {
                    "auto" => port::only_of_board(&target.board()?)?,
                    name => name.to_owned(),
                };
                (Client::over_port(&name)?, None, None, None)
            }
            (None, Some(elf)) => {
                let (uart, log, monitor, process) = Emulator::start(&target.board()?, elf)?.into_parts();
                (Client::over_socket(uart)?, Some(log), monitor, Some(process))
            }
            (None, None) => return Err(anyhow!("neither --emulate nor --port")),
        };
        let identity = client.hello()?;
        if identity.network_hash != dir.network_hash()? {
            return Err(anyhow!(DeviceError::Talk(format!(
                "runs another network ({}) than {}; flash it with `host device flash --model {}`",
                identity.model,
                shown(dir.path()),
                shown(dir.path())
            ))));
        }
        Ok(Connected { client, identity, log, monitor, _emulator: emulator })
    }
}

impl Connected {
    /// Prints what the board logged until now to standard error.
    fn show_log(&self) {
        let Some(log) = &self.log else { return };
        // The log comes over another channel than the answers and may lag a little.
        while let Ok(line) = log.recv_timeout(Duration::from_millis(100)) {
            remark(format_args!("board {:<5} {}", line.level, line.text));
        }
    }
}

fn run_one(args: &RunArgs) -> Result<()> {
    let dir = ModelDir::new(&args.target.model);
    let network = dir.read_firmware()?;
    let task = &network.quantized().task;
    let shown_to_it = match &args.photo {
        Some(path) => Shown::Photo(photograph(path, task)?),
        None => {
            let test = args.data.load_for(&dir, task)?.test;
            if args.image >= test.len() {
                let problem =
                    format!("--image {}: the test part has {} images, from 0", args.image, test.len());
                return Err(Failure::Usage(problem).into());
            }
            Shown::Image(test.select(&[args.image]))
        }
    };
    let elf = args.link.image(&args.target, &dir)?;
    let mut device = args.link.connect(&args.target, elf.as_deref(), &dir)?;
    let (one, answer, what) = match shown_to_it {
        Shown::Image(one) => {
            let answer = device.client.classify(task.input, one.image(0))?;
            let what = format!("image {} (labelled {})", args.image, task.name(one.label(0)));
            (one, answer, what)
        }
        Shown::Photo(photo) => {
            let (answer, one) = send_photograph(&mut device.client, &photo, task)?;
            (one, answer, args.photo.as_deref().map(shown).unwrap_or_default())
        }
    };
    let report = hil::compare(dir.name(), &network, &one, std::slice::from_ref(&answer));
    if let Some(path) = &args.screen {
        let picture = device.client.screen()?;
        let pixels = png::enlarged(picture.width, picture.height, &picture.pixels, 4);
        png::write_gray(path, 4 * picture.width, 4 * picture.height, &pixels)?;
        remark(format_args!("screen saved as {}", shown(path)));
    }
    if let Some(path) = &args.screendump {
        let problem = format!("--screendump: {} has no display that its emulator draws", args.target.board);
        let monitor = device.monitor.as_mut().ok_or(Failure::Usage(problem))?;
        // An answer goes out before the display is drawn; this one comes after it.
        device.client.hello()?;
        monitor.screendump()?.write(path)?;
        remark(format_args!("display saved as {}", shown(path)));
    }
    device.show_log();
    let predicted = task.name(answer.class.into());
    if args.json {
        print_json(&serde_json::json!({
            "model": dir.name(),
            "image": args.photo.is_none().then_some(args.image),
            "photo": args.photo.as_deref().map(shown),
            "label": args.photo.is_none().then(|| task.name(one.label(0))),
            "predicted": predicted,
            "verdict": verdict_name(answer.verdict),
            "logits": answer.logits,
            "mismatches": report.mismatches,
            "instructions": speed(&args.link, &args.target, &device.identity, std::slice::from_ref(&answer))?.instructions,
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

/// What a board is asked about.
enum Shown {
    /// One test image.
    Image(Samples),
    /// A photograph, small enough for the board.
    Photo(Photo),
}

/// Longer side of a photograph that is sent, in pixels: the line is slow.
const FRAME_SIDE: u32 = 256;

/// Reads a photograph and makes it small enough for the board.
fn photograph(path: &Path, task: &Task) -> Result<Photo> {
    Ok(Photo::read(path)?.smaller(side_of_frames(task)))
}

/// Longest side of a frame that is sent, in pixels.
fn side_of_frames(task: &Task) -> u32 {
    match frame_limit(task.preprocessing) {
        Some(bytes) => (bytes as f64).sqrt() as u32,
        None => FRAME_SIDE,
    }
}

/// Sends a photograph as a frame; returns the answer and, as the class it said, what the desktop makes of the frame.
fn send_photograph(client: &mut Client, photo: &Photo, task: &Task) -> Result<(Answer, Samples)> {
    let (pixels, _) = photo.to_input(task).context("the photograph has no size")?;
    let (width, height) = (photo.width as u16, photo.height as u16);
    let answer = match task.input.channels {
        1 => client.classify_frame(PixelFormat::Gray8, width, height, &photo.gray())?,
        _ => client.classify_frame(PixelFormat::Rgb888, width, height, &photo.rgb)?,
    };
    let mut one = Samples::empty(task.input);
    one.push(&pixels, answer.class);
    Ok((answer, one))
}

fn run_all(args: &HilArgs) -> Result<()> {
    let dir = ModelDir::new(&args.target.model);
    let network = dir.read_firmware()?;
    let dataset = args.data.load_for(&dir, &network.quantized().task)?;
    let test = dataset.test.take(args.images.unwrap_or(usize::MAX).max(1));
    let elf = args.link.image(&args.target, &dir)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if elf.is_some() { args.jobs.unwrap_or(processors).clamp(1, test.len()) } else { 1 };
    let started = Instant::now();
    let (answers, identity) = collect(args, elf.as_deref(), &dir, &test, jobs)?;
    let mut report = hil::compare(dir.name(), &network, &test, &answers);
    report.seconds = started.elapsed().as_secs_f64();
    let speed = speed(&args.link, &args.target, &identity, &answers)?;
    (report.instructions_per_image, report.microseconds_per_image) = (speed.instructions, speed.microseconds);
    report.kernels = identity.kernels;
    if args.link.port.is_none() && args.link.elf.is_none() {
        report.profile = args.target.plan.options().to_string();
    }
    // A record is a proof: all images, all equal.
    if args.record && report.mismatches == 0 && test.len() == dataset.test.len() {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        crate::files::write_whole(&dir.device_record(), text.as_bytes())?;
    }
    if args.json {
        print_json(&report)?;
    } else {
        let speed = match (report.instructions_per_image, report.microseconds_per_image) {
            (Some(instructions), _) => format!("{:.0} instructions an image", instructions),
            (_, Some(time)) => format!("{time:.0} µs an image"),
            _ => String::new(),
        };
        print_line(format_args!(
            "{} on {}: accuracy {:.2} %, {} mismatches of {}, logits sha256 {}, {} kernels, {speed}, {} B of stack, {:.0} s",
            report.model,
            args.target.board,
            100.0 * report.accuracy,
            report.mismatches,
            report.images,
            report.logits_sha256,
            report.kernels,
            report.stack_bytes,
            report.seconds
        ))?;
    }
    gate(&report)
}

/// Shares the images among `jobs` devices; the answers come back in order.
fn collect(
    args: &HilArgs,
    elf: Option<&Path>,
    dir: &ModelDir,
    test: &Samples,
    jobs: usize,
) -> Result<(Vec<Answer>, Identity)> {
    let done = AtomicUsize::new(0);
    let share = test.len().div_ceil(jobs);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|job| {
                let range = (job * share).min(test.len())..((job + 1) * share).min(test.len());
                let done = &done;
                scope.spawn(move || -> Result<(Vec<Answer>, Identity)> {
                    let mut device = args.link.connect(&args.target, elf, dir)?;
                    let answers = hil::collect(&mut device.client, test, range, done)?;
                    if job == 0 {
                        show_boot(&device);
                    }
                    Ok((answers, device.identity.clone()))
                })
            })
            .collect();
        while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(500));
            let count = done.load(Ordering::Relaxed);
            if std::io::IsTerminal::is_terminal(&std::io::stderr()) && !is_quiet() {
                eprint!("\r{count} of {} images", test.len());
            }
        }
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            remark("");
        }
        let mut all = Vec::with_capacity(test.len());
        let mut identity = None;
        for worker in workers {
            let (answers, who) = worker.join().map_err(|_| anyhow!("a worker ended unexpectedly"))??;
            all.extend(answers);
            identity = Some(who);
        }
        Ok((all, identity.context("at least one job ran")?))
    })
}

/// Prints the board's first line and its warnings; ten thousand predictions are nobody's reading.
fn show_boot(device: &Connected) {
    let Some(log) = &device.log else { return };
    let mut is_first = true;
    while let Ok(line) = log.recv_timeout(Duration::from_millis(20)) {
        if is_first || line.level == "WARN" || line.level == "ERROR" {
            remark(format_args!("board {:<5} {}", line.level, line.text));
        }
        is_first = false;
    }
}

/// What an inference took on a device; only QEMU counts instructions.
fn speed(args: &LinkArgs, target: &TargetArgs, identity: &Identity, answers: &[Answer]) -> Result<Speed> {
    let counts_instructions = args.port.is_none() && target.board()?.qemu.is_some();
    Ok(hil::speed(answers, identity.tick_hz, counts_instructions))
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Nothing => "nothing",
        Verdict::Unsure => "unsure",
        Verdict::Sure => "sure",
    }
}

fn equality(mismatches: usize) -> &'static str {
    if mismatches == 0 { "all equal to the desktop's" } else { "NOT equal to the desktop's" }
}

fn gate(report: &hil::Report) -> Result<()> {
    let Some(first) = &report.first_mismatch else { return Ok(()) };
    Err(Failure::Gate(format!(
        "{} of {} images differ from the desktop; the first is image {}: device {:?}, desktop {:?}",
        report.mismatches, report.images, first.image, first.device, first.desktop
    ))
    .into())
}
