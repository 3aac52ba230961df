//! `host device build`.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use super::TargetArgs;
use crate::cli::{print_json, print_line, remark, shown};
use crate::device::board::Board;
use crate::device::{build, size, uf2};
use crate::model_dir::ModelDir;
use crate::report::table;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  host device build --board pico2 --model models/photo")]
pub(in crate::cli) struct BuildArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// One JSON document instead of the file's name
    #[arg(long)]
    json: bool,
}

impl BuildArgs {
    pub(super) fn run(&self) -> Result<()> {
        if self.target.board == "all" {
            return self.build_all();
        }
        let board = self.target.board()?;
        let elf = build::build(&board, &ModelDir::new(&self.target.model), self.target.plan.options())?;
        let size = size::of(&std::fs::read(&elf)?)?;
        let uf2 = match &board.uf2 {
            Some(way) => Some(uf2::beside(&elf, way.family)?.0),
            None => None,
        };
        if self.json {
            return print_json(&serde_json::json!({
                "elf": shown(&elf),
                "uf2": uf2.as_deref().map(shown),
                "flash_bytes": size.flash_bytes,
                "ram_bytes": size.ram_bytes,
            }));
        }
        remark(format_args!(
            "{} bytes of flash, {} bytes of RAM besides the stack",
            size.flash_bytes, size.ram_bytes
        ));
        if let Some(path) = &uf2 {
            remark(format_args!("for the boot loader's drive: {}", shown(path)));
        }
        print_line(shown(&elf))
    }

    /// Builds the image of every board and prints what each takes.
    fn build_all(&self) -> Result<()> {
        let dir = ModelDir::new(&self.target.model);
        let mut rows = Vec::new();
        for board in Board::all()? {
            remark(format_args!("building {} with {}", board.name, dir.name()));
            let started = Instant::now();
            let elf = build::build(&board, &dir, self.target.plan.options())?;
            let size = size::of(&std::fs::read(&elf)?)?;
            rows.push((board.name, size, started.elapsed().as_secs_f64(), shown(&elf)));
        }
        if self.json {
            let images = rows.iter().map(|(board, size, seconds, elf)| {
                serde_json::json!({
                    "board": board, "elf": elf, "seconds": seconds,
                    "flash_bytes": size.flash_bytes, "ram_bytes": size.ram_bytes,
                })
            });
            return print_json(&serde_json::json!({ "images": images.collect::<Vec<_>>() }));
        }
        let cells = rows.into_iter().map(|(board, size, seconds, _)| {
            let bytes = [size.flash_bytes, size.ram_bytes].map(|bytes| bytes.to_string());
            [vec![board], bytes.to_vec(), vec![format!("{seconds:.0}")]].concat()
        });
        let head = ["board", "bytes of flash", "bytes of RAM besides the stack", "seconds to build"];
        print_line(table::format(&head, &cells.collect::<Vec<_>>()).trim_end())
    }
}
