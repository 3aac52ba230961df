//! The benchmark's networks: fixed shapes, fixed random weights, 28×28×1 in.
//!
//! | | layers | MACs |
//! |---|---|---|
//! | A, the article's | conv 3×3 valid 64 · max-pool 2 · dense 32 · dense 10 | 735,808 |
//! | C, plain | conv 3×3 same 16 · 3×3/2 24 · 3×3 24 · 3×3/2 32 · 3×3 32 · mean · dense 10 | 2,596,928 |
//! | D, separable | conv 3×3/2 16 · dw + 1×1 32 · dw/2 + 1×1 64 · dw + 1×1 64 · mean · dense 10 | 500,832 |
//!
//! ReLU after every convolution and hidden dense layer. Those of MLPerf Tiny are in `mlperf`.

use firmware::nn::window::Window;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::mlperf;
use crate::onnx::branch::Join;
use crate::onnx::float::Activation;
use crate::quantize::network::{Affine, Computation, QuantizedLayer, QuantizedNetwork, Weights};
use crate::task::Task;
use crate::train::architecture::{Architecture, LayerSpec};

/// Names of the networks.
pub const NAMES: [&str; 7] = ["A", "C", "D", "resnet-8", "ds-cnn", "mobilenet", "autoencoder"];

/// Grows a network layer by layer.
pub(super) struct Builder {
    pub(super) layers: Vec<QuantizedLayer>,
    pub(super) random: ChaCha8Rng,
    /// Rows and columns.
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) input: Affine,
    /// Largest weight.
    pub(super) largest: i8,
}

impl Builder {
    pub(super) fn new(seed: u64) -> Self {
        let input = Affine { scale: 1.0 / 255.0, zero_point: -128 };
        Self {
            layers: Vec::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            size: [28; 2],
            channels: 1,
            input,
            largest: 127,
        }
    }

    /// Random weights of `outputs` sums of `inputs` products each; the scale makes sums fill the range of int8.
    pub(super) fn weights(&mut self, outputs: usize, inputs: usize) -> (Weights, Affine) {
        let values =
            (0..outputs * inputs).map(|_| self.random.random_range(-self.largest..=self.largest)).collect();
        let bias = (0..outputs).map(|_| self.random.random_range(-20_000..=20_000)).collect();
        // Sums of products of ±73 and about 110 spread over 60 steps.
        let scale = 60.0 / (73.0 * 110.0 * (inputs as f32).sqrt());
        let output = Affine { scale: self.input.scale, zero_point: -128 };
        (Weights { values, bias, scales: vec![scale; outputs] }, output)
    }

    pub(super) fn push(&mut self, computation: Computation, output: Affine, activation: Activation) {
        self.layers.push(QuantizedLayer { computation, input: self.input, output, activation });
        self.input = output;
    }

    fn window(&self, kernel: usize, stride: usize, pad: usize) -> Window {
        Window::new(self.size, [kernel; 2], [stride; 2], [pad; 4]).expect("the shapes are fixed")
    }

    pub(super) fn conv(self, kernel: usize, stride: usize, pad: usize, out_channels: usize) -> Self {
        let window = self.window(kernel, stride, pad);
        self.conv_over(window, out_channels, Activation::Relu)
    }

    pub(super) fn conv_over(mut self, window: Window, out_channels: usize, activation: Activation) -> Self {
        let in_channels = self.channels;
        let (weights, output) = self.weights(out_channels, window.taps() * in_channels);
        self.push(Computation::Conv { window, in_channels, out_channels, weights }, output, activation);
        (self.size, self.channels) = ([window.out_height, window.out_width], out_channels);
        self
    }

    pub(super) fn depthwise(self, stride: usize) -> Self {
        let window = self.window(3, stride, 1);
        self.depthwise_over(window)
    }

    pub(super) fn depthwise_over(mut self, window: Window) -> Self {
        let channels = self.channels;
        let (weights, output) = self.weights(channels, 9);
        self.push(Computation::Depthwise { window, channels, weights }, output, Activation::Relu);
        self.size = [window.out_height, window.out_width];
        self
    }

    fn max_pool(mut self) -> Self {
        let (window, channels) = (self.window(2, 2, 0), self.channels);
        self.push(Computation::MaxPool { window, channels }, self.input, Activation::Linear);
        self.size = [window.out_height, window.out_width];
        self
    }

    pub(super) fn mean(mut self) -> Self {
        let channels = self.channels;
        let window = Window::new(self.size, self.size, [1; 2], [0; 4]).expect("no plane is empty");
        self.push(Computation::AveragePool { window, channels }, self.input, Activation::Linear);
        self.size = [1; 2];
        self
    }

    pub(super) fn dense(mut self, out_features: usize, activation: Activation) -> Self {
        let input = [self.channels, self.size[0], self.size[1]];
        let (weights, output) = self.weights(out_features, input.iter().product());
        self.push(Computation::Dense { input, out_features, weights }, output, activation);
        (self.size, self.channels) = ([1; 2], out_features);
        self
    }
}

/// A network of shapes that leave remainders everywhere: odd sides, unused columns, all kernels.
///
/// Not for speed: tests run it on the chip. Its last layer has no multiple of four inputs and stays scalar.
pub fn odd() -> QuantizedNetwork {
    let first = Builder::new(4).conv(3, 1, 0, 12).depthwise(1).depthwise(2).conv(3, 1, 1, 20);
    let middle = first.max_pool().conv(5, 1, 2, 8).conv(1, 1, 0, 12).depthwise(1).conv(3, 2, 1, 16);
    let built = middle.mean().dense(7, Activation::Relu).dense(10, Activation::Linear);
    QuantizedNetwork { task: Task::fashion_mnist(), layers: built.layers }
}

/// Networks over wide images, for tests: rows of up to 64 and up to 128 columns in every kernel over single planes.
pub fn wide() -> [QuantizedNetwork; 5] {
    let network = |width: usize, stride: usize, pooled: bool| {
        let first = Builder { size: [10, width], ..Builder::new(10) }.conv(3, stride, 1, 8);
        let first = if pooled { first.max_pool() } else { first };
        let built = first.depthwise(1).depthwise(2).mean().dense(3, Activation::Linear);
        let input = InputShape { height: 10, width, channels: 1 };
        let task = Task { preprocessing: Preprocessing::Square, ..Task::numbered(input, 3) };
        QuantizedNetwork { task, layers: built.layers }
    };
    [
        network(56, 1, true),
        network(120, 1, true),
        network(100, 1, false),
        network(64, 2, false),
        network(124, 2, false),
    ]
}

/// A network that reads colour images of 37×37 and tells three classes apart, for tests.
pub fn colour() -> QuantizedNetwork {
    let input = InputShape { height: 37, width: 37, channels: 3 };
    let first = Builder { size: [37; 2], channels: 3, ..Builder::new(5) }.conv(3, 1, 1, 8).max_pool();
    let built = first.conv(3, 1, 1, 12).max_pool().conv(3, 1, 0, 16).dense(3, Activation::Linear);
    let classes = ["red", "green", "blue"].map(str::to_owned).to_vec();
    let task = Task { input, classes, preprocessing: Preprocessing::Square };
    QuantizedNetwork { task, layers: built.layers }
}

/// Returns a network by name; `None` for a name not in [`NAMES`].
pub fn network(name: &str) -> Option<QuantizedNetwork> {
    let (relu, none) = (Activation::Relu, Activation::Linear);
    let built = match name {
        "A" => Builder::new(1).conv(3, 1, 0, 64).max_pool().dense(32, relu).dense(10, none),
        "C" => {
            let convs = Builder::new(2).conv(3, 1, 1, 16).conv(3, 2, 1, 24).conv(3, 1, 1, 24);
            convs.conv(3, 2, 1, 32).conv(3, 1, 1, 32).mean().dense(10, none)
        }
        "D" => {
            let first = Builder::new(3).conv(3, 2, 1, 16).depthwise(1).conv(1, 1, 0, 32);
            let rest = first.depthwise(2).conv(1, 1, 0, 64).depthwise(1).conv(1, 1, 0, 64);
            rest.mean().dense(10, none)
        }
        _ => return mlperf::network(name),
    };
    Some(QuantizedNetwork { task: Task::fashion_mnist(), layers: built.layers })
}

/// Returns a network of given layers with fixed random weights, for what does not depend on their values: its
/// size, its plan, its instructions.
///
/// * `weight_bits`: 4 or 8.
///
/// # Errors
/// A message where a layer has no window.
pub fn random(architecture: &Architecture, weight_bits: u32) -> Result<QuantizedNetwork, String> {
    let largest = if weight_bits == 4 { 7 } else { 127 };
    let classes = architecture.task.classes.len();
    let mut builder = Builder { largest, ..Builder::new(6) };
    // Position in `architecture.layers` has nothing to do with the position here: dropout leaves none behind.
    for (layer, [channels, height, width]) in architecture.shaped() {
        let window = |kernel: [usize; 2], stride: usize, pad: usize| {
            Window::new([height, width], kernel, [stride; 2], [pad; 4])
                .ok_or_else(|| format!("{}: its window does not fit {height}×{width}", layer.name()))
        };
        let (relu, same) = (Activation::Relu, builder.input);
        match layer {
            LayerSpec::Conv { out_channels, kernel, stride, padding, .. } => {
                let window = window([kernel; 2], stride, padding)?;
                let (weights, output) = builder.weights(out_channels, kernel * kernel * channels);
                let conv = Computation::Conv { window, in_channels: channels, out_channels, weights };
                builder.push(conv, output, relu);
            }
            LayerSpec::Depthwise { stride } => {
                let window = window([3; 2], stride, 1)?;
                let (weights, output) = builder.weights(channels, 9);
                builder.push(Computation::Depthwise { window, channels, weights }, output, relu);
            }
            LayerSpec::Residual => {
                let window = window([3; 2], 1, 1)?;
                let other = builder.layers.len().checked_sub(1).ok_or("a residual layer comes first")?;
                let (weights, output) = builder.weights(channels, 9 * channels);
                let conv =
                    Computation::Conv { window, in_channels: channels, out_channels: channels, weights };
                builder.push(conv, output, relu);
                let shape = [channels, height, width];
                builder.push(
                    Computation::Branch { join: Join::Add { shape }, other, other_affine: same },
                    output,
                    Activation::Linear,
                );
            }
            LayerSpec::MaxPool { size } => {
                let window = window([size; 2], size, 0)?;
                builder.push(Computation::MaxPool { window, channels }, same, Activation::Linear);
            }
            LayerSpec::AveragePool { size, stride } => {
                let window = window([size; 2], stride, 0)?;
                builder.push(Computation::AveragePool { window, channels }, same, Activation::Linear);
            }
            LayerSpec::GlobalAveragePool => {
                let window = window([height, width], 1, 0)?;
                builder.push(Computation::AveragePool { window, channels }, same, Activation::Linear);
            }
            LayerSpec::Dropout { .. } => {}
            LayerSpec::Dense { .. } | LayerSpec::Logits => {
                let (out_features, activation) = match layer {
                    LayerSpec::Dense { out_features, relu: true } => (out_features, relu),
                    LayerSpec::Dense { out_features, relu: false } => (out_features, Activation::Linear),
                    _ => (classes, Activation::Linear),
                };
                let input = [channels, height, width];
                let (weights, output) = builder.weights(out_features, input.iter().product());
                builder.push(Computation::Dense { input, out_features, weights }, output, activation);
            }
        }
    }
    Ok(QuantizedNetwork { task: architecture.task.clone(), layers: builder.layers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_those_of_the_published_shapes() {
        for (name, macs) in [
            ("A", 735_808),
            ("C", 2_596_928),
            ("D", 500_832),
            ("resnet-8", 12_501_632),
            ("ds-cnn", 2_656_768),
            ("mobilenet", 7_489_664),
        ] {
            let firmware = network(name).unwrap().to_firmware().unwrap();
            assert_eq!(firmware.with_network(|network| network.macs()), macs, "{name}");
        }
    }
}
