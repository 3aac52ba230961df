//! Kernels counted in the emulator: instructions exactly, cycles by a model, code, constants and memory.
//!
//! The image is the one that a board gets; `infer` makes one call a step, which is how the counter knows
//! the steps apart. Each run's logits are compared with the reference kernels on the desktop.

pub mod boards;
mod mlperf;
pub mod networks;
pub mod peers;
pub mod web;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;
use shared::protocol::Answer;

use crate::dataset::drawn;
use crate::device::board::Board;
use crate::device::build::build_plan;
use crate::device::client::{Client, Identity};
use crate::device::emulator::Emulator;
use crate::device::{DeviceError, image};
use crate::evaluate::calibration::Confidence;
use crate::plan::NetworkPlan;
use crate::quantize::quantized;
use peers::Peer;

/// Board whose image is counted.
pub const BOARD: &str = "mps2-an386";

/// One step of an inference, counted.
#[derive(Debug, Clone, Serialize)]
pub struct StepCount {
    /// Layers computed.
    pub layers: String,
    /// Kernel.
    pub kernel: &'static str,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Instructions, exact.
    pub instructions: u64,
    /// The planner's estimate of them.
    pub estimated_instructions: usize,
    /// Cycles by the model.
    pub model_cycles: u64,
    /// Bytes of weights and tables.
    pub constant_bytes: usize,
    /// Bytes of activations and scratch.
    pub memory_bytes: usize,
}

/// One network with one profile, counted.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkCount {
    /// `A`, `C`, `D` or a model's name.
    pub name: String,
    /// Profile.
    pub profile: &'static str,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Instructions of one inference, exact.
    pub instructions: u64,
    /// Multiply-accumulates an instruction.
    pub macs_per_instruction: f64,
    /// Cycles by the model; no measurement.
    pub model_cycles: u64,
    /// Bytes of code that an inference reaches, without constants.
    pub code_bytes: usize,
    /// The functions it reaches, with the bytes of each.
    pub functions: Vec<(String, usize)>,
    /// Bytes of weights and tables.
    pub constant_bytes: usize,
    /// Bytes of activations and scratch.
    pub arena_bytes: usize,
    /// Bytes of stack, painted and measured in the emulator.
    pub stack_bytes: u32,
    /// Bytes of stack by walking the linked image, an upper bound.
    pub stack_bound_bytes: u64,
    /// Arena, stack and the image.
    pub ram_bytes: usize,
    /// The steps.
    pub layers: Vec<StepCount>,
    /// Floating point, panics and indirect calls that an inference reaches: none.
    pub faults: Vec<String>,
    /// What others need.
    pub peers: &'static [Peer],
    /// The first peer's instructions over ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// Counts of one function: instructions and model cycles.
type Counts = (u64, u64);

/// Builds the counter for this machine's QEMU; returns the shared library.
///
/// # Errors
/// [`DeviceError::Missing`] where cargo cannot build it.
pub fn build_counter() -> Result<PathBuf> {
    let root = crate::project_root();
    let target = root.join("target/counter");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&root)
        .args(["build", "--release", "--package", "counter", "--target-dir"])
        .arg(&target)
        .output()
        .map_err(|error| DeviceError::Missing(format!("cargo does not run: {error}")))?;
    ensure!(
        output.status.success(),
        DeviceError::Missing(format!(
            "the counter does not build: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    );
    let library = ["so", "dylib"].map(|extension| target.join(format!("release/libcounter.{extension}")));
    let found = library.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| DeviceError::Missing(format!("no counter in {}", target.display())).into())
}

/// Builds, runs and counts one plan.
///
/// # Errors
/// Where the image cannot be built or run, or its logits are not the reference's.
pub fn count(name: &str, plan: &NetworkPlan, counter: &Path) -> Result<NetworkCount> {
    let board = &Board::named(BOARD)?;
    let mut hash = [0; 8];
    hash.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    let elf = build_plan(board, plan, &format!("bench-{name}"), hash, Confidence::default())?;
    let bytes = std::fs::read(&elf).with_context(|| elf.display().to_string())?;
    let reach = image::reach(&bytes)?;
    let out = elf.with_extension("counts");
    let _ = std::fs::remove_file(&out);
    let (start, end) = reach.infer;
    let plugin =
        format!("{},start={start},end={end},out={}{}", counter.display(), out.display(), addresses(&out));
    let emulator = Emulator::start_with(board, &elf, &["-plugin".into(), plugin])?;
    let (answer, _) = checked_answer(name, plan, &emulator)?;
    let (own, calls) = read_counts(&out)?;
    let decisions = plan.decisions();
    let layers: Vec<StepCount> = if calls.len() == decisions.len() {
        let steps =
            decisions.into_iter().zip(&calls).map(|(decision, &(instructions, model_cycles))| StepCount {
                layers: decision.layers,
                kernel: decision.kernel,
                macs: decision.macs,
                instructions,
                estimated_instructions: decision.estimate,
                model_cycles,
                constant_bytes: decision.constant_bytes,
                memory_bytes: decision.memory_bytes,
            });
        steps.collect()
    } else {
        // The compiler drew a kernel into `infer`: only the sums are known.
        Vec::new()
    };
    let total = |part: fn(&Counts) -> u64| part(&own) + calls.iter().map(part).sum::<u64>();
    let (instructions, model_cycles) = (total(|count| count.0), total(|count| count.1));
    let macs = plan.network().with_network(|network| network.macs());
    let peers = peers::of(name);
    Ok(NetworkCount {
        name: name.to_owned(),
        profile: plan.options().profile.name(),
        macs,
        instructions,
        macs_per_instruction: macs as f64 / instructions as f64,
        model_cycles,
        code_bytes: reach.code_bytes,
        functions: reach.functions,
        constant_bytes: plan.constant_bytes(),
        arena_bytes: plan.arena_bytes(),
        stack_bytes: answer.stack_bytes,
        stack_bound_bytes: reach.stack_bytes,
        ram_bytes: plan.arena_bytes()
            + answer.stack_bytes as usize
            + plan.network().quantized().task.input.len(),
        layers,
        faults: reach.faults,
        peers,
        ratio: peers.first().map(|peer| peer.instructions as f64 / instructions as f64),
    })
}

/// Lets an emulated board classify the picture that is counted with: a drawn garment, repeated to the input's size.
///
/// # Errors
/// Where it does not answer, or its logits are not the reference's.
fn checked_answer(name: &str, plan: &NetworkPlan, emulator: &Emulator) -> Result<(Answer, Identity)> {
    let mut client = Client::over_socket(emulator.uart.try_clone()?)?;
    let identity = client.hello()?;
    let input = plan.network().quantized().task.input;
    let picture: Vec<u8> = drawn::samples(7, 1).image(0).iter().copied().cycle().take(input.len()).collect();
    let answer = client.classify(input, &picture)?;
    let reference = plan.network().logits(&quantized(&picture));
    ensure!(
        answer.logits[..] == reference,
        "{name}: the chip's logits {:?} are not the reference's {reference:?}",
        answer.logits
    );
    Ok((answer, identity))
}

/// Asks for executions by address, beside the counts, where `COUNT_ADDRESSES` is set.
fn addresses(out: &Path) -> String {
    match std::env::var_os("COUNT_ADDRESSES") {
        Some(_) => format!(",addresses={}", out.with_extension("addresses").display()),
        None => String::new(),
    }
}

/// Reads the counter's file: the function itself, then its calls.
fn read_counts(path: &Path) -> Result<(Counts, Vec<Counts>)> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        anyhow!(DeviceError::Missing(format!("{}: {error}; QEMU was built without plugins?", path.display())))
    })?;
    let counts: Option<Vec<Counts>> = text
        .lines()
        .map(|line| {
            let mut fields = line.rsplit(' ');
            let cycles = fields.next()?.parse().ok()?;
            Some((fields.next()?.parse().ok()?, cycles))
        })
        .collect();
    match counts.as_deref() {
        Some([own, calls @ ..]) => Ok((*own, calls.to_vec())),
        _ => Err(anyhow!("{}: no counts", path.display())),
    }
}
