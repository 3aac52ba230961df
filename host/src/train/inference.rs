//! A network's logits without gradients, and what they are worth.

use burn::tensor::{Device, Tensor, TensorData};
use shared::input::InputShape;

use super::architecture::Architecture;
use super::forward::Mode;
use super::lanes::{self, LANES};
use super::net::Net;
use super::rows_of;
use crate::dataset::Samples;
use crate::evaluate::arg_max_f32;
use crate::runtime::scaled;

/// Whether a network is trained on interleaved images ([`lanes`]): on the CPU, where all its layers exist there.
pub(super) fn has_lanes(architecture: &Architecture, device: &Device) -> bool {
    *device == super::device::cpu() && architecture.without_lanes().is_none()
}

/// Images `[n][channels][height][width]` as `[n / 16][channels][height][width][16]`.
pub(super) fn interleaved(images: &[f32], shape: InputShape, device: &Device) -> Tensor<5> {
    let InputShape { height, width, channels } = shape;
    let blocks = images.len() / (shape.len() * LANES);
    let data = lanes::interleave(images, shape.len());
    Tensor::from_data(TensorData::new(data, [blocks, channels, height, width, LANES]), device)
}

/// Images `[n][channels][height][width]` as a tensor of that shape.
pub(super) fn planar(images: Vec<f32>, shape: InputShape, device: &Device) -> Tensor<4> {
    let InputShape { height, width, channels } = shape;
    let count = images.len() / shape.len();
    Tensor::from_data(TensorData::new(images, [count, channels, height, width]), device)
}

/// Images of a pass without gradients.
const VALIDATION_BATCH: usize = 16 * LANES;

/// Logits of all images, in order, on the CPU.
pub(super) fn lane_logits(net: &Net, samples: &Samples, device: &Device) -> Vec<Vec<f32>> {
    let len = samples.shape.len();
    let mut logits = Vec::with_capacity(samples.len() + LANES);
    for chunk in samples.pixels.chunks(VALIDATION_BATCH * len) {
        let images = chunk.chunks_exact(len);
        let count = images.len();
        let mut values: Vec<f32> = images.flat_map(|image| scaled(samples.shape, image)).collect();
        values.resize(values.len().next_multiple_of(LANES * len), 0.0);
        let rows = net.forward_lanes(interleaved(&values, samples.shape, device), Mode::Infer);
        logits.extend(rows_of(&rows).into_iter().take(count));
    }
    logits
}

/// Returns mean cross-entropy and accuracy.
pub(super) fn judge(logits: &[Vec<f32>], labels: &[u8]) -> (f64, f64) {
    let mut loss = 0.0;
    let mut correct = 0;
    for (row, &label) in logits.iter().zip(labels) {
        let highest = f64::from(row[arg_max_f32(row)]);
        let sum: f64 = row.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
        loss += highest + sum.ln() - f64::from(row[usize::from(label)]);
        correct += usize::from(arg_max_f32(row) == usize::from(label));
    }
    let count = labels.len().max(1) as f64;
    (loss / count, correct as f64 / count)
}
