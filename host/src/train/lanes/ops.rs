//! The operations on lanes as burn operations with their own gradients.
//!
//! burn's `#[backend_extension]` routes them to its CPU backend, with or without autodiff. No other backend
//! has them: on a GPU burn's own layers are trained.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::LANES;
use super::convolution::{self, ConvShape};
use super::planes::{self, AveragePool, Stage};
use super::profile::timed;
use super::weight_gradient::weight_gradients;

/// Operations on activations `[blocks][channels][height][width][16]`.
#[backend_extension(Autodiff, Flex)]
pub trait LaneOps: Backend {
    /// Convolution with stride 1; weights `[out][in][rows][columns]`, bias `[out]`.
    fn lane_convolution(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        padding: usize,
    ) -> FloatTensor<Self>;

    /// Mean and biased variance of every channel, `[2][channels]`, without gradient.
    fn lane_moments(input: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `pool(relu(gamma · (x − mean) / √(variance + epsilon) + beta))`.
    ///
    /// `through_moments`: the moments are of this very input, and its gradient goes through them too.
    #[allow(clippy::too_many_arguments, reason = "batch norm's operands")]
    fn lane_normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f32,
        through_moments: bool,
        relu: bool,
        pool: usize,
    ) -> FloatTensor<Self>;

    /// `pool(relu(x))`.
    fn lane_activate(input: FloatTensor<Self>, relu: bool, pool: usize) -> FloatTensor<Self>;

    /// Mean over square windows.
    fn lane_average_pool(input: FloatTensor<Self>, size: usize, stride: usize) -> FloatTensor<Self>;

    /// Dropout by a mask that depends on seed and position alone.
    fn lane_dropout(input: FloatTensor<Self>, probability: f64, seed: u64) -> FloatTensor<Self>;

    /// Rounding to the int8 grid with the step `exp(log_step)`, `log_step` of one value.
    fn lane_fake_quantize(input: FloatTensor<Self>, log_step: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The values of a tensor, which the operations here make contiguous.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous f32 by `dense`")
}

fn dense(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}

fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.layout().shape();
    std::array::from_fn(|axis| shape[axis])
}

fn conv_shape(input: &FlexTensor, weights: &FlexTensor, padding: usize) -> ConvShape {
    let [_, in_channels, height, width, _] = dims(input);
    let [out_channels, _, rows, columns] = dims(weights);
    ConvShape { in_channels, out_channels, input: [height, width], kernel: [rows, columns], padding }
}

fn stage_of(input: &FlexTensor, relu: bool, pool: usize) -> Stage {
    let [_, channels, height, width, _] = dims(input);
    Stage { channels, input: [height, width], relu, pool }
}

/// Name and floating-point operations of a convolution or of one of its gradients over `input`.
fn work_of<'a>(
    what: &'a str,
    shape: &'a ConvShape,
    input: &FlexTensor,
) -> impl FnOnce() -> (String, u64) + 'a {
    let images = (dims::<5>(input)[0] * LANES) as u64;
    move || {
        let ConvShape { in_channels, out_channels, kernel: [rows, columns], .. } = *shape;
        let [height, width] = shape.output();
        let macs = (in_channels * out_channels * rows * columns * height * width) as u64;
        let name = format!("{what}, {rows}×{columns} {in_channels}→{out_channels} giving {height}×{width}");
        (name, 2 * macs * images)
    }
}

/// Name of an operation that memory bounds, with the shape it works on.
fn pass_over<'a>(what: &'a str, input: &FlexTensor) -> impl FnOnce() -> (String, u64) + 'a {
    let [_, channels, height, width, _] = dims(input);
    move || (format!("{what}, {channels} × {height}×{width}"), 0)
}

fn staged(input: &FlexTensor, stage: &Stage, scale: &[f32], shift: &[f32]) -> FlexTensor {
    let [height, width] = stage.output();
    let output =
        timed(pass_over("norm, ReLU, pool", input), || planes::forward(stage, values(input), scale, shift));
    tensor(output, &[dims::<5>(input)[0], stage.channels, height, width, LANES])
}

/// `scale = gamma / √(variance + epsilon)`, `shift = beta − mean · scale`.
fn affine(gamma: &[f32], beta: &[f32], moments: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let (mean, variance) = moments.split_at(gamma.len());
    let scale: Vec<f32> = gamma.iter().zip(variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    (scale, shift)
}

fn step_of(log_step: &FlexTensor) -> f32 {
    values(log_step)[0].exp()
}

fn pool_of(input: &FlexTensor, size: usize, stride: usize) -> AveragePool {
    let [_, _, height, width, _] = dims(input);
    AveragePool { input: [height, width], size, stride }
}

impl LaneOps for Flex {
    fn lane_convolution(
        input: FlexTensor,
        weights: FlexTensor,
        bias: FlexTensor,
        padding: usize,
    ) -> FlexTensor {
        let (input, weights, bias) = (dense(input), dense(weights), dense(bias));
        let shape = conv_shape(&input, &weights, padding);
        let output = timed(work_of("convolution", &shape, &input), || {
            convolution::forward(&shape, values(&input), values(&weights), values(&bias))
        });
        let [height, width] = shape.output();
        tensor(output, &[dims::<5>(&input)[0], shape.out_channels, height, width, LANES])
    }

    fn lane_moments(input: FlexTensor) -> FlexTensor {
        let input = dense(input);
        let [_, channels, height, width, _] = dims(&input);
        let moments = timed(pass_over("moments", &input), || {
            planes::moments(values(&input), channels, height * width * LANES)
        });
        tensor(moments, &[2, channels])
    }

    fn lane_normalize(
        input: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        moments: FlexTensor,
        epsilon: f32,
        _through_moments: bool,
        relu: bool,
        pool: usize,
    ) -> FlexTensor {
        let [input, gamma, beta, moments] = [input, gamma, beta, moments].map(dense);
        let (scale, shift) = affine(values(&gamma), values(&beta), values(&moments), epsilon);
        staged(&input, &stage_of(&input, relu, pool), &scale, &shift)
    }

    fn lane_activate(input: FlexTensor, relu: bool, pool: usize) -> FlexTensor {
        let input = dense(input);
        let stage = stage_of(&input, relu, pool);
        staged(&input, &stage, &vec![1.0; stage.channels], &vec![0.0; stage.channels])
    }

    fn lane_average_pool(input: FlexTensor, size: usize, stride: usize) -> FlexTensor {
        let input = dense(input);
        let pool = pool_of(&input, size, stride);
        let [blocks, channels, _, _, _] = dims(&input);
        let [height, width] = pool.output();
        tensor(pool.forward(values(&input)), &[blocks, channels, height, width, LANES])
    }

    fn lane_dropout(input: FlexTensor, probability: f64, seed: u64) -> FlexTensor {
        let input = dense(input);
        let output =
            timed(pass_over("dropout", &input), || planes::dropout(values(&input), probability, seed));
        tensor(output, &dims::<5>(&input))
    }

    fn lane_fake_quantize(input: FlexTensor, log_step: FlexTensor) -> FlexTensor {
        let input = dense(input);
        let output = timed(pass_over("rounding", &input), || {
            planes::fake_quantize(values(&input), step_of(&log_step))
        });
        tensor(output, &dims::<5>(&input))
    }
}

/// Finishes an operation: runs it on the inner backend and keeps `state` where a gradient is wanted.
macro_rules! record {
    ($backward:expr, $guards:expr, $state:expr, $output:expr) => {{
        let (state, output) = ($state, $output);
        match $backward.prepare::<C>($guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }};
}

impl<C: CheckpointStrategy> LaneOps for Autodiff<Flex, C> {
    fn lane_convolution(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        padding: usize,
    ) -> FloatTensor<Self> {
        let guards = [input.node(), weights.node(), bias.node()];
        let [input, weights, bias] = [input, weights, bias].map(|tensor| dense(tensor.into_primitive()));
        let output = Flex::lane_convolution(input.clone(), weights.clone(), bias, padding);
        record!(ConvolutionBackward, guards, (input, weights, padding), output)
    }

    fn lane_moments(input: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(Flex::lane_moments(input.into_primitive()))
    }

    fn lane_normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f32,
        through_moments: bool,
        relu: bool,
        pool: usize,
    ) -> FloatTensor<Self> {
        let guards = [input.node(), gamma.node(), beta.node()];
        let tensors = [input, gamma, beta, moments].map(|tensor| dense(tensor.into_primitive()));
        let [input, gamma, beta, moments] = tensors.clone();
        let output = Flex::lane_normalize(input, gamma, beta, moments, epsilon, through_moments, relu, pool);
        let state = Normalized { tensors, epsilon, through_moments, relu, pool };
        record!(NormalizeBackward, guards, state, output)
    }

    fn lane_activate(input: FloatTensor<Self>, relu: bool, pool: usize) -> FloatTensor<Self> {
        let guards = [input.node()];
        let input = dense(input.into_primitive());
        let output = Flex::lane_activate(input.clone(), relu, pool);
        record!(ActivateBackward, guards, (input, relu, pool), output)
    }

    fn lane_average_pool(input: FloatTensor<Self>, size: usize, stride: usize) -> FloatTensor<Self> {
        let guards = [input.node()];
        let input = input.into_primitive();
        let (pool, shape) = (pool_of(&input, size, stride), dims::<5>(&input));
        record!(AveragePoolBackward, guards, (pool, shape), Flex::lane_average_pool(input, size, stride))
    }

    fn lane_dropout(input: FloatTensor<Self>, probability: f64, seed: u64) -> FloatTensor<Self> {
        let guards = [input.node()];
        let output = Flex::lane_dropout(input.into_primitive(), probability, seed);
        record!(DropoutBackward, guards, (probability, seed), output)
    }

    fn lane_fake_quantize(input: FloatTensor<Self>, log_step: FloatTensor<Self>) -> FloatTensor<Self> {
        let guards = [input.node(), log_step.node()];
        let (input, step) = (dense(input.into_primitive()), step_of(log_step.primitive()));
        let output = Flex::lane_fake_quantize(input.clone(), log_step.into_primitive());
        record!(FakeQuantizeBackward, guards, (input, step), output)
    }
}

/// Input, weights, padding.
#[derive(Debug)]
struct ConvolutionBackward;

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
struct Normalized {
    /// Input, gamma, beta, moments.
    tensors: [FlexTensor; 4],
    epsilon: f32,
    through_moments: bool,
    relu: bool,
    pool: usize,
}

#[derive(Debug)]
struct NormalizeBackward;

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
struct ActivateBackward;

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
struct AveragePoolBackward;

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
struct DropoutBackward;

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
struct FakeQuantizeBackward;

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
