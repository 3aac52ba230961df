//! `host device flash`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::TargetArgs;
use crate::cli::{print_line, remark, shown};
use crate::device::board::Link;
use crate::device::client::Client;
use crate::device::flash::{self, Choice, Method};
use crate::device::{DeviceError, build, port};
use crate::model_dir::ModelDir;

/// How long a board may take from flashing to its port.
const START: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device flash --board pico2 --model models/photo\n  host device flash --board nrf52840-dk --probe 1366:1051:001050012345\n  host device flash --board pico --by probe-rs"
)]
pub(in crate::cli) struct FlashArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How, where the board knows several ways
    #[arg(long, value_name = "WAY")]
    by: Option<Method>,
    /// Folder of the boot loader's mounted drive, for UF2 [default: looked for]
    #[arg(long, value_name = "FOLDER")]
    drive: Option<PathBuf>,
    /// Which debugger, for probe-rs
    #[arg(long, value_name = "VENDOR:PRODUCT[:SERIAL]")]
    probe: Option<String>,
    /// Serial port of the board [default: found by its USB numbers]
    #[arg(long)]
    port: Option<String>,
    /// Seconds to wait for the drive
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Do not greet the board afterwards
    #[arg(long)]
    no_greeting: bool,
}

impl FlashArgs {
    pub(super) fn run(&self) -> Result<()> {
        let board = self.target.board()?;
        let choice = Choice {
            method: self.by,
            drive: self.drive.clone(),
            probe: self.probe.clone(),
            port: self.port.clone(),
            patience: Duration::from_secs(self.wait),
        };
        // Before minutes are spent on a build.
        let method = choice.method(&board)?;
        let dir = ModelDir::new(&self.target.model);
        remark(format_args!("building {} with {}", board.name, dir.name()));
        let elf = build::build(&board, &dir, self.target.plan.options())?;
        remark(format_args!("flashing {} by {}", board.about, method.name()));
        flash::flash(&board, &elf, &choice, |line| remark(format_args!("{line}")))?;
        if self.no_greeting {
            return Ok(());
        }
        let name = match &self.port {
            // A chip's own USB port comes back under the name that it had, or under another.
            Some(port) if board.link == Link::Uart || port::of_board(&board).contains(port) => port.clone(),
            _ => port::wait_for(&board, START)?,
        };
        let identity = Client::over_port(&name)?.hello()?;
        if identity.network_hash != dir.network_hash()? {
            let problem = format!("still runs {} after flashing; press its reset button", identity.model);
            return Err(DeviceError::Talk(problem).into());
        }
        print_line(format_args!(
            "{} at {name} runs {}: {} kernels, {} bytes of arena",
            board.name, identity.model, identity.kernels, identity.arena_bytes
        ))?;
        remark(format_args!(
            "next: `host device live --board {} --port {name} --model {} --from FOLDER`",
            board.name,
            shown(dir.path())
        ));
        Ok(())
    }
}
