//! Garments drawn from a seed: data for tests and demonstrations without a download.
//!
//! Ten recognisable silhouettes with random proportions, slant, shade and noise. They stand in for
//! the *shape* of the data set (28×28 gray, same ten classes, bright on black), not for its
//! difficulty: an accuracy measured on them says nothing about Fashion-MNIST.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::fashion_mnist::{Label, SHAPE};

use super::{Dataset, Kind, Samples};
use crate::task::Task;

/// Seed of the drawn data set that `--dataset auto` falls back to.
pub const DEFAULT_SEED: u64 = 12_345;
/// Images a class in the fall-back training part.
pub const TRAIN_PER_CLASS: usize = 1_200;
/// Images a class in the fall-back test part.
pub const TEST_PER_CLASS: usize = 200;

/// Subsamples a pixel and axis, for smooth edges.
const SUBSAMPLES: usize = 3;

/// Draws a whole data set; the same arguments give the same bytes on every machine.
pub fn dataset(seed: u64, train_per_class: usize, test_per_class: usize) -> Dataset {
    let train = samples(seed, train_per_class);
    let test = samples(seed ^ 0x5eed_7e57, test_per_class);
    Dataset::new(Kind::Drawn, format!("drawn from seed {seed}"), Task::fashion_mnist(), train, test)
}

/// Draws `per_class` images of every class, classes taking turns.
pub fn samples(seed: u64, per_class: usize) -> Samples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut samples = Samples::empty(SHAPE);
    for _ in 0..per_class {
        for label in Label::ALL {
            samples.push(&garment(label, &mut rng), label as u8);
        }
    }
    debug_assert_eq!(samples.len(), per_class * Label::ALL.len());
    samples
}

/// Draws one garment as `[28][28]` gray bytes, bright on black.
pub fn garment(label: Label, rng: &mut impl Rng) -> [u8; SHAPE.len()] {
    let parts = outline(label, rng);
    let slant = rng.random_range(-0.12..0.12f32);
    let (dx, dy) = (rng.random_range(-0.07..0.07f32), rng.random_range(-0.05..0.05f32));
    let scale = rng.random_range(0.9..1.1f32);
    let shade = rng.random_range(120.0..245.0f32);
    let fall_off = rng.random_range(-35.0..35.0f32);
    let noise = rng.random_range(2.0..14.0f32);
    let mut image = [0; SHAPE.len()];
    for (index, pixel) in image.iter_mut().enumerate() {
        let (row, column) = (index / SHAPE.width, index % SHAPE.width);
        let mut sum = 0.0;
        for sub in 0..SUBSAMPLES * SUBSAMPLES {
            let offset = |part: usize| (part as f32 + 0.5) / SUBSAMPLES as f32;
            let to_unit =
                |at: usize, part: usize| (at as f32 + offset(part)) / SHAPE.width as f32 * 2.0 - 1.0;
            let y = (to_unit(row, sub / SUBSAMPLES) - dy) / scale;
            let x = (to_unit(column, sub % SUBSAMPLES) - dx) / scale + slant * y;
            // The last part that covers the point wins, so straps and soles lie over bodies.
            sum += parts.iter().rev().find(|part| part.covers(x, y)).map_or(0.0, |part| part.shade);
        }
        let coverage = sum / (SUBSAMPLES * SUBSAMPLES) as f32;
        if coverage > 0.0 {
            let vertical = row as f32 / SHAPE.height as f32 - 0.5;
            let grain = rng.random_range(-noise..noise);
            *pixel = (coverage * (shade + fall_off * vertical) + grain).clamp(0.0, 255.0) as u8;
        }
    }
    image
}

/// A filled shape in the unit square −1..=1 (y downwards) with its relative brightness.
struct Part {
    /// Corners of a simple polygon.
    corners: Vec<(f32, f32)>,
    /// Brightness, 0 = background, 1 = the garment's shade.
    shade: f32,
}

impl Part {
    /// Even-odd rule.
    fn covers(&self, x: f32, y: f32) -> bool {
        let mut inside = false;
        let mut previous = self.corners[self.corners.len() - 1];
        for &corner in &self.corners {
            let crosses = (corner.1 > y) != (previous.1 > y);
            if crosses {
                let at = (previous.0 - corner.0) * (y - corner.1) / (previous.1 - corner.1) + corner.0;
                inside ^= x < at;
            }
            previous = corner;
        }
        inside
    }
}

fn polygon(shade: f32, corners: &[(f32, f32)]) -> Part {
    Part { corners: corners.to_vec(), shade }
}

/// A polygon given by its left half from top to bottom, mirrored at x = 0.
fn mirrored(shade: f32, left: &[(f32, f32)]) -> Part {
    let right = left.iter().rev().map(|&(x, y)| (-x, y));
    Part { corners: left.iter().copied().chain(right).collect(), shade }
}

fn rectangle(shade: f32, x: (f32, f32), y: (f32, f32)) -> Part {
    polygon(shade, &[(x.0, y.0), (x.1, y.0), (x.1, y.1), (x.0, y.1)])
}

/// Builds the silhouette of a class with random proportions.
fn outline(label: Label, rng: &mut impl Rng) -> Vec<Part> {
    let mut around = |middle: f32, spread: f32| rng.random_range(middle - spread..middle + spread);
    match label {
        Label::TShirt => {
            let (shoulder, hem, sleeve) = (around(0.48, 0.06), around(0.42, 0.07), around(-0.2, 0.1));
            let left = [
                (-0.18, -0.8),
                (-shoulder, -0.75),
                (-0.88, sleeve),
                (-0.6, sleeve + 0.12),
                (-0.46, -0.35),
                (-hem, 0.8),
            ];
            vec![mirrored(1.0, &left), polygon(0.0, &[(-0.16, -0.85), (0.16, -0.85), (0.0, -0.62)])]
        }
        Label::Trouser => {
            let (waist, flare, gap) = (around(0.32, 0.05), around(0.36, 0.1), around(0.1, 0.04));
            let leg = [(-waist, -0.88), (-flare, 0.9), (-gap, 0.9), (0.0, around(-0.35, 0.1))];
            vec![mirrored(1.0, &leg)]
        }
        Label::Pullover => {
            let (hem, cuff) = (around(0.44, 0.05), around(0.62, 0.12));
            let left = [
                (-0.2, -0.8),
                (-0.5, -0.72),
                (-0.86, cuff),
                (-0.64, cuff + 0.08),
                (-0.45, -0.15),
                (-hem, 0.78),
            ];
            vec![mirrored(1.0, &left), rectangle(0.8, (-hem, hem), (0.68, 0.78))]
        }
        Label::Dress => {
            let (waist, hem, top) = (around(0.2, 0.04), around(0.46, 0.12), around(0.28, 0.06));
            let left = [(-0.14, -0.9), (-top, -0.88), (-waist, -0.25), (-hem, 0.92)];
            vec![mirrored(1.0, &left), polygon(0.0, &[(-0.12, -0.92), (0.12, -0.92), (0.0, -0.7)])]
        }
        Label::Coat => {
            let (hem, cuff) = (around(0.52, 0.05), around(0.72, 0.1));
            let left = [
                (-0.2, -0.9),
                (-0.55, -0.8),
                (-0.9, cuff),
                (-0.68, cuff + 0.06),
                (-0.52, -0.1),
                (-hem, 0.93),
            ];
            let lapel = around(-0.1, 0.15);
            vec![
                mirrored(1.0, &left),
                polygon(0.35, &[(-0.2, -0.9), (0.2, -0.9), (0.0, lapel)]),
                rectangle(0.45, (-0.04, 0.04), (lapel, 0.93)),
            ]
        }
        Label::Sandal => {
            let (heel, toe) = (around(-0.1, 0.25), around(0.42, 0.06));
            vec![
                polygon(
                    1.0,
                    &[
                        (-0.85, heel),
                        (-0.7, heel),
                        (0.0, toe),
                        (0.85, toe + 0.05),
                        (0.85, toe + 0.16),
                        (-0.05, toe + 0.14),
                        (-0.75, heel + 0.2),
                    ],
                ),
                polygon(1.0, &[(-0.85, heel), (-0.75, heel), (-0.68, toe + 0.2), (-0.8, toe + 0.2)]),
                polygon(0.9, &[(0.15, toe), (0.35, toe), (0.6, toe - 0.42), (0.48, toe - 0.42)]),
                polygon(0.9, &[(0.7, toe + 0.02), (0.8, toe + 0.02), (0.58, toe - 0.42), (0.5, toe - 0.42)]),
                polygon(0.8, &[(-0.7, heel), (-0.6, heel + 0.02), (-0.25, heel - 0.4), (-0.35, heel - 0.4)]),
            ]
        }
        Label::Shirt => {
            let (hem, cuff) = (around(0.42, 0.06), around(0.35, 0.25));
            let left = [
                (-0.15, -0.82),
                (-0.5, -0.74),
                (-0.84, cuff),
                (-0.62, cuff + 0.08),
                (-0.44, -0.2),
                (-hem, 0.85),
            ];
            let mut parts = vec![
                mirrored(1.0, &left),
                mirrored(0.6, &[(-0.2, -0.9), (-0.24, -0.66), (0.0, -0.55)]),
                rectangle(0.75, (-0.05, 0.05), (-0.6, 0.85)),
            ];
            for button in 0..5 {
                let y = -0.45 + 0.26 * button as f32;
                parts.push(rectangle(0.25, (-0.045, 0.045), (y, y + 0.08)));
            }
            parts
        }
        Label::Sneaker => {
            let (collar, toe) = (around(-0.12, 0.07), around(0.2, 0.05));
            vec![
                polygon(
                    1.0,
                    &[
                        (-0.88, collar),
                        (-0.25, collar + 0.05),
                        (0.1, toe - 0.1),
                        (0.7, toe),
                        (0.9, 0.42),
                        (-0.88, 0.42),
                    ],
                ),
                rectangle(0.7, (-0.9, 0.92), (0.4, around(0.54, 0.04))),
                polygon(0.4, &[(-0.3, 0.3), (-0.15, 0.3), (0.15, toe), (0.02, toe - 0.05)]),
            ]
        }
        Label::Bag => {
            let (width, top) = (around(0.72, 0.1), around(-0.2, 0.1));
            let (handle, rise) = (around(0.4, 0.08), around(-0.75, 0.1));
            vec![
                mirrored(0.9, &[(-handle * 0.6, rise), (-handle, top + 0.05)]),
                mirrored(0.0, &[(-handle * 0.6 + 0.1, rise + 0.12), (-handle + 0.12, top + 0.05)]),
                mirrored(1.0, &[(-width * 0.92, top), (-width, 0.75)]),
                rectangle(0.6, (-width * 0.95, width * 0.95), (top + 0.2, top + 0.28)),
            ]
        }
        Label::AnkleBoot => {
            let (shaft, toe) = (around(0.0, 0.08), around(0.25, 0.06));
            vec![
                polygon(
                    1.0,
                    &[
                        (-0.72, -0.85),
                        (shaft, -0.85),
                        (shaft + 0.05, -0.05),
                        (0.75, toe),
                        (0.85, 0.62),
                        (-0.78, 0.62),
                    ],
                ),
                polygon(
                    0.7,
                    &[(-0.8, 0.6), (0.88, 0.6), (0.88, 0.72), (-0.35, 0.72), (-0.35, 0.85), (-0.8, 0.85)],
                ),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_bytes() {
        assert_eq!(samples(3, 2), samples(3, 2));
        assert_ne!(samples(3, 2), samples(4, 2));
    }

    #[test]
    fn garments_fill_a_sensible_part_of_a_black_image() {
        let drawn = samples(1, 20);
        for index in 0..drawn.len() {
            let image = drawn.image(index);
            let bright = image.iter().filter(|&&pixel| pixel > 60).count();
            assert!((60..620).contains(&bright), "{} {index}: {bright}", drawn.label(index));
            assert!(image[0] < 60 && image[SHAPE.width - 1] < 60, "{} {index}", drawn.label(index));
        }
    }

    #[test]
    fn a_nearest_mean_classifier_tells_the_classes_apart() {
        let (train, test) = (samples(1, 50), samples(2, 20));
        let mut means = vec![[0.0f32; SHAPE.len()]; Label::ALL.len()];
        for index in 0..train.len() {
            for (sum, &pixel) in means[train.label(index)].iter_mut().zip(train.image(index)) {
                *sum += f32::from(pixel) / 50.0;
            }
        }
        let distance = |class: usize, image: &[u8]| -> f32 {
            means[class].iter().zip(image).map(|(m, &p)| (m - f32::from(p)).powi(2)).sum()
        };
        let correct = (0..test.len())
            .filter(|&index| {
                let image = test.image(index);
                let nearest =
                    (0..means.len()).min_by(|&a, &b| distance(a, image).total_cmp(&distance(b, image)));
                nearest == Some(test.label(index))
            })
            .count();
        assert!(correct * 100 >= test.len() * 75, "{correct} of {}", test.len());
    }
}
