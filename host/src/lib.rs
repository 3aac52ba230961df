//! Trains, exports, quantizes and verifies the clothing classifier, and talks to the device.
#![allow(deprecated)]

pub mod dataset;
pub mod evaluate;
pub mod files;
pub mod onnx;
pub mod quantize;
pub mod runtime;
pub mod train;

use std::path::PathBuf;

/// Returns the project's root: the folder above `host/` where it still stands, else the working directory.
pub fn project_root() -> PathBuf {
    let built_in = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match built_in {
        Some(root) if root.join("Cargo.toml").is_file() => root.into(),
        _ => std::env::current_dir().unwrap_or_default(),
    }
}
