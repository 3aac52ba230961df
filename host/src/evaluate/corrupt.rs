//! Photographs are never as clean as the data set: seven deterministic corruptions at three strengths.
//!
//! Every image gets its own direction, angle or noise from its index, so that two runs corrupt alike.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::input::InputShape;

use crate::dataset::Samples;

/// Accuracies of a model on corrupted test images, as `host robustness` measures them.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Robustness {
    /// The model's name.
    pub model: String,
    /// Test images.
    pub images: usize,
    /// The clean images first, then every corruption at every strength.
    pub rows: Vec<Row>,
}

/// Accuracies on the images of one corruption.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Name of the corruption, `none` for the clean images.
    pub corruption: String,
    /// 1 to 3; 0 for the clean images.
    pub strength: usize,
    /// See [`Corruption::amount`].
    pub amount: Option<f64>,
    /// Fraction classified correctly; none where the model's float file is not kept.
    pub float: Option<f64>,
    /// Fraction that the integer engine classifies correctly.
    pub int8: f64,
}

/// What is done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corruption {
    /// Moved by 1, 2 or 3 pixels, one of eight directions.
    Shift,
    /// Turned by 5, 10 or 20 degrees, either way.
    Rotation,
    /// Scaled by 10, 20 or 30 %, up or down.
    Scale,
    /// Blurred by a Gaussian of 0.5, 0.8 or 1.2 pixels.
    Blur,
    /// Gaussian noise of 10, 20 or 40 grays.
    Noise,
    /// Raised by 15, 30 or 60 grays.
    Brightness,
    /// Multiplied by 0.75, 0.5 or 0.3.
    Contrast,
}

impl Corruption {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Shift, Self::Rotation, Self::Scale, Self::Blur, Self::Noise, Self::Brightness, Self::Contrast];

    /// Returns the name used in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::Rotation => "rotation",
            Self::Scale => "scale",
            Self::Blur => "blur",
            Self::Noise => "noise",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
        }
    }

    /// Returns what a strength of 1, 2 or 3 means.
    pub fn amount(self, strength: usize) -> f64 {
        let amounts = match self {
            Self::Shift => [1.0, 2.0, 3.0],
            Self::Rotation => [5.0, 10.0, 20.0],
            Self::Scale => [0.1, 0.2, 0.3],
            Self::Blur => [0.5, 0.8, 1.2],
            Self::Noise => [10.0, 20.0, 40.0],
            Self::Brightness => [15.0, 30.0, 60.0],
            Self::Contrast => [0.75, 0.5, 0.3],
        };
        amounts[strength.clamp(1, 3) - 1]
    }

    /// Corrupts all images; strength 1, 2 or 3.
    pub fn apply(self, samples: &Samples, strength: usize) -> Samples {
        let amount = self.amount(strength);
        let mut pixels = Vec::with_capacity(samples.pixels.len());
        for index in 0..samples.len() {
            let mut rng = ChaCha8Rng::seed_from_u64(index as u64 ^ 0xc0_44_09);
            pixels.extend(self.image(samples.shape, samples.image(index), amount, &mut rng));
        }
        Samples { shape: samples.shape, pixels, labels: samples.labels.clone() }
    }

    /// The amount at `share`, 0..1, of the way from none to strength 3.
    pub fn anything_up_to(self, share: f64) -> f64 {
        match self {
            // A factor of 1 changes nothing.
            Self::Contrast => 1.0 - share * (1.0 - self.amount(3)),
            // A Gaussian needs a width.
            Self::Blur => 0.2 + share * (self.amount(3) - 0.2),
            _ => share * self.amount(3),
        }
    }

    /// Corrupts one image by an amount of its own unit.
    pub fn image(self, shape: InputShape, image: &[u8], amount: f64, rng: &mut impl Rng) -> Vec<u8> {
        let each = |change: &mut dyn FnMut(f64) -> f64| -> Vec<u8> {
            image.iter().map(|&pixel| gray(change(f64::from(pixel)))).collect()
        };
        let either_way = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        match self {
            Self::Shift => {
                let direction = std::f64::consts::FRAC_PI_4 * f64::from(rng.random_range(0..8u8));
                let step = |part: f64| (part * amount * 1.4).clamp(-amount, amount).round();
                moved(shape, image, [[1.0, 0.0], [0.0, 1.0]], [step(direction.sin()), step(direction.cos())])
            }
            Self::Rotation => {
                let (sine, cosine) = (either_way * amount).to_radians().sin_cos();
                moved(shape, image, [[cosine, -sine], [sine, cosine]], [0.0; 2])
            }
            Self::Scale => {
                let factor = 1.0 / (1.0 + either_way * amount);
                moved(shape, image, [[factor, 0.0], [0.0, factor]], [0.0; 2])
            }
            Self::Blur => blurred(shape, image, amount),
            Self::Noise => each(&mut |pixel| pixel + amount * normal(rng)),
            Self::Brightness => each(&mut |pixel| pixel + amount),
            Self::Contrast => each(&mut |pixel| pixel * amount),
        }
    }
}

fn gray(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// A standard normal value (Box and Muller, 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Samples bilinearly at `matrix · (p − centre − shift) + centre`; black outside.
fn moved(shape: InputShape, image: &[u8], matrix: [[f64; 2]; 2], shift: [f64; 2]) -> Vec<u8> {
    let InputShape { height, width, channels } = shape;
    let [centre_y, centre_x] = [height, width].map(|side| (side as f64 - 1.0) / 2.0);
    let pixel = |row: f64, column: f64, channel: usize| {
        let is_inside = (0.0..height as f64).contains(&row) && (0.0..width as f64).contains(&column);
        let at = || (row as usize * width + column as usize) * channels + channel;
        if is_inside { f64::from(image[at()]) } else { 0.0 }
    };
    let value = |index: usize| {
        let (place, channel) = (index / channels, index % channels);
        let y = (place / width) as f64 - centre_y - shift[0];
        let x = (place % width) as f64 - centre_x - shift[1];
        let row = matrix[0][0] * y + matrix[0][1] * x + centre_y;
        let column = matrix[1][0] * y + matrix[1][1] * x + centre_x;
        let (top, left) = (row.floor(), column.floor());
        let (down, right) = (row - top, column - left);
        let upper = pixel(top, left, channel) * (1.0 - right) + pixel(top, left + 1.0, channel) * right;
        let lower =
            pixel(top + 1.0, left, channel) * (1.0 - right) + pixel(top + 1.0, left + 1.0, channel) * right;
        gray(upper * (1.0 - down) + lower * down)
    };
    (0..shape.len()).map(value).collect()
}

/// Gaussian of `sigma` pixels over 7×7, black outside.
fn blurred(shape: InputShape, image: &[u8], sigma: f64) -> Vec<u8> {
    let weight = |at: i32| (-f64::from(at * at) / (2.0 * sigma * sigma)).exp();
    let sum: f64 = (-3..=3).map(weight).sum();
    // `step` values lie between neighbours, of which there are `end`.
    let along = |values: &[f64], step: usize, end: usize| -> Vec<f64> {
        let value = |index: usize| {
            let at = (index / step) % end;
            let taps = (-3..=3i32).filter_map(|tap| {
                let there = at.checked_add_signed(tap as isize).filter(|&there| there < end)?;
                Some(weight(tap) * values[index + there * step - at * step])
            });
            taps.sum::<f64>() / sum
        };
        (0..values.len()).map(value).collect()
    };
    let values: Vec<f64> = image.iter().map(|&pixel| f64::from(pixel)).collect();
    let rows = along(&values, shape.channels, shape.width);
    along(&rows, shape.channels * shape.width, shape.height).into_iter().map(gray).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;
    use shared::fashion_mnist::{PIXELS, SHAPE, SIDE};

    #[test]
    fn corruptions_change_images_the_same_way_twice_and_more_with_strength() {
        let samples = drawn::samples(6, 2);
        let distance = |a: &Samples| -> f64 {
            let pairs = a.pixels.iter().zip(&samples.pixels);
            pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).sum()
        };
        for corruption in Corruption::ALL {
            let all: Vec<Samples> = (1..=3).map(|strength| corruption.apply(&samples, strength)).collect();
            assert!(all[0].pixels == corruption.apply(&samples, 1).pixels, "{corruption:?}");
            let distances: Vec<f64> = all.iter().map(distance).collect();
            assert!(0.0 < distances[0] && distances.is_sorted(), "{corruption:?}: {distances:?}");
        }
    }

    #[test]
    fn a_shift_moves_whole_pixels() {
        let mut image = [0; PIXELS];
        image[10 * SIDE + 12] = 200;
        let moved = moved(SHAPE, &image, [[1.0, 0.0], [0.0, 1.0]], [2.0, -1.0]);
        assert_eq!((moved[12 * SIDE + 11], moved.iter().filter(|&&pixel| pixel > 0).count()), (200, 1));
    }

    #[test]
    fn a_blur_keeps_what_there_is_to_see() {
        let mut image = [0; PIXELS];
        image[14 * SIDE + 14] = 255;
        let total: u32 = blurred(SHAPE, &image, 0.8).iter().map(|&pixel| u32::from(pixel)).sum();
        assert!((250..=260).contains(&total), "{total}");
    }
}
