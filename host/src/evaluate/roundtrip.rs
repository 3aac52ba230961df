//! Does the float ONNX file say what was trained? Every reader of it against burn's own logits.

use std::path::Path;

use anyhow::Result;

use crate::dataset::Samples;
use crate::onnx::proto;
use crate::runtime::{Engine, ort, tract};
use crate::train::TrainedNet;

/// Largest difference of a logit that is admitted.
pub const TOLERANCE: f32 = 1e-4;

/// What one reader of the file said.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `tract` or `onnxruntime`.
    pub reader: &'static str,
    /// Largest |Δlogit| against burn, or why the reader is absent.
    pub max_delta: Result<f32, String>,
}

impl Row {
    /// Whether the reader ran and stayed within [`TOLERANCE`]; an absent one does not fail.
    pub fn passes(&self) -> bool {
        self.max_delta.as_ref().map_or(true, |&delta| delta <= TOLERANCE)
    }
}

/// Reads the file at `path` with every reader and compares the logits of `samples`.
///
/// # Errors
/// Where the file cannot be read or tract refuses it; ONNX Runtime may be absent.
pub fn check(net: &TrainedNet, path: &Path, samples: &Samples) -> Result<Vec<Row>> {
    let model = proto::read(path)?;
    let expected = net.logits(samples);
    let through_tract = tract::Tract::float(&model)?.logits(samples)?;
    let through_ort = match ort::library() {
        Ok(_) => Ok(largest_delta(&expected, &ort::Ort::float(&model)?.logits(samples)?)),
        Err(absent) => Err(absent),
    };
    Ok(vec![
        Row { reader: "tract", max_delta: Ok(largest_delta(&expected, &through_tract)) },
        Row { reader: "onnxruntime", max_delta: through_ort },
    ])
}

fn largest_delta(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let deltas = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs());
    // NaN must not pass for zero.
    deltas.fold(0.0, |most, delta| if delta > most || delta.is_nan() { delta } else { most })
}
