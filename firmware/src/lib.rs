//! The clothing classifier of the microcontroller: no heap, no floating point, no board.
//!
//! ```text
//! bytes ─► app ─► shared::preprocess ─► model::infer ─► ui ─► screen
//!           │                             │
//!           └── shared::protocol          └── nn: layers, kernels, the rounding rule
//! ```
//!
//! * [`nn`] is the one integer engine of the project. The desktop's accuracy check, the tests and the
//!   chip all call it; nothing reimplements it. That is what makes "every logit equal" a plain `==`.
//! * [`model`] includes the network that `host codegen` generated: a [plan](nn::plan) with its constants
//!   in flash, places in memory that the compiler checks.
//! * [`app`] turns bytes into events and answers, with any [`Network`](app::Network). A board lends it a
//!   [`Port`](app::Port): a way to send a byte and a clock. All that can go wrong on a wire is tested on the desktop.
//! * [`ui`] draws on any embedded-graphics target.
//!
//! The engine alone, for a firmware of one's own; `examples/minimal` adds a camera's frame and a probability:
//!
//! ```
//! # #[cfg(feature = "model")] {
//! use firmware::model::{self, ARENA_WORDS, CLASS_NAMES, INPUT_LEN, LOGITS};
//! use firmware::nn::{arena::Arena, arg_max};
//!
//! let mut arena = Arena::<ARENA_WORDS>::new();
//! // Every byte is pixel − 128: this image is black.
//! let (image, mut logits) = ([-128; INPUT_LEN], [0; LOGITS]);
//! model::infer(&image, &mut arena, &mut logits);
//! assert!(arg_max(&logits) < CLASS_NAMES.len());
//! # }
//! ```
//!
//! Boards (`boards/<name>`) hold clocks, pins, memory layout and a loop; no logic that a desktop test
//! could have caught. Unsafe code is confined to [`bytes`] and,
//! on cores with DSP instructions, to the wrappers of assembly in [`nn::kernel`].
#![cfg_attr(not(test), no_std)]

pub mod app;
pub mod bytes;
pub mod camera;
#[cfg(feature = "model")]
pub mod model;
pub mod nn;
pub mod ui;
