//! Trains, exports, quantizes and verifies the clothing classifier, and talks to the device.
//!
//! ```text
//! dataset ─► train (burn) ─► onnx (float) ─► quantize ─► onnx (int8) ─► plan ─► codegen ─► firmware
//!                              │                            │
//!                              └──── runtime: tract, ONNX Runtime, our integers ──► evaluate
//! ```
//!
//! [`cli`] turns arguments into calls of the modules below; each module's own page says what it holds.
// burn 0.22 deprecates `TensorData::to_vec` in favour of `try_to_vec`.
#![allow(deprecated)]

pub mod bench;
pub mod cli;
pub mod codegen;
pub mod counter;
pub mod dataset;
pub mod device;
pub mod evaluate;
pub mod files;
pub mod import;
pub mod model_dir;
pub mod onnx;
pub mod plan;
pub mod prove;
pub mod quantize;
pub mod report;
pub mod runtime;
pub mod task;
pub mod train;
pub mod web;

use std::path::PathBuf;

/// Returns the project's root: the folder above `host/` where it still stands, else the working directory.
pub fn project_root() -> PathBuf {
    let built_in = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match built_in {
        Some(root) if root.join("Cargo.toml").is_file() => root.into(),
        _ => std::env::current_dir().unwrap_or_default(),
    }
}
