//! Every board with several models: size of the image, and what the board's emulator makes of it.

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use anyhow::{Context, Result};

use crate::dataset::Samples;
use crate::device::DeviceError;
use crate::device::board::Board;
use crate::device::client::Client;
use crate::device::emulator::Emulator;
use crate::device::estimate::{Built, Image, Run, cost_of, variable_bytes};
use crate::device::{build, hil, image, size};
use crate::evaluate::calibration::Confidence;
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Options};
use crate::quantize::network::FirmwareNetwork;

/// Models that boards are measured with.
pub const MODELS: [&str; 4] = ["nano", "small", "photo-mini", "photo"];

/// Builds a board's image with a model, and runs it where an emulator has the board.
///
/// * `images`: sent to the board; its emulator's logits are compared with the desktop's.
///
/// # Errors
/// Where the image cannot be built for another reason than its size, or not run.
pub fn measure(board: &Board, dir: &ModelDir, options: Options, images: &Samples) -> Result<Image> {
    let network = dir.read_firmware()?;
    let plan = NetworkPlan::new(&network, options)?;
    let elf = build::build_plan(board, &plan, &dir.name(), dir.network_hash()?, dir.confidence()?);
    let built = match elf {
        Ok(elf) => {
            let bytes = std::fs::read(&elf)?;
            let size = size::of(&bytes)?;
            let is_thumb = board.target.starts_with("thumb");
            let bound = if is_thumb { Some(image::reach(&bytes)?.stack_bytes) } else { None };
            let run = match board.emulator() {
                Some(_) => Some(run(board, &elf, &network, images)?),
                None => None,
            };
            let (flash_bytes, ram_bytes) = (size.flash_bytes, size.ram_bytes);
            Some(Built { flash_bytes, ram_bytes, stack_bound_bytes: bound, run })
        }
        Err(error) if is_too_large(&error) => None,
        Err(error) => return Err(error),
    };
    Ok(Image {
        board: board.name.clone(),
        model: dir.name(),
        profile: options.to_string(),
        constant_bytes: plan.constant_bytes() as u64,
        variable_bytes: variable_bytes(&plan),
        cost: cost_of(&plan),
        built,
    })
}

/// Counts the instructions of an inference on a board's core, by QEMU's virtual clock.
///
/// # Errors
/// Where the image cannot be built or run, or its logits are not the reference's.
pub fn instructions(board: &Board, name: &str, plan: &NetworkPlan) -> Result<u64> {
    let elf = build::build_plan(board, plan, &format!("bench-{name}"), [0; 8], Confidence::default())?;
    let emulator = Emulator::start(board, &elf)?;
    let (answer, identity) = super::checked_answer(name, plan, &emulator)?;
    let speed = hil::speed(&[answer], identity.tick_hz, board.qemu.is_some());
    let instructions =
        speed.instructions.with_context(|| format!("{}'s emulator counts none", board.name))?;
    Ok(instructions.round() as u64)
}

fn is_too_large(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(DeviceError::TooLarge { .. } | DeviceError::Fit { .. }))
}

fn run(board: &Board, elf: &Path, network: &FirmwareNetwork, images: &Samples) -> Result<Run> {
    let emulator = Emulator::start(board, elf)?;
    let mut client = Client::over_socket(emulator.uart.try_clone()?)?;
    let identity = client.hello()?;
    let answers = hil::collect(&mut client, images, 0..images.len(), &AtomicUsize::new(0))?;
    let report = hil::compare(board.name.clone(), network, images, &answers);
    let speed = hil::speed(&answers, identity.tick_hz, board.qemu.is_some());
    Ok(Run {
        images: report.images,
        mismatches: report.mismatches,
        instructions: speed.instructions.map(f64::round),
        microseconds: speed.microseconds.map(f64::round),
        stack_bytes: report.stack_bytes.into(),
    })
}
