//! Photograph-like pictures made of data-set images, the same for the same seed, to try the preprocessing on.
//!
//! 640×480 in colour: a garment off the centre, dark on white or light on gray, enlarged without steps, tinted,
//! with noise and light that falls off to one side.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::{agreement, arg_max_f32};
use crate::dataset::Samples;
use crate::dataset::photo::Photo;
use crate::runtime::Engine;
use crate::task::Task;
use crate::train::batches::derive_seed;

/// Width of a composed photo.
pub const WIDTH: usize = 640;
/// Height of a composed photo.
pub const HEIGHT: usize = 480;
/// The seed of the photos that the report speaks of.
pub const DEFAULT_SEED: u64 = 2_024;
/// How many of them it takes.
pub const DEFAULT_COUNT: usize = 1_000;

/// Makes a photo of data-set image `index`, `[side][side]` gray bytes, bright on black; odd numbers are light on gray, even ones dark on white.
pub fn photo(image: &[u8], index: usize, seed: u64) -> Photo {
    let image_side = image.len().isqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(derive_seed(seed, index, 0));
    let is_light = index % 2 == 1;
    let side = rng.random_range(180..=420usize);
    let left = rng.random_range(8..=WIDTH - 8 - side) as f32;
    let top = rng.random_range(8..=HEIGHT - 8 - side) as f32;
    let background: f32 = rng.random_range(if is_light { 90.0..150.0 } else { 235.0..250.0 });
    let room = if is_light { 255.0 - background } else { -background };
    // Red and blue move apart, green makes up for it: the brightness stays.
    let mut tint = |most: f32| -> [f32; 3] {
        let (red, blue) = (rng.random_range(-most..most), rng.random_range(-most..most));
        [red, -(77.0 * red + 29.0 * blue) / 150.0, blue]
    };
    let (paper, cloth) = (tint(5.0), tint(40.0));
    let (slope_x, slope_y) = (rng.random_range(-4.0..4.0f32), rng.random_range(-4.0..4.0f32));
    let mut noise = Noise(rng.random());
    let mut rgb = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let scale = image_side as f32 / side as f32;
            let share =
                smooth(image, image_side, (x as f32 - left) * scale, (y as f32 - top) * scale) / 255.0;
            let light =
                slope_x * (x as f32 / WIDTH as f32 - 0.5) + slope_y * (y as f32 / HEIGHT as f32 - 0.5);
            let brightness = background + share * room + light;
            for (paper, cloth) in paper.iter().zip(cloth) {
                // Deep shadows and highlights have little colour.
                let middling = 1.0 - (brightness / 127.5 - 1.0).abs().min(1.0);
                let color = paper * (1.0 - share) + cloth * share * middling;
                rgb.push((brightness + color + noise.next()).round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    Photo { width: WIDTH, height: HEIGHT, rgb }
}

/// Brightness between pixels (bilinear), black outside; pixel centres lie at halves.
fn smooth(image: &[u8], side: usize, x: f32, y: f32) -> f32 {
    if !(0.0..side as f32).contains(&x) || !(0.0..side as f32).contains(&y) {
        return 0.0;
    }
    let at = |column: f32, row: f32| {
        let last = (side - 1) as f32;
        let (column, row) = (column.clamp(0.0, last) as usize, row.clamp(0.0, last) as usize);
        f32::from(image[row * side + column])
    };
    let (x, y) = (x - 0.5, y - 0.5);
    let (column, row) = (x.floor(), y.floor());
    let (across, down) = (x - column, y - row);
    let above = at(column, row) * (1.0 - across) + at(column + 1.0, row) * across;
    let below = at(column, row + 1.0) * (1.0 - across) + at(column + 1.0, row + 1.0) * across;
    above * (1.0 - down) + below * down
}

/// Sums of four bytes of a xorshift generator (Marsaglia, 2003), nearly normal, of standard deviation 3.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 |= 1;
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bytes = self.0.to_le_bytes();
        let sum: u32 = bytes[..4].iter().map(|&byte| u32::from(byte)).sum();
        (sum as f32 - 510.0) / 147.8 * 3.0
    }
}

/// How composed photos were answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Composed {
    /// Photos made.
    pub photos: usize,
    /// Seed they were made with.
    pub seed: u64,
    /// Fraction with the class that the original image gets.
    pub as_original: f64,
    /// Fraction with the right class.
    pub accuracy: f64,
    /// The others, by number.
    pub misses: Vec<Miss>,
}

/// A photo with another answer than its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// Number of the test image.
    pub index: usize,
    /// Class of the image.
    pub label: u8,
    /// What the original was taken for.
    pub original: usize,
    /// What the photo was taken for.
    pub photo: usize,
}

impl Composed {
    /// Formats the misses as CSV: `index,label,original,photo`, classes by number.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("index,label,original,photo\n");
        for Miss { index, label, original, photo } in &self.misses {
            text += &format!("{index},{label},{original},{photo}\n");
        }
        text
    }
}

/// Returns what the chip would see of a photo of each image.
///
/// * `task`: of the samples; its preprocessing is [`garment`](shared::preprocess::garment).
pub fn photographed(samples: &Samples, task: &Task, seed: u64) -> Samples {
    let see = |index: usize| photo(samples.image(index), index, seed).to_input(task);
    let pixels: Vec<Vec<u8>> =
        (0..samples.len()).into_par_iter().map(|index| see(index).expect("640×480 is a frame").0).collect();
    Samples { shape: samples.shape, pixels: pixels.concat(), labels: samples.labels.clone() }
}

/// Asks an engine about photos of `samples` and about the originals.
///
/// # Errors
/// The engine's.
pub fn judge(engine: &mut dyn Engine, samples: &Samples, task: &Task, seed: u64) -> anyhow::Result<Composed> {
    let classes =
        |logits: Vec<Vec<f32>>| -> Vec<usize> { logits.iter().map(|row| arg_max_f32(row)).collect() };
    let original = classes(engine.logits(samples)?);
    let photos = classes(engine.logits(&photographed(samples, task, seed))?);
    let misses = (0..samples.len()).filter(|&index| original[index] != photos[index]);
    Ok(Composed {
        photos: samples.len(),
        seed,
        as_original: agreement(&original, &photos),
        accuracy: super::accuracy(&photos, &samples.labels),
        misses: misses
            .map(|index| Miss {
                index,
                label: samples.labels[index],
                original: original[index],
                photo: photos[index],
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn a_photo_is_the_same_every_time_and_its_garment_is_found() {
        let samples = drawn::samples(3, 2);
        for index in 0..samples.len() {
            let made = photo(samples.image(index), index, 7);
            assert_eq!(made, photo(samples.image(index), index, 7));
            let (seen, _) = made.to_input(&Task::fashion_mnist()).unwrap();
            let mean =
                |image: &[u8]| image.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / image.len() as f64;
            // Zoomed to the frame, a garment can only cover more.
            let (before, after) = (mean(samples.image(index)), mean(&seen));
            assert!(after > 0.8 * before && after < 1.9 * before, "{index}: {before} became {after}");
        }
    }

    #[test]
    fn noise_has_no_bias_and_the_stated_spread() {
        let mut noise = Noise(99);
        let values: Vec<f32> = (0..100_000).map(|_| noise.next()).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.05 && (variance.sqrt() - 3.0).abs() < 0.1, "{mean}, {variance}");
    }
}
