//! `host device monitor`: the board's decoded log.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::TargetArgs;
use crate::cli::{print_line, remark};
use crate::device::client::Client;
use crate::device::emulator::Emulator;
use crate::device::{DeviceError, build};
use crate::model_dir::ModelDir;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host device monitor --board nrf52840-dk --model models/small\n  host device monitor --emulate --seconds 2\n\nThe log comes over a debugger (RTT). A board on its USB cable alone has none; its answers come over the link."
)]
pub(in crate::cli) struct MonitorArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Show the log of the emulated board
    #[arg(long)]
    emulate: bool,
    /// The image that was flashed [default: built again from the model]
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// Which debugger, for probe-rs
    #[arg(long, value_name = "VENDOR:PRODUCT[:SERIAL]")]
    probe: Option<String>,
    /// Stop after so many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

impl MonitorArgs {
    pub(super) fn run(&self) -> Result<()> {
        let board = self.target.board()?;
        let chip = board.probe_rs.as_ref().or(board.espflash.as_ref());
        if !self.emulate && chip.is_none() {
            let problem = format!("{} has no debugger; its emulator's log comes with --emulate", board.name);
            return Err(DeviceError::Missing(problem).into());
        }
        let elf = match &self.elf {
            Some(elf) => elf.clone(),
            None => {
                let dir = ModelDir::new(&self.target.model);
                remark(format_args!("building {} with {}", board.name, dir.name()));
                build::build(&board, &dir, self.target.plan.options())?
            }
        };
        let end = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        if self.emulate {
            let emulator = Emulator::start(&board, &elf)?;
            // A greeting, so that there is something to be seen of the link.
            Client::over_socket(emulator.uart.try_clone()?)?.hello()?;
            while end.is_none_or(|end| Instant::now() < end) {
                if let Ok(line) = emulator.log.recv_timeout(Duration::from_millis(100)) {
                    print_line(format_args!("{:<5} {}", line.level, line.text))?;
                }
            }
            return Ok(());
        }
        let mut command = Command::new("probe-rs");
        command.arg("attach").arg("--chip").arg(chip.map_or("", String::as_str));
        if let Some(probe) = &self.probe {
            command.args(["--probe", probe]);
        }
        command.arg(&elf).stdin(Stdio::null());
        remark(format_args!("{command:?}"));
        let missing = |error: std::io::Error| {
            DeviceError::Missing(format!(
                "probe-rs does not run ({error}); get it with `cargo install probe-rs-tools --locked`"
            ))
        };
        let mut process = command.spawn().map_err(missing)?;
        loop {
            if let Some(status) = process.try_wait()? {
                return match status.success() {
                    true => Ok(()),
                    false => Err(DeviceError::Flash(format!("probe-rs ended with {status}")).into()),
                };
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                process.kill()?;
                process.wait()?;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
