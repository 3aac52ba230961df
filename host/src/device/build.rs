//! Builds a board's image with the network of a model in it.

use std::path::PathBuf;

use super::board::{self, Board};
use super::{DeviceError, estimate, size, toolchain};
use crate::codegen;
use crate::evaluate::calibration::Confidence;
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Options, Profile};

/// Generates the model's code under `target/` and builds the board with it; returns the ELF file.
///
/// # Errors
/// [`DeviceError::Missing`] where no compiler has the target, [`DeviceError::Build`] with cargo's output,
/// or the reason why no code could be generated.
pub fn build(board: &Board, dir: &ModelDir, options: Options) -> anyhow::Result<PathBuf> {
    let plan = NetworkPlan::new(&dir.read_firmware()?, options)?;
    build_plan(board, &plan, &dir.name(), dir.network_hash()?, dir.confidence()?)
}

/// Builds the board with a plan; see [`build`].
///
/// # Errors
/// As [`build`].
pub fn build_plan(
    board: &Board,
    plan: &NetworkPlan,
    name: &str,
    hash: [u8; 8],
    confidence: Confidence,
) -> anyhow::Result<PathBuf> {
    estimate::check_fit(board, plan, name)?;
    let folder = write_network(plan, name, hash, confidence)?;
    let root = crate::project_root();
    let target_dir = root.join("target/embedded");
    let _lock = lock()?;
    let mut cargo = toolchain::cargo(&board.target, &board.rustflags)?;
    cargo
        .current_dir(&root)
        .env("FIRMWARE_MODEL", &folder)
        .args(["build", "--profile", "firmware", "--package", &board.name, "--manifest-path"])
        .arg(board::workspace().join("Cargo.toml"))
        .args(["--target", &board.target, "--target-dir"])
        .arg(&target_dir);
    if !board.features.is_empty() {
        cargo.args(["--features", &board.features.join(",")]);
    }
    if plan.options().profile == Profile::Size {
        // Around the routines, too, small code before fast code.
        cargo.args(["--config", "profile.firmware.package.firmware.opt-level=\"s\""]);
    }
    let output =
        cargo.output().map_err(|error| DeviceError::Missing(format!("cargo does not run: {error}")))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        if let Some((region, bytes)) = overflow(&output) {
            let board = board.name.clone();
            return Err(DeviceError::Fit { model: name.to_owned(), board, region, bytes }.into());
        }
        return Err(DeviceError::Build { model: name.to_owned(), output }.into());
    }
    let elf = target_dir.join(&board.target).join("firmware").join(&board.name);
    let bytes = std::fs::read(&elf).map_err(|error| anyhow::anyhow!("{}: {error}", elf.display()))?;
    estimate::check_stack(board, size::of(&bytes)?, name)?;
    // Images of several models live side by side.
    let kept = folder.join(format!("{}.elf", board.name));
    std::fs::copy(&elf, &kept).map_err(|error| anyhow::anyhow!("{}: {error}", elf.display()))?;
    Ok(kept)
}

/// Writes a network's generated code into a folder of its own under `target/`, for `FIRMWARE_MODEL`.
///
/// # Errors
/// The file system's.
pub fn write_network(
    plan: &NetworkPlan,
    name: &str,
    hash: [u8; 8],
    confidence: Confidence,
) -> anyhow::Result<PathBuf> {
    let generated = codegen::generate(plan, name, hash, confidence);
    let folder = crate::project_root().join("target/networks").join(format!("{name}-{}", plan.options()));
    crate::files::write_if_changed(&folder.join(codegen::SOURCE_FILE), generated.source.as_bytes())?;
    crate::files::write_if_changed(&folder.join(codegen::WEIGHTS_FILE), &generated.weights)?;
    Ok(folder)
}

/// Waits for other builds: those of several models share a target folder, one at a time until the image is copied
/// away. Held as long as the file is open.
///
/// # Errors
/// The file system's.
pub fn lock() -> anyhow::Result<std::fs::File> {
    let path = crate::project_root().join("target/networks/.lock");
    let lock = std::fs::File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Memory that the linker found too small, and the bytes too many: the largest overflow it tells of.
fn overflow(output: &str) -> Option<(String, u64)> {
    // rust-lld: section '.rodata' will not fit in region 'FLASH': overflowed by 1234 bytes
    // GNU ld: region `FLASH' overflowed by 1234 bytes
    let found = output.lines().filter_map(|line| {
        let (before, after) = line.split_once("overflowed by ")?;
        let bytes = after.split(' ').next()?.parse().ok()?;
        let region = before.split_once("region ")?.1.trim_matches([' ', '\'', '`', ':']);
        Some((region.to_owned(), bytes))
    });
    found.max_by_key(|(_, bytes)| *bytes)
}

/// Whether a board's image can be built here.
pub fn can_build(board: &Board) -> Result<(), DeviceError> {
    toolchain::cargo(&board.target, &board.rustflags).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linker_s_overflow_is_understood() {
        let lld = "rust-lld: error: section '.rodata' will not fit in region 'FLASH': overflowed by 1234 bytes\n\
                   rust-lld: error: section '.data' will not fit in region 'FLASH': overflowed by 1250 bytes";
        assert_eq!(overflow(lld), Some(("FLASH".into(), 1_250)));
        let gnu = "ld: region `RAM' overflowed by 99 bytes";
        assert_eq!(overflow(gnu), Some(("RAM".into(), 99)));
        assert_eq!(overflow("error: expected `;`"), None);
    }
}
