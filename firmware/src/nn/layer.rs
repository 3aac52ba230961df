//! The layers as plain values: geometry, weights, tables.
//!
//! Weights lie in flash and are borrowed; a layer copies nothing. Each `run` calls the kernel of the
//! chosen set and is inlined, so constants in generated code reach the kernel's loops.

use super::kernel::scalar as kernel;
use super::requantize::{Requantization, requantize};
use super::window::Window;

/// 2-D convolution with folded bias and requantization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d<'a> {
    /// Where the kernel slides.
    pub window: Window,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// `[out_channels][kernel_height][kernel_width][in_channels]`, −127..=127.
    pub weights: &'a [i8],
    /// `[out_channels]` at scale s_in · s_w, with −input_zero_point · Σ w folded in.
    pub bias: &'a [i32],
    /// Zero point of the input, which is also the padding.
    pub input_zero_point: i8,
    /// Per-channel requantization.
    pub requantization: Requantization<'a>,
}

/// Depthwise convolution: every channel has its own kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseConv2d<'a> {
    /// Where the kernel slides.
    pub window: Window,
    /// Channels in and out.
    pub channels: usize,
    /// `[kernel_height][kernel_width][channels]`, −127..=127.
    pub weights: &'a [i8],
    /// `[channels]`, as in [`Conv2d::bias`].
    pub bias: &'a [i32],
    /// Zero point of the input, which is also the padding.
    pub input_zero_point: i8,
    /// Per-channel requantization.
    pub requantization: Requantization<'a>,
}

/// Fully connected layer. As the last layer it yields raw accumulators and ignores `requantization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense<'a> {
    /// Inputs.
    pub in_features: usize,
    /// Outputs.
    pub out_features: usize,
    /// `[out_features][in_features]`, −127..=127; the inputs in height, width, channel order.
    pub weights: &'a [i8],
    /// `[out_features]`, as in [`Conv2d::bias`].
    pub bias: &'a [i32],
    /// Per-channel requantization.
    pub requantization: Requantization<'a>,
}

/// Maximum pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool {
    /// Where the window slides.
    pub window: Window,
    /// Channels in and out.
    pub channels: usize,
}

/// Average pooling; global where the window covers the plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePool<'a> {
    /// Where the window slides.
    pub window: Window,
    /// Channels in and out.
    pub channels: usize,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// `multipliers[k]` serves windows with `k` taps in the padding; one entry where there is no padding.
    pub requantization: Requantization<'a>,
}

/// Sum of the activation before and of an earlier layer's output: the end of a residual block.
///
/// `acc = (x_q − zero) · factor + (y_q − zero) · factor`, requantized by one multiplier for all channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Add {
    /// Activations of each input and of the output.
    pub len: usize,
    /// Channels, the last axis of all three.
    pub channels: usize,
    /// Position in the chain of the layer whose output is added.
    pub other: usize,
    /// Zero points: of the activation before, of the other one.
    pub zero_points: [i8; 2],
    /// s / max(s) · 2¹⁶ of both inputs' scales, rounded: 1..=2¹⁶, so that sums stay below 2²⁶.
    pub factors: [i32; 2],
    /// max(s) / s_out · 2⁻¹⁶ · 2³².
    pub multiplier: i32,
    /// Zero point of the output.
    pub zero_point: i8,
    /// Lowest output.
    pub min: i8,
    /// Highest output.
    pub max: i8,
}

impl Add {
    /// Adds two activations.
    #[inline(always)]
    pub const fn sum(&self, x_q: i8, y_q: i8) -> i8 {
        let [zero_x, zero_y] = self.zero_points;
        let [factor_x, factor_y] = self.factors;
        let acc = (x_q as i32 - zero_x as i32) * factor_x + (y_q as i32 - zero_y as i32) * factor_y;
        requantize(acc, self.multiplier, self.zero_point, self.min, self.max)
    }

    /// Whether the factors are in their range and the length is whole channels.
    pub const fn is_consistent(&self) -> bool {
        let [x, y] = self.factors;
        let fits = 0 < x && x <= FACTOR_ONE && 0 < y && y <= FACTOR_ONE && self.multiplier > 0;
        fits && self.channels > 0 && self.len > 0 && self.len.is_multiple_of(self.channels)
    }
}

/// The larger of an [`Add`]'s factors.
pub const FACTOR_ONE: i32 = 1 << 16;

/// Any layer but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer<'a> {
    /// 2-D convolution.
    Conv2d(Conv2d<'a>),
    /// Depthwise convolution.
    DepthwiseConv2d(DepthwiseConv2d<'a>),
    /// Fully connected.
    Dense(Dense<'a>),
    /// Maximum pooling.
    MaxPool(MaxPool),
    /// Average pooling.
    AveragePool(AveragePool<'a>),
    /// Sum with an earlier layer's output.
    Add(Add),
}

impl Conv2d<'_> {
    /// Runs the layer; see [`conv2d`](super::kernel::scalar::conv2d) for the layouts.
    #[inline(always)]
    pub fn run(&self, input: &[i8], output: &mut [i8]) {
        kernel::conv2d(self, input, output);
    }

    const fn is_consistent(&self) -> bool {
        self.weights.len() == self.out_channels * self.window.taps() * self.in_channels
            && self.bias.len() == self.out_channels
            && self.requantization.multipliers.len() == self.out_channels
    }
}

impl DepthwiseConv2d<'_> {
    /// Runs the layer; see [`depthwise_conv2d`](super::kernel::scalar::depthwise_conv2d).
    #[inline(always)]
    pub fn run(&self, input: &[i8], output: &mut [i8]) {
        kernel::depthwise_conv2d(self, input, output);
    }

    const fn is_consistent(&self) -> bool {
        self.weights.len() == self.channels * self.window.taps()
            && self.bias.len() == self.channels
            && self.requantization.multipliers.len() == self.channels
    }
}

impl Dense<'_> {
    /// Runs the layer with requantization; see [`dense`](super::kernel::scalar::dense).
    #[inline(always)]
    pub fn run(&self, input: &[i8], output: &mut [i8]) {
        kernel::dense(self, input, output);
    }

    /// Runs the layer as the last one; see [`dense_logits`](super::kernel::scalar::dense_logits).
    #[inline(always)]
    pub fn run_logits(&self, input: &[i8], logits: &mut [i32]) {
        kernel::dense_logits(self, input, logits);
    }

    /// Whether weights and bias have the sizes that the features promise.
    pub const fn is_consistent(&self) -> bool {
        self.weights.len() == self.out_features * self.in_features && self.bias.len() == self.out_features
    }
}

impl MaxPool {
    /// Runs the layer; see [`max_pool`](super::kernel::scalar::max_pool).
    #[inline(always)]
    pub fn run(&self, input: &[i8], output: &mut [i8]) {
        kernel::max_pool(self, input, output);
    }
}

impl AveragePool<'_> {
    /// Runs the layer; see [`average_pool`](super::kernel::scalar::average_pool).
    #[inline(always)]
    pub fn run(&self, input: &[i8], output: &mut [i8]) {
        kernel::average_pool(self, input, output);
    }
}

impl Layer<'_> {
    /// Returns the number of input activations.
    pub const fn input_len(&self) -> usize {
        match self {
            Layer::Conv2d(layer) => layer.window.in_pixels() * layer.in_channels,
            Layer::DepthwiseConv2d(layer) => layer.window.in_pixels() * layer.channels,
            Layer::Dense(layer) => layer.in_features,
            Layer::MaxPool(layer) => layer.window.in_pixels() * layer.channels,
            Layer::AveragePool(layer) => layer.window.in_pixels() * layer.channels,
            Layer::Add(layer) => layer.len,
        }
    }

    /// Returns the number of output activations.
    pub const fn output_len(&self) -> usize {
        match self {
            Layer::Conv2d(layer) => layer.window.out_pixels() * layer.out_channels,
            Layer::DepthwiseConv2d(layer) => layer.window.out_pixels() * layer.channels,
            Layer::Dense(layer) => layer.out_features,
            Layer::MaxPool(layer) => layer.window.out_pixels() * layer.channels,
            Layer::AveragePool(layer) => layer.window.out_pixels() * layer.channels,
            Layer::Add(layer) => layer.len,
        }
    }

    /// Returns the multiply-accumulates of one inference; pooling counts none.
    pub const fn macs(&self) -> usize {
        match self {
            Layer::Conv2d(layer) => {
                layer.window.out_pixels() * layer.window.taps() * layer.in_channels * layer.out_channels
            }
            Layer::DepthwiseConv2d(layer) => layer.window.out_pixels() * layer.window.taps() * layer.channels,
            Layer::Dense(layer) => layer.in_features * layer.out_features,
            Layer::MaxPool(_) | Layer::AveragePool(_) | Layer::Add(_) => 0,
        }
    }

    /// Returns the bytes of weights, biases and requantization tables.
    pub const fn constant_bytes(&self) -> usize {
        let (weights, words) = match self {
            Layer::Conv2d(layer) => {
                (layer.weights.len(), layer.bias.len() + layer.requantization.multipliers.len())
            }
            Layer::DepthwiseConv2d(layer) => {
                (layer.weights.len(), layer.bias.len() + layer.requantization.multipliers.len())
            }
            Layer::Dense(layer) => {
                (layer.weights.len(), layer.bias.len() + layer.requantization.multipliers.len())
            }
            Layer::MaxPool(_) | Layer::Add(_) => (0, 0),
            Layer::AveragePool(layer) => (0, layer.requantization.multipliers.len()),
        };
        weights + 4 * words
    }

    /// Whether every table has the size that the shape promises.
    pub const fn is_consistent(&self) -> bool {
        match self {
            Layer::Conv2d(layer) => layer.is_consistent(),
            Layer::DepthwiseConv2d(layer) => layer.is_consistent(),
            Layer::Dense(layer) => {
                layer.is_consistent() && layer.requantization.multipliers.len() == layer.out_features
            }
            Layer::MaxPool(layer) => layer.channels > 0,
            Layer::AveragePool(layer) => layer.channels > 0 && !layer.requantization.multipliers.is_empty(),
            Layer::Add(layer) => layer.is_consistent(),
        }
    }

    /// Returns the position of the layer whose output is read besides; `None` for all but [`Layer::Add`].
    pub const fn other(&self) -> Option<usize> {
        match self {
            Layer::Add(layer) => Some(layer.other),
            _ => None,
        }
    }

    /// Runs the layer.
    ///
    /// * `input`: [`Layer::input_len`] activations, `other`: as many of [`Layer::other`], nothing where there is
    ///   none, `output`: [`Layer::output_len`] activations.
    #[inline(always)]
    pub fn run(&self, input: &[i8], other: &[i8], output: &mut [i8]) {
        match self {
            Layer::Add(layer) => kernel::add(layer, input, other, output),
            Layer::Conv2d(layer) => layer.run(input, output),
            Layer::DepthwiseConv2d(layer) => layer.run(input, output),
            Layer::Dense(layer) => layer.run(input, output),
            Layer::MaxPool(layer) => layer.run(input, output),
            Layer::AveragePool(layer) => layer.run(input, output),
        }
    }
}
