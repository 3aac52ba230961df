//! Compilers for targets that are not this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::DeviceError;

/// Name of the Debian compiler when linked as a rustup toolchain; see `scripts/setup-embedded.sh`.
const DEBIAN_TOOLCHAIN: &str = "debian";
/// Linker that puts the stack below the variables; `cargo install flip-link`.
const FLIP_LINK: &str = "flip-link";

/// Returns a cargo that can build for the target: the active toolchain's, else Debian's with its own sources.
///
/// * `flags`: of the compiler, such as `-C` and `target-cpu=cortex-m33`.
///
/// # Errors
/// [`DeviceError::Missing`] with what to install.
pub fn cargo(target: &str, flags: &[String]) -> Result<Command, DeviceError> {
    let sysroot = sysroot(None);
    let mut cargo = Command::new("cargo");
    // Set by an outer `cargo run`, these would name another toolchain's programs.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS"] {
        cargo.env_remove(variable);
    }
    let mut flags = flags.to_vec();
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
