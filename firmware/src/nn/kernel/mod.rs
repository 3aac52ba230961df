//! The kernels. [`scalar`] is the reference: plain loops, every core.
//!
//! A faster set has the same function names and gives the same bytes.

pub mod scalar;

/// Name of the kernel set that [`infer`](crate::nn::Network::infer) uses.
pub const KERNEL_SET: &str = "scalar";
