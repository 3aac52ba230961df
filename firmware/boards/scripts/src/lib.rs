//! The build script of boards.

use std::path::PathBuf;

/// Hands the linker the `memory.x` beside the calling build script, and scripts for an image with defmt's log.
///
/// * `scripts`: names of linker scripts that the board's libraries bring, in the linker's order.
///
/// # Panics
/// Where cargo did not call, or there is no `memory.x`: the build stops with that.
pub fn link(scripts: &[&str]) {
    println!("cargo:rerun-if-changed=memory.x");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::copy("memory.x", out.join("memory.x")).expect("memory.x lies beside the build script");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=--nmagic");
    for script in scripts.iter().chain(&["defmt.x"]) {
        println!("cargo:rustc-link-arg-bins=-T{script}");
    }
}
