//! Random changes to training images, on bytes and in place.

use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::input::InputShape;

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
    /// Applies the changes to `image`, `[height][width][channels]` bytes.
    pub fn apply(&self, shape: InputShape, image: &mut [u8], rng: &mut impl Rng) {
        if self.flip && rng.random_bool(0.5) {
            mirror(shape, image);
        }
        if self.shift > 0 {
            let reach = self.shift as i32;
            let (down, right) = (rng.random_range(-reach..=reach), rng.random_range(-reach..=reach));
            image.copy_from_slice(&shifted(shape, image, down as isize, right as isize));
        }
        if self.cutout_probability > 0.0 && rng.random_bool(self.cutout_probability) {
            let (row, column) = (rng.random_range(0..shape.height), rng.random_range(0..shape.width));
            cut_out(shape, image, row, column, self.cutout_side);
        }
    }
}

/// Mirrors an image left and right.
pub fn mirror(shape: InputShape, image: &mut [u8]) {
    for row in image.chunks_exact_mut(shape.width * shape.channels) {
        // Backwards value by value, then each pixel forwards again.
        row.reverse();
        if shape.channels > 1 {
            row.chunks_exact_mut(shape.channels).for_each(<[u8]>::reverse);
        }
    }
}

fn shifted(shape: InputShape, image: &[u8], down: isize, right: isize) -> Vec<u8> {
    let mut moved = vec![0; shape.len()];
    for (index, pixel) in moved.chunks_exact_mut(shape.channels).enumerate() {
        let source = |at: usize, by: isize, end: usize| at.checked_add_signed(-by).filter(|&at| at < end);
        let row = source(index / shape.width, down, shape.height);
        let column = source(index % shape.width, right, shape.width);
        if let (Some(row), Some(column)) = (row, column) {
            let start = (row * shape.width + column) * shape.channels;
            pixel.copy_from_slice(&image[start..start + shape.channels]);
        }
    }
    moved
}

fn cut_out(shape: InputShape, image: &mut [u8], row: usize, column: usize, side: usize) {
    let range =
        |centre: usize, end: usize| centre.saturating_sub(side / 2)..(centre + side - side / 2).min(end);
    let columns = range(column, shape.width);
    for row in range(row, shape.height) {
        let start = row * shape.width;
        image[(start + columns.start) * shape.channels..(start + columns.end) * shape.channels].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const GRAY: InputShape = shared::fashion_mnist::SHAPE;
    const COLOUR: InputShape = InputShape { height: 2, width: 3, channels: 3 };

    fn ramp() -> Vec<u8> {
        (0..GRAY.len()).map(|index| (index % 251) as u8 + 1).collect()
    }

    #[test]
    fn shifting_moves_and_fills_with_black() {
        let moved = shifted(GRAY, &ramp(), 1, -2);
        assert_eq!(moved[28], ramp()[2]);
        assert!(moved[..28].iter().all(|&pixel| pixel == 0));
        assert_eq!(moved[2 * 28 - 1], 0);
        let colours: Vec<u8> = (1..=18).collect();
        assert_eq!(shifted(COLOUR, &colours, 1, 1)[9..], [0, 0, 0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn mirroring_keeps_the_colours_of_a_pixel_together() {
        let mut colours: Vec<u8> = (1..=18).collect();
        mirror(COLOUR, &mut colours);
        assert_eq!(colours[..9], [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn cutout_blackens_a_square_and_stays_inside() {
        let mut image = ramp();
        cut_out(GRAY, &mut image, 0, 27, 8);
        assert_eq!(image.iter().filter(|&&pixel| pixel == 0).count(), 4 * 5);
        cut_out(GRAY, &mut image, 14, 14, 8);
        assert_eq!(image.iter().filter(|&&pixel| pixel == 0).count(), 4 * 5 + 64);
    }

    #[test]
    fn nothing_happens_by_default() {
        let mut image = ramp();
        Augmentation::default().apply(GRAY, &mut image, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(image, ramp());
    }
}
