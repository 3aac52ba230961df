//! Assembles batches on a thread of its own, one ahead of the trainer.
//!
//! Nothing depends on timing: the order comes from (seed, epoch), the augmentation of a batch from
//! (seed, epoch, step), so a resumed epoch sees the same images.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::dataset::Samples;
use crate::dataset::augment::{Augmentation, PhotoAugmentation, Shift};
use crate::dataset::strangers::Stranger;
use crate::runtime::scaled;

/// Images and labels of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n][channels][height][width]`, pixel / 255 in 0..=1.
    pub images: Vec<f32>,
    /// `[n]` numbers of classes.
    pub labels: Vec<i32>,
    /// `[n]`, where the images are among the samples.
    pub indices: Vec<usize>,
    /// `[n]`, how far each image, not mirrored, was shifted; empty for photographs.
    pub shifts: Vec<Shift>,
    /// Share of each image in its mixture with the image of the batch counted from the end; none where unmixed.
    pub mixed: Option<f32>,
    /// `[n]`, which images show no class; empty where none can.
    pub strangers: Vec<bool>,
}

impl Batch {
    /// Whether an image shows no class.
    pub fn is_stranger(&self, image: usize) -> bool {
        self.strangers.get(image).copied().unwrap_or(false)
    }
}

/// Batches waiting for the trainer.
const AHEAD: usize = 2;

/// Mixes a seed with its coordinates (SplitMix64's finalizer; Steele, Lea, Flood, 2014).
pub fn derive_seed(seed: u64, epoch: usize, step: usize) -> u64 {
    let mut z = seed
        .wrapping_add((epoch as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add((step as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What an epoch's batches are made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Where the images are.
    pub samples: &'a Samples,
    /// The same images larger, where photographs are augmented.
    pub large: Option<&'a Samples>,
    /// Which of them, in canonical order.
    pub indices: &'a [usize],
    /// Images a batch.
    pub batch_size: usize,
    /// Random changes.
    pub augmentation: Augmentation,
    /// α of the mixture; 0 for none.
    pub mixup: f64,
    /// The recipe's seed.
    pub seed: u64,
    /// The last, smaller batch of an epoch is cut to a multiple of this.
    pub multiple: usize,
}

impl<'a> Plan<'a> {
    /// Number of batches; the last may be smaller.
    pub fn steps(&self) -> usize {
        let rest = self.indices.len() % self.batch_size / self.multiple;
        self.indices.len() / self.batch_size + usize::from(rest > 0)
    }

    /// Starts a thread that sends the batches of `epoch` from `first_step` on.
    pub fn stream<'scope>(
        self,
        scope: &'scope Scope<'scope, 'a>,
        epoch: usize,
        first_step: usize,
    ) -> Receiver<Batch> {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            let mut order = self.indices.to_vec();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(self.seed, epoch, 0)));
            let steps = order.chunks(self.batch_size).take(self.steps());
            for (step, chosen) in steps.enumerate().skip(first_step) {
                let chosen = &chosen[..chosen.len() / self.multiple * self.multiple];
                let mut rng = ChaCha8Rng::seed_from_u64(derive_seed(self.seed, epoch, step + 1));
                let batch = assemble(&self, chosen, &mut rng);
                if sender.send(batch).is_err() {
                    return; // The trainer was interrupted and hung up.
                }
            }
        });
        receiver
    }
}

/// Builds one batch from the images at `indices`.
fn assemble(plan: &Plan<'_>, indices: &[usize], rng: &mut ChaCha8Rng) -> Batch {
    let samples = plan.samples;
    let (mut images, shifts, strangers) = match plan.augmentation.photo.zip(plan.large) {
        Some((photo, large)) => {
            let (images, strangers) = photographs(plan, &photo, large, indices, rng.random());
            (images, Vec::new(), strangers)
        }
        None => {
            let (images, shifts) = plain_images(plan, indices, rng);
            (images, shifts, Vec::new())
        }
    };
    let mixed = (plan.mixup > 0.0).then(|| beta(plan.mixup, rng) as f32);
    if let Some(share) = mixed {
        let len = samples.shape.len();
        let reversed: Vec<f32> = images.chunks_exact(len).rev().flatten().copied().collect();
        images
            .iter_mut()
            .zip(reversed)
            .for_each(|(value, other)| *value = share * *value + (1.0 - share) * other);
    }
    let labels = indices.iter().map(|&index| i32::from(samples.labels[index])).collect();
    Batch { images, labels, indices: indices.to_vec(), shifts, mixed, strangers }
}

/// Images with the changes of [`Augmentation`] alone, one after the other from one generator, and their shifts.
fn plain_images(plan: &Plan<'_>, indices: &[usize], rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<Shift>) {
    let mut images = Vec::with_capacity(indices.len() * plan.samples.shape.len());
    let mut shifts = Vec::with_capacity(indices.len());
    for &index in indices {
        let mut image = plan.samples.image(index).to_vec();
        shifts.push(plan.augmentation.apply(plan.samples.shape, &mut image, rng));
        images.extend(scaled(plan.samples.shape, &image));
    }
    (images, shifts)
}

/// Photographs on all processors, each with a generator of its own, and which of them became strangers.
fn photographs(
    plan: &Plan<'_>,
    photo: &PhotoAugmentation,
    large: &Samples,
    indices: &[usize],
    seed: u64,
) -> (Vec<f32>, Vec<bool>) {
    let shape = plan.samples.shape;
    let image = |(at, &index): (usize, &usize)| -> (Vec<f32>, bool) {
        let mut rng = ChaCha8Rng::seed_from_u64(derive_seed(seed, at, 0));
        if photo.strangers > 0.0 && rng.random::<f32>() < photo.strangers {
            let kind = Stranger::ALL[rng.random_range(0..Stranger::ALL.len())];
            let changed = photo.apply(large.shape, large.image(index), large.shape, &mut rng);
            return (scaled(shape, &kind.image(large.shape, &changed, shape, &mut rng)), true);
        }
        let mut pixels = photo.apply(large.shape, large.image(index), shape, &mut rng);
        plan.augmentation.apply(shape, &mut pixels, &mut rng);
        (scaled(shape, &pixels), false)
    };
    let (images, strangers): (Vec<Vec<f32>>, Vec<bool>) = indices.par_iter().enumerate().map(image).unzip();
    (images.concat(), strangers)
}

/// Draws from Beta(α, α) (Jöhnk, 1964).
fn beta(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let [u, v]: [f64; 2] = std::array::from_fn(|_| rng.random::<f64>().powf(1.0 / alpha));
        if u + v > 0.0 && u + v <= 1.0 {
            return u / (u + v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn a_stream_resumed_in_the_middle_continues_with_the_same_batches() {
        let samples = drawn::samples(1, 3);
        let indices: Vec<usize> = (0..samples.len()).collect();
        let augmentation = Augmentation { flip: true, shift: 1, ..Augmentation::default() };
        let plan = Plan {
            samples: &samples,
            large: None,
            indices: &indices,
            batch_size: 8,
            augmentation,
            mixup: 0.3,
            seed: 5,
            multiple: 1,
        };
        let from = |first_step| -> Vec<Batch> {
            std::thread::scope(|scope| plan.stream(scope, 2, first_step).iter().collect())
        };
        let whole = from(0);
        assert_eq!(whole.len(), plan.steps());
        assert_eq!(whole.iter().map(|batch| batch.labels.len()).sum::<usize>(), 30);
        assert_eq!(whole[2..], from(2)[..]);
    }

    #[test]
    fn photographs_are_changed_alike_for_the_same_seed_and_unlike_for_another_epoch() {
        let samples = drawn::samples(2, 4);
        let large_shape = PhotoAugmentation::source_shape(samples.shape);
        let mut large = Samples::empty(large_shape);
        for index in 0..samples.len() {
            let image =
                samples.image(index).iter().copied().cycle().take(large_shape.len()).collect::<Vec<u8>>();
            large.push(&image, samples.labels[index]);
        }
        let indices: Vec<usize> = (0..samples.len()).collect();
        let photo = PhotoAugmentation {
            rotation: 17.0,
            scale: [0.75, 1.15],
            aspect: 1.2,
            shift: 0.15,
            brightness: 0.2,
            contrast: 1.4,
            colour: 0.1,
            gray: 0.1,
            blur: 0.1,
            noise: 0.02,
            strangers: 0.2,
        };
        let augmentation = Augmentation { flip: true, photo: Some(photo), ..Augmentation::default() };
        let plan = Plan {
            samples: &samples,
            large: Some(&large),
            indices: &indices,
            batch_size: 16,
            augmentation,
            mixup: 0.0,
            seed: 5,
            multiple: 1,
        };
        let epoch = |epoch| -> Vec<Batch> {
            std::thread::scope(|scope| plan.stream(scope, epoch, 0).iter().collect())
        };
        assert_eq!(epoch(1), epoch(1));
        assert_ne!(epoch(1)[0].images, epoch(2)[0].images);
        let strangers = epoch(1).iter().flat_map(|batch| batch.strangers.clone()).filter(|is| *is).count();
        assert!((1..samples.len() / 2).contains(&strangers), "{strangers} of {}", samples.len());
        assert!(epoch(1).iter().flat_map(|batch| &batch.images).all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn a_mixture_keeps_the_share_it_tells() {
        let samples = drawn::samples(2, 2);
        let indices: Vec<usize> = (0..samples.len()).collect();
        let plan = Plan {
            samples: &samples,
            large: None,
            indices: &indices,
            batch_size: 20,
            augmentation: Augmentation::default(),
            mixup: 0.4,
            seed: 9,
            multiple: 1,
        };
        let batch = std::thread::scope(|scope| plan.stream(scope, 0, 0).iter().next().unwrap());
        let share = batch.mixed.unwrap();
        let (first, last) = (batch.indices[0], batch.indices[19]);
        for (at, value) in batch.images[..784].iter().enumerate() {
            let own = f32::from(samples.image(first)[at]) / 255.0;
            let other = f32::from(samples.image(last)[at]) / 255.0;
            assert!((value - (share * own + (1.0 - share) * other)).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn seeds_differ_by_epoch_and_step() {
        let seeds: std::collections::HashSet<u64> =
            (0..50).flat_map(|epoch| (0..50).map(move |step| derive_seed(1, epoch, step))).collect();
        assert_eq!(seeds.len(), 2_500);
    }
}
