//! THE rounding rule: how an i32 accumulator becomes an i8 activation.
//!
//! ```text
//! y_q = clamp(zero_point + ⌊(acc · 2^shift · multiplier + 2³¹) / 2³²⌋, min, max)
//! multiplier = round(s_in · s_w[c] / s_out · 2^(32 − shift))
//! ```
//!
//! Round half up, once, in 64 bits. It is what one Armv7E-M instruction does (`SMMLAR`, with the zero
//! point as its addend), so the fast kernels need no second rule. Scales of real networks give factors of
//! 2⁻¹³…2⁻⁵, hence a shift of 0 and 19 to 27 significant bits, and the error against the real product stays
//! below ¼ step for every i32 accumulator. Only a layer with a factor of 0.5 or more has a shift; the
//! reference kernels compute it, the packed ones take layers without.
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

/// [`requantize`] with a factor of up to 2^(shift − 1).
///
/// * `shift`: 0..=[`MOST_SHIFT`]; 0 gives the bytes of [`requantize`].
///
/// ```
/// use firmware::nn::requantize::{requantize_shifted, shifted_multiplier};
/// let (multiplier, shift) = shifted_multiplier(2.5).unwrap();
/// assert_eq!(shift, 3);
/// assert_eq!(requantize_shifted(3, multiplier, shift, 10, -128, 127), 18); // 7.5 rounds up to 8, plus 10
/// ```
#[inline(always)]
pub const fn requantize_shifted(
    acc: i32,
    multiplier: i32,
    shift: u8,
    zero_point: i8,
    min: i8,
    max: i8,
) -> i8 {
    if shift == 0 {
        return requantize(acc, multiplier, zero_point, min, max);
    }
    // Both sides of the rule's division by 2^shift less.
    let bits = 32 - shift as u32;
    let rounded = (acc as i64 * multiplier as i64 + (1 << (bits - 1))) >> bits;
    let shifted = rounded + zero_point as i64;
    if shifted < min as i64 {
        min
    } else if shifted > max as i64 {
        max
    } else {
        shifted as i8
    }
}

/// Largest shift: factors below 2¹⁵.
pub const MOST_SHIFT: u8 = 16;

/// How the accumulators of one layer become activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requantization<'a> {
    /// `[out_channels]`, or one entry where all channels share it.
    pub multipliers: &'a [i32],
    /// The layer's shift, 0 but for factors of 0.5 or more.
    pub shift: u8,
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
        requantize_shifted(acc, multiplier, self.shift, self.zero_point, self.min, self.max)
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
        write!(
            f,
            "the factor {} is not in 0..0.5, nor in 0..32768, the range of 32-bit multipliers with a shift",
            self.real
        )
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

/// Turns a real factor into a multiplier and the smallest shift that it needs.
///
/// # Errors
/// [`MultiplierError`] where `real` is not in 0..2¹⁵.
pub fn shifted_multiplier(real: f64) -> Result<(i32, u8), MultiplierError> {
    let mut part = real;
    for shift in 0..=MOST_SHIFT {
        match multiplier_from_real(part) {
            Ok(multiplier) => return Ok((multiplier, shift)),
            Err(_) => part /= 2.0,
        }
    }
    Err(MultiplierError { real })
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
        for real in [-0.1, 40_000.0, f64::NAN, f64::INFINITY] {
            assert!(shifted_multiplier(real).is_err(), "{real}");
        }
        assert_eq!(shifted_multiplier(0.25), Ok((1 << 30, 0)));
        assert_eq!(shifted_multiplier(1.0), Ok((1 << 30, 2)));
    }

    proptest! {
        #[test]
        fn a_shift_is_the_rounded_real_product(acc: i32, real in 0.01..30_000f64, zero_point: i8) {
            let (multiplier, shift) = shifted_multiplier(real).unwrap();
            // The product has up to 62 bits and is exact in i128.
            let product = (i128::from(acc) * i128::from(multiplier)) << shift;
            let expected = (((product + (1 << 31)) >> 32) + i128::from(zero_point)).clamp(-128, 127);
            let found = requantize_shifted(acc, multiplier, shift, zero_point, -128, 127);
            prop_assert_eq!(i128::from(found), expected);
        }

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
