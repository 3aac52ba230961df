//! A network's pass over interleaved images, with what differs between training and use.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::tensor::Tensor;

use super::batches::derive_seed;
use super::lanes::{self, Norm};
use super::net::{Block, ConvBlock, DenseBlock, Net};

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Batch statistics, dropout by this seed.
    Train(u64),
    /// Running statistics, no dropout.
    Infer,
}

impl Net {
    /// Maps `[blocks][channels][height][width][16]` to logits `[blocks · 16][classes]`.
    pub(super) fn forward_lanes(&self, images: Tensor<5>, mode: Mode) -> Tensor<2> {
        let mut planes = images;
        let mut index = 0;
        while let Some(block) = self.blocks.get(index) {
            let next_is_pool = matches!(self.blocks.get(index + 1), Some(Block::MaxPool(_)));
            planes = match block {
                Block::Conv(block) => {
                    // A maximum right behind a convolution is taken in the same pass.
                    let pool = if next_is_pool && !block.residual { 2 } else { 1 };
                    index += pool - 1;
                    block.forward_lanes(planes, pool, mode)
                }
                Block::MaxPool(_) => lanes::activate(planes, false, 2),
                Block::AveragePool(block) => {
                    let pooled = lanes::average_pool(planes, block.pool.kernel_size[0], block.pool.stride[0]);
                    rounded(pooled, block.quant.as_ref().and_then(|quant| quant.output_log_step.as_ref()))
                }
                Block::GlobalAveragePool(pool) => lanes::average_pool(planes, pool.height, 1),
                Block::Dropout(dropout) => match mode {
                    Mode::Train(seed) => lanes::dropout(planes, dropout.prob, derive_seed(seed, index, 0)),
                    Mode::Infer => planes,
                },
                Block::Dense(block) => block.forward_lanes(planes),
            };
            index += 1;
        }
        lanes::rows(planes)
    }
}

/// Rounds to the output's grid where there is one.
fn rounded(values: Tensor<5>, log_step: Option<&Param<Tensor<1>>>) -> Tensor<5> {
    match log_step {
        Some(log_step) => lanes::fake_quantize(values, log_step.val()),
        None => values,
    }
}

impl ConvBlock {
    fn forward_lanes(&self, planes: Tensor<5>, pool: usize, mode: Mode) -> Tensor<5> {
        let padding = match self.conv.padding {
            PaddingConfig2d::Explicit(rows, ..) => rows,
            _ => 0,
        };
        let weights = self.conv.weight.val();
        let weights = match &self.quant {
            Some(quant) => quant.weights(weights),
            None => weights,
        };
        let bias = match &self.conv.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([weights.dims()[0]], &weights.device()),
        };
        let convolved = lanes::convolution(planes.clone(), weights, bias, padding);
        let activated = match &self.norm {
            Some(norm) => {
                let moments = match mode {
                    Mode::Train(_) => lanes::moments(convolved.clone()),
                    Mode::Infer => {
                        Tensor::stack(vec![norm.running_mean.value(), norm.running_var.value()], 0)
                    }
                };
                let is_training = mode != Mode::Infer;
                if is_training {
                    update_running(norm, moments.clone());
                }
                let norm = Norm {
                    gamma: norm.gamma.val(),
                    beta: norm.beta.val(),
                    moments,
                    epsilon: norm.epsilon,
                    is_training,
                };
                lanes::normalize(convolved, norm, true, pool)
            }
            None => lanes::activate(convolved, true, pool),
        };
        let activated =
            rounded(activated, self.quant.as_ref().and_then(|quant| quant.output_log_step.as_ref()));
        if self.residual {
            let log_step = self.quant.as_ref().and_then(|quant| quant.sum_log_step.as_ref());
            rounded(activated + planes, log_step)
        } else {
            activated
        }
    }
}

/// Moves the running statistics towards the batch's, as burn's layer does.
fn update_running(norm: &burn::nn::BatchNorm, moments: Tensor<2>) {
    let channels = norm.gamma.val().dims()[0];
    let row = |at: usize| moments.clone().slice([at..at + 1, 0..channels]).reshape([channels]);
    let moved = |old: Tensor<1>, new: Tensor<1>| {
        (old * (1.0 - norm.momentum) as f32 + new * norm.momentum as f32).detach()
    };
    norm.running_mean.update(moved(norm.running_mean.value_sync(), row(0)));
    norm.running_var.update(moved(norm.running_var.value_sync(), row(1)));
}

impl DenseBlock {
    fn forward_lanes(&self, planes: Tensor<5>) -> Tensor<5> {
        let [_, channels, height, width, _] = planes.dims();
        let weights = self.linear.weight.val().transpose();
        let weights = match &self.quant {
            Some(quant) => quant.weights(weights),
            None => weights,
        };
        let out_features = weights.dims()[0];
        let bias = match &self.linear.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([out_features], &weights.device()),
        };
        let kernel = weights.reshape([out_features, channels, height, width]);
        let dense = lanes::convolution(planes, kernel, bias, 0);
        let dense = if self.relu { lanes::activate(dense, true, 1) } else { dense };
        rounded(dense, self.quant.as_ref().and_then(|quant| quant.output_log_step.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor};
    use burn::optim::GradientsParams;
    use burn::tensor::TensorData;
    use shared::input::InputShape;
    use shared::preprocess::Preprocessing;

    use super::super::architecture::{Architecture, LayerSpec, NetworkFile};
    use super::super::lanes::LANES;
    use super::super::weights::Weights;
    use super::*;
    use crate::task::Task;

    /// Collects every parameter's gradient.
    struct Gradients<'a>(&'a GradientsParams, Vec<Vec<f32>>);

    impl ModuleVisitor for Gradients<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1.push(gradient.into_data().to_vec::<f32>().unwrap());
            }
        }
    }

    fn assert_close(what: &str, ours: &[f32], burns: &[f32]) {
        assert_eq!(ours.len(), burns.len(), "{what}");
        let largest = burns.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (at, (our, burn)) in ours.iter().zip(burns).enumerate() {
            assert!(
                (our - burn).abs() <= 2e-4 * largest + 1e-6,
                "{what}, {at}: {our} and {burn} of {largest}"
            );
        }
    }

    /// Logits, gradients and running statistics of one step.
    fn step(
        architecture: &Architecture,
        weights: &Weights,
        in_lanes: bool,
    ) -> (Vec<f32>, Vec<Vec<f32>>, Weights) {
        let InputShape { height, width, channels } = architecture.task.input;
        let len = architecture.task.input.len();
        let device = super::super::device::cpu().autodiff();
        let net = weights.put_into(Net::new(architecture, &device).valid()).train();
        // Noise: where pixels are equal, maxima are, and who gets their gradient is a matter of rounding.
        let noise = |at: usize| ((at as u64 + 12_345).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32;
        let images: Vec<f32> = (0..2 * LANES * len).map(|at| noise(at) / 16_777_216.0).collect();
        let logits = if in_lanes {
            let data = TensorData::new(lanes::interleave(&images, len), [2, channels, height, width, LANES]);
            net.forward_lanes(Tensor::from_data(data, &device), Mode::Train(1))
        } else {
            let data = TensorData::new(images, [2 * LANES, channels, height, width]);
            net.forward(Tensor::from_data(data, &device))
        };
        let loss = burn::tensor::activation::log_softmax(logits.clone(), 1).powf_scalar(2.0).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        let mut collected = Gradients(&gradients, Vec::new());
        net.visit(&mut collected);
        let values = logits.into_data().to_vec::<f32>().unwrap();
        (values, collected.1, Weights::of(&net.valid()))
    }

    #[test]
    fn lanes_give_the_logits_gradients_and_statistics_of_burns_own_layers() {
        let mut article = NetworkFile::named("article").unwrap().layers;
        let small = NetworkFile::named("small").unwrap().layers;
        article.retain(|layer| !matches!(layer, LayerSpec::Dropout { .. }));
        let conv = |out_channels, kernel, padding, batch_norm| LayerSpec::Conv {
            out_channels,
            kernel,
            stride: 1,
            padding,
            batch_norm,
        };
        let odd = vec![
            conv(5, 3, 0, true),
            LayerSpec::MaxPool { size: 2 },
            LayerSpec::MaxPool { size: 2 },
            LayerSpec::Residual,
            conv(9, 1, 0, false),
            LayerSpec::GlobalAveragePool,
            LayerSpec::Dense { out_features: 7, relu: true },
            LayerSpec::Logits,
        ];
        let colour = Task {
            input: InputShape::new(21, 17, 3).unwrap(),
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            preprocessing: Preprocessing::Square,
        };
        let tall = vec![
            conv(6, 5, 2, true),
            LayerSpec::Residual,
            LayerSpec::MaxPool { size: 2 },
            conv(9, 3, 1, true),
            LayerSpec::MaxPool { size: 2 },
            conv(7, 3, 0, false),
            LayerSpec::Logits,
        ];
        let gray = Task::fashion_mnist();
        let networks = [
            ("small", small, gray.clone()),
            ("article", article, gray.clone()),
            ("odd", odd, gray),
            ("tall, in colour", tall, colour),
        ];
        for (name, layers, task) in networks {
            let architecture = Architecture::new(name.into(), layers, task).unwrap();
            assert_eq!(architecture.without_lanes(), None);
            let mut weights = Weights::of(&Net::new(&architecture, &super::super::device::cpu()));
            for (which, values) in weights.0.iter_mut().enumerate() {
                // By formula, as the process's generator may be drawn from by another test at any time.
                let is_drawn = values.iter().any(|&value| value != 0.0 && value != 1.0);
                let size = if is_drawn { 6.0 / (values.len() as f32).sqrt() } else { 0.1 };
                for (at, value) in values.iter_mut().enumerate() {
                    let noise = ((at * 7_919 + which * 104_729) % 2_003) as f32 / 1_001.0 - 1.0;
                    *value = if is_drawn { 0.0 } else { *value } + size * noise;
                }
            }
            let (logits, gradients, statistics) = step(&architecture, &weights, true);
            let (burn_logits, burn_gradients, burn_statistics) = step(&architecture, &weights, false);
            assert_close(&format!("{name}: logits"), &logits, &burn_logits);
            assert_eq!(gradients.len(), burn_gradients.len());
            for (at, (ours, burns)) in gradients.iter().zip(&burn_gradients).enumerate() {
                assert_close(&format!("{name}: gradient {at}"), ours, burns);
            }
            for (at, (ours, burns)) in statistics.0.iter().zip(&burn_statistics.0).enumerate() {
                assert_close(&format!("{name}: tensor {at} after the step"), ours, burns);
            }
        }
    }
}
