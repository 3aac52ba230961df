//! THE rounding rule: how an i32 accumulator becomes an i8 activation.
//!
//! ```text
//! y_q = clamp(zero_point + ⌊(acc · multiplier + 2³¹) / 2³²⌋, min, max)
//! multiplier = round(s_in · s_w[c] / s_out · 2³²)
//! ```
//!
//! Round half up, once, in 64 bits. It is what one Armv7E-M instruction does (`SMMLAR`, with the zero
//! point as its addend), so the fast kernels need no second rule. The multiplier has no shift of its
//! own: scales of real networks give 2⁻¹³…2⁻⁵, hence 19 to 27 significant bits, and the error against
//! the real product stays below ¼ step for every i32 accumulator.
//!
//! The host's quantizer imports this file's functions; nothing else in the project rounds.

/// Multiplies, rounds, shifts and clamps one accumulator.
///
/// * `acc`: any i32.
/// * `multiplier`: `0..2³¹`, from [`multiplier_from_real`].
/// * `zero_point`: of the output, −128..=127.
/// * `min`, `max`: the output's clamp; a ReLU has `min = zero_point`.
///
/// ```
/// use firmware::nn::requantize::{multiplier_from_real, requantize};
/// let multiplier = multiplier_from_real(0.01).unwrap();
/// assert_eq!(requantize(150, multiplier, -3, -128, 127), -1); // 1.5 rounds up to 2, minus 3
/// assert_eq!(requantize(i32::MAX, multiplier, 0, -128, 127), 127);
/// ```
#[inline(always)]
pub const fn requantize(acc: i32, multiplier: i32, zero_point: i8, min: i8, max: i8) -> i8 {
    let rounded = ((acc as i64 * multiplier as i64 + (1 << 31)) >> 32) as i32;
    let shifted = rounded + zero_point as i32;
    if shifted < min as i32 {
        min
    } else if shifted > max as i32 {
        max
    } else {
        shifted as i8
    }
}

/// How the accumulators of one layer become activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requantization<'a> {
    /// `[out_channels]`, or one entry where all channels share it.
    pub multipliers: &'a [i32],
    /// Zero point of the output.
    pub zero_point: i8,
    /// Lowest output: the zero point behind a ReLU, else −128.
    pub min: i8,
    /// Highest output: 127, or the quantized 6 behind a ReLU6.
    pub max: i8,
}

impl Requantization<'_> {
    /// Requantizes an accumulator with the multiplier given.
    #[inline(always)]
    pub const fn apply(&self, acc: i32, multiplier: i32) -> i8 {
        requantize(acc, multiplier, self.zero_point, self.min, self.max)
    }
}

/// A real factor that the rule cannot express.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiplierError {
    /// The factor s_in · s_w / s_out.
    pub real: f64,
}

impl core::fmt::Display for MultiplierError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the factor {} is not in 0..0.5, the range of 32-bit multipliers without shift", self.real)
    }
}

impl core::error::Error for MultiplierError {}

/// Turns a real factor into a multiplier; used when a network is made, never on the chip.
///
/// # Errors
/// [`MultiplierError`] where `real` is not in 0..0.5. A layer's scales exceed that only where a whole
/// output step is less than two weight steps, as in a layer whose outputs are all nearly equal.
pub fn multiplier_from_real(real: f64) -> Result<i32, MultiplierError> {
    let scaled = real * 4_294_967_296.0 + 0.5;
    if (0.5..2_147_483_648.0).contains(&scaled) { Ok(scaled as i32) } else { Err(MultiplierError { real }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_round_up_on_both_sides_of_zero() {
        let half = 1 << 30; // 0.25
        let cases = [(2, 1), (-2, 0), (6, 2), (-6, -1), (1, 0), (-1, 0), (3, 1), (-3, -1)];
        for (acc, expected) in cases {
            assert_eq!(requantize(acc, half, 0, -128, 127), expected, "{acc} / 4");
        }
    }

    #[test]
    fn factors_out_of_range_are_refused() {
        for real in [0.5, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(multiplier_from_real(real).is_err(), "{real}");
        }
        assert_eq!(multiplier_from_real(0.25), Ok(1 << 30));
    }

    proptest! {
        #[test]
        fn the_rule_is_the_rounded_real_product(acc: i32, real in 1e-6..0.499f64, zero_point: i8) {
            let multiplier = multiplier_from_real(real).unwrap();
            let exact = f64::from(acc) * f64::from(multiplier) / 4_294_967_296.0;
            let expected = ((exact + 0.5).floor() + f64::from(zero_point)).clamp(-128.0, 127.0);
            prop_assert_eq!(f64::from(requantize(acc, multiplier, zero_point, -128, 127)), expected);
            prop_assert!((exact - f64::from(acc) * real).abs() <= 0.25 + 1e-9);
        }
    }
}
