//! The table of the kernels' counts that stands in the README, from the record that `bench kernels` keeps.

use std::path::PathBuf;

use anyhow::Context;
use serde::Deserialize;

use crate::bench::peers;

/// What `bench kernels --record` keeps, as far as the table shows it.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// Board whose image was counted.
    pub board: String,
    /// One entry a network and profile.
    pub networks: Vec<Entry>,
}

/// Counts of one network with one profile.
#[derive(Debug, Deserialize)]
pub struct Entry {
    /// A benchmark network's or a model's name.
    pub name: String,
    /// Profile.
    pub profile: String,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Instructions of one inference, exact.
    pub instructions: u64,
    /// Cycles by a model; no measurement.
    pub model_cycles: u64,
    /// Bytes of code that an inference reaches.
    pub code_bytes: usize,
    /// Bytes of weights and tables.
    pub constant_bytes: usize,
    /// Bytes of arena, stack and the image.
    pub ram_bytes: usize,
    /// The steps.
    pub layers: Vec<Step>,
}

/// Counts of one step.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// Layers computed.
    pub layers: String,
    /// Kernel.
    pub kernel: String,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Instructions, exact.
    pub instructions: u64,
    /// Bytes of weights and tables.
    pub constant_bytes: usize,
    /// Bytes of activations and scratch.
    pub memory_bytes: usize,
}

impl Record {
    /// Reads the record, where there is one.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn read() -> anyhow::Result<Option<Self>> {
        let Ok(bytes) = std::fs::read(record_path()) else { return Ok(None) };
        let record = serde_json::from_slice(&bytes);
        Ok(Some(record.with_context(|| record_path().display().to_string())?))
    }
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
