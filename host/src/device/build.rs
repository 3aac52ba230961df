//! Builds a board's image with the network of a model in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::board::{self, Board};
use super::{DeviceError, estimate, size};
use crate::codegen;
use crate::evaluate::calibration::Confidence;
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Options, Profile};

/// Name of the Debian compiler when linked as a rustup toolchain; see `scripts/setup-embedded.sh`.
const DEBIAN_TOOLCHAIN: &str = "debian";
/// Linker that puts the stack below the variables; `cargo install flip-link`.
const FLIP_LINK: &str = "flip-link";

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
    let root = crate::project_root();
    let generated = codegen::generate(plan, name, hash, confidence);
    let folder = root.join("target/networks").join(format!("{name}-{}", plan.options()));
    crate::files::write_if_changed(&folder.join(codegen::SOURCE_FILE), generated.source.as_bytes())?;
    crate::files::write_if_changed(&folder.join(codegen::WEIGHTS_FILE), &generated.weights)?;
    let target_dir = root.join("target/embedded");
    // Builds of several models share a target folder: one at a time, until the image is copied away.
    let lock_path = root.join("target/networks/.lock");
    let lock = std::fs::File::create(&lock_path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| anyhow::anyhow!("{}: {error}", lock_path.display()))?;
    let mut cargo = cargo(board)?;
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

/// A cargo that can build for the board: the active toolchain's, else Debian's with its own sources.
fn cargo(board: &Board) -> Result<Command, DeviceError> {
    let target = board.target.as_str();
    let sysroot = sysroot(None);
    let mut cargo = Command::new("cargo");
    // Set by an outer `cargo run`, these would name another toolchain's programs.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS"] {
        cargo.env_remove(variable);
    }
    let mut flags = board.rustflags.clone();
    // With flip-link a stack that grows too deep faults; without, it would overwrite variables.
    let flip = target.starts_with("thumb") && is_on_path(FLIP_LINK);
    let mut linker = flip.then(|| PathBuf::from(FLIP_LINK));
    if !sysroot.as_ref().is_some_and(|root| root.join("lib/rustlib").join(target).is_dir()) {
        let debian = sysroot_has_sources(DEBIAN_TOOLCHAIN);
        let lld = sysroot.and_then(|root| find_lld(&root));
        let (true, Some(lld)) = (debian, lld) else {
            return Err(DeviceError::Missing(format!(
                "no compiler for {target}: `rustup target add {target}`, or on Debian `scripts/setup-embedded.sh`"
            )));
        };
        cargo
            .env("RUSTUP_TOOLCHAIN", DEBIAN_TOOLCHAIN)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_UNSTABLE_BUILD_STD", "core,alloc");
        // flip-link looks for rust-lld on the path, which rustup's compiler sets for its linkers.
        let folders = lld.parent().map(Path::to_owned).into_iter();
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Ok(path) = std::env::join_paths(folders.chain(std::env::split_paths(&path))) {
            cargo.env("PATH", path);
        }
        linker.get_or_insert(lld);
    }
    if let Some(linker) = linker {
        flags.extend(["-C".into(), format!("linker={}", linker.display())]);
    }
    // Their own separator keeps a path with spaces whole; with a --target they are not for build scripts.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    Ok(cargo)
}

/// Whether a program is in one of the path's folders.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn sysroot(toolchain: Option<&str>) -> Option<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]).current_dir(crate::project_root());
    if let Some(toolchain) = toolchain {
        rustc.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let output = rustc.output().ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn sysroot_has_sources(toolchain: &str) -> bool {
    sysroot(Some(toolchain)).is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir())
}

/// rust-lld of a rustup toolchain, which Debian's compiler does not bring.
fn find_lld(sysroot: &Path) -> Option<PathBuf> {
    let targets = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    targets.flatten().map(|entry| entry.path().join("bin/rust-lld")).find(|path| path.is_file())
}

/// Whether a board's image can be built here.
pub fn can_build(board: &Board) -> Result<(), DeviceError> {
    cargo(board).map(|_| ())
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
