//! The rounding of quantization-aware training, with a learned step.

use rayon::prelude::*;

use super::{LANES, RUN, lanes, lanes_mut};

/// Largest step count of a quantized activation: 256 values from zero on.
const HIGHEST_STEP: f32 = 255.0;

/// Rounds to the int8 grid that the chip stores: `clamp(⌊x / step + ½⌋, 0, 255) · step`.
///
/// The rule of [`firmware::nn::requantize`], for outputs of a ReLU.
pub fn fake_quantize(values: &[f32], step: f32) -> Vec<f32> {
    let mut output = vec![0.0; values.len()];
    output.par_chunks_mut(RUN).zip(values.par_chunks(RUN)).for_each(|(to, from)| {
        round_run(to, from, step);
    });
    output
}

vectorized! {
    fn round_run<'a>(output: &'a mut [f32], values: &'a [f32], step: f32) -> () {
        for (to, &x) in output.iter_mut().zip(values) {
            *to = (x / step + 0.5).floor().clamp(0.0, HIGHEST_STEP) * step;
        }
    }
}

/// Straight-through gradient of [`fake_quantize`] for its input, and its gradient for ln(step).
///
/// Learned step size quantization (Esser et al., 2020): inside the range d(x̂)/d(step) is
/// ⌊x/step + ½⌋ − x/step, above it 255; times `step` for the logarithm.
pub fn fake_quantize_backward(values: &[f32], step: f32, gradient: &[f32]) -> (Vec<f32>, f32) {
    let mut output = vec![0.0; values.len()];
    let tasks = output.par_chunks_mut(RUN).zip(values.par_chunks(RUN));
    let sums: Vec<f64> = tasks
        .zip(gradient.par_chunks(RUN))
        .map(|((to, values), gradient)| round_run_backward(to, values, step, gradient))
        .collect();
    (output, (sums.iter().sum::<f64>() * f64::from(step)) as f32)
}

vectorized! {
    fn round_run_backward<'a>(
        output: &'a mut [f32],
        values: &'a [f32],
        step: f32,
        gradient: &'a [f32],
    ) -> f64 {
        let mut sums = [0.0f32; LANES];
        for ((to, x), g) in lanes_mut(output).iter_mut().zip(lanes(values)).zip(lanes(gradient)) {
            for l in 0..LANES {
                let steps = x[l] / step;
                let above = steps > HIGHEST_STEP;
                let inside = (steps >= 0.0) & !above;
                to[l] = if inside { g[l] } else { 0.0 };
                let slope = if above { HIGHEST_STEP } else { (steps + 0.5).floor() - steps };
                sums[l] += if steps >= 0.0 { g[l] * slope } else { 0.0 };
            }
        }
        sums.iter().map(|&sum| f64::from(sum)).sum()
    }
}
