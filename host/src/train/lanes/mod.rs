//! Training on the CPU with 16 images side by side: the same layers as burn's, several times faster.
//!
//! Activations are `[blocks][channels][height][width][16]`, the last axis 16 images of the batch. Every
//! operation then works on whole vectors whatever the layer's shape, where the usual layout leaves small
//! planes to im2col copies and matrix kernels that hardly start before they end. Parameters stay burn's, and
//! so do autodiff's graph, the loss and the optimizer: `ops` adds operations to burn, not a trainer.
//!
//! Tests hold outputs and gradients equal to burn's own layers up to rounding.

mod convolution;
mod ops;
mod planes;
pub mod profile;
mod weight_gradient;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use ops::LaneOps;

/// Images side by side.
pub const LANES: usize = 16;

/// Lays out images `[n][pixels]`, n a multiple of 16, as `[n / 16][pixels][16]`.
pub fn interleave(images: &[f32], pixels: usize) -> Vec<f32> {
    let mut output = vec![0.0; images.len()];
    for (from, to) in images.chunks_exact(LANES * pixels).zip(output.chunks_exact_mut(LANES * pixels)) {
        for (pixel, lanes) in to.chunks_exact_mut(LANES).enumerate() {
            for (lane, value) in lanes.iter_mut().enumerate() {
                *value = from[lane * pixels + pixel];
            }
        }
    }
    output
}

/// `[blocks][features][1][1][16]` → `[blocks · 16][features]`.
pub fn rows(values: Tensor<5>) -> Tensor<2> {
    let [blocks, features, ..] = values.dims();
    values.reshape([blocks, features, LANES]).swap_dims(1, 2).reshape([blocks * LANES, features])
}

/// Convolution with stride 1; weights `[out][in][rows][columns]`, bias `[out]`.
pub fn convolution(input: Tensor<5>, weights: Tensor<4>, bias: Tensor<1>, padding: usize) -> Tensor<5> {
    let (input, weights, bias) = (input.into_dispatch(), weights.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::lane_convolution(input, weights, bias, padding))
}

/// Mean and biased variance of every channel, `[2][channels]`, without gradient.
pub fn moments(input: Tensor<5>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::lane_moments(input.into_dispatch()))
}

/// Parameters of a batch norm and what it normalizes by.
#[derive(Debug, Clone)]
pub struct Norm {
    /// `[channels]`.
    pub gamma: Tensor<1>,
    /// `[channels]`.
    pub beta: Tensor<1>,
    /// `[2][channels]`: mean and variance.
    pub moments: Tensor<2>,
    /// Added to the variance.
    pub epsilon: f64,
    /// The moments are the input's own, so that gradients go through them.
    pub is_training: bool,
}

/// `pool(relu(norm(x)))`, maximum over `pool` × `pool` windows, `pool` 1 or 2.
pub fn normalize(input: Tensor<5>, norm: Norm, relu: bool, pool: usize) -> Tensor<5> {
    let Norm { gamma, beta, moments, epsilon, is_training } = norm;
    let (gamma, beta, moments) = (gamma.into_dispatch(), beta.into_dispatch(), moments.into_dispatch());
    let input = input.into_dispatch();
    let epsilon = epsilon as f32;
    Tensor::from_dispatch(Dispatch::lane_normalize(
        input,
        gamma,
        beta,
        moments,
        epsilon,
        is_training,
        relu,
        pool,
    ))
}

/// `pool(relu(x))`, maximum over `pool` × `pool` windows, `pool` 1 or 2.
pub fn activate(input: Tensor<5>, relu: bool, pool: usize) -> Tensor<5> {
    Tensor::from_dispatch(Dispatch::lane_activate(input.into_dispatch(), relu, pool))
}

/// Mean over square windows.
pub fn average_pool(input: Tensor<5>, size: usize, stride: usize) -> Tensor<5> {
    Tensor::from_dispatch(Dispatch::lane_average_pool(input.into_dispatch(), size, stride))
}

/// Zeroes values with `probability`, by a mask that depends on seed and position alone.
pub fn dropout(input: Tensor<5>, probability: f64, seed: u64) -> Tensor<5> {
    Tensor::from_dispatch(Dispatch::lane_dropout(input.into_dispatch(), probability, seed))
}

/// Rounds to the grid of an int8 activation behind a ReLU, step `exp(log_step)`.
pub fn fake_quantize(input: Tensor<5>, log_step: Tensor<1>) -> Tensor<5> {
    Tensor::from_dispatch(Dispatch::lane_fake_quantize(input.into_dispatch(), log_step.into_dispatch()))
}
