//! Packed kernels ≡ reference kernels, byte for byte: random shapes, strides, paddings and extreme values,
//! each layer with its output as close below its input as its overlap allows, in memory full of garbage.

use firmware::nn::kernel::packed::chain::ChainConv;
use firmware::nn::kernel::packed::conv::PackedConv;
use firmware::nn::kernel::packed::dense::PackedDense;
use firmware::nn::kernel::packed::plane::PlaneConv;
use firmware::nn::kernel::packed::winograd::WinogradConv;
use firmware::nn::kernel::packed::{Memory, Output, pool};
use firmware::nn::kernel::routines::Packing;
use firmware::nn::layer::{AveragePool, Conv2d, Dense, DepthwiseConv2d, Layer, MaxPool};
use firmware::nn::plan::{Operator, Overlap, Step};
use firmware::nn::requantize::{Requantization, multiplier_from_real};
use firmware::nn::window::Window;
use host::plan::pack;
use proptest::prelude::*;
use proptest::sample::select;

fn activation() -> impl Strategy<Value = i8> {
    prop_oneof![select(vec![-128i8, -127, -1, 0, 1, 127]), any::<i8>()]
}

fn weight() -> impl Strategy<Value = i8> {
    prop_oneof![select(vec![-128i8, -127, 0, 127]), any::<i8>()]
}

fn packing() -> impl Strategy<Value = Packing> {
    select(vec![Packing::Nibble, Packing::Paired, Packing::Wide])
}

/// Scales weights down to what the packing holds, its extremes included.
fn fitting(weights: Vec<i8>, packing: Packing) -> Vec<i8> {
    match packing {
        Packing::Nibble => weights.into_iter().map(|w| if w < -120 { -8 } else { w / 16 }).collect(),
        Packing::Paired => weights.into_iter().map(|w| w.max(-127)).collect(),
        Packing::Wide => weights,
    }
}

/// Values that a layer needs, cut from pools of random ones.
#[derive(Debug, Clone)]
struct Values {
    activations: Vec<i8>,
    weights: Vec<i8>,
    input_zero_point: i8,
    zero_point: i8,
    clamp: (i8, i8),
    real: f64,
}

impl Values {
    fn input(&self, count: usize) -> Vec<i8> {
        (0..count).map(|at| self.activations[at * 7 % self.activations.len()]).collect()
    }

    fn weights(&self, count: usize) -> Vec<i8> {
        (0..count).map(|at| self.weights[(at * 5 + 3) % self.weights.len()]).collect()
    }

    fn bias(&self, count: usize) -> Vec<i32> {
        (0..count).map(|at| 977 * at as i32 - 1_500).collect()
    }

    /// A multiplier a channel, each another.
    fn multipliers(&self, count: usize) -> Vec<i32> {
        (0..count).map(|at| multiplier_from_real(self.real / (1 + at) as f64).unwrap()).collect()
    }

    fn rule<'a>(&self, multipliers: &'a [i32]) -> Requantization<'a> {
        Requantization {
            multipliers,
            shift: 0,
            zero_point: self.zero_point,
            min: self.clamp.0,
            max: self.clamp.1,
        }
    }

    fn output(&self) -> Output {
        Output { zero_point: self.zero_point, min: self.clamp.0, max: self.clamp.1 }
    }
}

prop_compose! {
    fn values()(
        activations in proptest::collection::vec(activation(), 97),
        weights in proptest::collection::vec(weight(), 89),
        input_zero_point in activation(),
        zero_point in activation(),
        clamp in select(vec![(-128i8, 127i8), (-128, 40), (-20, 127), (3, 3)]),
        real in 1e-5..0.4f64,
    ) -> Values {
        Values { activations, weights, input_zero_point, zero_point, clamp, real }
    }
}

fn square(
    sides: Vec<usize>,
    kernels: Vec<usize>,
    strides: Vec<usize>,
    pad: usize,
) -> impl Strategy<Value = Window> {
    let sizes = (select(sides.clone()), select(sides), select(kernels.clone()), select(kernels));
    let moves = (select(strides.clone()), select(strides), proptest::array::uniform4(0..=pad));
    (sizes, moves).prop_filter_map("the kernel is larger than the padded input", |(sizes, moves)| {
        let ((height, width, kernel_y, kernel_x), (stride_y, stride_x, pads)) = (sizes, moves);
        Window::new([height, width], [kernel_y, kernel_x], [stride_y, stride_x], pads)
    })
}

/// Runs an operator in an arena as small as it may be, full of garbage; returns its output.
fn run(operator: Operator<'_>, input: &[i8]) -> Vec<i8> {
    assert!(operator.is_consistent(), "{operator:?}");
    let below = match operator.overlap() {
        Overlap::Below(bytes) => bytes,
        Overlap::InPlace | Overlap::InPlaceOrApart | Overlap::Free => 0,
    };
    run_below(operator, input, below)
}

/// The same with the output so many bytes below the input.
fn run_below(operator: Operator<'_>, input: &[i8], below: usize) -> Vec<i8> {
    let length = operator.output_len();
    let scratch = (below + input.len()).max(length).div_ceil(4);
    let mut arena = vec![0x5a5a_5a5a; scratch + operator.scratch()];
    let activations = firmware::bytes::of_words_mut(&mut arena);
    activations[below..below + input.len()].copy_from_slice(input);
    let step = Step { operator, input: below, output: 0, scratch };
    step.run(&[0; 784], &mut arena, &mut [0; 10]);
    firmware::bytes::of_words(&arena)[..length].to_vec()
}

/// What the reference makes of the layer, maximum pooled if asked for.
fn reference(layer: Layer<'_>, input: &[i8], pool: Option<MaxPool>) -> Vec<i8> {
    let mut output = vec![0; layer.output_len()];
    layer.run(input, &[], &mut output);
    let Some(pool) = pool else { return output };
    let pool = Layer::MaxPool(pool);
    let mut pooled = vec![0; pool.output_len()];
    pool.run(&output, &[], &mut pooled);
    pooled
}

/// 2×2 maximum pooling behind a convolution, where its output is large enough.
fn halving(window: &Window, channels: usize) -> Option<MaxPool> {
    let window = Window::new([window.out_height, window.out_width], [2, 2], [2, 2], [0; 4])?;
    Some(MaxPool { window, channels })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn packed_conv_is_the_reference(
        window in square(vec![1, 2, 3, 4, 5, 7, 8], vec![1, 2, 3, 5], vec![1, 2, 3], 2),
        in_channels in select(vec![4usize, 8, 12]),
        out_channels in select(vec![4usize, 8, 12]),
        packing in packing(),
        pooled: bool,
        values in values(),
    ) {
        let input = values.input(window.in_pixels() * in_channels);
        let weights = fitting(values.weights(out_channels * window.taps() * in_channels), packing);
        let (bias, multipliers) = (values.bias(out_channels), values.multipliers(out_channels));
        let layer = Conv2d {
            window, in_channels, out_channels, weights: &weights, bias: &bias,
            input_zero_point: values.input_zero_point, requantization: values.rule(&multipliers),
        };
        let pool = halving(&window, out_channels).filter(|_| pooled);
        let constants = pack::conv(&layer, packing).unwrap();
        let operator = Operator::Conv(PackedConv {
            window, in_channels, out_channels, packing, constants: &constants,
            input_zero_point: values.input_zero_point, output: values.output(), pool: pool.is_some(),
        });
        prop_assert_eq!(run(operator, &input), reference(Layer::Conv2d(layer), &input, pool));
    }

    #[test]
    fn winograd_is_the_reference(
        window in square(vec![1, 2, 3, 4, 5, 6, 7, 9, 13], vec![3], vec![1], 1),
        in_channels in select(vec![4usize, 8, 12]),
        out_channels in select(vec![4usize, 8]),
        tile in select(vec![2usize, 4]),
        values in values(),
    ) {
        let input = values.input(window.in_pixels() * in_channels);
        let weights = values.weights(out_channels * 9 * in_channels);
        let (bias, multipliers) = (values.bias(out_channels), values.multipliers(out_channels));
        let layer = Conv2d {
            window, in_channels, out_channels, weights: &weights, bias: &bias,
            input_zero_point: values.input_zero_point, requantization: values.rule(&multipliers),
        };
        let constants = pack::winograd(&layer, tile).unwrap();
        let operator = Operator::Winograd(WinogradConv {
            window, in_channels, out_channels, tile, constants: &constants,
            input_zero_point: values.input_zero_point, output: values.output(),
        });
        prop_assert_eq!(run(operator, &input), reference(Layer::Conv2d(layer), &input, None));
    }

    #[test]
    fn image_conv_is_the_reference(
        window in square(vec![3, 4, 8, 12, 16, 28, 36, 64, 68, 124], vec![3], vec![1, 2], 1)
            .prop_filter("rows are whole words, strides equal, two columns of outputs", |window| {
                window.in_width.is_multiple_of(4) && window.stride_x == window.stride_y && window.out_width > 1
            }),
        channels in select(vec![1usize, 3, 4, 7]),
        pooled: bool,
        values in values(),
    ) {
        let input = values.input(window.in_pixels());
        let weights = values.weights(9 * channels);
        let (bias, multipliers) = (values.bias(channels), values.multipliers(channels));
        let layer = Conv2d {
            window, in_channels: 1, out_channels: channels, weights: &weights, bias: &bias,
            input_zero_point: values.input_zero_point, requantization: values.rule(&multipliers),
        };
        let pool = halving(&window, channels).filter(|_| pooled && window.stride_x == 1 && window.out_width > 3);
        let constants = pack::image(&layer).unwrap();
        let mut packed = PlaneConv {
            window, channels, constants: &constants, input_zero_point: values.input_zero_point,
            output: values.output(), pool: pool.is_some(), pitch: 0,
        };
        packed.pitch = packed.fitting_pitch();
        prop_assert!(packed.fits_image(), "{:?}", packed);
        let mut output = vec![0x5a; packed.output_len()];
        let mut scratch = vec![0x5a5a_5a5a; packed.image_scratch()];
        packed.run_image(&input, Memory { activations: &mut output, input: 0, output: 0, scratch: &mut scratch });
        prop_assert_eq!(output, reference(Layer::Conv2d(layer), &input, pool));
    }

    #[test]
    fn chains_are_both_references_in_turn(
        first in square(vec![4, 8, 12, 16], vec![3], vec![1, 2], 1)
            .prop_filter("strides equal, two columns of outputs", |window| {
                window.stride_x == window.stride_y && window.out_width > 3 && window.out_height > 3
            }),
        (kernel_y, kernel_x) in (1..=3usize, 1..=3usize),
        strides in proptest::array::uniform2(1..=3usize),
        pads in proptest::array::uniform4(0..=2usize),
        pooled: bool,
        packing in packing(),
        values in values(),
    ) {
        let (middle, out_channels) = (8, 4);
        let pool = halving(&first, middle).filter(|pool| pooled && first.stride_x == 1 && pool.window.out_width > 1);
        let size = pool.map_or([first.out_height, first.out_width], |pool| {
            [pool.window.out_height, pool.window.out_width]
        });
        let second = Window::new(size, [kernel_y, kernel_x], strides, pads);
        prop_assume!(kernel_y <= size[0] && second.is_some());
        let window = second.unwrap();
        let image = values.input(first.in_pixels());
        let weights = values.weights(9 * middle);
        let more = fitting(values.weights(out_channels * window.taps() * middle), packing);
        let (bias, multipliers) = (values.bias(middle), values.multipliers(middle));
        let one = Conv2d {
            window: first, in_channels: 1, out_channels: middle, weights: &weights, bias: &bias,
            input_zero_point: values.input_zero_point, requantization: values.rule(&multipliers),
        };
        let two = Conv2d {
            window, in_channels: middle, out_channels, weights: &more, input_zero_point: values.zero_point, ..one
        };
        let (first_constants, constants) = (pack::image(&one).unwrap(), pack::conv(&two, packing).unwrap());
        let mut plane = PlaneConv {
            window: first, channels: middle, constants: &first_constants,
            input_zero_point: values.input_zero_point, output: values.output(), pool: pool.is_some(), pitch: 0,
        };
        plane.pitch = plane.fitting_pitch();
        let chain = ChainConv {
            first: plane,
            second: PackedConv {
                window, in_channels: middle, out_channels, packing, constants: &constants,
                input_zero_point: values.zero_point, output: values.output(), pool: false,
            },
        };
        prop_assert!(chain.is_consistent(), "{:?}", chain);
        let buffer = chain.second.output_len();
        let mut activations = vec![0x5a; buffer + chain.buffer_len()];
        let mut scratch = vec![0x5a5a_5a5a; chain.scratch()];
        chain.run(&image, Memory { activations: &mut activations, input: buffer, output: 0, scratch: &mut scratch });
        let between = reference(Layer::Conv2d(one), &image, pool);
        activations.truncate(buffer);
        prop_assert_eq!(activations, reference(Layer::Conv2d(two), &between, None));
    }

    #[test]
    fn depthwise_in_place_is_the_reference(
        window in square(vec![2, 3, 4, 5, 7, 8, 14, 15, 28, 33, 48, 66, 126], vec![3], vec![1, 2], 1)
            .prop_filter("strides equal, two columns of outputs, no more outputs than inputs", |window| {
                window.stride_x == window.stride_y && window.out_width > 1
                    && window.in_width >= 2 + window.pad_left && window.out_pixels() <= window.in_pixels()
                    && (window.in_width < 33 || window.out_width <= window.in_width)
            }),
        channels in select(vec![4usize, 8, 12]),
        values in values(),
    ) {
        let input = values.input(window.in_pixels() * channels);
        let weights = values.weights(9 * channels);
        let (bias, multipliers) = (values.bias(channels), values.multipliers(channels));
        let layer = DepthwiseConv2d {
            window, channels, weights: &weights, bias: &bias,
            input_zero_point: values.input_zero_point, requantization: values.rule(&multipliers),
        };
        let constants = pack::depthwise(&layer).unwrap();
        let mut packed = PlaneConv {
            window, channels, constants: &constants, input_zero_point: values.input_zero_point,
            output: values.output(), pool: false, pitch: 0,
        };
        packed.pitch = packed.fitting_pitch();
        let expected = reference(Layer::DepthwiseConv2d(layer), &input, None);
        let apart = packed.output_len();
        prop_assert_eq!(run_below(Operator::Depthwise(packed), &input, apart), expected.clone());
        prop_assert_eq!(run(Operator::Depthwise(packed), &input), expected);
    }

    #[test]
    fn packed_dense_is_the_reference(
        in_features in select(vec![4usize, 8, 12, 508, 512, 516, 1_028]),
        out_features in select(vec![1usize, 2, 7, 8, 10, 17]),
        values in values(),
    ) {
        let input = values.input(in_features);
        let weights = fitting(values.weights(in_features * out_features), Packing::Paired);
        let (bias, multipliers) = (values.bias(out_features), values.multipliers(out_features));
        let layer = Dense {
            in_features, out_features, weights: &weights, bias: &bias, requantization: values.rule(&multipliers),
        };
        let constants = pack::dense(&layer, false).unwrap();
        let packed = PackedDense { in_features, out_features, constants: &constants, output: Some(values.output()) };
        prop_assert_eq!(run(Operator::Dense(packed), &input), reference(Layer::Dense(layer), &input, None));
        let constants = pack::dense(&layer, true).unwrap();
        let (mut ours, mut theirs) = (vec![0; out_features], vec![0; out_features]);
        let packed = PackedDense { in_features, out_features, constants: &constants, output: None };
        packed.run_logits(&input, &mut ours);
        layer.run_logits(&input, &mut theirs);
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn packed_pools_are_the_reference(
        window in square(vec![1, 2, 3, 5, 7, 8], vec![1, 2, 3, 7], vec![1, 2, 3], 2),
        channels in select(vec![4usize, 8, 12]),
        values in values(),
    ) {
        let input = values.input(window.in_pixels() * channels);
        let multipliers = values.multipliers(window.taps());
        let highest = MaxPool { window, channels };
        let mean = AveragePool {
            window, channels, input_zero_point: values.input_zero_point, requantization: values.rule(&multipliers),
        };
        prop_assert!(pool::fits(channels, window.taps()));
        prop_assert_eq!(run(Operator::MaxPool(highest), &input), reference(Layer::MaxPool(highest), &input, None));
        let expected = reference(Layer::AveragePool(mean), &input, None);
        prop_assert_eq!(run(Operator::AveragePool(mean), &input), expected);
    }
}

#[test]
fn sums_at_their_bounds_stay_exact() {
    // 512 inputs of −128 by weights of ±127: the largest sum of a chunk of paired weights.
    let (in_features, out_features) = (512, 8);
    let weights: Vec<i8> =
        (0..in_features * out_features).map(|at| if at % 1_024 < 512 { -127 } else { 127 }).collect();
    let rule = Requantization { multipliers: &[], shift: 0, zero_point: 0, min: -128, max: 127 };
    let bias = [0; 8];
    let layer = Dense { in_features, out_features, weights: &weights, bias: &bias, requantization: rule };
    let constants = pack::dense(&layer, true).unwrap();
    let mut logits = [0; 8];
    PackedDense { in_features, out_features, constants: &constants, output: None }
        .run_logits(&[-128; 512], &mut logits);
    assert_eq!(logits.map(i32::abs), [512 * 128 * 127; 8]);
    assert_eq!((logits[0] > 0, logits[1] > 0), (true, false));
}

#[test]
fn weights_beyond_a_kernel_s_bound_are_refused_by_it() {
    let window = Window::new([7, 7], [7, 7], [1, 1], [0; 4]).unwrap();
    let weights = vec![127; 4 * 49 * 12];
    let multipliers = [1 << 20; 4];
    let rule = Requantization { multipliers: &multipliers, shift: 0, zero_point: 0, min: -128, max: 127 };
    let mut layer = Conv2d {
        window,
        in_channels: 12,
        out_channels: 4,
        weights: &weights,
        bias: &[0; 4],
        input_zero_point: 0,
        requantization: rule,
    };
    // 588 · 128 · 127 ≥ 2²³: paired weights could overflow, wide ones cannot.
    assert!(pack::conv(&layer, Packing::Paired).is_none() && pack::conv(&layer, Packing::Wide).is_some());
    let half = vec![63; 4 * 49 * 12];
    layer.weights = &half;
    assert!(pack::conv(&layer, Packing::Paired).is_some());
    assert!(pack::conv(&layer, Packing::Nibble).is_none(), "63 is no nibble");
    layer.bias = &[1 << 22, 0, 0, 0];
    assert!(pack::conv(&layer, Packing::Paired).is_none());
    // 588 · 128 · 7 ≥ 2¹⁹, of 6 less.
    let (seven, six) = (vec![7; 4 * 49 * 12], vec![6; 4 * 49 * 12]);
    let nibbles = |weights, bias| pack::conv(&Conv2d { weights, bias, ..layer }, Packing::Nibble).is_some();
    assert!(!nibbles(&seven, &[0; 4]) && nibbles(&six, &[0; 4]) && !nibbles(&six, &[0, 0, 1 << 17, 0]));
    let three = Window::new([3, 3], [3, 3], [1, 1], [0; 4]).unwrap();
    let layer = Conv2d { window: three, in_channels: 4, weights: &half[..144], bias: &[1 << 25; 4], ..layer };
    assert!(pack::winograd(&layer, 2).is_none() && pack::winograd(&layer, 4).is_none());
}
