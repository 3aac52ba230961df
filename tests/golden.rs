//! Golden vectors, one operator at a time: inputs and outputs of the ONNX specification's own examples
//! (operators Conv, MaxPool, AveragePool, GlobalAveragePool, opset 18) or worked by hand.
//!
//! Reals become integers with a scale of 1 and a zero point chosen to hurt; outputs are divided by four
//! through the multiplier 2³⁰, rounding half up.

use firmware::nn::kernel::scalar;
use firmware::nn::layer::{AveragePool, Conv2d, Dense, DepthwiseConv2d, MaxPool};
use firmware::nn::requantize::Requantization;
use firmware::nn::window::Window;

/// 0.25 · 2³².
const QUARTER: i32 = 1 << 30;
/// Zero point of every input here.
const INPUT_ZERO: i8 = -7;
/// Zero point of every output here.
const OUTPUT_ZERO: i8 = 5;

fn quantized(reals: impl IntoIterator<Item = i32>) -> Vec<i8> {
    reals.into_iter().map(|real| i8::try_from(real + i32::from(INPUT_ZERO)).unwrap()).collect()
}

fn rule(multipliers: &[i32]) -> Requantization<'_> {
    Requantization { multipliers, shift: 0, zero_point: OUTPUT_ZERO, min: -128, max: 127 }
}

/// ⌊real / 4 + ½⌋ + zero point.
fn expected(reals: &[i32]) -> Vec<i8> {
    reals
        .iter()
        .map(|&real| i8::try_from((real + 2).div_euclid(4) + i32::from(OUTPUT_ZERO)).unwrap())
        .collect()
}

fn window(size: [usize; 2], kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Window {
    Window::new(size, kernel, strides, pads).unwrap()
}

/// A convolution of one channel with a 3×3 kernel of ones.
fn conv_of_ones(window: Window, reals: &[i32]) -> Vec<i8> {
    let fold = -i32::from(INPUT_ZERO) * 9;
    let layer = Conv2d {
        window,
        in_channels: 1,
        out_channels: 1,
        weights: &[1; 9],
        bias: &[fold],
        input_zero_point: INPUT_ZERO,
        requantization: rule(&[QUARTER]),
    };
    let mut output = vec![0; window.out_pixels()];
    scalar::conv2d(&layer, &quantized(reals.iter().copied()), &mut output);
    output
}

#[test]
fn conv2d_with_padding_gives_the_specification_s_sums() {
    let x: Vec<i32> = (0..25).collect();
    let padded = conv_of_ones(window([5, 5], [3, 3], [1, 1], [1; 4]), &x);
    #[rustfmt::skip]
    let sums = [12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84];
    assert_eq!(padded, expected(&sums));
    let valid = conv_of_ones(window([5, 5], [3, 3], [1, 1], [0; 4]), &x);
    assert_eq!(valid, expected(&[54, 63, 72, 99, 108, 117, 144, 153, 162]));
}

#[test]
fn conv2d_with_strides_gives_the_specification_s_sums() {
    let x: Vec<i32> = (0..35).collect();
    let padded = conv_of_ones(window([7, 5], [3, 3], [2, 2], [1; 4]), &x);
    assert_eq!(padded, expected(&[12, 27, 24, 63, 108, 81, 123, 198, 141, 112, 177, 124]));
    let valid = conv_of_ones(window([7, 5], [3, 3], [2, 2], [0; 4]), &x);
    assert_eq!(valid, expected(&[54, 72, 144, 162, 234, 252]));
    let asymmetric = conv_of_ones(window([7, 5], [3, 3], [2, 2], [1, 0, 1, 0]), &x);
    assert_eq!(asymmetric, expected(&[21, 33, 99, 117, 189, 207, 171, 183]));
}

#[test]
fn conv2d_pads_with_zero_point_not_zero() {
    // An image of real zeros stays zero at the borders too, whatever its zero point.
    let output = conv_of_ones(window([3, 3], [3, 3], [1, 1], [1; 4]), &[0; 9]);
    assert_eq!(output, [OUTPUT_ZERO; 9]);
}

#[test]
fn conv2d_keeps_channels_apart() {
    // Two pixels of two channels; o0 = x0 − 2·x1 + 4, o1 = 3·x1 − 8, worked by hand.
    let layer = Conv2d {
        window: window([1, 2], [1, 1], [1, 1], [0; 4]),
        in_channels: 2,
        out_channels: 2,
        weights: &[1, -2, 0, 3],
        bias: &[4 + i32::from(INPUT_ZERO), -8 - i32::from(INPUT_ZERO) * 3],
        input_zero_point: INPUT_ZERO,
        requantization: rule(&[QUARTER, QUARTER]),
    };
    let mut output = [0; 4];
    scalar::conv2d(&layer, &quantized([10, 3, -20, 8]), &mut output);
    assert_eq!(output[..], expected(&[10 - 6 + 4, 9 - 8, -20 - 16 + 4, 24 - 8]));
}

#[test]
fn depthwise_conv2d_gives_every_channel_its_own_kernel() {
    // Channel 0 sums a 1×2 window, channel 1 takes differences; worked by hand.
    let fold = |sum: i32| -i32::from(INPUT_ZERO) * sum;
    let layer = DepthwiseConv2d {
        window: window([1, 3], [1, 2], [1, 1], [0, 0, 0, 1]),
        channels: 2,
        weights: &[1, 1, 1, -1],
        bias: &[fold(2), fold(0)],
        input_zero_point: INPUT_ZERO,
        requantization: rule(&[QUARTER, QUARTER]),
    };
    let mut output = [0; 6];
    scalar::depthwise_conv2d(&layer, &quantized([10, 1, 20, 5, 30, 9]), &mut output);
    assert_eq!(output[..], expected(&[30, -4, 50, -4, 30, 9]));
}

#[test]
fn dense_multiplies_a_row_an_output() {
    let fold = |sum: i32| -i32::from(INPUT_ZERO) * sum;
    let layer = Dense {
        in_features: 3,
        out_features: 2,
        weights: &[1, 2, 3, -1, 0, 127],
        bias: &[fold(6) + 10, fold(126) - 1_000],
        requantization: rule(&[QUARTER, QUARTER]),
    };
    let input = quantized([4, -5, 6]);
    let mut output = [0; 2];
    scalar::dense(&layer, &input, &mut output);
    assert_eq!(output[..], expected(&[4 - 10 + 18 + 10, -4 + 762 - 1_000]));
    let mut logits = [0; 2];
    scalar::dense_logits(&layer, &input, &mut logits);
    assert_eq!(logits, [22, -242]);
}

#[test]
fn max_pool_gives_the_specification_s_maxima() {
    let x = quantized(1..=25);
    let pool = |window: Window| {
        let mut output = vec![0; window.out_pixels()];
        scalar::max_pool(&MaxPool { window, channels: 1 }, &x, &mut output);
        output
    };
    #[rustfmt::skip]
    let padded = [13, 14, 15, 15, 15, 18, 19, 20, 20, 20, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25];
    assert_eq!(pool(window([5, 5], [5, 5], [1, 1], [2; 4])), quantized(padded));
    assert_eq!(pool(window([5, 5], [2, 2], [2, 2], [0; 4])), quantized([7, 9, 17, 19]));
}

#[test]
fn average_pool_does_not_count_padding() {
    // The specification's averagepool_2d_precomputed_pads, doubled: its means are multiples of ½.
    let taps_window = window([5, 5], [5, 5], [1, 1], [2; 4]);
    // multipliers[k]: windows with k taps in the padding; 2 / count.
    let multipliers: Vec<i32> =
        (0..=16).map(|padding| (2.0 / f64::from(25 - padding) * 4_294_967_296.0 + 0.5) as i32).collect();
    let layer = AveragePool {
        window: taps_window,
        channels: 1,
        input_zero_point: INPUT_ZERO,
        requantization: rule(&multipliers),
    };
    let mut output = [0; 25];
    scalar::average_pool(&layer, &quantized(1..=25), &mut output);
    #[rustfmt::skip]
    let doubled = [14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38];
    assert_eq!(output, doubled.map(|mean: i8| mean + OUTPUT_ZERO));
}

#[test]
fn global_average_pool_is_one_window_over_the_plane() {
    // The specification's globalaveragepool_precomputed: the mean of 1..=9 is 5, here times 1/4 · 9/9.
    let layer = AveragePool {
        window: window([3, 3], [3, 3], [1, 1], [0; 4]),
        channels: 2,
        input_zero_point: INPUT_ZERO,
        requantization: rule(&[(4_294_967_296.0f64 / 9.0 / 4.0 + 0.5) as i32]),
    };
    let two_channels = (1..=9).flat_map(|value| [value, -4 * value]);
    let mut output = [0; 2];
    scalar::average_pool(&layer, &quantized(two_channels), &mut output);
    assert_eq!(output[..], expected(&[5, -20]));
}

#[test]
fn relu_and_relu6_are_the_clamp() {
    let layer = |min, max| Dense {
        in_features: 1,
        out_features: 3,
        weights: &[-100, 1, 100],
        bias: &[0, 0, 0],
        requantization: Requantization { multipliers: &[QUARTER; 3], shift: 0, zero_point: -10, min, max },
    };
    let mut output = [0; 3];
    scalar::dense(&layer(-10, 127), &[8], &mut output);
    assert_eq!(output, [-10, -8, 127]);
    scalar::dense(&layer(-10, 50), &[8], &mut output);
    assert_eq!(output, [-10, -8, 50]);
}
