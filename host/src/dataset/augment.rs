//! Random changes to training images, on bytes and in place.

use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::{PIXELS, SIDE};

/// What may happen to a training image; the default leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Augmentation {
    /// Mirror left and right with probability ½.
    pub flip: bool,
    /// Largest shift in pixels, each axis uniform in `-shift..=shift`; what enters is black.
    pub shift: usize,
    /// Probability that a random square is blackened (cutout; DeVries and Taylor, 2017).
    pub cutout_probability: f64,
    /// Side of that square in pixels, its centre anywhere in the image.
    pub cutout_side: usize,
}

impl Augmentation {
    /// Applies the changes to `image`, `[28][28]` gray bytes.
    pub fn apply(&self, image: &mut [u8; PIXELS], rng: &mut impl Rng) {
        if self.flip && rng.random_bool(0.5) {
            image.chunks_exact_mut(SIDE).for_each(<[u8]>::reverse);
        }
        if self.shift > 0 {
            let reach = self.shift as i32;
            let (down, right) = (rng.random_range(-reach..=reach), rng.random_range(-reach..=reach));
            *image = shifted(image, down as isize, right as isize);
        }
        if self.cutout_probability > 0.0 && rng.random_bool(self.cutout_probability) {
            let (row, column) = (rng.random_range(0..SIDE), rng.random_range(0..SIDE));
            cut_out(image, row, column, self.cutout_side);
        }
    }
}

fn shifted(image: &[u8; PIXELS], down: isize, right: isize) -> [u8; PIXELS] {
    let mut moved = [0; PIXELS];
    for (index, pixel) in moved.iter_mut().enumerate() {
        let source = |at: usize, by: isize| at.checked_add_signed(-by).filter(|&at| at < SIDE);
        if let (Some(row), Some(column)) = (source(index / SIDE, down), source(index % SIDE, right)) {
            *pixel = image[row * SIDE + column];
        }
    }
    moved
}

fn cut_out(image: &mut [u8; PIXELS], row: usize, column: usize, side: usize) {
    let range = |centre: usize| centre.saturating_sub(side / 2)..(centre + side - side / 2).min(SIDE);
    for row in range(row) {
        image[row * SIDE..][range(column)].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn ramp() -> [u8; PIXELS] {
        std::array::from_fn(|index| (index % 251) as u8 + 1)
    }

    #[test]
    fn shifting_moves_and_fills_with_black() {
        let moved = shifted(&ramp(), 1, -2);
        assert_eq!(moved[SIDE], ramp()[2]);
        assert!(moved[..SIDE].iter().all(|&pixel| pixel == 0));
        assert_eq!(moved[2 * SIDE - 1], 0);
    }

    #[test]
    fn cutout_blackens_a_square_and_stays_inside() {
        let mut image = ramp();
        cut_out(&mut image, 0, 27, 8);
        assert_eq!(image.iter().filter(|&&pixel| pixel == 0).count(), 4 * 5);
        cut_out(&mut image, 14, 14, 8);
        assert_eq!(image.iter().filter(|&&pixel| pixel == 0).count(), 4 * 5 + 64);
    }

    #[test]
    fn nothing_happens_by_default() {
        let mut image = ramp();
        Augmentation::default().apply(&mut image, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(image, ramp());
    }
}
