//! An inference in WebAssembly beside the same plan's on this machine.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::device::DeviceError;
use crate::model_dir::ModelDir;
use crate::plan::Options;
use crate::web::build;

/// Rounds of which the best counts, and inferences a round.
const ROUNDS: usize = 15;
const TIMES: usize = 20;

/// Times of one inference.
#[derive(Debug, Clone, Serialize)]
pub struct WebTime {
    /// The model's name.
    pub model: String,
    /// Milliseconds of the portable kernels, compiled for this machine.
    pub native_ms: f64,
    /// Milliseconds of the same kernels as WebAssembly, in Node.
    pub web_ms: f64,
    /// The second over the first.
    pub ratio: f64,
}

/// Times a model both ways.
///
/// # Errors
/// Where there is no Node, no compiler for WebAssembly, or no model.
pub fn measure(dir: &ModelDir, options: Options) -> anyhow::Result<WebTime> {
    let module = build::build(dir, options)?;
    let native_ms = module.plan.with_plan(|plan| {
        let image = vec![0; plan.input_len()];
        let (mut arena, mut logits) = (vec![0; plan.arena_words()], vec![0; plan.classes()]);
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..TIMES {
                plan.infer(&image, &mut arena, &mut logits)?;
            }
            best = best.min(begun.elapsed().as_secs_f64() * 1_000.0 / TIMES as f64);
        }
        Ok::<_, firmware::nn::InferError>(best)
    })?;
    let output = Command::new("node")
        .arg(crate::project_root().join("web/bench.mjs"))
        .arg(&module.path)
        .args([ROUNDS, TIMES].map(|count| count.to_string()))
        .output()
        .map_err(|error| {
            DeviceError::Missing(format!("node: {error}; `scripts/setup-embedded.sh` installs it"))
        })?;
    if !output.status.success() {
        bail!("node: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let web_ms: f64 = text.trim().parse().with_context(|| format!("node said {text:?}"))?;
    Ok(WebTime { model: module.name, native_ms, web_ms, ratio: web_ms / native_ms })
}
