//! `host device soak`: client and app over a line that damages bytes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use shared::input::InputShape;

use super::TargetArgs;
use crate::cli::{Failure, is_quiet, print_json, print_line, remark};
use crate::dataset::Samples;
use crate::device::build;
use crate::device::client::{Client, Patience};
use crate::device::emulator::{Emulator, Process};
use crate::device::soak::{self, Damage, InMemory, Interpreted, Noisy};
use crate::model_dir::ModelDir;
use crate::quantize::network::FirmwareNetwork;

#[derive(Debug, Args)]
#[command(
    after_help = "Bytes are flipped, dropped, doubled, inserted and delayed in both directions. `wrong` must be 0, and\n\
`longest_recovery_frames`, the frames that one incident costs, 1.\n\n\
Examples:\n  host device soak --frames 100000 --noise 1e-3\n  host device soak --emulate --frames 2000 --json"
)]
pub(in crate::cli) struct SoakArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Frames to send, repetitions included
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    frames: u64,
    /// Probability that a byte is damaged
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    noise: f64,
    /// Seed of the damage
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Against the emulated board instead of the app in memory
    #[arg(long)]
    emulate: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl SoakArgs {
    pub(super) fn run(self) -> Result<()> {
        if !(0.0..=0.1).contains(&self.noise) {
            return Err(Failure::Usage(format!("--noise {} is not in 0..=0.1", self.noise)).into());
        }
        let dir = ModelDir::new(&self.target.model);
        let network = dir.read_firmware()?;
        let samples = noise_images(network.quantized().task.input);
        let started = Instant::now();
        let Line { client, damage, against, patience, emulator } = match self.emulate {
            true => self.to_emulator(&dir)?,
            false => self.to_memory(&dir, &network)?,
        };
        let mut client = client.with_patience(patience);
        let (traffic, pictures, wrong) = soak::soak(&mut client, &network, &samples, self.frames, |sent| {
            if std::io::IsTerminal::is_terminal(&std::io::stderr()) && !is_quiet() {
                eprint!("\r{sent} of {} frames", self.frames);
            }
        })?;
        drop(emulator);
        let damage = *damage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let report = soak::Report {
            against,
            noise: self.noise,
            seed: self.seed,
            traffic,
            damage,
            pictures,
            wrong,
            seconds: started.elapsed().as_secs_f64(),
        };
        if self.json {
            print_json(&report)?;
        } else {
            print_line(format_args!(
                "{}: {} frames sent, {} answered, {} repeated, {} of them damaged on the way there; {} pictures, {} wrong; one incident cost at most {} frame(s); {:.0} s",
                report.against,
                traffic.sent,
                traffic.answered,
                traffic.repeated,
                damage.damaged_requests,
                pictures,
                wrong,
                damage.longest_recovery,
                report.seconds
            ))?;
        }
        if wrong > 0 || damage.longest_recovery > 1 {
            let problem = format!("{wrong} wrong answers, longest recovery {}", damage.longest_recovery);
            return Err(Failure::Gate(problem).into());
        }
        Ok(())
    }
}

/// Images of nothing in particular, each unlike the others.
/// A client behind a line that damages bytes.
struct Line {
    client: Client,
    damage: Arc<Mutex<Damage>>,
    /// Who answers.
    against: String,
    patience: Patience,
    /// The emulator that must live as long.
    emulator: Option<Process>,
}

impl SoakArgs {
    /// Builds the firmware and starts it in the board's emulator.
    fn to_emulator(&self, dir: &ModelDir) -> Result<Line> {
        let board = self.target.board()?;
        crate::device::emulator::find(&board)?;
        remark(format_args!("building {} with {}", board.name, dir.name()));
        let elf = build::build(&board, dir, self.target.plan.options())?;
        let (uart, _, _, process) = Emulator::start(&board, &elf)?.into_parts();
        uart.set_read_timeout(Some(Duration::from_millis(5)))?;
        let (noisy, damage) = Noisy::new(uart, self.noise, self.seed);
        Ok(Line {
            client: Client::over(Box::new(noisy)),
            damage,
            against: board.name,
            patience: soak::patience(Duration::from_millis(100)),
            emulator: Some(process),
        })
    }

    /// The firmware's app in this process, which answers at once or not at all.
    fn to_memory(&self, dir: &ModelDir, network: &FirmwareNetwork) -> Result<Line> {
        let app = Interpreted::new(dir.name(), dir.network_hash()?, network.clone(), dir.confidence()?);
        let (noisy, damage) = Noisy::new(InMemory::new(app), self.noise, self.seed);
        Ok(Line {
            client: Client::over(Box::new(noisy)),
            damage,
            against: "memory".to_owned(),
            patience: Patience { answer: Duration::ZERO, ..soak::patience(Duration::ZERO) },
            emulator: None,
        })
    }
}

fn noise_images(shape: InputShape) -> Samples {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut samples = Samples::empty(shape);
    for _ in 0..16 {
        let image: Vec<u8> = (0..shape.len()).map(|_| rng.random()).collect();
        samples.push(&image, 0);
    }
    samples
}
