//! A model → WebAssembly.

use std::path::PathBuf;

use crate::device::{DeviceError, build, toolchain};
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Options};

/// Rust's name of WebAssembly without an operating system.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// What every browser has that can run the page: 128-bit vectors (2021 to 2023).
const FLAGS: [&str; 2] = ["-C", "target-feature=+simd128"];

/// A model compiled for a page.
#[derive(Debug, Clone)]
pub struct Module {
    /// The model's name.
    pub name: String,
    /// What is computed in which steps.
    pub plan: NetworkPlan,
    /// The module.
    pub wasm: Vec<u8>,
    /// The same as a file.
    pub path: PathBuf,
}

/// Compiles the firmware with a model.
///
/// # Errors
/// [`DeviceError::Missing`] where no compiler has the target, [`DeviceError::Build`] with cargo's output, or the
/// reason why no code could be generated.
pub fn build(dir: &ModelDir, options: Options) -> anyhow::Result<Module> {
    let plan = NetworkPlan::new(&dir.read_firmware()?, options)?;
    let name = dir.name();
    let folder = build::write_network(&plan, &name, dir.network_hash()?, dir.confidence()?)?;
    let root = crate::project_root();
    let target_dir = root.join("target/web");
    let _lock = build::lock()?;
    let output = toolchain::cargo(TARGET, &FLAGS.map(str::to_owned))?
        .current_dir(&root)
        .env("FIRMWARE_MODEL", &folder)
        .args(["build", "--locked", "--release", "--target", TARGET, "--manifest-path"])
        .arg(root.join("web/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .output()
        .map_err(|error| DeviceError::Missing(format!("cargo does not run: {error}")))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(DeviceError::Build { model: name, output }.into());
    }
    let built = target_dir.join(TARGET).join("release/web.wasm");
    let wasm = std::fs::read(&built).map_err(|error| anyhow::anyhow!("{}: {error}", built.display()))?;
    let path = folder.join("web.wasm");
    crate::files::write_if_changed(&path, &wasm)?;
    Ok(Module { name, plan, wasm, path })
}
