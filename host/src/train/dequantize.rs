//! From a committed int8 file back to a network that answers in floats: weights on their grids, nothing else rounded.
//!
//! So a teacher can be asked in every clone, although only int8 files are committed.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};

use super::net::Block;
use super::{Architecture, TrainedNet};
use crate::quantize::network::{Computation, QuantizedNetwork, Weights};
use crate::quantize::swap_inner;

impl TrainedNet {
    /// Builds the network whose weights and biases are those of `quantized` in real units.
    ///
    /// # Errors
    /// A message where `quantized` has other layers than the architecture.
    pub fn from_quantized(architecture: &Architecture, quantized: &QuantizedNetwork) -> Result<Self, String> {
        let mut blank = Self::untrained(architecture, 0).folded();
        let other = || format!("the layers are not those of {}; train it again", architecture.network);
        let weighted = |layer: &&_| {
            let crate::quantize::network::QuantizedLayer { computation, .. } = layer;
            computation.weights().is_some()
        };
        let mut layers = quantized.layers.iter().filter(weighted);
        for block in &mut blank.net.blocks {
            if !matches!(block, Block::Conv(_) | Block::Dense(_)) {
                continue;
            }
            let layer = layers.next().ok_or_else(other)?;
            let bias = |weights: &Weights| -> Vec<f32> {
                let step = weights.scales.iter().map(|scale| layer.input.scale * scale);
                weights.bias.iter().zip(step).map(|(&bias, step)| bias as f32 * step).collect()
            };
            match (block, &layer.computation) {
                (Block::Conv(block), Computation::Conv { window, in_channels, weights, .. }) => {
                    // [out][height][width][in] → [out][in][height][width]
                    let values = swap_inner(&real(weights), window.taps(), *in_channels);
                    block.conv.weight = filled(values, &block.conv.weight).ok_or_else(other)?;
                    let old = block.conv.bias.as_ref().ok_or_else(other)?;
                    block.conv.bias = Some(filled(bias(weights), old).ok_or_else(other)?);
                }
                (
                    Block::Dense(block),
                    Computation::Dense { input: [channels, height, width], weights, .. },
                ) => {
                    // [out][height · width · channels] → [channels · height · width][out]
                    let rows = swap_inner(&real(weights), height * width, *channels);
                    let out = weights.bias.len();
                    let columns = swap_inner(&rows, out, rows.len() / out.max(1));
                    block.linear.weight = filled(columns, &block.linear.weight).ok_or_else(other)?;
                    let old = block.linear.bias.as_ref().ok_or_else(other)?;
                    block.linear.bias = Some(filled(bias(weights), old).ok_or_else(other)?);
                }
                _ => return Err(other()),
            }
        }
        layers.next().map_or(Ok(blank), |_| Err(other()))
    }
}

/// Weights in real units, in the firmware's order.
fn real(weights: &Weights) -> Vec<f32> {
    let per_channel = (weights.values.len() / weights.scales.len().max(1)).max(1);
    let rows = weights.values.chunks(per_channel).zip(&weights.scales);
    rows.flat_map(|(row, &scale)| row.iter().map(move |&w| f32::from(w) * scale)).collect()
}

/// `values` in the shape of `like`; `None` where they are more or fewer.
fn filled<const D: usize>(values: Vec<f32>, like: &Param<Tensor<D>>) -> Option<Param<Tensor<D>>> {
    let like = like.val();
    let fits = values.len() == like.shape().num_elements();
    fits.then(|| Param::from_tensor(Tensor::from_data(TensorData::new(values, like.shape()), &like.device())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;
    use crate::onnx::{float, proto};
    use crate::quantize::observe::observe;
    use crate::quantize::quantize;
    use crate::task::Task;

    fn quantized(net: &TrainedNet) -> QuantizedNetwork {
        let model = proto::decode(&net.to_onnx(), "the export").unwrap();
        let layers = float::layers(&model, "the export").unwrap();
        let ranges = observe(&model, &layers, &drawn::samples(5, 2)).unwrap();
        quantize(&net.architecture().task, &layers, &ranges).unwrap()
    }

    fn architecture(name: &str) -> Architecture {
        Architecture::named(name, Task::fashion_mnist()).unwrap()
    }

    #[test]
    fn answers_stay_within_the_steps_of_the_weights() {
        let samples = drawn::samples(6, 2);
        for name in ["nano", "article", "teacher"] {
            let architecture = architecture(name);
            let net = TrainedNet::untrained(&architecture, 3);
            let again = TrainedNet::from_quantized(&architecture, &quantized(&net)).unwrap();
            let (ours, theirs) = (net.logits(&samples), again.logits(&samples));
            let largest = ours.iter().flatten().fold(0.0f32, |most, logit| most.max(logit.abs()));
            for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                assert!((a - b).abs() < 0.04 * largest, "{name}: {a} became {b} of {largest}");
            }
        }
    }

    #[test]
    fn another_network_s_file_is_refused() {
        let nano = quantized(&TrainedNet::untrained(&architecture("nano"), 3));
        let message = TrainedNet::from_quantized(&architecture("small"), &nano).unwrap_err();
        assert!(message.contains("small"), "{message}");
        assert!(TrainedNet::from_quantized(&architecture("teacher"), &nano).is_err());
    }
}
