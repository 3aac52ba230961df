//! What an app runs: a network with its memory.

use shared::input::InputShape;
use shared::preprocess::Preprocessing;
use shared::preprocess::square::{Cell, Square};

/// What an app needs of a network: the generated one on a chip, or any other on the desktop.
pub trait Network {
    /// Returns what it is.
    fn facts(&self) -> Facts<'_>;
    /// Returns whether its constants are what they were when the image was built.
    fn is_intact(&self) -> bool {
        true
    }
    /// Returns the pixels of its input, as [`Memory::pixels`].
    fn pixels(&self) -> &[u8];
    /// Lends its memory.
    fn memory(&mut self) -> Memory<'_>;
    /// Maps its input to logits.
    ///
    /// The bytes at [`Memory::pixels`] are pixel − 128 in two's complement while this runs.
    ///
    /// * `logits`: `[classes]` raw accumulators.
    fn infer(&mut self, logits: &mut [i32]);
}

/// What a network is.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its name.
    pub name: &'a str,
    /// First eight bytes of the sha256 of the quantized network.
    pub hash: [u8; 8],
    /// Shape of its input.
    pub input: InputShape,
    /// How a frame becomes the input.
    pub preprocessing: Preprocessing,
    /// Names of its classes, 2 to [`MAX_CLASSES`](crate::nn::MAX_CLASSES).
    pub class_names: &'a [&'a str],
    /// For [`confidences`](crate::nn::confidence::confidences).
    pub confidence_multiplier: i64,
    /// Least share of a sure winner, in 256ths.
    pub unsure_below: u16,
    /// Bytes of activations and scratch.
    pub arena_bytes: u32,
}

/// What a picture is taken in with.
pub struct Memory<'a> {
    /// `[height][width][channels]` bytes of the input, 0 = black.
    pub pixels: &'a mut [u8],
    /// A whole frame, for preprocessing by `garment`.
    pub frame: &'a mut [u8],
    /// Sums, for preprocessing by `square`: as many as [`Square::cells`] says.
    pub cells: &'a mut [Cell],
}

/// Bytes kept of a frame: `garment` needs a whole one, up to 64×64 gray; `square` needs none.
pub const fn frame_bytes(preprocessing: Preprocessing) -> usize {
    match preprocessing {
        Preprocessing::Garment => 64 * 64,
        Preprocessing::Square => 0,
    }
}

/// Cells of the row-wise preprocessing.
pub const fn cells(preprocessing: Preprocessing, input: InputShape) -> usize {
    match preprocessing {
        Preprocessing::Garment => 0,
        Preprocessing::Square => Square::cells(input),
    }
}
