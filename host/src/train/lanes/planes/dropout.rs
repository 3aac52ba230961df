//! Dropout with a mask that is drawn again for the gradient.

use rayon::prelude::*;

use super::RUN;

/// Zeroes values with `probability` and scales the rest by 1 / (1 − probability).
///
/// The mask depends on `seed` and the position alone, so that the gradient draws it again.
pub fn dropout(values: &[f32], probability: f64, seed: u64) -> Vec<f32> {
    let threshold = (probability * f64::from(u32::MAX)) as u32;
    let keep = (1.0 / (1.0 - probability)) as f32;
    let mut output = values.to_vec();
    output.par_chunks_mut(RUN).enumerate().for_each(|(run, values)| {
        let run_seed = crate::train::batches::derive_seed(seed, run, 0) as u32;
        drop_out_run(values, run_seed, threshold, keep);
    });
    output
}

vectorized! {
    fn drop_out_run<'a>(values: &'a mut [f32], seed: u32, threshold: u32, keep: f32) -> () {
        for (at, value) in values.iter_mut().enumerate() {
            let factor = if hash(seed.wrapping_add(at as u32)) < threshold { 0.0 } else { keep };
            *value *= factor;
        }
    }
}

/// A 32-bit mixer with full avalanche ("lowbias32"; Wellons, Prospecting for Hash Functions, 2018).
#[inline(always)]
fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}
