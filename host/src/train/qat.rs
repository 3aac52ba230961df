//! From a trained network to one that rounds, and back to plain weights on their grids.
//!
//! Three steps: batch norm is folded into its convolution, so that what is rounded is what runs; layers get
//! their [`FakeQuant`]; after training, weights are replaced by their rounded selves, and the steps go to
//! the quantizer as a [`LayerGrid`] a layer.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};

use super::TrainedNet;
use super::fake_quant::{FakeQuant, INT4_LIMIT};
use super::net::{Block, Net};
use crate::quantize::{LayerGrid, observe::Range};

/// Candidates for a 4-bit step: largest magnitude / 7, times 1, 1 − 1/32, … down to this many 32nds.
const SMALLEST_FRACTION: usize = 12;

fn vector<const D: usize>(tensor: &Param<Tensor<D>>) -> Vec<f32> {
    tensor.val().into_data().to_vec::<f32>().expect("networks are trained in f32")
}

fn param<const D: usize>(values: Vec<f32>, like: &Tensor<D>) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, like.shape()), &like.device()))
}

fn param_1(values: Vec<f32>, device: &burn::tensor::Device) -> Param<Tensor<1>> {
    let length = values.len();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, [length]), device))
}

impl Net {
    /// Returns the same function without batch norm: w' = w · γ/√(σ² + ε), b' = β + (b − μ) · γ/√(σ² + ε).
    pub(super) fn folded(&self) -> Net {
        let mut net = self.clone();
        for block in &mut net.blocks {
            let Block::Conv(block) = block else { continue };
            let Some(norm) = block.norm.take() else { continue };
            let weight = block.conv.weight.val();
            let mut weights = vector(&block.conv.weight);
            let (gamma, beta) = (vector(&norm.gamma), vector(&norm.beta));
            let statistic = |value: Tensor<1>| value.into_data().to_vec::<f32>().expect("statistics are f32");
            let (mean, variance) =
                (statistic(norm.running_mean.value()), statistic(norm.running_var.value()));
            let mut bias = block.conv.bias.as_ref().map_or_else(|| vec![0.0; gamma.len()], vector);
            let per_channel = weights.len() / gamma.len();
            for (channel, weights) in weights.chunks_exact_mut(per_channel).enumerate() {
                let factor = f64::from(gamma[channel]) / (f64::from(variance[channel]) + norm.epsilon).sqrt();
                weights.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
                let centred = f64::from(bias[channel]) - f64::from(mean[channel]);
                bias[channel] = (f64::from(beta[channel]) + centred * factor) as f32;
            }
            block.conv.bias = Some(param_1(bias, &weight.device()));
            block.conv.weight = param(weights, &weight);
        }
        net
    }

    /// Gives every layer its rounding; `self` is folded, `ranges` are its layers' outputs' in order.
    ///
    /// Layers between the first and the last get `weight_bits` 4 or 8, those two 8.
    fn rounding(&self, ranges: &[Range], weight_bits: u32) -> Net {
        let mut net = self.clone();
        let is_weighted = |block: &Block| matches!(block, Block::Conv(_) | Block::Dense(_));
        let first = net.blocks.iter().position(is_weighted);
        let last = net.blocks.iter().rposition(is_weighted);
        let mut ranges = ranges.iter();
        for (index, block) in net.blocks.iter_mut().enumerate() {
            if matches!(block, Block::Dropout(_)) {
                continue;
            }
            let range = ranges.next();
            let is_last = Some(index) == last;
            let has_few_bits = weight_bits == 4 && Some(index) != first && !is_last;
            let rounding = |weights: Option<(Vec<f32>, usize)>, device: &burn::tensor::Device| {
                let steps = weights.filter(|_| has_few_bits).map(|(weights, channels)| {
                    let per_channel = weights.len() / channels;
                    let steps = weights.chunks_exact(per_channel).map(|w| best_step(w).ln());
                    param_1(steps.collect(), device)
                });
                let high = range.map_or(1.0, |range| range.high.max(1e-3));
                let output = (!is_last).then(|| param_1(vec![(high / 255.0).ln()], device));
                Some(FakeQuant {
                    weight_log_steps: steps,
                    output_log_step: output,
                    sum_log_step: None,
                    is_per_tensor: is_last,
                })
            };
            match block {
                Block::Conv(block) => {
                    let weight = block.conv.weight.val();
                    let weights = (vector(&block.conv.weight), weight.dims()[0]);
                    block.quant = rounding(Some(weights), &weight.device());
                    if block.residual {
                        // Its sum is a layer of its own.
                        let high = ranges.next().map_or(1.0, |range| range.high.max(1e-3));
                        if let Some(quant) = &mut block.quant {
                            quant.sum_log_step = Some(param_1(vec![(high / 255.0).ln()], &weight.device()));
                        }
                    }
                }
                Block::Dense(block) => {
                    let weight = block.linear.weight.val().transpose();
                    let weights = weight.clone().into_data().to_vec::<f32>().expect("weights are f32");
                    block.quant = rounding(Some((weights, weight.dims()[0])), &weight.device());
                }
                Block::AveragePool(block) => block.quant = rounding(None, &super::device::cpu()),
                _ => {}
            }
        }
        net
    }

    /// Returns the network with its weights on their grids and no rounding left, and the grids.
    fn baked(&self) -> (Net, Vec<LayerGrid>) {
        let mut net = self.clone();
        let mut grids = Vec::new();
        for block in &mut net.blocks {
            let quant = match block {
                Block::Conv(block) => block.quant.take(),
                Block::Dense(block) => block.quant.take(),
                Block::AveragePool(block) => block.quant.take(),
                Block::Dropout(_) => continue,
                _ => None,
            };
            if let Some(quant) = &quant {
                match block {
                    Block::Conv(block) => {
                        block.conv.weight = Param::from_tensor(quant.weights(block.conv.weight.val()));
                    }
                    Block::Dense(block) => {
                        let rounded = quant.weights(block.linear.weight.val().transpose());
                        block.linear.weight = Param::from_tensor(rounded.transpose());
                    }
                    _ => {}
                }
            }
            let exponential =
                |log: &Param<Tensor<1>>| vector(log).into_iter().map(f32::exp).collect::<Vec<f32>>();
            let quant = quant.as_ref();
            grids.push(LayerGrid {
                output_step: quant
                    .and_then(|quant| quant.output_log_step.as_ref())
                    .map(|log| exponential(log)[0]),
                weight_steps: quant.and_then(|quant| quant.weight_log_steps.as_ref()).map(exponential),
            });
            if let Some(log) = quant.and_then(|quant| quant.sum_log_step.as_ref()) {
                grids.push(LayerGrid { output_step: Some(exponential(log)[0]), weight_steps: None });
            }
        }
        (net, grids)
    }
}

/// Step with the least squared error over one channel's weights.
fn best_step(weights: &[f32]) -> f32 {
    let limit = INT4_LIMIT as f32;
    let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs())).max(1e-6);
    let error = |step: f32| -> f32 {
        weights.iter().map(|w| (w - (w / step).round_ties_even().clamp(-limit, limit) * step).powi(2)).sum()
    };
    let candidates = (SMALLEST_FRACTION..=32).rev().map(|part| largest / limit * part as f32 / 32.0);
    let best = candidates.min_by(|&a, &b| error(a).total_cmp(&error(b)));
    best.unwrap_or(largest / limit)
}

impl TrainedNet {
    /// Returns the same function with batch norm folded: the form that is saved and exported.
    pub fn folded(&self) -> Self {
        Self { net: self.net.folded(), ..self.clone() }
    }

    /// Returns the network to go on training with rounding, from what its layers' outputs span.
    pub fn rounding(&self, ranges: &[Range], weight_bits: u32) -> Self {
        Self { net: self.net.folded().rounding(ranges, weight_bits), ..self.clone() }
    }

    /// Returns the network with weights on their grids, and the grids in the order of its layers.
    pub fn baked(&self) -> (Self, Vec<LayerGrid>) {
        let (net, grids) = self.net.baked();
        (Self { net, ..self.clone() }, grids)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Architecture;
    use super::*;
    use crate::dataset::drawn;
    use crate::task::Task;

    #[test]
    fn folding_keeps_the_function_and_rounding_keeps_int8_close() {
        let nano = Architecture::named("nano", Task::fashion_mnist()).unwrap();
        let net = TrainedNet::untrained(&nano, 3);
        let samples = drawn::samples(2, 3);
        let ranges = vec![Range { low: 0.0, high: 4.0 }; 8];
        let (folded, (baked, grids)) = (net.folded(), net.rounding(&ranges, 8).baked());
        assert_eq!(grids.len(), 8);
        let near = |a: &TrainedNet, b: &TrainedNet, tolerance: f32| {
            for (a, b) in a.logits(&samples).iter().flatten().zip(b.logits(&samples).iter().flatten()) {
                assert!((a - b).abs() <= tolerance, "{a} and {b}");
            }
        };
        near(&net, &folded, 1e-5);
        near(&net, &baked, 0.05);
        assert!(folded.net.blocks.iter().all(|block| !matches!(block, Block::Conv(b) if b.norm.is_some())));
    }

    #[test]
    fn four_bit_weights_lie_on_fifteen_steps_and_the_ends_keep_eight_bits() {
        let nano = Architecture::named("nano", Task::fashion_mnist()).unwrap();
        let net = TrainedNet::untrained(&nano, 3);
        let (baked, grids) = net.rounding(&[Range { low: 0.0, high: 4.0 }; 8], 4).baked();
        let with_steps: Vec<bool> = grids.iter().map(|grid| grid.weight_steps.is_some()).collect();
        assert_eq!(with_steps, [false, false, true, false, true, true, true, false]);
        assert_eq!(grids[7].output_step, None);
        let Block::Conv(second) = &baked.net.blocks[2] else { panic!("a convolution") };
        let steps = grids[2].weight_steps.as_ref().unwrap();
        let weights = vector(&second.conv.weight);
        for (at, weight) in weights.iter().enumerate() {
            let in_steps = weight / steps[at / (weights.len() / steps.len())];
            assert!((in_steps - in_steps.round()).abs() < 1e-3 && in_steps.abs() < 7.01, "{in_steps}");
        }
    }
}
