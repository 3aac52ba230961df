//! Random changes to training images, on bytes and in place.

use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::input::InputShape;

use crate::evaluate::corrupt::Corruption;

/// What may happen to a training image; the default leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Mirror left and right with probability ½.
    pub flip: bool,
    /// Largest shift in pixels, each axis uniform in `-shift..=shift`; what enters is black.
    pub shift: usize,
    /// Probability that a random square is blackened (cutout; DeVries and Taylor, 2017).
    pub cutout_probability: f64,
    /// Side of that square in pixels, its centre anywhere in the image.
    pub cutout_side: usize,
    /// Probability of one of the report's corruptions, at any strength up to the highest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub corruption_probability: f64,
    /// What may happen to a photograph besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<PhotoAugmentation>,
}

/// Random changes to photographs: geometry, light, colour, sharpness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotoAugmentation {
    /// Largest rotation in degrees, either way.
    pub rotation: f32,
    /// Smallest and largest side of what is cut out, as a fraction of the image's side.
    pub scale: [f32; 2],
    /// Largest ratio of the horizontal to the vertical scale, and of its inverse.
    pub aspect: f32,
    /// Largest shift, as a fraction of the image's side.
    pub shift: f32,
    /// Largest change of brightness, as a fraction of 255.
    pub brightness: f32,
    /// Largest factor of the contrast, and its inverse.
    pub contrast: f32,
    /// Largest change of a channel by itself, as a fraction of 255.
    pub colour: f32,
    /// Probability that the image becomes gray.
    pub gray: f32,
    /// Probability that the image is blurred by a 3×3 binomial filter.
    pub blur: f32,
    /// Largest standard deviation of noise, as a fraction of 255.
    pub noise: f32,
    /// Probability that the image becomes one that shows no class and is learned as such.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strangers: f32,
}

/// Whether a field may be left out of a recipe's file.
pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How far an image is moved, in pixels; what enters is black.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    /// Towards the last row.
    pub down: isize,
    /// Towards the last column.
    pub right: isize,
}

impl Shift {
    /// All shifts of at most `reach` pixels on each axis, row by row.
    pub fn all(reach: usize) -> Vec<Self> {
        let ways = || -(reach as isize)..=reach as isize;
        ways().flat_map(|down| ways().map(move |right| Self { down, right })).collect()
    }

    /// Where it stands in [`Shift::all`]; one that reaches farther counts as the farthest.
    pub fn index(self, reach: usize) -> usize {
        let most = reach as isize;
        let [down, right] = [self.down, self.right].map(|way| (way.clamp(-most, most) + most) as usize);
        down * (2 * reach + 1) + right
    }

    /// Moves an image, `[height][width][channels]`, in place.
    pub fn apply(self, shape: InputShape, image: &mut [u8]) {
        if self != Self::default() {
            image.copy_from_slice(&shifted(shape, image, self));
        }
    }
}

impl Augmentation {
    /// Applies the changes to `image`, `[height][width][channels]` bytes.
    ///
    /// Returns the shift of the image that was not mirrored: the changed image is that one, or its mirror image, but
    /// for what was blackened or corrupted.
    pub fn apply(&self, shape: InputShape, image: &mut [u8], rng: &mut impl Rng) -> Shift {
        let is_mirrored = self.flip && rng.random_bool(0.5);
        if is_mirrored {
            mirror(shape, image);
        }
        let mut shift = Shift::default();
        if self.shift > 0 {
            let reach = self.shift as i32;
            let [down, right] = [(); 2].map(|()| rng.random_range(-reach..=reach) as isize);
            shift = Shift { down, right };
            shift.apply(shape, image);
        }
        if self.cutout_probability > 0.0 && rng.random_bool(self.cutout_probability) {
            let (row, column) = (rng.random_range(0..shape.height), rng.random_range(0..shape.width));
            cut_out(shape, image, row, column, self.cutout_side);
        }
        if self.corruption_probability > 0.0 && rng.random_bool(self.corruption_probability) {
            let kind = Corruption::ALL[rng.random_range(0..Corruption::ALL.len())];
            let amount = kind.anything_up_to(rng.random());
            image.copy_from_slice(&kind.image(shape, image, amount, rng));
        }
        if is_mirrored {
            shift.right = -shift.right;
        }
        shift
    }
}

impl PhotoAugmentation {
    /// Side of the images to cut from, for images of side `side`: a quarter larger, so that enlarged parts are sharp.
    pub const fn source_side(side: usize) -> usize {
        (side * 5).div_ceil(4)
    }

    /// Returns the shape to cut from, for images of `shape`.
    pub fn source_shape(shape: InputShape) -> InputShape {
        let side = |side| Self::source_side(side).min(InputShape::MAX_SIDE);
        InputShape { height: side(shape.height), width: side(shape.width), ..shape }
    }

    /// Cuts a changed image of `shape` out of a larger one.
    ///
    /// * `source`: `[height][width][channels]` of `from`; what lies outside repeats its edge.
    pub fn apply(&self, from: InputShape, source: &[u8], shape: InputShape, rng: &mut impl Rng) -> Vec<u8> {
        let both_ways =
            |rng: &mut _, most: f32| if most > 0.0 { Rng::random_range(rng, -most..=most) } else { 0.0 };
        let ratio = |rng: &mut _, most: f32| both_ways(rng, most.max(1.0).ln()).exp();
        let angle = both_ways(rng, self.rotation).to_radians();
        let scale = rng.random_range(self.scale[0]..=self.scale[1]);
        let aspect = ratio(rng, self.aspect).sqrt();
        let (across, down) = (scale * aspect, scale / aspect);
        let shift = [both_ways(rng, self.shift), both_ways(rng, self.shift)];
        let (sine, cosine) = angle.sin_cos();
        let (height, width) = (from.height as f32, from.width as f32);
        let mut values = Vec::with_capacity(shape.len());
        for row in 0..shape.height {
            // −½..½ from the middle of the cut.
            let y = ((row as f32 + 0.5) / shape.height as f32 - 0.5) * down;
            for column in 0..shape.width {
                let x = ((column as f32 + 0.5) / shape.width as f32 - 0.5) * across;
                let (u, v) = (x * cosine - y * sine + 0.5 + shift[1], x * sine + y * cosine + 0.5 + shift[0]);
                sample(from, source, v * height - 0.5, u * width - 0.5, &mut values);
            }
        }
        if self.blur > 0.0 && rng.random::<f32>() < self.blur {
            values = blurred(shape, &values);
        }
        self.recolour(shape, &mut values, rng);
        values.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect()
    }

    /// Changes light and colour in place.
    fn recolour(&self, shape: InputShape, values: &mut [f32], rng: &mut impl Rng) {
        let both_ways =
            |rng: &mut _, most: f32| if most > 0.0 { Rng::random_range(rng, -most..=most) } else { 0.0 };
        let contrast = both_ways(rng, self.contrast.max(1.0).ln()).exp();
        let brightness = 255.0 * both_ways(rng, self.brightness);
        let offsets: [f32; 3] = std::array::from_fn(|_| 255.0 * both_ways(rng, self.colour));
        let is_gray = self.gray > 0.0 && rng.random::<f32>() < self.gray;
        let noise = 255.0 * self.noise * rng.random::<f32>();
        let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
        for pixel in values.chunks_exact_mut(shape.channels) {
            if is_gray && let &mut [red, green, blue] = pixel {
                pixel.fill((77.0 * red + 150.0 * green + 29.0 * blue) / 256.0);
            }
            for (value, offset) in pixel.iter_mut().zip(offsets) {
                *value = (*value - mean) * contrast + mean + brightness + offset;
                if noise > 0.0 {
                    // Four uniform values are normal enough.
                    let sum: f32 = (0..4).map(|_| rng.random::<f32>() - 0.5).sum();
                    *value += noise * sum * 1.732;
                }
            }
        }
    }
}

/// Appends the channels between four pixels (bilinear); the edge repeats outside.
pub(super) fn sample(shape: InputShape, image: &[u8], y: f32, x: f32, values: &mut Vec<f32>) {
    let InputShape { height, width, channels } = shape;
    let y = y.clamp(0.0, (height - 1) as f32);
    let x = x.clamp(0.0, (width - 1) as f32);
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
    let (down, across) = (y - top as f32, x - left as f32);
    for channel in 0..channels {
        let at = |row: usize, column: usize| f32::from(image[(row * width + column) * channels + channel]);
        let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
        let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
        values.push(upper * (1.0 - down) + lower * down);
    }
}

/// (1 2 1)/4 along both axes; the edge repeats.
fn blurred(shape: InputShape, values: &[f32]) -> Vec<f32> {
    let along = |values: &[f32], step: usize, end: usize| -> Vec<f32> {
        let value = |index: usize| {
            let at = index / step % end;
            let before = if at > 0 { values[index - step] } else { values[index] };
            let after = if at + 1 < end { values[index + step] } else { values[index] };
            0.25 * before + 0.5 * values[index] + 0.25 * after
        };
        (0..values.len()).map(value).collect()
    };
    let rows = along(values, shape.channels, shape.width);
    along(&rows, shape.channels * shape.width, shape.height)
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

fn shifted(shape: InputShape, image: &[u8], Shift { down, right }: Shift) -> Vec<u8> {
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
        let moved = shifted(GRAY, &ramp(), Shift { down: 1, right: -2 });
        assert_eq!(moved[28], ramp()[2]);
        assert!(moved[..28].iter().all(|&pixel| pixel == 0));
        assert_eq!(moved[2 * 28 - 1], 0);
        let colours: Vec<u8> = (1..=18).collect();
        assert_eq!(shifted(COLOUR, &colours, Shift { down: 1, right: 1 })[9..], [0, 0, 0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_shift_told_is_that_of_the_image_or_of_its_mirror_image() {
        let augmentation = Augmentation { flip: true, shift: 2, ..Augmentation::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut met = std::collections::HashSet::new();
        for _ in 0..400 {
            let mut changed = ramp();
            let shift = augmentation.apply(GRAY, &mut changed, &mut rng);
            let mut moved = ramp();
            shift.apply(GRAY, &mut moved);
            let mut mirrored = moved.clone();
            mirror(GRAY, &mut mirrored);
            assert!(changed == moved || changed == mirrored, "{shift:?}");
            met.insert((shift.index(2), changed == moved));
        }
        assert_eq!(met.len(), 2 * 25);
        let all = Shift::all(2);
        assert!(all.iter().enumerate().all(|(index, shift)| shift.index(2) == index));
        assert!(all.iter().all(|shift| shift.index(0) == 0));
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

    const STILL: PhotoAugmentation = PhotoAugmentation {
        rotation: 0.0,
        scale: [1.0, 1.0],
        aspect: 1.0,
        shift: 0.0,
        brightness: 0.0,
        contrast: 1.0,
        colour: 0.0,
        gray: 0.0,
        blur: 0.0,
        noise: 0.0,
        strangers: 0.0,
    };

    #[test]
    fn a_photograph_that_is_not_changed_is_the_source_made_smaller() {
        let shape = InputShape::new(8, 4, 3).unwrap();
        let from = PhotoAugmentation::source_shape(shape);
        assert_eq!((from.height, from.width), (10, 5));
        let source: Vec<u8> = (0..from.len()).map(|at| (at / 3 / 5 * 20 + at % 3) as u8).collect();
        let cut = STILL.apply(from, &source, shape, &mut ChaCha8Rng::seed_from_u64(1));
        // Row r of 8 lies at (r + ½) · 10/8 − ½ of rows that are 20 apart.
        for (at, &value) in cut.iter().enumerate() {
            let row = (at / 12) as f32;
            let expected = 20.0 * ((row + 0.5) * 1.25 - 0.5).clamp(0.0, 9.0) + (at % 3) as f32;
            assert!((f32::from(value) - expected).abs() <= 1.0, "{at}: {value}, not {expected}");
        }
    }

    #[test]
    fn changes_follow_the_seed_and_stay_within_their_limits() {
        let shape = InputShape::new(16, 16, 1).unwrap();
        let from = PhotoAugmentation::source_shape(shape);
        let source = vec![100; from.len()];
        let some = PhotoAugmentation {
            rotation: 30.0,
            scale: [0.5, 1.5],
            aspect: 1.3,
            shift: 0.2,
            blur: 1.0,
            ..STILL
        };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        assert_eq!(some.apply(from, &source, shape, &mut rng), [100; 256], "an even image has no geometry");
        let light = PhotoAugmentation { brightness: 0.1, contrast: 1.5, ..STILL };
        let shifted = light.apply(from, &source, shape, &mut rng);
        assert!(shifted.iter().all(|value| value.abs_diff(100) <= 26), "{shifted:?}");
        let run = |seed| light.apply(from, &source, shape, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn nothing_happens_by_default() {
        let mut image = ramp();
        Augmentation::default().apply(GRAY, &mut image, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(image, ramp());
    }
}
