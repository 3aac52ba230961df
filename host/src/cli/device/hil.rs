//! `host device hil`: the whole test set on the device, every logit compared.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use shared::protocol::Answer;

use super::{Connected, LinkArgs, TargetArgs, gate, speed};
use crate::cli::{DataArgs, is_quiet, print_json, print_line, remark};
use crate::dataset::Samples;
use crate::device::client::Identity;
use crate::device::hil;
use crate::model_dir::ModelDir;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device hil --emulate --model models/nano --images 200\n  host device hil --port /dev/ttyACM0 --model models/small"
)]
pub(in crate::cli) struct HilArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Only the first images of the test part
    #[arg(long, value_name = "COUNT", value_parser = crate::cli::image_count)]
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

impl HilArgs {
    pub(super) fn run(&self) -> Result<()> {
        let dir = ModelDir::new(&self.target.model);
        let network = dir.read_firmware()?;
        let dataset = self.data.load_for(&dir, &network.quantized().task)?;
        let test = dataset.test.take(self.images.unwrap_or(usize::MAX).max(1));
        let elf = self.link.image(&self.target, &dir)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = if elf.is_some() { self.jobs.unwrap_or(processors).clamp(1, test.len()) } else { 1 };
        let started = Instant::now();
        let (answers, identity) = collect(self, elf.as_deref(), &dir, &test, jobs)?;
        let mut report = hil::compare(dir.name(), &network, &test, &answers);
        report.seconds = started.elapsed().as_secs_f64();
        let speed = speed(&self.link, &self.target, &identity, &answers)?;
        (report.instructions_per_image, report.microseconds_per_image) =
            (speed.instructions, speed.microseconds);
        report.kernels = identity.kernels;
        if self.link.port.is_none() && self.link.elf.is_none() {
            report.profile = self.target.plan.options().to_string();
        }
        // A record is a proof: all images, all equal.
        if self.record && report.mismatches == 0 && test.len() == dataset.test.len() {
            let text = serde_json::to_string_pretty(&report)? + "\n";
            crate::files::write_whole(&dir.device_record(), text.as_bytes())?;
        }
        if self.json {
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
                self.target.board,
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
