//! Logits → confidences in 256ths: a softmax in integers, for the screen.
//!
//! `p_i = 2^(−d_i) / Σ 2^(−d_j)` with `d_i = (max − logit_i) · s_logit · log2(e)`, in steps of 1/256.
//! The fraction of a power of two comes from a parabola through (0, 1), (½, 2^−½), (1, ½), whose
//! error is below 0.35 %: invisible on a bar, and far below what calibration leaves.

/// Writes each class's share, in 256ths; the shares sum to about 256.
///
/// * `logits`: `[classes]` i32 in units of s_logit.
/// * `multiplier`: s_logit · log2(e) · 256 · 2³², not negative. Unlike a layer's it may be 2³¹ and more:
///   a network whose logit step is large is certain after few steps.
/// * `shares`: `[classes]`; where it is shorter or longer than `logits`, the common part is written.
///
/// ```
/// use firmware::nn::confidence::confidences;
/// let mut shares = [0; 10];
/// confidences(&[0; 10], 1 << 20, &mut shares);
/// assert!(shares.iter().all(|&share| share == 26)); // 25.6 rounded
/// ```
pub fn confidences(logits: &[i32], multiplier: i64, shares: &mut [u16]) {
    let highest = logits.iter().copied().max().unwrap_or(0);
    let weight = |logit: i32| {
        let below = i64::from(highest) - i64::from(logit);
        let steps = below.saturating_mul(multiplier) >> 32;
        power_of_two_below(steps.clamp(0, 1 << 16) as u32)
    };
    let sum: u32 = logits.iter().map(|&logit| weight(logit)).sum();
    for (share, &logit) in shares.iter_mut().zip(logits) {
        *share = ((weight(logit) * 256 + sum / 2) / sum.max(1)) as u16;
    }
}

/// Returns 2^(−steps/256) in 2^−16ths.
fn power_of_two_below(steps: u32) -> u32 {
    let (whole, fraction) = (steps >> 8, steps & 255);
    // 65536 − 44012·f + 11244·f²  with f = fraction / 256: exact at 0, ½ and 1 up to rounding.
    let mantissa = 65_536 - ((44_012 * fraction) >> 8) + ((11_244 * fraction * fraction) >> 16);
    mantissa.checked_shr(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::requantize::multiplier_from_real;

    #[test]
    fn powers_of_two_are_within_a_third_of_a_percent() {
        for steps in 0..4_096u32 {
            let exact = 65_536.0 * (-f64::from(steps) / 256.0).exp2();
            let error = (f64::from(power_of_two_below(steps)) - exact).abs();
            assert!(error <= 0.0035 * exact + 2.0, "{steps}: {error}");
        }
    }

    #[test]
    fn shares_follow_the_real_softmax() {
        let scale = 0.001;
        let multiplier = multiplier_from_real(scale * std::f64::consts::LOG2_E * 256.0).unwrap();
        let logits = [5_000, 3_500, 4_800, -900, 0, 12, 2_000, -70_000, 4_999, 1];
        let exponentials = logits.map(|logit| (f64::from(logit) * scale).exp());
        let sum: f64 = exponentials.iter().sum();
        let mut shares = [0; 10];
        confidences(&logits, multiplier.into(), &mut shares);
        for (share, exponential) in shares.into_iter().zip(exponentials) {
            assert!((f64::from(share) - 256.0 * exponential / sum).abs() <= 1.0, "{share}");
        }
    }

    #[test]
    fn extreme_logits_neither_panic_nor_lose_the_winner() {
        let mut logits = [i32::MIN; 100];
        logits[3] = i32::MAX;
        let mut shares = [7; 100];
        for multiplier in [0, 1, i64::from(i32::MAX), i64::MAX] {
            confidences(&logits, multiplier, &mut shares);
            assert!(shares[3] >= 3 && shares.iter().all(|&share| share <= shares[3]), "{multiplier}");
        }
        assert_eq!(shares[3], 256);
    }
}
