//! The training loop: repeatable, resumable, interruptible.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::dataset::{Dataset, augment::Augmentation, drawn};
use host::train::run::Job;
use host::train::{Interrupt, NetName, Observer, Outcome, Recipe, device, train};

/// The device's random generator belongs to the process: one training at a time.
static DEVICE: Mutex<()> = Mutex::new(());

fn dataset() -> Dataset {
    drawn::dataset(11, 12, 2)
}

fn recipe() -> Recipe {
    let mut recipe = Recipe::default_for(NetName::Small);
    recipe.epochs = 3;
    recipe.batch_size = 16;
    recipe.validation_split = 0.2;
    recipe.augmentation = Augmentation { flip: true, shift: 1, cutout_probability: 0.3, cutout_side: 8 };
    recipe
}

/// Interrupts after a number of steps.
struct StopAfter<'a> {
    steps: AtomicUsize,
    interrupt: &'a Interrupt,
}

impl Observer for StopAfter<'_> {
    fn step(&mut self, _: usize, _: usize, _: usize, _: f64, _: f64) {
        if self.steps.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
}

fn run(
    name: NetName,
    recipe: &Recipe,
    dataset: &Dataset,
    checkpoint: &Path,
    resume: bool,
    stop: usize,
) -> Option<Outcome> {
    let _alone = DEVICE.lock().unwrap();
    let job =
        Job { name, recipe, dataset, device: device::cpu(), checkpoint, resume, start: None, teacher: None };
    let interrupt = Interrupt::new(false);
    let mut observer = StopAfter { steps: AtomicUsize::new(stop), interrupt: &interrupt };
    train(&job, &interrupt, &mut observer).unwrap()
}

fn logits(outcome: &Outcome, dataset: &Dataset) -> Vec<[f32; 10]> {
    outcome.net.logits(&dataset.test)
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, recipe) = (dataset(), recipe());
    let train_once = |name: &str, recipe: &Recipe| {
        let outcome =
            run(NetName::Small, recipe, &dataset, &folder.path().join(name), false, usize::MAX).unwrap();
        outcome.net.to_onnx().unwrap()
    };
    let first = train_once("a", &recipe);
    assert!(first == train_once("b", &recipe), "two runs of one seed differ");
    let other = Recipe { seed: 1, ..recipe };
    assert!(first != train_once("c", &other), "two seeds give the same weights");
}

#[test]
fn a_training_interrupted_anywhere_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset();
    for (name, stop) in [(NetName::Small, 8), (NetName::Small, 6), (NetName::Article, 4)] {
        let recipe = Recipe { optimizer: Recipe::default_for(name).optimizer, ..recipe() };
        let path = folder.path().join(format!("{}-{stop}.bin", name.name()));
        let whole = run(name, &recipe, &dataset, &folder.path().join("whole"), false, usize::MAX).unwrap();
        assert!(run(name, &recipe, &dataset, &path, false, stop).is_none(), "it was not interrupted");
        let resumed = run(name, &recipe, &dataset, &path, true, usize::MAX).unwrap();
        assert_eq!(logits(&whole, &dataset), logits(&resumed, &dataset), "{name:?} after {stop} steps");
        assert_eq!(whole.history.len(), resumed.history.len());
        assert_eq!(whole.history[2].loss, resumed.history[2].loss);
    }
}

#[test]
fn training_learns_the_drawn_garments() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = drawn::dataset(2, 60, 10);
    let recipe = Recipe { epochs: 8, ..recipe() };
    let outcome =
        run(NetName::Small, &recipe, &dataset, &folder.path().join("c"), false, usize::MAX).unwrap();
    let best = outcome.history[outcome.best];
    assert!(best.validation_accuracy > 0.7, "{best:?}");
    assert!(outcome.history.iter().all(|record| record.validation_accuracy <= best.validation_accuracy));
}
