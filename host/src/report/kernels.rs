//! The table of the kernels' counts that stands in the README, from the record that `bench kernels` keeps.

use std::path::PathBuf;

use serde::Deserialize;

use crate::bench::peers;

/// What `bench kernels --record` keeps, as far as the table shows it.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// One entry a network and profile.
    pub networks: Vec<Entry>,
}

/// Counts of one network with one profile.
#[derive(Debug, Deserialize)]
pub struct Entry {
    name: String,
    profile: String,
    macs: usize,
    instructions: u64,
    model_cycles: u64,
    code_bytes: usize,
    constant_bytes: usize,
    ram_bytes: usize,
}

/// Returns where the record lies.
pub fn record_path() -> PathBuf {
    crate::project_root().join("docs/kernels.json")
}

/// Formats the record as a Markdown table.
pub fn markdown(record: &Record) -> String {
    let mut text = String::from(
        "| network | profile | instructions | MAC/instruction | model cycles | code | constants | RAM | CMSIS-NN: instructions, RAM | times fewer |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for entry in &record.networks {
        let (theirs, times) = match peers::of(&entry.name).first() {
            Some(peer) => (
                format!("{:.3}M, {} B", peer.instructions as f64 / 1e6, peer.ram_bytes.unwrap_or(0)),
                format!("{:.2}", peer.instructions as f64 / entry.instructions as f64),
            ),
            None => ("–".to_owned(), "–".to_owned()),
        };
        text += &format!(
            "| {} | {} | {:.3}M | {:.2} | {:.2}M | {} B | {} B | {} B | {theirs} | {times} |\n",
            entry.name,
            entry.profile,
            entry.instructions as f64 / 1e6,
            entry.macs as f64 / entry.instructions as f64,
            entry.model_cycles as f64 / 1e6,
            entry.code_bytes,
            entry.constant_bytes,
            entry.ram_bytes,
        );
    }
    text
}
