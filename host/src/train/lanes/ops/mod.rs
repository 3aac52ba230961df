//! The operations on lanes as burn operations with their own gradients.
//!
//! burn's `#[backend_extension]` routes them to its CPU backend, with or without autodiff. No other backend
//! has them: on a GPU burn's own layers are trained.

mod gradients;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::LANES;
use super::convolution::{self, ConvShape};
use super::planes::{self, AveragePool, Stage};
use super::profile::timed;
use gradients::{
    ActivateBackward, AveragePoolBackward, ConvolutionBackward, DropoutBackward, FakeQuantizeBackward,
    NormalizeBackward, Normalized,
};

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
