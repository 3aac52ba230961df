//! Convolution with any window, 1×1 included, optionally pooled.
//!
//! The activations under two neighbouring pixels are widened into a patch; then the patch meets four
//! output channels at a time. With pooling the four pixels of a window are computed into scratch and
//! their maximum is kept, so that the unpooled activations never exist.

use super::gather::{Gather, PixelGather};
use super::{Memory, Output, part, splat, take};
use crate::nn::kernel::instr::{max_i8x4, store, word};
use crate::nn::kernel::routines::{self, ConvTask, Packing};
use crate::nn::window::Window;

/// Convolution over packed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedConv<'a> {
    /// Where the kernel slides.
    pub window: Window,
    /// Input channels, a multiple of 4.
    pub in_channels: usize,
    /// Output channels, a multiple of 4.
    pub out_channels: usize,
    /// How weights are stored: i16 pairs take one instruction in twelve less than paired bytes and twice the
    /// room, nibbles two more and half the room.
    pub packing: Packing,
    /// As [`conv_2x4`](routines::conv_2x4) reads them; taps row by row, channel pairs (0, 2), (1, 3), (4, 6) ….
    pub constants: &'a [u32],
    /// Zero point of the input, which is also the padding.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub output: Output,
    /// Whether 2×2 maximum pooling follows, stride 2, odd edges dropped.
    pub pool: bool,
}

impl PackedConv<'_> {
    /// Returns the channel pairs of a patch.
    pub const fn steps(&self) -> usize {
        self.window.taps() * self.in_channels / 2
    }

    /// Words of weights of four channels.
    const fn weight_words(&self) -> usize {
        self.packing.words() * self.steps()
    }

    /// Returns height and width of the output.
    pub const fn out_size(&self) -> [usize; 2] {
        let halves = if self.pool { 2 } else { 1 };
        [self.window.out_height / halves, self.window.out_width / halves]
    }

    /// Returns the activations read.
    pub const fn input_len(&self) -> usize {
        self.window.in_pixels() * self.in_channels
    }

    /// Returns the activations written.
    pub const fn output_len(&self) -> usize {
        let [height, width] = self.out_size();
        height * width * self.out_channels
    }

    /// Words of padding: a row of the window.
    const fn padding_words(&self) -> usize {
        self.window.kernel_width * self.in_channels / 4
    }

    /// Returns the words of scratch: a patch, a row of padding, and the four pixels of a pooling window.
    pub const fn scratch(&self) -> usize {
        let pooled = if self.pool { self.out_channels } else { 0 };
        2 * self.steps() + self.padding_words() + pooled
    }

    /// Returns whether shape and constants are what the kernel needs.
    pub const fn is_consistent(&self) -> bool {
        let (input, output) = (self.in_channels, self.out_channels);
        let [height, width] = self.out_size();
        input > 0
            && output > 0
            && height > 0
            && width > 0
            && input.is_multiple_of(4)
            && output.is_multiple_of(4)
            && self.constants.len() == output / 4 * (8 + self.weight_words())
    }

    /// Returns how many bytes below the input the output must begin to overwrite only what was read.
    ///
    /// The largest, over all pixel pairs, of bytes written with it − first byte that a later one reads.
    pub const fn overlap(&self) -> usize {
        let [height, width] = self.out_size();
        let scale = if self.pool { 2 } else { 1 };
        let together = if self.pool { 1 } else { 2 };
        let mut most = 0;
        let mut pixel = 0;
        while pixel < height * width {
            let next = pixel + together;
            let written = (if next < height * width { next } else { height * width }) * self.out_channels;
            if next < height * width {
                let needed = first_read(&self.window, scale * (next / width), scale * (next % width));
                // A later row begins at its first column, padding or not.
                let row_after = first_read(&self.window, scale * (next / width + 1), 0);
                let lowest = if needed < row_after { needed } else { row_after };
                let lowest = lowest * self.in_channels;
                if written > lowest && written - lowest > most {
                    most = written - lowest;
                }
            }
            pixel = next;
        }
        most
    }

    /// Runs the layer.
    ///
    /// * `memory`: input `[in_height][in_width][in_channels]`, output `[out_height][out_width][out_channels]`.
    #[inline(always)]
    pub fn run(&self, memory: Memory<'_>) {
        match (self.pool, self.packing) {
            (false, Packing::Nibble) if self.is_pointwise() => run_pointwise::<1>(self, memory),
            (false, Packing::Paired) if self.is_pointwise() => run_pointwise::<2>(self, memory),
            (false, Packing::Wide) if self.is_pointwise() => run_pointwise::<4>(self, memory),
            _ => self.run_windows(memory),
        }
    }

    /// As [`PackedConv::run`], whatever the window is.
    #[inline(always)]
    pub(super) fn run_windows(&self, memory: Memory<'_>) {
        match (self.pool, self.packing) {
            (false, Packing::Nibble) => run::<1>(self, memory),
            (false, Packing::Paired) => run::<2>(self, memory),
            (false, Packing::Wide) => run::<4>(self, memory),
            (true, Packing::Nibble) => run_pooled::<1>(self, memory),
            (true, Packing::Paired) => run_pooled::<2>(self, memory),
            (true, Packing::Wide) => run_pooled::<4>(self, memory),
        }
    }

    /// Whether each output pixel is computed from one input pixel, at the same place.
    #[inline(always)]
    const fn is_pointwise(&self) -> bool {
        let window = &self.window;
        let is_one = window.taps() == 1 && window.stride_y == 1 && window.stride_x == 1;
        // As many outputs as inputs: there is no padding.
        is_one && window.in_width == window.out_width && window.in_height == window.out_height
    }

    fn gather(&self) -> Gather {
        Gather::new(&self.window, [self.window.kernel_height, self.window.kernel_width], self.in_channels)
    }

    fn task(&self) -> ConvTask {
        ConvTask {
            steps: self.steps() as u32,
            blocks: (self.out_channels / 4) as u32,
            pixel_stride: self.out_channels as u32,
            zero_point: i32::from(self.output.zero_point),
        }
    }
}

/// Index of the first input pixel under the window at an output; 0 in the padding above.
pub(super) const fn first_read(window: &Window, out_y: usize, out_x: usize) -> usize {
    let row = (out_y * window.stride_y).saturating_sub(window.pad_top);
    let column = (out_x * window.stride_x).saturating_sub(window.pad_left);
    if (out_y * window.stride_y) < window.pad_top { column } else { row * window.in_width + column }
}

/// Position of an output pixel.
#[derive(Debug, Clone, Copy)]
struct Pixel {
    y: usize,
    x: usize,
}

impl Pixel {
    /// The next one, row by row.
    #[inline(always)]
    fn next(self, width: usize) -> Self {
        if self.x + 1 < width { Self { x: self.x + 1, ..self } } else { Self { y: self.y + 1, x: 0 } }
    }
}

#[inline(never)]
fn run<const WORDS: usize>(layer: &PackedConv<'_>, mut memory: Memory<'_>) {
    let patch = take(&mut memory.scratch, 2 * layer.steps());
    let padding = take(&mut memory.scratch, layer.padding_words());
    padding.fill(splat(layer.input_zero_point));
    let padding = crate::bytes::of_words(padding);
    let mut gather = layer.gather();
    let [height, width] = layer.out_size();
    let mut task = layer.task();
    let mut pixel = Pixel { y: 0, x: 0 };
    let mut output = memory.output;
    while pixel.y < height {
        let mut second = pixel.next(width);
        if second.y == height {
            // The last of an odd number: computed twice, written once.
            second = pixel;
            task.pixel_stride = 0;
        }
        let input = part(memory.activations, memory.input, layer.input_len());
        gather.widen(input, padding, [pixel, second].map(|pixel| first_tap(&layer.window, pixel)), patch);
        let Some(written) = memory.activations.get_mut(output..) else { return };
        routines::conv_2x4::<WORDS>(patch, layer.constants, written, &task);
        output += 2 * layer.out_channels;
        pixel = second.next(width);
    }
    memory.clamp_output(layer.output_len(), layer.output);
}

/// As [`run`], with all rows as one and no window to be placed.
#[inline(never)]
fn run_pointwise<const WORDS: usize>(layer: &PackedConv<'_>, mut memory: Memory<'_>) {
    let patch = take(&mut memory.scratch, 2 * layer.steps());
    let padding = take(&mut memory.scratch, layer.padding_words());
    let padding = crate::bytes::of_words(padding);
    let pixels = layer.window.in_pixels();
    let mut gather = PixelGather::new(pixels, layer.in_channels);
    let mut task = layer.task();
    let mut output = memory.output;
    for pixel in (0..pixels).step_by(2) {
        let mut second = pixel + 1;
        if second == pixels {
            // The last of an odd number: computed twice, written once.
            second = pixel;
            task.pixel_stride = 0;
        }
        let input = part(memory.activations, memory.input, layer.input_len());
        gather.widen(input, padding, [pixel, second], patch);
        let Some(written) = memory.activations.get_mut(output..) else { return };
        routines::conv_2x4::<WORDS>(patch, layer.constants, written, &task);
        output += 2 * layer.out_channels;
    }
    memory.clamp_output(layer.output_len(), layer.output);
}

#[inline(never)]
fn run_pooled<const WORDS: usize>(layer: &PackedConv<'_>, mut memory: Memory<'_>) {
    let patch = take(&mut memory.scratch, 2 * layer.steps());
    let padding = take(&mut memory.scratch, layer.padding_words());
    padding.fill(splat(layer.input_zero_point));
    let padding = crate::bytes::of_words(padding);
    let four = crate::bytes::of_words_mut(take(&mut memory.scratch, layer.out_channels));
    let mut gather = layer.gather();
    let [height, width] = layer.out_size();
    let (channels, task) = (layer.out_channels, layer.task());
    let mut output = memory.output;
    for index in 0..height * width {
        let (y, x) = (2 * (index / width.max(1)), 2 * (index % width.max(1)));
        for row in 0..2 {
            let input = part(memory.activations, memory.input, layer.input_len());
            let pixels = [Pixel { y: y + row, x }, Pixel { y: y + row, x: x + 1 }];
            gather.widen(input, padding, pixels.map(|pixel| first_tap(&layer.window, pixel)), patch);
            let Some(two) = four.get_mut(2 * row * channels..) else { return };
            routines::conv_2x4::<WORDS>(patch, layer.constants, two, &task);
        }
        for channel in (0..channels).step_by(4) {
            let upper = max_i8x4(word(four, channel), word(four, channels + channel));
            let lower = max_i8x4(word(four, 2 * channels + channel), word(four, 3 * channels + channel));
            store(memory.activations, output + channel, max_i8x4(upper, lower));
        }
        output += channels;
    }
    memory.clamp_output(layer.output_len(), layer.output);
}

/// Row and column of the first input pixel under an output; huge in the padding above and to the left.
#[inline(always)]
fn first_tap(window: &Window, pixel: Pixel) -> [usize; 2] {
    [
        (pixel.y * window.stride_y).wrapping_sub(window.pad_top),
        (pixel.x * window.stride_x).wrapping_sub(window.pad_left),
    ]
}
