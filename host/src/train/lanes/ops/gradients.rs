//! The gradients of the operations on lanes.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;

use super::super::LANES;
use super::super::convolution;
use super::super::planes::{self, AveragePool};
use super::super::profile::timed;
use super::super::weight_gradient::weight_gradients;
use super::{LaneOps, affine, conv_shape, dense, dims, pass_over, stage_of, tensor, values, work_of};

/// Input, weights, padding.
#[derive(Debug)]
pub(super) struct ConvolutionBackward;

impl Backward<Flex, 3> for ConvolutionBackward {
    type State = (FlexTensor, FlexTensor, usize);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = dense(grads.consume::<Flex>(&ops.node));
        let (input, weights, padding) = ops.state;
        let shape = conv_shape(&input, &weights, padding);
        let [input_node, weights_node, bias_node] = ops.parents;
        if let Some(node) = input_node {
            let values = timed(work_of("input gradient", &shape, &input), || {
                convolution::input_gradient(&shape, values(&gradient), values(&weights))
            });
            grads.register::<Flex>(node.id, tensor(values, &dims::<5>(&input)));
        }
        if weights_node.is_none() && bias_node.is_none() {
            return;
        }
        let (of_weights, of_bias) = timed(work_of("weight gradient", &shape, &input), || {
            weight_gradients(&shape, values(&input), values(&gradient))
        });
        if let Some(node) = weights_node {
            grads.register::<Flex>(node.id, tensor(of_weights, &dims::<4>(&weights)));
        }
        if let Some(node) = bias_node {
            grads.register::<Flex>(node.id, tensor(of_bias, &[shape.out_channels]));
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Normalized {
    /// Input, gamma, beta, moments.
    pub tensors: [FlexTensor; 4],
    pub epsilon: f32,
    pub through_moments: bool,
    pub relu: bool,
    pub pool: usize,
}

#[derive(Debug)]
pub(super) struct NormalizeBackward;

impl Backward<Flex, 3> for NormalizeBackward {
    type State = Normalized;

    /// With x̂ = (x − μ)/σ and n values a channel (Ioffe and Szegedy, 2015):
    /// dx = γ/σ · (du − Σdu/n − x̂ · Σ(du · x̂)/n); without the last two terms for fixed moments.
    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = dense(grads.consume::<Flex>(&ops.node));
        let Normalized { tensors: [input, gamma, beta, moments], epsilon, through_moments, relu, pool } =
            ops.state;
        let stage = stage_of(&input, relu, pool);
        let (scale, shift) = affine(values(&gamma), values(&beta), values(&moments), epsilon);
        let (mut inner, sums) = timed(pass_over("norm, ReLU, pool: gradient", &input), || {
            planes::backward(&stage, values(&input), &scale, &shift, values(&gradient))
        });
        let (mean, variance) = values(&moments).split_at(stage.channels);
        let count = (values(&input).len() / stage.channels) as f64;
        let (mut of_gamma, mut of_beta, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for (channel, &[sum, sum_with_input]) in sums.iter().enumerate() {
            let inverse = 1.0 / f64::from(variance[channel] + epsilon).sqrt();
            let mean = f64::from(mean[channel]);
            let with_normalized = inverse * (sum_with_input - mean * sum);
            of_gamma.push(with_normalized as f32);
            of_beta.push(sum as f32);
            let a = f64::from(scale[channel]);
            let slope = if through_moments { -a * with_normalized * inverse / count } else { 0.0 };
            let constant = if through_moments { -a * sum / count - slope * mean } else { 0.0 };
            factors.push([a as f32, slope as f32, constant as f32]);
        }
        let [input_node, gamma_node, beta_node] = ops.parents;
        if let Some(node) = input_node {
            let plane = stage.input[0] * stage.input[1] * LANES;
            timed(pass_over("moments: gradient", &input), || {
                planes::combine(&mut inner, values(&input), plane, &factors);
            });
            grads.register::<Flex>(node.id, tensor(inner, &dims::<5>(&input)));
        }
        if let Some(node) = gamma_node {
            grads.register::<Flex>(node.id, tensor(of_gamma, &[stage.channels]));
        }
        if let Some(node) = beta_node {
            grads.register::<Flex>(node.id, tensor(of_beta, &[stage.channels]));
        }
    }
}

#[derive(Debug)]
pub(super) struct ActivateBackward;

impl Backward<Flex, 1> for ActivateBackward {
    type State = (FlexTensor, bool, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = dense(grads.consume::<Flex>(&ops.node));
        let (input, relu, pool) = ops.state;
        let stage = stage_of(&input, relu, pool);
        let (ones, zeros) = (vec![1.0; stage.channels], vec![0.0; stage.channels]);
        if let [Some(node)] = ops.parents {
            let (inner, _) = timed(pass_over("norm, ReLU, pool: gradient", &input), || {
                planes::backward(&stage, values(&input), &ones, &zeros, values(&gradient))
            });
            grads.register::<Flex>(node.id, tensor(inner, &dims::<5>(&input)));
        }
    }
}

#[derive(Debug)]
pub(super) struct AveragePoolBackward;

impl Backward<Flex, 1> for AveragePoolBackward {
    type State = (AveragePool, [usize; 5]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = dense(grads.consume::<Flex>(&ops.node));
        let (pool, shape) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(node.id, tensor(pool.backward(values(&gradient)), &shape));
        }
    }
}

#[derive(Debug)]
pub(super) struct DropoutBackward;

impl Backward<Flex, 1> for DropoutBackward {
    type State = (f64, u64);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (probability, seed) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(node.id, Flex::lane_dropout(gradient, probability, seed));
        }
    }
}

#[derive(Debug)]
pub(super) struct FakeQuantizeBackward;

impl Backward<Flex, 2> for FakeQuantizeBackward {
    type State = (FlexTensor, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = dense(grads.consume::<Flex>(&ops.node));
        let (input, step) = ops.state;
        let (of_input, of_step) = timed(pass_over("rounding: gradient", &input), || {
            planes::fake_quantize_backward(values(&input), step, values(&gradient))
        });
        let [input_node, step_node] = ops.parents;
        if let Some(node) = input_node {
            grads.register::<Flex>(node.id, tensor(of_input, &dims::<5>(&input)));
        }
        if let Some(node) = step_node {
            grads.register::<Flex>(node.id, tensor(vec![of_step], &[1]));
        }
    }
}
