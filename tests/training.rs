//! The training loop: repeatable, resumable, interruptible.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::dataset::{Dataset, augment::Augmentation, drawn};
use host::evaluate::accuracy_of;
use host::onnx::float::{self, FloatOp};
use host::onnx::proto;
use host::quantize::observe::Range;
use host::quantize::quantize_on;
use host::runtime::integer::Integer;
use host::task::Task;
use host::train::phases::{Phases, Trained};
use host::train::recipe::QuantizationAware;
use host::train::run::Job;
use host::train::{Architecture, Interrupt, Observer, Outcome, Recipe, device, train};

fn dataset() -> Dataset {
    drawn::dataset(11, 12, 2)
}

fn recipe() -> Recipe {
    Recipe {
        epochs: 3,
        batch_size: 16,
        validation_split: 0.2,
        augmentation: Augmentation {
            flip: true,
            shift: 1,
            cutout_probability: 0.3,
            cutout_side: 8,
            corruption_probability: 0.0,
            photo: None,
        },
        ..Recipe::default()
    }
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
    name: &str,
    recipe: &Recipe,
    dataset: &Dataset,
    checkpoint: &Path,
    resume: bool,
    stop: usize,
) -> Option<Outcome> {
    let architecture = &Architecture::named(name, Task::fashion_mnist()).unwrap();
    let device = device::cpu();
    let job = Job { architecture, recipe, dataset, device, checkpoint, resume, start: None, teacher: None };
    let interrupt = Interrupt::new(false);
    let mut observer = StopAfter { steps: AtomicUsize::new(stop), interrupt: &interrupt };
    train(&job, &interrupt, &mut observer).unwrap()
}

fn logits(outcome: &Outcome, dataset: &Dataset) -> Vec<Vec<f32>> {
    outcome.net.logits(&dataset.test)
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, recipe) = (dataset(), recipe());
    let train_once = |name: &str, recipe: &Recipe| {
        let outcome = run("small", recipe, &dataset, &folder.path().join(name), false, usize::MAX).unwrap();
        outcome.net.to_onnx()
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
    for (name, stop) in [("small", 8), ("small", 6), ("article", 4)] {
        let recipe = Recipe { optimizer: Recipe::of_network(name).unwrap().optimizer, ..recipe() };
        let path = folder.path().join(format!("{}-{stop}.bin", name));
        let whole = run(name, &recipe, &dataset, &folder.path().join("whole"), false, usize::MAX).unwrap();
        assert!(run(name, &recipe, &dataset, &path, false, stop).is_none(), "it was not interrupted");
        let resumed = run(name, &recipe, &dataset, &path, true, usize::MAX).unwrap();
        assert_eq!(logits(&whole, &dataset), logits(&resumed, &dataset), "{name} after {stop} steps");
        assert_eq!(whole.history.len(), resumed.history.len());
        assert_eq!(whole.history[2].loss, resumed.history[2].loss);
    }
}

/// Both phases, interrupted after `stop` steps.
fn run_phases(
    dataset: &Dataset,
    recipe: &Recipe,
    folder: &Path,
    resume: bool,
    stop: usize,
) -> Option<Trained> {
    let checkpoints = [folder.join("float.bin"), folder.join("rounding.bin")];
    let nano = Architecture::named("nano", Task::fashion_mnist()).unwrap();
    let phases = Phases {
        architecture: &nano,
        recipe,
        dataset,
        device: device::cpu(),
        checkpoints: [&checkpoints[0], &checkpoints[1]],
        resume,
        teacher: None,
        calibration_images: 50,
    };
    let interrupt = Interrupt::new(false);
    let mut observer = StopAfter { steps: AtomicUsize::new(stop), interrupt: &interrupt };
    phases.run(&interrupt, &mut observer).unwrap()
}

#[test]
fn training_with_rounding_resumes_bit_for_bit_and_ends_on_its_grids() {
    let (whole_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dataset = dataset();
    let rounding = QuantizationAware { epochs: 2, learning_rate: 1e-3, weight_bits: 4 };
    let recipe = Recipe { epochs: 2, quantization: Some(rounding), ..recipe() };
    let whole = run_phases(&dataset, &recipe, whole_folder.path(), false, usize::MAX).unwrap();
    // Six steps an epoch: the eighth is in the float phase's second, the sixteenth in the other phase.
    assert!(run_phases(&dataset, &recipe, folder.path(), false, 8).is_none());
    assert!(run_phases(&dataset, &recipe, folder.path(), true, 8).is_none());
    let resumed = run_phases(&dataset, &recipe, folder.path(), true, usize::MAX).unwrap();
    assert_eq!(resumed.net.logits(&dataset.test), whole.net.logits(&dataset.test));
    assert_eq!(resumed.grids, whole.grids);
    let epochs: Vec<usize> = whole.outcome.history.iter().map(|record| record.epoch).collect();
    assert_eq!(epochs, [1, 2, 3, 4]);
    let four_bits = whole.grids.iter().filter(|grid| grid.weight_steps.is_some()).count();
    assert_eq!((whole.grids.len(), four_bits), (8, 4));
}

#[test]
fn what_is_trained_with_rounding_is_what_the_integer_engine_computes() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = drawn::dataset(2, 60, 20);
    let rounding = QuantizationAware { epochs: 2, learning_rate: 1e-3, weight_bits: 4 };
    let recipe = Recipe { epochs: 4, quantization: Some(rounding), ..recipe() };
    let trained = run_phases(&dataset, &recipe, folder.path(), false, usize::MAX).unwrap();
    let model = proto::decode(&trained.net.to_onnx(), "trained").unwrap();
    let layers = float::layers(&model, "trained").unwrap();
    let unused = vec![Range { low: 0.0, high: 1.0 }; layers.len()];
    let network = quantize_on(&dataset.task, &layers, &unused, &trained.grids).unwrap();
    // Every 4-bit weight is a whole number of trained steps, the same as in the float file.
    for (layer, (float, grid)) in network.layers.iter().zip(layers.iter().zip(&trained.grids)) {
        let (Some(steps), FloatOp::Conv { weights, .. }) = (&grid.weight_steps, &float.op) else { continue };
        let (quantized, _) = layer.computation.weights().unwrap();
        assert!(quantized.values.iter().all(|w| (-7..=7).contains(w)));
        let per_channel = weights.len() / steps.len();
        let sum: i64 = quantized.values.iter().map(|&w| i64::from(w)).sum();
        let in_steps = weights.iter().enumerate().map(|(at, w)| f64::from(w / steps[at / per_channel]));
        assert!((in_steps.sum::<f64>() - sum as f64).abs() < 0.01);
    }
    let mut engine = Integer::new(network.to_firmware().unwrap(), false);
    let integer = accuracy_of(&mut engine, &dataset.test).unwrap();
    let best = trained.outcome.history[trained.outcome.best];
    assert!(best.validation_accuracy > 0.7 && integer > 0.7, "{best:?}, integer {integer}");
}

#[test]
fn training_learns_the_drawn_garments() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = drawn::dataset(2, 60, 10);
    let recipe = Recipe { epochs: 8, ..recipe() };
    let outcome = run("small", &recipe, &dataset, &folder.path().join("c"), false, usize::MAX).unwrap();
    let best = outcome.history[outcome.best];
    assert!(best.validation_accuracy > 0.7, "{best:?}");
    assert!(outcome.history.iter().all(|record| record.validation_accuracy <= best.validation_accuracy));
}
