//! What the desktop and the microcontroller must agree on, and nothing else.
//!
//! | module | holds |
//! |---|---|
//! | [`label`] | the ten classes, their names and numbers |
//! | [`image`] | borrowed views of camera frames: gray, RGB565, YUV 4:2:2 |
//! | [`preprocess`] | frame or data-set bytes → network input; the only copy of that rule |
//! | [`protocol`] | the CRC-checked serial frames between host and board |
//!
//! The crate is `no_std`, allocates nothing and uses no floating point, so the same code runs in the
//! trainer and on the chip. Networks, kernels and screens live in `firmware`; files and training in `host`.
#![cfg_attr(not(test), no_std)]

pub mod image;
pub mod label;
pub mod preprocess;
pub mod protocol;

pub use label::Label;

/// Side of the square network input, in pixels.
pub const SIDE: usize = 28;
/// Pixels of the network input: [`SIDE`]².
pub const PIXELS: usize = SIDE * SIDE;
/// Number of classes, which is also the number of logits.
pub const CLASSES: usize = 10;
