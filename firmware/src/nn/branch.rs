//! Layers of networks with branches: sums, products, joined channels, an earlier output taken up again.
//!
//! A network stays a list of layers, each reading the one before it. What a later layer needs besides is
//! kept, and named by its position in the list.

use super::requantize::{requantize, requantize_shifted};

/// The larger of the factors of two [`Operands`].
pub const FACTOR_ONE: i32 = 1 << 16;

/// How two activations with scales of their own come to the scale of one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operands {
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

impl Operands {
    /// Adds two activations.
    #[inline(always)]
    pub const fn sum(&self, x_q: i8, y_q: i8) -> i8 {
        let [zero_x, zero_y] = self.zero_points;
        let [factor_x, factor_y] = self.factors;
        self.rounded(steps(x_q, zero_x) * factor_x + steps(y_q, zero_y) * factor_y)
    }

    /// Brings an activation of the activation before, or of the other one, to the output's scale.
    #[inline(always)]
    pub const fn moved(&self, is_other: bool, x_q: i8) -> i8 {
        let [zero_x, zero_y] = self.zero_points;
        let [factor_x, factor_y] = self.factors;
        let (zero, factor) = if is_other { (zero_y, factor_y) } else { (zero_x, factor_x) };
        self.rounded(steps(x_q, zero) * factor)
    }

    #[inline(always)]
    const fn rounded(&self, acc: i32) -> i8 {
        requantize(acc, self.multiplier, self.zero_point, self.min, self.max)
    }

    /// Whether the factors are in their range.
    pub const fn is_consistent(&self) -> bool {
        let [x, y] = self.factors;
        0 < x && x <= FACTOR_ONE && 0 < y && y <= FACTOR_ONE && self.multiplier > 0
    }
}

/// Distance from the zero point.
#[inline(always)]
const fn steps(x_q: i8, zero_point: i8) -> i32 {
    x_q as i32 - zero_point as i32
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
    /// Position in the list of the layer whose output is added.
    pub other: usize,
    /// Scales and zero points.
    pub operands: Operands,
}

impl Add {
    /// Whether the factors are in their range and the length is whole channels.
    pub const fn is_consistent(&self) -> bool {
        let is_whole = self.channels > 0 && self.len > 0 && self.len.is_multiple_of(self.channels);
        self.operands.is_consistent() && is_whole
    }
}

/// The channels of the activation before and of an earlier layer's output, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concat {
    /// Pixels of both.
    pub pixels: usize,
    /// Channels of the activation before, of the other one.
    pub channels: [usize; 2],
    /// Position in the list of the other layer.
    pub other: usize,
    /// Whether the other one's channels come first.
    pub is_other_first: bool,
    /// Scales and zero points.
    pub operands: Operands,
}

impl Concat {
    /// Channels of the output.
    pub const fn out_channels(&self) -> usize {
        self.channels[0] + self.channels[1]
    }

    /// Whether the factors are in their range and nothing is empty.
    pub const fn is_consistent(&self) -> bool {
        let is_whole = self.pixels > 0 && self.channels[0] > 0 && self.channels[1] > 0;
        self.operands.is_consistent() && is_whole
    }
}

/// Product of the activation before and of an earlier layer's output, either of which may be one value a channel.
///
/// `acc = (x_q − zero) · (y_q − zero)`, requantized by one multiplier for all channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Pixels of the output.
    pub pixels: usize,
    /// Channels of all three.
    pub channels: usize,
    /// Position in the list of the other layer.
    pub other: usize,
    /// Whether the activation before, the other one has a single pixel, which meets all.
    pub are_single: [bool; 2],
    /// Zero points: of the activation before, of the other one.
    pub zero_points: [i8; 2],
    /// s_x · s_y / s_out · 2^(32 − shift).
    pub multiplier: i32,
    /// See [`requantize_shifted`].
    pub shift: u8,
    /// Zero point of the output.
    pub zero_point: i8,
    /// Lowest output.
    pub min: i8,
    /// Highest output.
    pub max: i8,
}

impl Product {
    /// Activations of operand `which`.
    pub const fn operand_len(&self, which: usize) -> usize {
        if self.are_single[which] { self.channels } else { self.pixels * self.channels }
    }

    /// Position in the activation before, or in the other one, of what meets a pixel's channel.
    #[inline(always)]
    pub const fn at(&self, is_other: bool, pixel: usize, channel: usize) -> usize {
        let [is_input_single, is_other_single] = self.are_single;
        let is_single = if is_other { is_other_single } else { is_input_single };
        if is_single { channel } else { pixel * self.channels + channel }
    }

    /// Multiplies two activations.
    #[inline(always)]
    pub const fn product(&self, x_q: i8, y_q: i8) -> i8 {
        let [zero_x, zero_y] = self.zero_points;
        let acc = steps(x_q, zero_x) * steps(y_q, zero_y);
        requantize_shifted(acc, self.multiplier, self.shift, self.zero_point, self.min, self.max)
    }

    /// Whether nothing is empty and one operand at least has all pixels.
    pub const fn is_consistent(&self) -> bool {
        let has_all = self.pixels == 1 || !(self.are_single[0] && self.are_single[1]);
        self.pixels > 0 && self.channels > 0 && self.multiplier > 0 && has_all
    }
}

/// An earlier layer's output once more, where another branch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recall {
    /// Its activations.
    pub len: usize,
    /// Its channels, the last axis.
    pub channels: usize,
    /// Position in the list of that layer.
    pub other: usize,
}
