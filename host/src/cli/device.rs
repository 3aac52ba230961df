//! `host device`: boards listed, built, flashed, asked and compared with the desktop.

mod build;
mod flash;
mod frames;
mod hil;
mod list;
mod live;
mod monitor;
mod run;
mod soak;

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use shared::protocol::Answer;

use super::codegen::PlanArgs;
use super::{Failure, remark, shown};
use crate::device::board::Board;
use crate::device::client::{Client, Identity};
use crate::device::emulator::{Emulator, Process};
use crate::device::hil::Speed;
use crate::device::log::Line;
use crate::device::monitor::Monitor;
use crate::device::{DeviceError, port};
use crate::model_dir::ModelDir;
use build::BuildArgs;
use flash::FlashArgs;
use hil::HilArgs;
use list::ListArgs;
use live::LiveArgs;
use monitor::MonitorArgs;
use run::RunArgs;
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

impl DeviceCommand {
    pub(super) fn run(self) -> Result<()> {
        match self {
            DeviceCommand::List(args) => args.run(),
            DeviceCommand::Build(args) => args.run(),
            DeviceCommand::Flash(args) => args.run(),
            DeviceCommand::Live(args) => args.run(),
            DeviceCommand::Monitor(args) => args.run(),
            DeviceCommand::Run(args) => args.run(),
            DeviceCommand::Hil(args) => args.run(),
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

/// What an inference took on a device; only QEMU counts instructions.
fn speed(args: &LinkArgs, target: &TargetArgs, identity: &Identity, answers: &[Answer]) -> Result<Speed> {
    let counts_instructions = args.port.is_none() && target.board()?.qemu.is_some();
    Ok(crate::device::hil::speed(answers, identity.tick_hz, counts_instructions))
}

fn gate(report: &crate::device::hil::Report) -> Result<()> {
    let Some(first) = &report.first_mismatch else { return Ok(()) };
    Err(Failure::Gate(format!(
        "{} of {} images differ from the desktop; the first is image {}: device {:?}, desktop {:?}",
        report.mismatches, report.images, first.image, first.device, first.desktop
    ))
    .into())
}
