//! What a network would take of a board: flash, RAM, stack, instructions and time, before anything is built.
//!
//! Constants and variables of a network are exact. What an image takes besides them, and how many instructions a
//! core needs, come from images that were built and run (`host bench boards --record`, docs/boards.json). Time is
//! a model: instructions × cycles an instruction / clock, without wait states of the flash.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::DeviceError;
use super::board::Board;
use super::size::Size;
use crate::plan::NetworkPlan;

/// Bytes of stack kept free beside the deepest measured use: what interrupts and the loop around take.
const STACK_RESERVE: u64 = 1024;
/// Bytes of stack without which no image runs: the deepest use measured, of 1056 bytes, and the reserve.
const LEAST_STACK: u64 = 1056 + STACK_RESERVE;

/// What was built and run, for all boards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Every board with every model, in the order of boards and models.
    pub images: Vec<Image>,
}

/// A board's image with a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Name of the board.
    pub board: String,
    /// Name of the model.
    pub model: String,
    /// The plan's options.
    pub profile: String,
    /// Bytes of the model's constants.
    pub constant_bytes: u64,
    /// Bytes of the model's variables: arena, input, kept frame, sums of a row.
    pub variable_bytes: u64,
    /// Instructions by the cost model of Armv7E-M.
    pub cost: u64,
    /// What the image takes; `None` where it does not fit the board.
    pub built: Option<Built>,
}

/// What an image takes and does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// Bytes of flash.
    pub flash_bytes: u64,
    /// Bytes of variables.
    pub ram_bytes: u64,
    /// Deepest stack of an inference by the image's call graph; `None` where it is not followed (RISC-V).
    pub stack_bound_bytes: Option<u64>,
    /// What an emulator said.
    pub run: Option<Run>,
}

/// What an emulator said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Images classified.
    pub images: usize,
    /// Images with another logit than the desktop's.
    pub mismatches: usize,
    /// Instructions of an inference, mean; QEMU only.
    pub instructions: Option<f64>,
    /// Microseconds by the emulator's count of cycles; rp2040js only.
    pub microseconds: Option<f64>,
    /// Deepest stack of an inference, painted.
    pub stack_bytes: u64,
}

/// A row of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Name of the board.
    pub board: String,
    /// Whether flash and RAM suffice.
    pub fits: bool,
    /// Bytes of flash.
    pub flash_bytes: u64,
    /// Bytes of flash that the board has.
    pub flash_limit: u64,
    /// Bytes of variables and stack.
    pub ram_bytes: u64,
    /// Bytes of RAM that the board has.
    pub ram_limit: u64,
    /// Bytes of stack in them.
    pub stack_bytes: u64,
    /// Instructions of an inference.
    pub instructions: u64,
    /// Milliseconds at the board's clock, by the model.
    pub model_ms: f64,
}

/// Where the record is.
pub fn record_path() -> PathBuf {
    crate::project_root().join("docs/boards.json")
}

/// Reads the record.
///
/// # Errors
/// Where there is none or it is damaged, with its path.
pub fn read_record() -> Result<Record> {
    let path = record_path();
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

/// Bytes of a network's variables: arena, input, kept frame, sums of a row.
pub fn variable_bytes(plan: &NetworkPlan) -> u64 {
    let task = &plan.network().quantized().task;
    let cells = firmware::app::cells(task.preprocessing, task.input);
    let cells = cells * size_of::<shared::preprocess::square::Cell>();
    let frame = firmware::app::frame_bytes(task.preprocessing);
    (plan.arena_bytes() + task.input.len() + frame + cells) as u64
}

/// Instructions of a plan by the cost model of Armv7E-M.
pub fn cost_of(plan: &NetworkPlan) -> u64 {
    plan.decisions().iter().map(|decision| decision.estimate as u64).sum()
}

/// A core that boards have.
#[derive(Debug)]
pub struct Core {
    /// Name.
    pub name: &'static str,
    /// How the Rust targets of its boards begin.
    target: &'static str,
    /// The emulated board that executes what the core does.
    pub board: &'static str,
    /// Cycles that an instruction takes, for the model of time.
    cycles_an_instruction: f64,
}

/// The cores that are counted.
///
/// Cycles of Cortex-M3, M4 and M33: what the counter of docs/kernels.md finds for the committed models on a Cortex-M4
/// without wait states. Cortex-M0+: what rp2040js counts for `nano`. RV32IMC: loads and taken branches take two
/// (ESP32-C3 technical reference manual, 1.2), which the portable kernels are a third of.
pub const CORES: [Core; 5] = [
    Core { name: "Cortex-M0+", target: "thumbv6m-", board: "mps2-an385-v6m", cycles_an_instruction: 1.39 },
    Core { name: "Cortex-M3", target: "thumbv7m-", board: "mps2-an385", cycles_an_instruction: 1.37 },
    Core { name: "Cortex-M4", target: "thumbv7em-", board: "mps2-an386", cycles_an_instruction: 1.37 },
    Core { name: "Cortex-M33", target: "thumbv8m.main-", board: "mps2-an505", cycles_an_instruction: 1.37 },
    Core { name: "RV32IMC", target: "riscv32", board: "riscv-virt", cycles_an_instruction: 1.33 },
];

/// Estimates what a plan takes of a board.
///
/// # Errors
/// Where the record knows no image of the board or its core.
pub fn estimate(board: &Board, plan: &NetworkPlan, record: &Record) -> Result<Estimate> {
    let unknown =
        || format!("{}: nothing is recorded of it; `host bench boards --record` builds it", board.name);
    let built = || {
        let images = record.images.iter().filter(|image| image.board == board.name);
        images.filter_map(|image| image.built.as_ref().map(|built| (image, built)))
    };
    let code = built().map(|(image, built)| built.flash_bytes.saturating_sub(image.constant_bytes)).max();
    let fixed = built().map(|(image, built)| built.ram_bytes.saturating_sub(image.variable_bytes)).max();
    let (code, fixed) = (code.with_context(unknown)?, fixed.with_context(unknown)?);
    let core = CORES.iter().find(|core| board.target.starts_with(core.target)).with_context(unknown)?;
    let twins: Vec<(u64, &Run)> = record
        .images
        .iter()
        .filter(|image| image.board == core.board)
        .filter_map(|image| Some((image.cost, image.built.as_ref()?.run.as_ref()?)))
        .collect();
    let stack = twins.iter().map(|(_, run)| run.stack_bytes).max().with_context(unknown)?;
    let factors: Vec<f64> =
        twins.iter().filter_map(|(cost, run)| Some(run.instructions? / *cost as f64)).collect();
    anyhow::ensure!(!factors.is_empty(), unknown());
    let factor = factors.iter().sum::<f64>() / factors.len() as f64;
    let instructions = (cost_of(plan) as f64 * factor).round();
    let flash_bytes = code + plan.constant_bytes() as u64;
    let stack_bytes = stack + STACK_RESERVE;
    let ram_bytes = fixed + variable_bytes(plan) + stack_bytes;
    Ok(Estimate {
        board: board.name.clone(),
        fits: flash_bytes <= board.flash_bytes && ram_bytes <= board.ram_bytes,
        flash_bytes,
        flash_limit: board.flash_bytes,
        ram_bytes,
        ram_limit: board.ram_bytes,
        stack_bytes,
        instructions: instructions as u64,
        model_ms: 1e3 * instructions * core.cycles_an_instruction / f64::from(board.clock_hz),
    })
}

/// Refuses a plan that cannot fit a board, before minutes are spent on a build; the linker has the last word.
///
/// # Errors
/// [`DeviceError::TooLarge`] with the two numbers.
pub fn check_fit(board: &Board, plan: &NetworkPlan, name: &str) -> Result<(), DeviceError> {
    // Whatever else an image holds, these alone must fit.
    let needs = [
        ("flash", plan.constant_bytes() as u64, board.flash_bytes),
        ("RAM", variable_bytes(plan) + LEAST_STACK, board.ram_bytes),
    ];
    // With a record, the leanest image of the board says what comes on top.
    let record = read_record().ok();
    let built = record.iter().flat_map(|record| &record.images).filter(|image| image.board == board.name);
    let least = built.filter_map(|image| {
        let built = image.built.as_ref()?;
        Some([
            built.flash_bytes.saturating_sub(image.constant_bytes),
            built.ram_bytes.saturating_sub(image.variable_bytes),
        ])
    });
    let on_top = least.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])]).unwrap_or_default();
    for ((memory, network, limit), image) in needs.into_iter().zip(on_top) {
        let needed = network + image;
        if needed > limit {
            let (model, board, memory) = (name.to_owned(), board.name.clone(), memory.to_owned());
            return Err(DeviceError::TooLarge { model, board, memory, needed, limit });
        }
    }
    Ok(())
}

/// Refuses an image whose variables leave no room for the stack, which the linker does not know.
///
/// # Errors
/// [`DeviceError::TooLarge`] with the two numbers.
pub fn check_stack(board: &Board, size: Size, name: &str) -> Result<(), DeviceError> {
    let needed = size.ram_bytes + LEAST_STACK;
    if needed <= board.ram_bytes {
        return Ok(());
    }
    let (model, limit) = (name.to_owned(), board.ram_bytes);
    Err(DeviceError::TooLarge { model, board: board.name.clone(), memory: "RAM".into(), needed, limit })
}
