//! 3×3 convolutions over single planes: of the image, and depthwise.
//!
//! A plane is copied to scratch as rows of i16 with their padding; then each output channel runs over it
//! with its nine weights in registers. The image's plane serves all channels, optionally pooled 2×2 in
//! registers. A depthwise layer copies four channels at a time and writes over them in place.

use super::{Memory, Output, splat, take};
use crate::nn::kernel::instr::{lanes, pack_high, pack_low, pack_mixed, sxtb16, sxtb16_ror8, word};
use crate::nn::kernel::routines::{self, PLANE_WORDS, PlaneTask, plane_words};
use crate::nn::window::Window;

/// Channels of a depthwise layer that are copied together.
const GROUP: usize = 4;

/// 3×3 convolution of single planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneConv<'a> {
    /// Where the kernel slides: 3×3, both strides 1 or both 2, left and upper padding 0 or 1.
    pub window: Window,
    /// Channels of the output.
    pub channels: usize,
    /// `[channels][PLANE_WORDS]`: bytes w0 w1 w1 w2 of three kernel rows, bias, multiplier.
    pub constants: &'a [u32],
    /// Zero point of the input, which is also the padding.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub output: Output,
    /// Whether 2×2 maximum pooling follows, stride 2, odd edges dropped; stride 1 only.
    pub pool: bool,
}

impl PlaneConv<'_> {
    /// Returns bytes of a plane's row, or 0 where the layer is none of this kernel's.
    pub const fn pitch(&self) -> usize {
        let window = &self.window;
        let square = window.kernel_height == 3 && window.kernel_width == 3;
        let strides = window.stride_y == window.stride_x && (window.stride_y == 1 || window.stride_y == 2);
        let pads = window.pad_top <= 1 && window.pad_left <= 1;
        if !square || !strides || !pads || window.out_width < 2 || (self.pool && window.stride_y != 1) {
            return 0;
        }
        // Columns that the last, possibly paired, output reads.
        let read = window.stride_x * (window.out_width.next_multiple_of(2) - 1) + 4;
        let held = window.pad_left + window.in_width + 1;
        match if read > held { read } else { held } {
            ..=16 => 32,
            17..=32 => 64,
            _ => 0,
        }
    }

    /// Returns height and width of the output.
    pub const fn out_size(&self) -> [usize; 2] {
        let halves = if self.pool { 2 } else { 1 };
        [self.window.out_height / halves, self.window.out_width / halves]
    }

    /// Returns the activations written.
    pub const fn output_len(&self) -> usize {
        let [height, width] = self.out_size();
        height * width * self.channels
    }

    const fn plane_words(&self) -> usize {
        let step = if self.pool { 2 } else { self.window.stride_y };
        plane_words(self.out_size()[0], step, self.pool, self.pitch())
    }

    /// Returns the words of scratch for the image.
    pub const fn image_scratch(&self) -> usize {
        self.plane_words()
    }

    /// Returns the words of scratch for a depthwise layer.
    pub const fn depthwise_scratch(&self) -> usize {
        GROUP * self.plane_words()
    }

    /// Returns whether shape and constants are what the kernel needs.
    pub const fn is_consistent(&self) -> bool {
        let [height, width] = self.out_size();
        self.pitch() > 0 && self.constants.len() == PLANE_WORDS * self.channels && height > 0 && width > 1
    }

    /// Whether the image kernel takes this layer: rows of whole words.
    pub const fn fits_image(&self) -> bool {
        self.is_consistent() && self.window.in_width.is_multiple_of(4)
    }

    /// Whether the depthwise kernel takes this layer: whole groups of channels.
    pub const fn fits_depthwise(&self) -> bool {
        self.is_consistent() && self.channels.is_multiple_of(GROUP) && !self.pool
    }

    /// Convolves the image.
    ///
    /// * `image`: `[in_height][in_width]`, one channel.
    /// * `memory`: output `[out_height][out_width][channels]`; no input.
    #[inline(always)]
    pub fn run_image(&self, image: &[i8], memory: Memory<'_>) {
        match (self.window.stride_x, self.pool, self.pitch()) {
            (1, false, 32) => run_image::<1, false, 32>(self, image, memory),
            (1, false, 64) => run_image::<1, false, 64>(self, image, memory),
            (2, false, 32) => run_image::<2, false, 32>(self, image, memory),
            (2, false, 64) => run_image::<2, false, 64>(self, image, memory),
            (1, true, 32) => run_image::<1, true, 32>(self, image, memory),
            (1, true, 64) => run_image::<1, true, 64>(self, image, memory),
            _ => {}
        }
    }

    /// Convolves every channel with its own kernel, in place: input and output begin at the same byte.
    ///
    /// * `memory`: input `[in_height][in_width][channels]`, output `[out_height][out_width][channels]`.
    #[inline(always)]
    pub fn run_depthwise(&self, memory: Memory<'_>) {
        match (self.window.stride_x, self.pitch()) {
            (1, 32) => run_depthwise::<1, 32>(self, memory),
            (1, 64) => run_depthwise::<1, 64>(self, memory),
            (2, 32) => run_depthwise::<2, 32>(self, memory),
            (2, 64) => run_depthwise::<2, 64>(self, memory),
            _ => {}
        }
    }

    fn task(&self) -> PlaneTask {
        let [height, width] = self.out_size();
        PlaneTask {
            width: width as u32,
            rows: height as u32,
            zero_point: i32::from(self.output.zero_point),
            stride: self.channels as u32,
        }
    }

    /// Input row under a row of the plane, if any.
    #[inline(always)]
    fn source_row(&self, plane_row: usize) -> Option<usize> {
        plane_row.checked_sub(self.window.pad_top).filter(|&row| row < self.window.in_height)
    }
}

#[inline(never)]
fn run_image<const STRIDE: usize, const POOL: bool, const PITCH: usize>(
    layer: &PlaneConv<'_>,
    image: &[i8],
    mut memory: Memory<'_>,
) {
    let plane = take(&mut memory.scratch, layer.plane_words());
    let pad = lanes(i16::from(layer.input_zero_point), i16::from(layer.input_zero_point));
    let width = layer.window.in_width;
    for (plane_row, words) in plane.chunks_exact_mut(PITCH / 4).enumerate() {
        let source = layer.source_row(plane_row).and_then(|row| image.get(row * width..(row + 1) * width));
        widen_row(source.unwrap_or(&[]), layer.window.pad_left, pad, words);
    }
    let length = layer.output_len();
    let Some(output) = memory.activations.get_mut(memory.output..memory.output + length) else { return };
    let task = layer.task();
    for (channel, constants) in layer.constants.as_chunks().0.iter().enumerate() {
        let Some(first) = output.get_mut(channel..) else { return };
        routines::plane::<STRIDE, POOL, PITCH>(plane, constants, first, &task);
    }
    layer.output.clamp(output);
}

/// One row of the image as i16 pairs behind `pad_left` (0 or 1) columns of padding, and padding behind it.
#[inline(always)]
fn widen_row(source: &[i8], pad_left: usize, pad: u32, words: &mut [u32]) {
    let (quads, _) = source.as_chunks::<4>();
    let mut previous = pad;
    let (pairs, rest) = words.split_at_mut((2 * quads.len()).min(words.len()));
    for (two, quad) in pairs.chunks_exact_mut(2).zip(quads) {
        let word = u32::from_le_bytes(quad.map(|x| x as u8));
        let (even, odd) = (sxtb16(word), sxtb16_ror8(word));
        if pad_left == 0 {
            two[0] = pack_low(even, odd);
            two[1] = pack_high(even, odd);
        } else {
            two[0] = pack_low(previous, even);
            two[1] = pack_mixed(odd, even);
            previous = odd >> 16;
        }
    }
    rest.fill(pad);
    if pad_left > 0 && let Some(first) = rest.first_mut() {
        *first = pack_low(previous, pad);
    }
}

#[inline(never)]
fn run_depthwise<const STRIDE: usize, const PITCH: usize>(layer: &PlaneConv<'_>, mut memory: Memory<'_>) {
    let plane_words = layer.plane_words();
    let planes = take(&mut memory.scratch, GROUP * plane_words);
    let Some(activations) = memory.activations.get_mut(memory.input..) else { return };
    let task = layer.task();
    let (constants, _) = layer.constants.as_chunks::<PLANE_WORDS>();
    for (group, constants) in constants.chunks_exact(GROUP).enumerate() {
        let first = GROUP * group;
        for plane_row in 0..plane_words / (PITCH / 4) {
            let (start, end) = (plane_row * (PITCH / 4), (GROUP - 1) * plane_words + (plane_row + 1) * (PITCH / 4));
            let Some(words) = planes.get_mut(start..end) else { return };
            match layer.source_row(plane_row) {
                Some(row) => split_row(layer, activations, row, first, words, plane_words, PITCH / 4),
                None => pad_row(layer, words, plane_words, PITCH / 4),
            }
        }
        for (plane, (constants, channel)) in planes.chunks_exact(plane_words).zip(constants.iter().zip(first..)) {
            let Some(output) = activations.get_mut(channel..) else { return };
            routines::plane::<STRIDE, false, PITCH>(plane, constants, output, &task);
        }
    }
    let length = layer.output_len();
    if let Some(output) = activations.get_mut(..length) {
        layer.output.clamp(output);
    }
}

/// A row of padding in each plane of a group.
#[inline(always)]
fn pad_row(layer: &PlaneConv<'_>, words: &mut [u32], plane_words: usize, row_words: usize) {
    let pad = lanes(i16::from(layer.input_zero_point), i16::from(layer.input_zero_point));
    for words in words.chunks_mut(plane_words) {
        words.iter_mut().take(row_words).for_each(|word| *word = pad);
    }
}

/// One row of four channels, from `first` on, into four planes of i16 pairs.
#[inline(always)]
fn split_row(
    layer: &PlaneConv<'_>,
    activations: &[i8],
    row: usize,
    first: usize,
    words: &mut [u32],
    plane_words: usize,
    row_words: usize,
) {
    let (width, channels) = (layer.window.in_width, layer.channels);
    let Some(source) = activations.get(row * width * channels..(row + 1) * width * channels) else { return };
    let pad = splat(layer.input_zero_point);
    let mut write = |at: usize, left: u32, right: u32| {
        let (left_even, right_even) = (sxtb16(left), sxtb16(right));
        let (left_odd, right_odd) = (sxtb16_ror8(left), sxtb16_ror8(right));
        if let Some(last) = words.get_mut(at + 3 * plane_words) {
            *last = pack_high(left_odd, right_odd);
            words[at] = pack_low(left_even, right_even);
            words[at + plane_words] = pack_low(left_odd, right_odd);
            words[at + 2 * plane_words] = pack_high(left_even, right_even);
        }
    };
    let mut at = 0;
    let mut rest = source;
    if layer.window.pad_left == 1 {
        write(0, pad, word(rest, first));
        rest = rest.get(channels..).unwrap_or(&[]);
        at = 1;
    }
    let pairs = rest.chunks_exact(2 * channels.max(1));
    let last = pairs.remainder();
    for pair in pairs {
        write(at, word(pair, first), word(pair, channels + first));
        at += 1;
    }
    if !last.is_empty() {
        write(at, word(last, first), pad);
        at += 1;
    }
    while at < row_words {
        write(at, pad, pad);
        at += 1;
    }
}
