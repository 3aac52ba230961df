//! The shapes of MLPerf Tiny, with fixed random weights.
//!
//! | | input | layers |
//! |---|---|---|
//! | resnet-8 | 32×32×3 | conv 16 · three residual blocks of 16, 32/2, 64/2 with projections · mean · dense 10 |
//! | ds-cnn | 49×10×1 | conv 10×4/2 64 · four times dw + 1×1 64 · mean · dense 12 |
//! | mobilenet | 96×96×3 | MobileNetV1 × 0.25 · mean · dense 2 |
//! | autoencoder | 640, as 20×32 | dense 128 four times · 8 · 128 four times · 640 · 2 |
//!
//! Padding is TensorFlow's "same", as in the published networks (github.com/mlcommons/tiny). The published autoencoder
//! ends with its 640 values; here two logits over them follow, as the engine runs classifiers: 1,280 of 265,472 products.

use firmware::nn::window::Window;
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::networks::Builder;
use crate::onnx::branch::Join;
use crate::onnx::float::Activation;
use crate::quantize::network::{Computation, QuantizedNetwork};
use crate::task::Task;

/// Returns a network by name.
pub(super) fn network(name: &str) -> Option<QuantizedNetwork> {
    let (built, [height, width], channels, classes) = match name {
        "resnet-8" => (resnet(), [32, 32], 3, 10),
        "ds-cnn" => (ds_cnn(), [49, 10], 1, 12),
        "mobilenet" => (mobilenet(), [96, 96], 3, 2),
        "autoencoder" => (autoencoder(), [20, 32], 1, 2),
        _ => return None,
    };
    let input = InputShape { height, width, channels };
    let task = Task { preprocessing: Preprocessing::Square, ..Task::numbered(input, classes) };
    Some(QuantizedNetwork { task, layers: built.layers })
}

/// A window with TensorFlow's "same" padding: what is odd goes to the end.
fn same(size: [usize; 2], kernel: [usize; 2], stride: usize) -> Window {
    let before = |axis: usize| {
        let out = size[axis].div_ceil(stride);
        let all = ((out - 1) * stride + kernel[axis]).saturating_sub(size[axis]);
        (all / 2, all - all / 2)
    };
    let ((top, bottom), (left, right)) = (before(0), before(1));
    Window::new(size, kernel, [stride; 2], [top, left, bottom, right]).expect("the shapes are fixed")
}

fn started(seed: u64, size: [usize; 2], channels: usize) -> Builder {
    Builder { size, channels, ..Builder::new(seed) }
}

/// A convolution with "same" padding.
fn conv(builder: Builder, kernel: usize, stride: usize, channels: usize, activation: Activation) -> Builder {
    let window = same(builder.size, [kernel; 2], stride);
    builder.conv_over(window, channels, activation)
}

/// Two convolutions and what they are added to: the input, or a projection of it.
fn block(builder: Builder, stride: usize, channels: usize) -> Builder {
    let (size, inputs, from) = (builder.size, builder.channels, builder.layers.len() - 1);
    let first = conv(builder, 3, stride, channels, Activation::Relu);
    let mut second = conv(first, 3, 1, channels, Activation::Linear);
    let (mut other, shape) = (from, [channels, second.size[0], second.size[1]]);
    if stride > 1 || inputs != channels {
        other = second.layers.len() - 1;
        let recalled = second.layers[from].output;
        let join = Join::Recall { shape: [inputs, size[0], size[1]] };
        let recall = Computation::Branch { join, other: from, other_affine: recalled };
        second.push(recall, recalled, Activation::Linear);
        (second.size, second.channels) = (size, inputs);
        second = conv(second, 1, stride, channels, Activation::Linear);
    }
    let (other_affine, output) = (second.layers[other].output, second.input);
    let sum = Computation::Branch { join: Join::Add { shape }, other, other_affine };
    second.push(sum, output, Activation::Relu);
    second
}

fn resnet() -> Builder {
    let first = conv(started(7, [32; 2], 3), 3, 1, 16, Activation::Relu);
    let blocks = block(block(block(first, 1, 16), 2, 32), 2, 64);
    blocks.mean().dense(10, Activation::Linear)
}

fn ds_cnn() -> Builder {
    let first = started(8, [49, 10], 1);
    let window = same(first.size, [10, 4], 2);
    let mut built = first.conv_over(window, 64, Activation::Relu);
    for _ in 0..4 {
        built = built.depthwise(1).conv(1, 1, 0, 64);
    }
    built.mean().dense(12, Activation::Linear)
}

fn mobilenet() -> Builder {
    let mut built = conv(started(9, [96; 2], 3), 3, 2, 8, Activation::Relu);
    let blocks = [
        (1, 16),
        (2, 32),
        (1, 32),
        (2, 64),
        (1, 64),
        (2, 128),
        (1, 128),
        (1, 128),
        (1, 128),
        (1, 128),
        (1, 128),
        (2, 256),
        (1, 256),
    ];
    for (stride, channels) in blocks {
        let window = same(built.size, [3; 2], stride);
        built = built.depthwise_over(window).conv(1, 1, 0, channels);
    }
    built.mean().dense(2, Activation::Linear)
}

fn autoencoder() -> Builder {
    let outputs = [128, 128, 128, 128, 8, 128, 128, 128, 128];
    let first = started(11, [20, 32], 1);
    let inner = outputs.into_iter().fold(first, |built, outputs| built.dense(outputs, Activation::Relu));
    inner.dense(640, Activation::Linear).dense(2, Activation::Linear)
}
