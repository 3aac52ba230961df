//! The layers as plain values: geometry, weights, tables.
//!
//! Weights lie in flash and are borrowed; a layer copies nothing. Each `run` calls the kernel of the
//! chosen set and is inlined, so constants in generated code reach the kernel's loops.

use super::kernel::scalar as kernel;
use super::requantize::Requantization;
use super::window::Window;

pub use super::branch::{Add, Concat, FACTOR_ONE, Operands, Product, Recall};

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

/// Any function of one activation: the answer to each of its 256 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup<'a> {
    /// Activations in and out.
    pub len: usize,
    /// Channels, the last axis.
    pub channels: usize,
    /// `[256]` for all channels or `[channels][256]`; entry `x_q + 128` answers `x_q`.
    pub tables: &'a [i8],
}

/// Entries of a [`Lookup`]'s table.
pub const TABLE_LEN: usize = 256;

impl Lookup<'_> {
    /// Whether there is one table, or one a channel, and the length is whole channels.
    pub const fn is_consistent(&self) -> bool {
        let is_whole = self.channels > 0 && self.len > 0 && self.len.is_multiple_of(self.channels);
        let tables = self.tables.len();
        is_whole && (tables == TABLE_LEN || tables == TABLE_LEN * self.channels)
    }

    /// Applies the function in place.
    ///
    /// * `activations`: `[pixels][channels]`.
    #[inline(always)]
    pub fn apply(&self, activations: &mut [i8]) {
        let first_of = |channel: usize| if self.tables.len() == TABLE_LEN { 0 } else { TABLE_LEN * channel };
        for pixel in activations.chunks_exact_mut(self.channels.max(1)) {
            for (channel, x_q) in pixel.iter_mut().enumerate() {
                let entry = first_of(channel) + (i32::from(*x_q) + 128) as usize;
                *x_q = self.tables.get(entry).copied().unwrap_or(*x_q);
            }
        }
    }
}

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
    /// Product with an earlier layer's output.
    Product(Product),
    /// Channels beside an earlier layer's.
    Concat(Concat),
    /// An earlier layer's output.
    Recall(Recall),
    /// A function of each activation.
    Lookup(Lookup<'a>),
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
    /// Returns the number of input activations; 0 for a [`Layer::Recall`], which reads an earlier output instead.
    pub const fn input_len(&self) -> usize {
        match self {
            Layer::Conv2d(layer) => layer.window.in_pixels() * layer.in_channels,
            Layer::DepthwiseConv2d(layer) => layer.window.in_pixels() * layer.channels,
            Layer::Dense(layer) => layer.in_features,
            Layer::MaxPool(layer) => layer.window.in_pixels() * layer.channels,
            Layer::AveragePool(layer) => layer.window.in_pixels() * layer.channels,
            Layer::Add(layer) => layer.len,
            Layer::Product(layer) => layer.operand_len(0),
            Layer::Concat(layer) => layer.pixels * layer.channels[0],
            Layer::Recall(_) => 0,
            Layer::Lookup(layer) => layer.len,
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
            Layer::Product(layer) => layer.pixels * layer.channels,
            Layer::Concat(layer) => layer.pixels * layer.out_channels(),
            Layer::Recall(layer) => layer.len,
            Layer::Lookup(layer) => layer.len,
        }
    }

    /// Returns the multiply-accumulates of one inference; only weights count.
    pub const fn macs(&self) -> usize {
        match self {
            Layer::Conv2d(layer) => {
                layer.window.out_pixels() * layer.window.taps() * layer.in_channels * layer.out_channels
            }
            Layer::DepthwiseConv2d(layer) => layer.window.out_pixels() * layer.window.taps() * layer.channels,
            Layer::Dense(layer) => layer.in_features * layer.out_features,
            _ => 0,
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
            Layer::Lookup(layer) => (layer.tables.len(), 0),
            Layer::MaxPool(_) | Layer::Add(_) | Layer::Product(_) | Layer::Concat(_) | Layer::Recall(_) => {
                (0, 0)
            }
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
            Layer::Product(layer) => layer.is_consistent(),
            Layer::Concat(layer) => layer.is_consistent(),
            Layer::Recall(layer) => layer.len > 0 && layer.channels > 0,
            Layer::Lookup(layer) => layer.is_consistent(),
        }
    }

    /// Returns the position of the earlier layer whose output is read besides, or instead.
    pub const fn other(&self) -> Option<usize> {
        match self {
            Layer::Add(layer) => Some(layer.other),
            Layer::Product(layer) => Some(layer.other),
            Layer::Concat(layer) => Some(layer.other),
            Layer::Recall(layer) => Some(layer.other),
            _ => None,
        }
    }

    /// Returns the activations read of [`Layer::other`]; 0 where there is none.
    pub const fn other_len(&self) -> usize {
        match self {
            Layer::Add(layer) => layer.len,
            Layer::Product(layer) => layer.operand_len(1),
            Layer::Concat(layer) => layer.pixels * layer.channels[1],
            Layer::Recall(layer) => layer.len,
            _ => 0,
        }
    }

    /// Returns the channels of the output, its last axis.
    pub const fn out_channels(&self) -> usize {
        match self {
            Layer::Conv2d(layer) => layer.out_channels,
            Layer::DepthwiseConv2d(layer) => layer.channels,
            Layer::Dense(layer) => layer.out_features,
            Layer::MaxPool(layer) => layer.channels,
            Layer::AveragePool(layer) => layer.channels,
            Layer::Add(layer) => layer.channels,
            Layer::Product(layer) => layer.channels,
            Layer::Concat(layer) => layer.out_channels(),
            Layer::Recall(layer) => layer.channels,
            Layer::Lookup(layer) => layer.channels,
        }
    }

    /// Runs the layer.
    ///
    /// * `input`: [`Layer::input_len`] activations; `other`: [`Layer::other_len`] of [`Layer::other`];
    ///   `output`: [`Layer::output_len`] activations.
    #[inline(always)]
    pub fn run(&self, input: &[i8], other: &[i8], output: &mut [i8]) {
        match self {
            Layer::Add(layer) => kernel::add(layer, input, other, output),
            Layer::Product(layer) => kernel::product(layer, input, other, output),
            Layer::Concat(layer) => kernel::concat(layer, input, other, output),
            Layer::Recall(_) => kernel::copy(other, output),
            Layer::Lookup(layer) => {
                kernel::copy(input, output);
                layer.apply(output);
            }
            Layer::Conv2d(layer) => layer.run(input, output),
            Layer::DepthwiseConv2d(layer) => layer.run(input, output),
            Layer::Dense(layer) => layer.run(input, output),
            Layer::MaxPool(layer) => layer.run(input, output),
            Layer::AveragePool(layer) => layer.run(input, output),
        }
    }
}
