//! The kernels: a reference for every shape, and packed ones that are fast.
//!
//! | module | holds |
//! |---|---|
//! | [`scalar`] | the reference: plain loops, any shape |
//! | [`packed`] | the same layers over repacked weights: schedules, overlapping memory |
//! | [`routines`] | their inner loops: assembly on cores with DSP, the same algorithm in Rust elsewhere |
//! | [`instr`] | single DSP instructions for what lies around the loops |
//!
//! All give the same bytes. Which ones an inference uses is written in its
//! [plan](crate::nn::plan), made by `host codegen`.

pub mod instr;
pub mod packed;
pub mod routines;
pub mod scalar;

/// Name of the inner loops in this image.
pub const KERNEL_SET: &str = if cfg!(dsp) { "dsp" } else { "portable" };
