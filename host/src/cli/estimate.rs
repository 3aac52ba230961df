//! `host estimate`: what a network would take of the boards, before one is bought or anything is trained.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use shared::preprocess::Preprocessing;

use super::codegen::PlanArgs;
use super::{Failure, print_json, print_line, remark};
use crate::bench::networks;
use crate::device::board::Board;
use crate::device::estimate::{self, Estimate};
use crate::model_dir::ModelDir;
use crate::plan::NetworkPlan;
use crate::report::table;
use crate::task::Task;
use crate::train::architecture::{Architecture, NetworkFile};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host estimate --model models/photo\n  host estimate --net models/networks/photo-mini.json --classes 5 --board pico\n\nFlash and RAM: the network's part is exact, the rest is that of images built before (docs/boards.json).\nMilliseconds are a model: instructions counted in emulators × cycles an instruction / clock."
)]
pub(super) struct EstimateArgs {
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/small", conflicts_with = "net")]
    model: PathBuf,
    /// A network that is not trained yet: models/networks/NAME.json, or the path of such a file
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Classes of that network
    #[arg(long, value_name = "COUNT", default_value_t = 10, requires = "net")]
    classes: usize,
    /// Board, or `all`
    #[arg(long, value_name = "NAME", default_value = "all")]
    board: String,
    #[command(flatten)]
    plan: PlanArgs,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl EstimateArgs {
    pub(super) fn run(&self) -> Result<()> {
        let boards = match self.board.as_str() {
            "all" => Board::all()?,
            name => vec![Board::named(name)?],
        };
        let (name, network) = match &self.net {
            Some(net) => (net.clone(), untrained(net, self.classes)?.to_firmware()?),
            None => {
                let dir = ModelDir::new(&self.model);
                (dir.name(), dir.read_firmware()?)
            }
        };
        let plan = NetworkPlan::new(&network, self.plan.options())?;
        let record = estimate::read_record()?;
        let rows = boards
            .iter()
            .map(|board| estimate::estimate(board, &plan, &record))
            .collect::<Result<Vec<_>>>()?;
        if self.json {
            return print_json(&serde_json::json!({ "network": name, "rows": rows }));
        }
        let head = ["board", "fits", "flash", "RAM with stack", "instructions", "model ms"];
        let cells: Vec<Vec<String>> = rows.iter().map(row).collect();
        print_line(table::format(&head, &cells).trim_end())?;
        remark(format_args!("{name}, {}; times are a model, no measurement", plan.options()));
        Ok(())
    }
}

fn row(estimate: &Estimate) -> Vec<String> {
    let kib = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0);
    vec![
        estimate.board.clone(),
        if estimate.fits { "yes" } else { "no" }.into(),
        format!("{} of {} KiB", kib(estimate.flash_bytes), estimate.flash_limit / 1024),
        format!("{} of {} KiB", kib(estimate.ram_bytes), estimate.ram_limit / 1024),
        format!("{:.2} M", estimate.instructions as f64 / 1e6),
        format!("{:.1}", estimate.model_ms),
    ]
}

/// A network file with random weights.
fn untrained(name: &str, classes: usize) -> Result<crate::quantize::network::QuantizedNetwork> {
    let file = NetworkFile::named(name)?;
    let input = file.input.unwrap_or(shared::fashion_mnist::SHAPE);
    let preprocessing =
        if Preprocessing::Garment.fits(input) { Preprocessing::Garment } else { Preprocessing::Square };
    if !(2..=shared::MAX_CLASSES).contains(&classes) {
        let problem = format!("--classes {classes}: a network has 2 to {} classes", shared::MAX_CLASSES);
        return Err(Failure::Usage(problem).into());
    }
    let names = (1..=classes).map(|class| format!("class {class}")).collect();
    let bits = file
        .recipe
        .as_ref()
        .and_then(|recipe| recipe.quantization.as_ref())
        .map_or(8, |rule| rule.weight_bits);
    let architecture =
        Architecture::new(name.to_owned(), file.layers, Task { input, classes: names, preprocessing })?;
    networks::random(&architecture, bits).map_err(|problem| anyhow!("{name}: {problem}"))
}
