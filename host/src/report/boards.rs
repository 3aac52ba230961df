//! The tables of docs/boards.md, from what `host bench boards` measured.

use std::fmt::Write;

use crate::bench::boards::MODELS;
use crate::device::board::Board;
use crate::device::estimate::{Image, Record};

/// Formats sizes of all images, and what emulators made of them, as two Markdown tables.
pub fn markdown(boards: &[Board], record: &Record) -> String {
    let mut text = String::new();
    let of = |board: &Board, model: &str| {
        record.images.iter().find(|image| image.board == board.name && image.model == model)
    };
    let mut table = |title: &str, cell: &dyn Fn(&Image) -> String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {title} | {} |", MODELS.map(|model| format!("`{model}`")).join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(MODELS.len()));
        for board in boards {
            let cells = MODELS.map(|model| of(board, model).map_or_else(|| "–".into(), cell));
            if cells.iter().any(|cell| cell != "–") {
                let _ = writeln!(text, "| `{}` | {} |", board.name, cells.join(" | "));
            }
        }
        text.push('\n');
    };
    let kib = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0);
    table("flash / variables, KiB", &|image| match &image.built {
        Some(built) => format!("{} / {}", kib(built.flash_bytes), kib(built.ram_bytes)),
        None => "does not fit".into(),
    });
    table("stack of an inference, bytes: bound by the call graph / painted", &|image| {
        let Some(built) = &image.built else { return "–".into() };
        let bound = built.stack_bound_bytes.map(|bytes| bytes.to_string());
        let painted = built.run.as_ref().map(|run| run.stack_bytes.to_string());
        match (bound, painted) {
            (None, None) => "–".into(),
            (bound, painted) => {
                format!("{} / {}", bound.unwrap_or("–".into()), painted.unwrap_or("–".into()))
            }
        }
    });
    table("an inference in the emulator", &|image| {
        let run = image.built.as_ref().and_then(|built| built.run.as_ref());
        match run.map(|run| (run.instructions, run.microseconds)) {
            Some((Some(instructions), _)) => format!("{:.2} M instructions", instructions / 1e6),
            Some((None, Some(micros))) => format!("{:.0} ms by its cycles", micros / 1e3),
            _ => "–".into(),
        }
    });
    text
}
