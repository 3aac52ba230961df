//! `host device list`.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::{print_json, print_line};
use crate::device::board::{Board, Link};
use crate::device::flash::Method;
use crate::device::port;
use crate::report::table;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  host device list")]
pub(in crate::cli) struct ListArgs {
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) fn run(&self) -> Result<()> {
        let boards = Board::all()?;
        let ports: Vec<Vec<String>> = boards.iter().map(port::of_board).collect();
        if self.json {
            let boards = boards.iter().zip(&ports).map(|(board, ports)| {
                json!({
                    "name": board.name,
                    "about": board.about,
                    "core": board.core,
                    "target": board.target,
                    "flash_bytes": board.flash_bytes,
                    "ram_bytes": board.ram_bytes,
                    "clock_hz": board.clock_hz,
                    "flashed_by": flashed_by(board),
                    "emulator": board.emulator(),
                    "link": link(board),
                    "screen": board.screen,
                    "ports": ports,
                })
            });
            let boards: Vec<serde_json::Value> = boards.collect();
            return print_json(&json!({ "boards": boards, "ports": ports.concat() }));
        }
        let rows = boards.iter().map(|board| {
            let how = flashed_by(board);
            let run = match (&board.qemu, &board.script) {
                (Some(_), _) => "in CI by QEMU".into(),
                (None, Some(script)) => format!("in CI by {}", script.package_name()),
                (None, None) => "builds, not run yet".into(),
            };
            vec![
                board.name.clone(),
                board.core.clone(),
                format!("{}/{}", board.flash_bytes / 1024, board.ram_bytes / 1024),
                if how.is_empty() { "–".into() } else { how.join(", ") },
                run,
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let head = ["board", "core", "KiB flash/RAM", "flashed by", "run"];
        print_line(table::format(&head, &rows).trim_end())?;
        for (board, ports) in boards.iter().zip(&ports).filter(|(_, ports)| !ports.is_empty()) {
            print_line(format_args!("connected: {} at {}", board.name, ports.join(", ")))?;
        }
        Ok(())
    }
}

/// Ways to flash a board, the one that needs least first.
fn flashed_by(board: &Board) -> Vec<&'static str> {
    let names = Method::ways(board).into_iter().map(|way| match way {
        Method::Uf2 => "UF2",
        other => other.name(),
    });
    names.collect()
}

fn link(board: &Board) -> &'static str {
    match board.link {
        Link::Uart => "uart",
        Link::Usb => "usb",
    }
}
