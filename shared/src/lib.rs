//! What the desktop and the microcontroller must agree on, and nothing else.
//!
//! | module | holds |
//! |---|---|
//! | [`input`] | height, width and channels of a network's input |
//! | [`image`] | borrowed views of camera frames: gray, RGB565, RGB888, YUV 4:2:2 |
//! | [`preprocess`] | frame or data-set bytes → network input; the only copy of that rule |
//! | [`protocol`] | messages between host and board, in CRC-checked COBS frames |
//! | [`fashion_mnist`] | the ten classes of Fashion-MNIST, their names and numbers |
//!
//! The crate is `no_std`, allocates nothing and uses no floating point, so the same code runs in the
//! trainer and on the chip. Networks, kernels and screens live in `firmware`; files and training in `host`.
#![cfg_attr(not(test), no_std)]

pub mod fashion_mnist;
pub mod image;
pub mod input;
pub mod preprocess;
pub mod protocol;

/// Most classes that a network tells apart.
pub const MAX_CLASSES: usize = 100;
