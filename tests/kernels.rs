//! Kernels against the formulas written out tap by tap in 64 bits, over random shapes and extreme values.

use firmware::nn::kernel::scalar;
use firmware::nn::layer::{AveragePool, Conv2d, Dense, DepthwiseConv2d, MaxPool};
use firmware::nn::requantize::{Requantization, multiplier_from_real, requantize};
use firmware::nn::window::Window;
use proptest::prelude::*;
use proptest::sample::select;

/// Values that break kernels: the extremes, zero and its neighbours, anything.
fn activation() -> impl Strategy<Value = i8> {
    prop_oneof![select(vec![-128i8, -127, -1, 0, 1, 127]), any::<i8>()]
}

fn weight() -> impl Strategy<Value = i8> {
    prop_oneof![select(vec![-127i8, 0, 127]), -127..=127i8]
}

fn windows() -> impl Strategy<Value = Window> {
    let size = || select(vec![1usize, 2, 3, 4, 5, 7]);
    let sizes = (size(), size(), 1..=4usize, 1..=4usize);
    let moves = (1..=3usize, 1..=3usize, proptest::array::uniform4(0..=2usize));
    (sizes, moves).prop_filter_map("the kernel is larger than the padded input", |(sizes, moves)| {
        let ((height, width, kernel_y, kernel_x), (stride_y, stride_x, pads)) = (sizes, moves);
        Window::new([height, width], [kernel_y, kernel_x], [stride_y, stride_x], pads)
    })
}

/// Input value under tap `(ky, kx)` of output `(y, x)`; `None` in the padding.
fn under(window: &Window, channels: usize, input: &[i8], at: [usize; 5]) -> Option<i64> {
    let [y, x, ky, kx, channel] = at;
    let row = (y * window.stride_y + ky).checked_sub(window.pad_top).filter(|&row| row < window.in_height)?;
    let column = (x * window.stride_x + kx).checked_sub(window.pad_left).filter(|&c| c < window.in_width)?;
    Some(i64::from(input[(row * window.in_width + column) * channels + channel]))
}

fn taps(window: &Window) -> impl Iterator<Item = (usize, usize)> + use<> {
    let width = window.kernel_width;
    (0..window.taps()).map(move |tap| (tap / width, tap % width))
}

/// Random bytes of the right count, cut from a pool.
fn cut<T: Copy>(pool: &[T], count: usize, offset: usize) -> Vec<T> {
    (0..count).map(|index| pool[(index * 7 + offset) % pool.len()]).collect()
}

fn rule(multipliers: &[i32], zero_point: i8) -> Requantization<'_> {
    Requantization { multipliers, shift: 0, zero_point, min: -128, max: 127 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn conv2d_is_its_formula(
        window in windows(),
        in_channels in select(vec![1usize, 3, 4, 5]),
        out_channels in select(vec![1usize, 2, 4, 5]),
        pool in proptest::collection::vec(activation(), 97),
        weight_pool in proptest::collection::vec(weight(), 89),
        zero_point in activation(),
        real in 1e-5..0.4f64,
    ) {
        let input = cut(&pool, window.in_pixels() * in_channels, 0);
        let weights = cut(&weight_pool, out_channels * window.taps() * in_channels, 3);
        let bias: Vec<i32> = (0..out_channels).map(|o| 977 * o as i32 - 1_500).collect();
        let multiplier = multiplier_from_real(real).unwrap();
        let multipliers = vec![multiplier; out_channels];
        let layer = Conv2d {
            window, in_channels, out_channels, weights: &weights, bias: &bias,
            input_zero_point: zero_point, requantization: rule(&multipliers, -3),
        };
        let mut output = vec![0; window.out_pixels() * out_channels];
        scalar::conv2d(&layer, &input, &mut output);
        for (index, &y_q) in output.iter().enumerate() {
            let (pixel, o) = (index / out_channels, index % out_channels);
            let (y, x) = (pixel / window.out_width, pixel % window.out_width);
            let mut acc = i64::from(bias[o]);
            for (tap, (ky, kx)) in taps(&window).enumerate() {
                for channel in 0..in_channels {
                    let value = under(&window, in_channels, &input, [y, x, ky, kx, channel]);
                    let w = weights[(o * window.taps() + tap) * in_channels + channel];
                    acc += value.unwrap_or(i64::from(zero_point)) * i64::from(w);
                }
            }
            let expected = requantize(i32::try_from(acc).unwrap(), multiplier, -3, -128, 127);
            prop_assert_eq!(y_q, expected, "output {}", index);
        }
    }

    #[test]
    fn depthwise_conv2d_is_its_formula(
        window in windows(),
        channels in select(vec![1usize, 3, 4, 5]),
        pool in proptest::collection::vec(activation(), 97),
        weight_pool in proptest::collection::vec(weight(), 89),
        zero_point in activation(),
    ) {
        let input = cut(&pool, window.in_pixels() * channels, 1);
        let weights = cut(&weight_pool, window.taps() * channels, 5);
        let bias: Vec<i32> = (0..channels).map(|c| 300 - 211 * c as i32).collect();
        let multipliers = vec![1 << 26; channels];
        let layer = DepthwiseConv2d {
            window, channels, weights: &weights, bias: &bias,
            input_zero_point: zero_point, requantization: rule(&multipliers, 9),
        };
        let mut output = vec![0; window.out_pixels() * channels];
        scalar::depthwise_conv2d(&layer, &input, &mut output);
        for (index, &y_q) in output.iter().enumerate() {
            let (pixel, c) = (index / channels, index % channels);
            let (y, x) = (pixel / window.out_width, pixel % window.out_width);
            let acc: i64 = taps(&window).enumerate().map(|(tap, (ky, kx))| {
                let value = under(&window, channels, &input, [y, x, ky, kx, c]);
                value.unwrap_or(i64::from(zero_point)) * i64::from(weights[tap * channels + c])
            }).sum();
            let expected = requantize((acc + i64::from(bias[c])) as i32, 1 << 26, 9, -128, 127);
            prop_assert_eq!(y_q, expected, "output {}", index);
        }
    }

    #[test]
    fn pools_are_their_formulas(
        window in windows(),
        channels in select(vec![1usize, 3, 4, 5]),
        pool in proptest::collection::vec(activation(), 97),
        zero_point in activation(),
    ) {
        let input = cut(&pool, window.in_pixels() * channels, 2);
        let multipliers: Vec<i32> =
            (0..window.taps()).map(|padding| multiplier_from_real(0.49 / (window.taps() - padding) as f64).unwrap()).collect();
        let average = AveragePool { window, channels, input_zero_point: zero_point, requantization: rule(&multipliers, 2) };
        let (mut maxima, mut means) = (vec![0; window.out_pixels() * channels], vec![0; window.out_pixels() * channels]);
        scalar::max_pool(&MaxPool { window, channels }, &input, &mut maxima);
        scalar::average_pool(&average, &input, &mut means);
        for index in 0..maxima.len() {
            let (pixel, c) = (index / channels, index % channels);
            let (y, x) = (pixel / window.out_width, pixel % window.out_width);
            let inside: Vec<i64> =
                taps(&window).filter_map(|(ky, kx)| under(&window, channels, &input, [y, x, ky, kx, c])).collect();
            let highest = inside.iter().copied().max().unwrap_or(-128);
            prop_assert_eq!(i64::from(maxima[index]), highest, "maximum {}", index);
            let acc: i64 = inside.iter().map(|value| value - i64::from(zero_point)).sum();
            let multiplier = multipliers.get(window.taps() - inside.len()).copied().unwrap_or(0);
            prop_assert_eq!(means[index], requantize(acc as i32, multiplier, 2, -128, 127), "mean {}", index);
        }
    }

    #[test]
    fn dense_is_its_formula(
        in_features in select(vec![1usize, 2, 3, 4, 5, 31]),
        out_features in select(vec![1usize, 3, 4, 10]),
        pool in proptest::collection::vec(activation(), 97),
        weight_pool in proptest::collection::vec(weight(), 89),
    ) {
        let input = cut(&pool, in_features, 4);
        let weights = cut(&weight_pool, in_features * out_features, 1);
        let bias: Vec<i32> = (0..out_features).map(|o| -70 * o as i32).collect();
        let multipliers = vec![1 << 24; out_features];
        let layer = Dense { in_features, out_features, weights: &weights, bias: &bias, requantization: rule(&multipliers, -128) };
        let (mut output, mut logits) = (vec![0; out_features], vec![0; out_features]);
        scalar::dense(&layer, &input, &mut output);
        scalar::dense_logits(&layer, &input, &mut logits);
        for o in 0..out_features {
            let row = &weights[o * in_features..][..in_features];
            let acc: i32 = bias[o] + row.iter().zip(&input).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum::<i32>();
            prop_assert_eq!(logits[o], acc);
            prop_assert_eq!(output[o], requantize(acc, 1 << 24, -128, -128, 127));
        }
    }
}

#[test]
fn too_short_slices_end_early_and_never_panic() {
    let window = Window::new([4, 4], [3, 3], [1, 1], [1; 4]).unwrap();
    let layer = Conv2d {
        window,
        in_channels: 2,
        out_channels: 2,
        weights: &[1; 36],
        bias: &[0; 2],
        input_zero_point: 0,
        requantization: rule(&[1 << 20; 2], 0),
    };
    for (inputs, outputs) in [(0, 32), (7, 32), (32, 0), (32, 5), (0, 0)] {
        scalar::conv2d(&layer, &vec![1; inputs], &mut vec![0; outputs]);
        scalar::max_pool(&MaxPool { window, channels: 2 }, &vec![1; inputs], &mut vec![0; outputs]);
    }
}
