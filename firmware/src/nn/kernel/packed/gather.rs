//! Activations under two windows, widened, with the padding around them.

use crate::nn::kernel::routines::{self, GatherTask};
use crate::nn::window::Window;

/// How the windows of a layer are gathered, two at a time.
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    task: GatherTask,
    rows: usize,
    taps: usize,
    width: usize,
    channels: usize,
}

impl Gather {
    /// Prepares for windows of `rows` × `taps` pixels; channels are a multiple of 4.
    #[inline(always)]
    pub fn new(window: &Window, [rows, taps]: [usize; 2], channels: usize) -> Self {
        let task = GatherTask {
            height: window.in_height as u32,
            pitch: (window.in_width * channels) as u32,
            channels: channels as u32,
            ..GatherTask::default()
        };
        Self { task, rows, taps, width: window.in_width, channels }
    }

    /// Widens the pixels under two windows, row by row; rows and columns may lie in the padding.
    ///
    /// * `input`: `[in_height][in_width][channels]`.
    /// * `padding`: zero points, as many as a row of the window has activations.
    /// * `firsts`: row and column of the first pixel of either; wrapped where negative.
    /// * `words`: `[rows][taps][channels]`, as [`gather_2`](routines::gather_2) writes them.
    #[inline(always)]
    pub fn widen(&mut self, input: &[i8], padding: &[i8], firsts: [[usize; 2]; 2], words: &mut [u32]) {
        // Where no column lies in the padding a row of the window is one run.
        let starts = (self.width + 1).saturating_sub(self.taps);
        let is_whole = firsts[0][1] < starts && firsts[1][1] < starts;
        let (runs, run_pixels) = if is_whole { (1, self.taps) } else { (self.taps, 1) };
        self.task.rows = self.rows as u32;
        self.task.runs = runs as u32;
        self.task.quads = (run_pixels * self.channels / 4) as u32;
        self.task.width = (self.width + 1 - run_pixels) as u32;
        self.task.row = [firsts[0][0] as u32, firsts[1][0] as u32];
        self.task.column = [firsts[0][1] as u32, firsts[1][1] as u32];
        routines::gather_2(input, padding, words, &mut self.task);
    }
}

/// How single pixels are gathered, two at a time: windows of one pixel, without padding, over one row of them.
#[derive(Debug, Clone, Copy)]
pub struct PixelGather {
    task: GatherTask,
}

impl PixelGather {
    /// Prepares for a row of `pixels`; channels are a multiple of 4.
    #[inline(always)]
    pub fn new(pixels: usize, channels: usize) -> Self {
        let task = GatherTask {
            height: 1,
            pitch: (pixels * channels) as u32,
            channels: channels as u32,
            runs: 1,
            quads: (channels / 4) as u32,
            width: pixels as u32,
            ..GatherTask::default()
        };
        Self { task }
    }

    /// Widens two pixels.
    ///
    /// * `input`: `[pixels][channels]`; `padding`, `words`: as for [`Gather::widen`], with anything in the padding.
    #[inline(always)]
    pub fn widen(&mut self, input: &[i8], padding: &[i8], pixels: [usize; 2], words: &mut [u32]) {
        self.task.rows = 1;
        self.task.row = [0; 2];
        self.task.column = pixels.map(|pixel| pixel as u32);
        routines::gather_2(input, padding, words, &mut self.task);
    }
}
