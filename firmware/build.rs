//! Finds the generated network that `src/model.rs` includes, and whether the core has DSP instructions.

#[allow(dead_code, reason = "codegen seals with the same file")]
mod checksum;

use std::path::{Path, PathBuf};

fn main() {
    core();
    network();
}

/// Sets `cfg(dsp)`: every Armv7E-M core has the extension; on Armv8-M, `cfg(armv8m)`, it is an option of the chip.
fn core() {
    println!("cargo::rustc-check-cfg=cfg(dsp)");
    println!("cargo::rustc-check-cfg=cfg(armv8m)");
    let target = std::env::var("TARGET").unwrap_or_default();
    let asked = std::env::var_os("CARGO_FEATURE_DSP").is_some();
    let optional = target.starts_with("thumbv8m.main");
    if optional {
        println!("cargo::rustc-cfg=armv8m");
    }
    if target.starts_with("thumbv7em") || (asked && optional) {
        println!("cargo::rustc-cfg=dsp");
    } else if asked && target.starts_with("thumb") {
        println!("cargo::error=feature `dsp`: {target} has no DSP instructions; build without the feature");
    }
}

fn network() {
    println!("cargo:rerun-if-env-changed=FIRMWARE_MODEL");
    if std::env::var_os("CARGO_FEATURE_MODEL").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder =
        std::env::var_os("FIRMWARE_MODEL").map_or_else(|| PathBuf::from("models/small"), PathBuf::from);
    let network = root.join(&folder).join("network.rs");
    println!("cargo:rerun-if-changed={}", network.display());
    println!("cargo:rerun-if-changed={}", network.with_file_name("weights.bin").display());
    let remedy = format!("make it with `cargo run -p host -- codegen --model {}`", folder.display());
    let files = (std::fs::read_to_string(&network), std::fs::read(network.with_file_name("weights.bin")));
    if let (Ok(source), Ok(weights)) = files
        && let Err(problem) = checksum::check(&source, &weights)
    {
        println!("cargo::error={}: {problem}; {remedy}", network.display());
        return;
    }
    match network.canonicalize() {
        Ok(path) => println!("cargo:rustc-env=FIRMWARE_NETWORK={}", path.display()),
        Err(error) => println!("cargo::error={}: {error}; {remedy}", network.display()),
    }
}
