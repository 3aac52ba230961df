//! What an inference costs on the chip.

use maud::{Markup, html};

use super::Report;
use super::parts::{drawing, grouped, table};
use crate::report::{arena, kernels};

impl Report<'_> {
    /// Rows of the table of steps: as counted, or as the planner estimates where nothing was counted.
    fn steps(&self, counted: Option<&kernels::Entry>) -> Vec<Vec<String>> {
        let row =
            |layers: &str, kernel: &str, instructions: String, [macs, constants, memory]: [usize; 3]| {
                vec![
                    layers.to_owned(),
                    kernel.to_owned(),
                    grouped(macs),
                    instructions,
                    grouped(constants),
                    grouped(memory),
                ]
            };
        match counted.filter(|entry| !entry.layers.is_empty()) {
            Some(entry) => entry
                .layers
                .iter()
                .map(|step| {
                    let instructions = grouped(step.instructions as usize);
                    let sizes = [step.macs, step.constant_bytes, step.memory_bytes];
                    row(&step.layers, &step.kernel, instructions, sizes)
                })
                .collect(),
            None => self
                .plan
                .decisions()
                .iter()
                .map(|step| {
                    let instructions = format!("about {}", grouped(step.estimate));
                    let sizes = [step.macs, step.constant_bytes, step.memory_bytes];
                    row(&step.layers, step.kernel, instructions, sizes)
                })
                .collect(),
        }
    }

    pub(super) fn chip(&self) -> Markup {
        let name = self.origin.name();
        let counted: Vec<&kernels::Entry> = self
            .kernels
            .map(|record| record.networks.iter().filter(|entry| entry.name == name).collect())
            .unwrap_or_default();
        let board = self.kernels.map_or("", |record| record.board.as_str());
        let rows: Vec<Vec<String>> = counted
            .iter()
            .map(|entry| {
                vec![
                    format!("{board}, {}", entry.profile),
                    grouped(entry.instructions as usize),
                    format!("{:.2} M", entry.model_cycles as f64 / 1e6),
                    grouped(entry.code_bytes),
                    grouped(entry.constant_bytes),
                    grouped(entry.ram_bytes),
                ]
            })
            .collect();
        let steps = self.steps(counted.first().copied());
        html! {
            @if !rows.is_empty() {
                (table(
                    "One inference, by board and profile; instructions are exact counts in the emulator, cycles a model",
                    &["board", "instructions", "model cycles", "code B", "constants B", "RAM B"],
                    &rows,
                ))
            }
            (table("Layers, profile speed", &["layers", "kernel", "MACs", "instructions", "constants B", "memory B"], &steps))
            div.scroll tabindex="0" role="region" aria-label="Memory" { (drawing(&arena::svg(self.plan, name))) }
        }
    }
}
