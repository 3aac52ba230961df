//! 3×3 convolutions over single planes: of the image, and depthwise.
//!
//! A plane is copied to scratch as rows of i16 with their padding; then each output channel runs over it
//! with its nine weights in registers. The image's plane serves all channels, optionally pooled 2×2 in
//! registers. A depthwise layer copies four channels at a time and writes over them in place. Wide planes are
//! worked through in bands of a few rows, so that scratch stays small.

use super::{Memory, Output, splat, take};
use crate::nn::kernel::instr::{lanes, pack_high, pack_low, pack_mixed, sxtb16, sxtb16_ror8};
use crate::nn::kernel::routines::{self, PLANE_WORDS, PlaneTask, SplitTask, columns_read, plane_words};
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
    /// Bytes of a plane's row: what [`PlaneConv::fitting_pitch`] says.
    pub pitch: usize,
}

impl PlaneConv<'_> {
    /// Returns the bytes that a plane's row needs, 32 to 256; 0 where the layer is none of this kernel's.
    pub const fn fitting_pitch(&self) -> usize {
        let window = &self.window;
        let square = window.kernel_height == 3 && window.kernel_width == 3;
        let strides = window.stride_y == window.stride_x && (window.stride_y == 1 || window.stride_y == 2);
        let pads = window.pad_top <= 1 && window.pad_left <= 1;
        if !square || !strides || !pads || window.out_width < 2 || (self.pool && window.stride_y != 1) {
            return 0;
        }
        // Rows are written whole, too.
        let held = window.pad_left + window.in_width;
        let read = self.columns_read();
        match if read > held { read } else { held } {
            ..=16 => 32,
            17..=32 => 64,
            33..=64 => 128,
            65..=128 => 256,
            _ => 0,
        }
    }

    /// Columns of the plane that a row of outputs reads.
    const fn columns_read(&self) -> usize {
        columns_read(self.out_size()[1], self.window.stride_x, self.pool)
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

    /// Rows of outputs that are computed from one copy of the plane: all, or a band where rows are long.
    const fn band(&self) -> usize {
        let rows = self.out_size()[0];
        let most = match self.pitch {
            ..=64 => rows,
            65..=128 => 16,
            _ => 8,
        };
        if rows < most { rows } else { most }
    }

    /// Rows of the plane between one row of outputs and the next.
    const fn step(&self) -> usize {
        if self.pool { 2 } else { self.window.stride_y }
    }

    const fn plane_words(&self) -> usize {
        plane_words(self.band(), self.step(), self.pool, self.pitch)
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
        self.pitch > 0
            && self.pitch == self.fitting_pitch()
            && self.constants.len() == PLANE_WORDS * self.channels
            && height > 0
            && width > 1
    }

    /// Whether the image kernel takes this layer: rows of whole words.
    pub const fn fits_image(&self) -> bool {
        self.is_consistent() && self.window.in_width.is_multiple_of(4)
    }

    /// Whether the depthwise kernel takes this layer: whole groups of channels.
    pub const fn fits_depthwise(&self) -> bool {
        let has_pairs = self.window.in_width >= 2 + self.window.pad_left;
        // A band is written before the rows below it are read.
        let is_behind = self.pitch <= 64 || self.window.out_width <= self.window.in_width;
        self.is_consistent() && self.channels.is_multiple_of(GROUP) && !self.pool && has_pairs && is_behind
    }

    /// Convolves the image.
    ///
    /// * `image`: `[in_height][in_width]`, one channel.
    /// * `memory`: output `[out_height][out_width][channels]`; no input.
    #[inline(always)]
    pub fn run_image(&self, image: &[i8], memory: Memory<'_>) {
        match (self.window.stride_x, self.pool, self.pitch) {
            (1, false, 32) => run_image::<1, false, 32>(self, image, memory),
            (1, false, 64) => run_image::<1, false, 64>(self, image, memory),
            (1, false, 128) => run_image::<1, false, 128>(self, image, memory),
            (1, false, 256) => run_image::<1, false, 256>(self, image, memory),
            (2, false, 32) => run_image::<2, false, 32>(self, image, memory),
            (2, false, 64) => run_image::<2, false, 64>(self, image, memory),
            (2, false, 128) => run_image::<2, false, 128>(self, image, memory),
            (2, false, 256) => run_image::<2, false, 256>(self, image, memory),
            (1, true, 32) => run_image::<1, true, 32>(self, image, memory),
            (1, true, 64) => run_image::<1, true, 64>(self, image, memory),
            (1, true, 128) => run_image::<1, true, 128>(self, image, memory),
            (1, true, 256) => run_image::<1, true, 256>(self, image, memory),
            _ => {}
        }
    }

    /// Convolves every channel with its own kernel: input and output begin at the same byte, or lie apart.
    ///
    /// * `memory`: input `[in_height][in_width][channels]`, output `[out_height][out_width][channels]`.
    #[inline(always)]
    pub fn run_depthwise(&self, memory: Memory<'_>) {
        match self.pitch {
            32 => run_depthwise::<32>(self, memory),
            64 => run_depthwise::<64>(self, memory),
            128 => run_depthwise_in_bands::<128>(self, memory),
            256 => run_depthwise_in_bands::<256>(self, memory),
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
    let length = layer.output_len();
    let Some(output) = memory.activations.get_mut(memory.output..memory.output + length) else { return };
    let (all, band) = (layer.task(), layer.band().max(1));
    let row_len = layer.out_size()[1] * layer.channels;
    for begin in (0..layer.out_size()[0]).step_by(band) {
        for (row, words) in plane.chunks_exact_mut(PITCH / 4).enumerate() {
            let source = layer.source_row(begin * layer.step() + row);
            let source = source.and_then(|row| image.get(row * width..(row + 1) * width));
            widen_row(source.unwrap_or(&[]), layer.window.pad_left, pad, words);
        }
        let rows = band.min(layer.out_size()[0] - begin);
        let task = PlaneTask { rows: rows as u32, ..all };
        for (channel, constants) in layer.constants.as_chunks().0.iter().enumerate() {
            let Some(first) = output.get_mut(begin * row_len + channel..) else { return };
            routines::plane::<STRIDE, POOL, PITCH>(plane, constants, first, &task);
        }
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
    if pad_left > 0
        && let Some(first) = rest.first_mut()
    {
        *first = pack_low(previous, pad);
    }
}

#[inline(never)]
fn run_depthwise<const PITCH: usize>(layer: &PlaneConv<'_>, mut memory: Memory<'_>) {
    let planes = take(&mut memory.scratch, GROUP * layer.plane_words());
    let (from, to) = (memory.input, memory.output);
    let task = layer.task();
    let (constants, _) = layer.constants.as_chunks::<PLANE_WORDS>();
    let split = SplitPlan::new(layer, PITCH);
    pad_rows(layer, planes, PITCH / 4);
    for (group, constants) in constants.chunks_exact(GROUP).enumerate() {
        let first = GROUP * group;
        let rows = planes.get_mut(split.first_word..);
        let (Some(input), Some(rows)) = (memory.activations.get(from + first..), rows) else { return };
        routines::split_4(input, rows, &split.task);
        convolve_group::<PITCH>(layer, planes, constants, memory.activations, to + first, &task);
    }
    memory.clamp_output(layer.output_len(), layer.output);
}

/// Convolves the planes of a group of channels; the first one's first output is the byte `first`.
#[inline(always)]
fn convolve_group<const PITCH: usize>(
    layer: &PlaneConv<'_>,
    planes: &[u32],
    constants: &[[u32; PLANE_WORDS]],
    activations: &mut [i8],
    first: usize,
    task: &PlaneTask,
) {
    let planes = planes.chunks_exact(layer.plane_words().max(1));
    for (plane, (constants, channel)) in planes.zip(constants.iter().zip(first..)) {
        let Some(output) = activations.get_mut(channel..) else { return };
        if layer.window.stride_x == 1 {
            routines::plane::<1, false, PITCH>(plane, constants, output, task);
        } else {
            routines::plane::<2, false, PITCH>(plane, constants, output, task);
        }
    }
}

/// Rows of the plane under a band of outputs.
struct Band {
    /// Rows of outputs.
    rows: usize,
    /// Rows that the band before has copied already.
    kept: usize,
    /// Rows of padding behind those.
    above: usize,
    /// Input rows: the first, and how many.
    input: [usize; 2],
    /// Rows of padding at the end.
    below: usize,
}

impl Band {
    /// The band whose first row of outputs is `begin`.
    #[inline(always)]
    fn at(layer: &PlaneConv<'_>, begin: usize) -> Self {
        let Window { out_height, stride_y, pad_top, in_height, .. } = layer.window;
        let rows = layer.band().min(out_height - begin);
        let kept = if begin == 0 { 0 } else { 3 - stride_y };
        let (first, end) = (begin * stride_y + kept, (begin + rows - 1) * stride_y + 3);
        let above = pad_top.saturating_sub(first);
        let from = (first + above - pad_top).min(in_height);
        let to = (end - pad_top).clamp(from, in_height);
        let below = end - first - above - (to - from);
        Self { rows, kept, above, input: [from, to - from], below }
    }
}

/// As [`run_depthwise`], a band after the other in each group of channels.
#[inline(never)]
fn run_depthwise_in_bands<const PITCH: usize>(layer: &PlaneConv<'_>, mut memory: Memory<'_>) {
    let planes = take(&mut memory.scratch, GROUP * layer.plane_words());
    let (from, to) = (memory.input, memory.output);
    let (constants, _) = layer.constants.as_chunks::<PLANE_WORDS>();
    let (all, split) = (layer.task(), SplitPlan::new(layer, PITCH).task);
    let (row_words, plane_words) = (PITCH / 4, layer.plane_words().max(1));
    let pad = lanes(i16::from(layer.input_zero_point), i16::from(layer.input_zero_point));
    let window = &layer.window;
    for (group, constants) in constants.chunks_exact(GROUP).enumerate() {
        for begin in (0..window.out_height).step_by(layer.band().max(1)) {
            let Band { rows, kept, above, input: [row, count], below } = Band::at(layer, begin);
            for plane in planes.chunks_exact_mut(plane_words) {
                let used = (kept + above + count) * row_words;
                if let Some(behind) = plane_words.checked_sub(kept * row_words)
                    && kept > 0
                {
                    plane.copy_within(behind.., 0);
                }
                plane.get_mut(kept * row_words..(kept + above) * row_words).unwrap_or_default().fill(pad);
                plane.get_mut(used..used + below * row_words).unwrap_or_default().fill(pad);
            }
            if count > 0 {
                let first = from + row * window.in_width * layer.channels + GROUP * group;
                let input = memory.activations.get(first..);
                let rows = planes.get_mut((kept + above) * row_words..);
                let (Some(input), Some(rows)) = (input, rows) else { return };
                routines::split_4(input, rows, &SplitTask { rows: count as u32, ..split });
            }
            let task = PlaneTask { rows: rows as u32, ..all };
            let first = to + begin * window.out_width * layer.channels + GROUP * group;
            convolve_group::<PITCH>(layer, planes, constants, memory.activations, first, &task);
        }
    }
    memory.clamp_output(layer.output_len(), layer.output);
}

/// How a group of channels is split into planes.
struct SplitPlan {
    /// First word of the first plane that is no padding row.
    first_word: usize,
    task: SplitTask,
}

impl SplitPlan {
    #[inline(always)]
    fn new(layer: &PlaneConv<'_>, pitch: usize) -> Self {
        let window = &layer.window;
        let rows = (layer.plane_words() / (pitch / 4) - window.pad_top).min(window.in_height);
        let (leading, rest) = (window.pad_left, window.in_width - window.pad_left);
        let (pairs, trailing) = (rest / 2, rest % 2);
        let task = SplitTask {
            channels: layer.channels as u32,
            plane_bytes: 4 * layer.plane_words() as u32,
            rows: rows as u32,
            pairs: pairs as u32,
            padding: splat(layer.input_zero_point),
            leading: leading as u32,
            trailing: trailing as u32,
            blank: (layer.columns_read().div_ceil(2)).saturating_sub(leading + pairs + trailing) as u32,
            pitch: pitch as u32,
        };
        Self { first_word: window.pad_top * pitch / 4, task }
    }
}

/// Fills the rows of padding of each plane of a group; they stay for all groups.
#[inline(always)]
fn pad_rows(layer: &PlaneConv<'_>, planes: &mut [u32], row_words: usize) {
    let pad = lanes(i16::from(layer.input_zero_point), i16::from(layer.input_zero_point));
    for plane in planes.chunks_exact_mut(layer.plane_words().max(1)) {
        for (row, words) in plane.chunks_exact_mut(row_words).enumerate() {
            if layer.source_row(row).is_none() {
                words.fill(pad);
            }
        }
    }
}
