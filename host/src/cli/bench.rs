//! `host bench`: figures of speed, printed beside those of others.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};

use super::bench_train::TrainBenchArgs;
use super::codegen::PlanArgs;
use super::{DataArgs, Failure, print_json, print_line, remark, shown};
use crate::bench::{self, NetworkCount, networks};
use crate::device::board::Board;
use crate::device::estimate::{self, CORES, Record};
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Options, Profile};
use crate::quantize::network::FirmwareNetwork;
use crate::report::{self, kernels, table};

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Count instructions of the kernels in the emulator, layer by layer
    Kernels(KernelsArgs),
    /// Time an epoch here and in PyTorch
    Train(TrainBenchArgs),
    /// Build every board with several models and run it where an emulator has it
    Boards(BoardsArgs),
    /// Time an inference in WebAssembly beside the portable kernels on this machine
    Web(WebArgs),
    /// Print the recorded counts as the table in docs/kernels.md
    Table,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host bench boards --record\n  host bench boards pico pico2\n  host bench boards --table"
)]
pub(super) struct BoardsArgs {
    /// Only these boards [default: all]
    #[arg(value_name = "BOARD")]
    boards: Vec<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Images sent to an emulated board
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    images: usize,
    /// Keep what was measured as docs/boards.json, for `host estimate` and the tables in docs/boards.md
    #[arg(long, conflicts_with = "boards")]
    record: bool,
    /// Print the recorded figures as the tables in docs/boards.md, and measure nothing
    #[arg(long, conflicts_with_all = ["boards", "record"])]
    table: bool,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl BoardsArgs {
    fn run(&self) -> Result<()> {
        let boards = match &self.boards[..] {
            [] => Board::all()?,
            names => names.iter().map(|name| Ok(Board::named(name)?)).collect::<Result<_>>()?,
        };
        if self.table {
            return print_line(report::boards::markdown(&boards, &estimate::read_record()?).trim_end());
        }
        let mut record = Record { images: Vec::new() };
        let with_images = |name: &str| {
            let dir = ModelDir::new(&crate::project_root().join("models").join(name));
            let test = self.data.load_for(&dir, &dir.task()?)?.test.take(self.images.max(1));
            anyhow::Ok((dir, test))
        };
        let models = bench::boards::MODELS.into_iter().map(with_images).collect::<Result<Vec<_>>>()?;
        for board in &boards {
            for (dir, test) in &models {
                remark(format_args!("{} with {}", board.name, dir.name()));
                record.images.push(bench::boards::measure(board, dir, Options::default(), test)?);
            }
        }
        let differing: usize = record
            .images
            .iter()
            .filter_map(|image| image.built.as_ref()?.run.as_ref())
            .map(|run| run.mismatches)
            .sum();
        if self.record && differing == 0 {
            let text = serde_json::to_string_pretty(&record)? + "\n";
            crate::files::write_whole(&estimate::record_path(), text.as_bytes())?;
        }
        match self.json {
            true => print_json(&record)?,
            false => print_line(report::boards::markdown(&boards, &record).trim_end())?,
        }
        match differing {
            0 => Ok(()),
            count => Err(Failure::Gate(format!("{count} answers differ from the desktop's")).into()),
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Networks A, C and D have fixed random weights and the shapes that others were measured with; \
models have the profile's default budget of constants, A, C and D none.\n\n\
Instructions are exact. Cycles are a model of a Cortex-M4 without flash wait states, no measurement.\n\n\
Examples:\n  host bench kernels --emulate\n  host bench kernels --cores nano"
)]
pub(super) struct KernelsArgs {
    /// Count in the emulator, which is the only way there is
    #[arg(long)]
    emulate: bool,
    /// Only these: A, C, D, MLPerf Tiny's resnet-8, ds-cnn, mobilenet and autoencoder, names of models or model folders
    /// [default: all of those and the committed models]
    #[arg(value_name = "NETWORK")]
    networks: Vec<String>,
    /// Only this profile [default: speed and size]
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Keep the counts as docs/kernels.json, for the table in docs/kernels.md
    #[arg(long, conflicts_with_all = ["networks", "profile"])]
    record: bool,
    /// Count whole inferences on every core instead: Cortex-M0+, M3, M4, M33 and RV32IMC
    #[arg(long, conflicts_with = "record")]
    cores: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The best of several rounds, one after the other in one run. Node runs WebAssembly as Chromium does.\n\n\
Example:\n  host bench web photo nano"
)]
pub(super) struct WebArgs {
    /// Models [default: small, photo, photo-mini]
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl WebArgs {
    fn run(&self) -> Result<()> {
        let models = match &self.models[..] {
            [] => ["small", "photo", "photo-mini"].map(PathBuf::from).to_vec(),
            named => named.to_vec(),
        };
        let mut times = Vec::new();
        for model in models {
            let dir = ModelDir::new(&model);
            remark(format_args!("compiling and running {}", dir.name()));
            times.push(bench::web::measure(&dir, self.plan.options())?);
        }
        if self.json {
            return print_json(&serde_json::json!({ "models": times }));
        }
        let row = |time: &bench::web::WebTime| {
            let milliseconds = |value: f64| format!("{value:.2} ms");
            let ratio = format!("{:.2}", time.ratio);
            vec![time.model.clone(), milliseconds(time.native_ms), milliseconds(time.web_ms), ratio]
        };
        let rows: Vec<Vec<String>> = times.iter().map(row).collect();
        print_line(table::format(&["model", "native", "WebAssembly", "ratio"], &rows).trim_end())
    }
}

impl BenchCommand {
    pub(super) fn run(self) -> Result<()> {
        match self {
            BenchCommand::Kernels(args) => args.run(),
            BenchCommand::Train(args) => args.run(),
            BenchCommand::Boards(args) => args.run(),
            BenchCommand::Web(args) => args.run(),
            BenchCommand::Table => {
                let path = kernels::record_path();
                let text = std::fs::read(&path).with_context(|| shown(&path))?;
                let record = serde_json::from_slice(&text).with_context(|| shown(&path))?;
                print_line(kernels::markdown(&record).trim_end())
            }
        }
    }
}

impl KernelsArgs {
    fn run(self) -> Result<()> {
        let names = if self.networks.is_empty() { default_networks() } else { self.networks };
        let networks = names.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
        let profiles =
            self.profile.map_or_else(|| vec![Profile::Speed, Profile::Size], |profile| vec![profile]);
        if self.cores {
            return count_cores(&networks, &profiles, self.json);
        }
        crate::device::emulator::find(&Board::named(bench::BOARD)?)?;
        let counter = bench::build_counter()?;
        let mut counts = Vec::new();
        for (name, network, is_model) in &networks {
            for &profile in &profiles {
                let options = plan_options(*is_model, profile);
                remark(format_args!("building and running {name}, {options}"));
                let counted = bench::count(name, &NetworkPlan::new(network, options)?, &counter)?;
                if !self.json {
                    print_line(text(&counted))?;
                }
                counts.push(counted);
            }
        }
        let document = serde_json::json!({ "board": bench::BOARD, "networks": counts });
        if self.record {
            let mut kept = document.clone();
            // Symbols with their hashes would change with every compiler.
            for network in kept["networks"].as_array_mut().into_iter().flatten() {
                network.as_object_mut().map(|network| network.remove("functions"));
            }
            let text = serde_json::to_string_pretty(&kept)? + "\n";
            crate::files::write_whole(&kernels::record_path(), text.as_bytes())?;
        }
        if self.json {
            return print_json(&document);
        }
        print_line(summary(&counts))
    }
}

/// Models have the profile's budget of constants, the benchmark's networks none for speed.
fn plan_options(is_model: bool, profile: Profile) -> Options {
    if !is_model && profile == Profile::Speed { Options::FASTEST } else { profile.into() }
}

/// Counts whole inferences on the cores that emulated boards have.
fn count_cores(networks: &[(String, FirmwareNetwork, bool)], profiles: &[Profile], json: bool) -> Result<()> {
    let boards = CORES.iter().map(|core| Board::named(core.board)).collect::<Result<Vec<_>, _>>()?;
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for (name, network, is_model) in networks {
        for &profile in profiles {
            let options = plan_options(*is_model, profile);
            let plan = NetworkPlan::new(network, options)?;
            let mut row = vec![name.clone(), options.to_string()];
            for (board, core) in boards.iter().zip(CORES.iter().map(|core| core.name)) {
                remark(format_args!("building and running {name}, {options}, on {core}"));
                let instructions = bench::boards::instructions(board, name, &plan)?;
                row.push(format!("{:.3} M", instructions as f64 / 1e6));
                counts.push(serde_json::json!({
                    "name": name, "profile": options.to_string(), "core": core, "board": board.name, "instructions": instructions,
                }));
            }
            rows.push(row);
        }
    }
    if json {
        return print_json(&serde_json::json!({ "counts": counts }));
    }
    let cores = CORES.iter().map(|core| core.name);
    let head: Vec<&str> = ["network", "plan"].into_iter().chain(cores).collect();
    print_line(table::format(&head, &rows).trim_end())
}

fn default_networks() -> Vec<String> {
    let models = [
        "models/nano",
        "models/small",
        "models/flagship",
        "models/article",
        "models/photo",
        "models/photo-mini",
    ]
    .map(|path| crate::project_root().join(path));
    let models = models.iter().filter(|path| path.is_dir()).map(|path| path.display().to_string());
    networks::NAMES.map(str::to_owned).into_iter().chain(models).collect()
}

/// A benchmark network or a model by its folder; the flag says which.
fn find(name: &str) -> Result<(String, FirmwareNetwork, bool)> {
    if let Some(network) = networks::network(name) {
        return Ok((name.to_owned(), network.to_firmware()?, false));
    }
    let dir = ModelDir::new(&PathBuf::from(name));
    if !dir.path().is_dir() {
        let problem =
            format!("{name}: neither {} nor a model; `host models` lists them", networks::NAMES.join(", "));
        return Err(anyhow!(Failure::Usage(problem)));
    }
    let network = dir.read_firmware().map_err(|error| error.context(shown(dir.path())))?;
    Ok((dir.name(), network, true))
}

/// A network's table of layers.
fn text(count: &NetworkCount) -> String {
    let header =
        ["layers", "kernel", "MACs", "instructions", "MAC/insn", "cycles (model)", "constants B", "memory B"];
    let rows: Vec<Vec<String>> = count
        .layers
        .iter()
        .map(|step| {
            let rate = step.macs as f64 / step.instructions as f64;
            vec![
                step.layers.clone(),
                step.kernel.to_owned(),
                step.macs.to_string(),
                step.instructions.to_string(),
                if step.macs > 0 { format!("{rate:.2}") } else { "–".to_owned() },
                step.model_cycles.to_string(),
                step.constant_bytes.to_string(),
                step.memory_bytes.to_string(),
            ]
        })
        .collect();
    let mut text = format!(
        "\n{} ({}), {} MACs\n{}",
        count.name,
        count.profile,
        count.macs,
        table::format(&header, &rows)
    );
    text += &format!(
        "{} instructions, {:.2} MAC an instruction, {} model cycles; {} B code, {} B constants;\n\
         RAM {} B: arena {} + stack {} (bound {}) + input {}",
        count.instructions,
        count.macs_per_instruction,
        count.model_cycles,
        count.code_bytes,
        count.constant_bytes,
        count.ram_bytes,
        count.arena_bytes,
        count.stack_bytes,
        count.stack_bound_bytes,
        count.ram_bytes - count.arena_bytes - count.stack_bytes as usize
    );
    for fault in &count.faults {
        text += &format!("\n  FAULT: {fault}");
    }
    for peer in count.peers {
        let times = peer.instructions as f64 / count.instructions as f64;
        text += &format!("\n  {times:>5.2}× fewer instructions than {} ({})", peer.name, peer.instructions);
    }
    text
}

/// All networks in one table.
fn summary(counts: &[NetworkCount]) -> String {
    let header = [
        "network",
        "profile",
        "instructions",
        "model cycles",
        "code B",
        "constants B",
        "RAM B",
        "best peer",
        "ratio",
    ];
    let rows: Vec<Vec<String>> = counts
        .iter()
        .map(|count| {
            let peer = count.peers.first().map_or("–".to_owned(), |peer| peer.instructions.to_string());
            vec![
                count.name.clone(),
                count.profile.to_owned(),
                count.instructions.to_string(),
                count.model_cycles.to_string(),
                count.code_bytes.to_string(),
                count.constant_bytes.to_string(),
                count.ram_bytes.to_string(),
                peer,
                count.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}×")),
            ]
        })
        .collect();
    format!("\n{}", table::format(&header, &rows))
}
