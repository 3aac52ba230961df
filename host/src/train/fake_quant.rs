//! Quantization-aware training: float layers that round as the chip will.
//!
//! Weights round to their int8 or 4-bit grid, outputs to their int8 grid by the rule of
//! [`firmware::nn::requantize`]; gradients pass straight through (Bengio et al., 2013), steps are learned
//! (Esser et al., 2020) as logarithms, so that the optimizer's steps are relative. Batch norm is folded
//! before: [`super::qat`] builds the network that this trains.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// Largest weight of an int8 layer.
pub const INT8_LIMIT: f64 = 127.0;
/// Largest weight of a 4-bit layer; −8 is left out, as −128 is.
pub const INT4_LIMIT: f64 = 7.0;

/// How a layer's weights and outputs are rounded while training.
#[derive(Module, Debug)]
pub struct FakeQuant {
    /// `[out]`, ln(step) of 4-bit weights; int8 ones take largest / 127 as it is.
    pub(super) weight_log_steps: Option<Param<Tensor<1>>>,
    /// `[1]`, ln(step) of the output; none in the last layer, whose accumulators are the logits.
    pub(super) output_log_step: Option<Param<Tensor<1>>>,
    /// `[1]`, ln(step) of a residual block's sum.
    pub(super) sum_log_step: Option<Param<Tensor<1>>>,
    /// One step for all of a layer's weights.
    pub(super) is_per_tensor: bool,
}

/// Rounds half to even, with the gradient of the identity.
fn straight_through<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() + (x.clone().round() - x).detach()
}

impl FakeQuant {
    /// Rounds weights `[out][…]` to their grid.
    pub(super) fn weights<const D: usize>(&self, weights: Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[0] = weights.dims()[0];
        let (steps, limit) = match &self.weight_log_steps {
            Some(log_steps) => (log_steps.val().exp().reshape(shape), INT4_LIMIT),
            None => (self.int8_steps(weights.clone().detach()), INT8_LIMIT),
        };
        let scaled = (weights / steps.clone()).clamp(-limit, limit);
        straight_through(scaled) * steps
    }

    /// Step of every output channel, `[out][1]…`: largest magnitude / 127.
    fn int8_steps<const D: usize>(&self, weights: Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[0] = weights.dims()[0];
        let magnitudes: Tensor<2> = weights.abs().flatten(1, D - 1);
        let largest = magnitudes.max_dim(1);
        let largest =
            if self.is_per_tensor { largest.clone().max_dim(0).expand(largest.shape()) } else { largest };
        largest.reshape(shape).div_scalar(INT8_LIMIT).clamp_min(1e-12)
    }
}
