//! The training loop: batches in, weights out, interruptible after any step.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor};
use thiserror::Error;

use super::architecture::Architecture;
use super::batches::{Batch, Plan, derive_seed};
use super::checkpoint::{Checkpoint, CheckpointError, State};
use super::forward::Mode;
use super::history::EpochRecord;
use super::inference::{has_lanes, interleaved, judge, lane_logits, planar};
use super::lanes::LANES;
use super::net::Net;
use super::objective::Objective;
use super::recipe::{OptimizerName, Recipe};
use super::teacher::Teaching;
use super::weights::Weights;
use super::{TrainedNet, logits_of, rows_of};
use crate::dataset::split::SplitError;
use crate::dataset::{Dataset, Samples};
use crate::evaluate::arg_max_f32;

/// Why a training ended without a network.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The validation split leaves a side empty.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The checkpoint cannot be written, read or used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loss is no longer a number.
    #[error("the loss became {0} in epoch {1}; lower --lr (it is {2})")]
    Diverged(f64, usize, f64),
    /// An option is out of range.
    #[error("{0}")]
    Option(&'static str),
}

/// Set from a signal handler to stop after the current step.
pub type Interrupt = AtomicBool;

/// Told how the training goes on; every method may do nothing.
pub trait Observer {
    /// A further phase begins, such as the one with rounding; epochs count from 1 again.
    fn phase(&mut self, _what: &str, _epochs: usize) {}
    /// A step of `steps` ended; `loss` is the mean over the epoch's images so far.
    fn step(&mut self, _epoch: usize, _step: usize, _steps: usize, _loss: f64, _accuracy: f64) {}
    /// An epoch of `epochs` ended.
    fn epoch(&mut self, _record: &EpochRecord, _epochs: usize, _is_best: bool) {}
}

impl Observer for () {}

/// What a training came to.
#[derive(Debug)]
pub struct Outcome {
    /// The weights of the best epoch by validation accuracy (lower loss breaks ties).
    pub net: TrainedNet,
    /// One record an epoch.
    pub history: Vec<EpochRecord>,
    /// Index into `history` of the epoch whose weights were kept.
    pub best: usize,
    /// Images learned from and validated with.
    pub split_sizes: (usize, usize),
}

/// A whole training, before the first step.
pub struct Job<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// How to train it.
    pub recipe: &'a Recipe,
    /// What to train it on.
    pub dataset: &'a Dataset,
    /// Where to train it.
    pub device: Device,
    /// The checkpoint file, written after every epoch and on interruption.
    pub checkpoint: &'a Path,
    /// Go on from the checkpoint.
    pub resume: bool,
    /// Go on from this network's weights instead of fresh ones.
    pub start: Option<&'a TrainedNet>,
    /// What a teacher says of every training image, where the recipe distils.
    pub teacher: Option<&'a Teaching>,
}

/// Trains a network; `Ok(None)` means interrupted with a checkpoint written.
///
/// # Errors
/// [`TrainError`]; the last checkpoint stays.
pub fn train(
    job: &Job<'_>,
    interrupt: &Interrupt,
    observer: &mut impl Observer,
) -> Result<Option<Outcome>, TrainError> {
    let recipe = job.recipe;
    if recipe.epochs == 0 || recipe.batch_size == 0 {
        return Err(TrainError::Option("--epochs and --batch-size must be at least 1"));
    }
    if !(recipe.weight_decay >= 0.0 && recipe.weight_decay.is_finite()) {
        return Err(TrainError::Option("--weight-decay must be a finite number, 0 or more"));
    }
    if !(recipe.learning_rate > 0.0 && recipe.learning_rate.is_finite()) {
        return Err(TrainError::Option("--learning-rate must be a finite number above 0"));
    }
    let parts = recipe.split(job.dataset)?;
    let validation = job.dataset.train.select(&parts.validation);
    let plan = Plan {
        samples: &job.dataset.train,
        large: job.dataset.large.as_ref(),
        indices: &parts.train,
        batch_size: recipe.batch_size,
        augmentation: recipe.augmentation,
        mixup: recipe.mixup,
        seed: recipe.seed,
        multiple: if has_lanes(job.architecture, &job.device) { LANES } else { 1 },
    };
    if plan.steps() == 0 {
        return Err(TrainError::Option("--batch-size and the training images must be at least 16"));
    }
    if recipe.augmentation.photo.is_some() && job.dataset.large.is_none() {
        return Err(TrainError::Option(
            "the recipe's augmentation of photographs needs a folder of pictures: --data FOLDER",
        ));
    }
    let mut trainer = Trainer::new(job, plan)?;
    while trainer.state.epoch < recipe.epochs {
        if !trainer.epoch(interrupt, observer)? {
            trainer.save()?;
            return Ok(None);
        }
        trainer.end_epoch(&validation, observer)?;
        trainer.save()?;
    }
    let split_sizes = (parts.train.len(), parts.validation.len());
    Ok(Some(trainer.finish(split_sizes)))
}

/// The network before the first step; the same for the same seed, whatever else runs in the process.
fn fresh_net(job: &Job<'_>, device: &Device) -> Net {
    if let Some(start) = job.start {
        return start.net.clone().train();
    }
    // burn's generator belongs to the process, and layers are drawn from it when they are first used.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(job.recipe.seed);
    let net = Net::new(job.architecture, device);
    let _ = Weights::of(&net);
    net
}

struct Trainer<'a> {
    job: &'a Job<'a>,
    plan: Plan<'a>,
    device: Device,
    uses_lanes: bool,
    net: Net,
    optimizer: ModuleOptimizer,
    average: Option<Weights>,
    best: Option<Weights>,
    objective: Objective<'a>,
    state: State,
}

impl<'a> Trainer<'a> {
    fn new(job: &'a Job<'a>, plan: Plan<'a>) -> Result<Self, TrainError> {
        let device = job.device.clone().autodiff();
        let net = fresh_net(job, &device);
        let optimizer = match job.recipe.optimizer {
            OptimizerName::Adam => AdamConfig::new().init(),
            OptimizerName::AdamW => {
                AdamWConfig::new().with_weight_decay(job.recipe.weight_decay as f32).init()
            }
        };
        let average = (job.recipe.average_decay > 0.0).then(|| Weights::of(&net));
        let state = State {
            architecture: job.architecture.clone(),
            recipe: job.recipe.clone(),
            dataset_sha256: job.dataset.sha256.clone(),
            epoch: 0,
            step: 0,
            loss_sum: 0.0,
            correct: 0,
            seen: 0,
            seconds: 0.0,
            history: Vec::new(),
        };
        let uses_lanes = plan.multiple == LANES;
        let objective = Objective::new(job, &plan, &device, uses_lanes);
        let fresh =
            Self { job, plan, device, uses_lanes, net, optimizer, average, best: None, objective, state };
        if job.resume { fresh.resumed() } else { Ok(fresh) }
    }

    /// Replaces the fresh state by the checkpoint's.
    fn resumed(mut self) -> Result<Self, TrainError> {
        let path = self.job.checkpoint;
        let checkpoint = Checkpoint::load(path)?;
        checkpoint.check(path, self.job.architecture, self.job.recipe, &self.job.dataset.sha256)?;
        let damaged = |field: &str, problem: String| CheckpointError::Damaged {
            path: path.into(),
            field: field.into(),
            problem,
        };
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(checkpoint.model))
            .map_err(|error| damaged("model", error.to_string()))?;
        self.net = self.net.try_load_record(record).map_err(|error| damaged("model", error.to_string()))?;
        if !checkpoint.optimizer.is_empty() {
            self.optimizer = self
                .optimizer
                .from_bytes(Bytes::from_bytes_vec(checkpoint.optimizer))
                .map_err(|error| damaged("optimizer", error.to_string()))?;
        }
        let lengths = Weights::of(&self.net).lengths();
        let read = |field: &str, bytes: &[u8]| {
            let weights = Weights::from_bytes(bytes, &lengths);
            weights.ok_or_else(|| damaged(field, "the size is another network's".into()))
        };
        if self.average.is_some() {
            self.average = Some(read("average", &checkpoint.average)?);
        }
        if !checkpoint.best.is_empty() {
            self.best = Some(read("best", &checkpoint.best)?);
        }
        self.state = State { recipe: self.job.recipe.clone(), ..checkpoint.state };
        Ok(self)
    }

    /// Runs the rest of an epoch; `false` means interrupted.
    fn epoch(&mut self, interrupt: &Interrupt, observer: &mut impl Observer) -> Result<bool, TrainError> {
        let started = Instant::now();
        let before = self.state.seconds;
        let (plan, epoch, first) = (self.plan, self.state.epoch, self.state.step);
        std::thread::scope(|scope| {
            for batch in plan.stream(scope, epoch, first) {
                if interrupt.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                self.step(&batch)?;
                self.state.seconds = before + started.elapsed().as_secs_f64();
                let seen = self.state.seen.max(1) as f64;
                observer.step(
                    epoch,
                    self.state.step,
                    plan.steps(),
                    self.state.loss_sum / seen,
                    self.state.correct as f64 / seen,
                );
            }
            Ok(true)
        })
    }

    fn step(&mut self, batch: &Batch) -> Result<(), TrainError> {
        let (recipe, shape, count) = (self.job.recipe, self.job.dataset.task.input, batch.labels.len());
        let step_seed = derive_seed(recipe.seed ^ 0xd09, self.state.epoch, self.state.step);
        let taught = self.objective.taught(batch);
        let logits = if self.uses_lanes {
            self.net.forward_lanes(interleaved(&batch.images, shape, &self.device), Mode::Train(step_seed))
        } else {
            // Dropout draws from the device's generator: seeding it a step makes every step repeatable.
            self.device.seed(step_seed);
            self.net.forward(planar(batch.images.clone(), shape, &self.device))
        };
        let loss = self.objective.loss(&logits, batch, taught);
        let mean_loss = f64::from(loss.clone().into_scalar::<f32>());
        if !mean_loss.is_finite() {
            return Err(TrainError::Diverged(mean_loss, self.state.epoch + 1, recipe.learning_rate));
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &self.net);
        let net = self.net.clone();
        self.net = self.optimizer.step(self.learning_rate(), net, gradients);
        if let Some(average) = &mut self.average {
            // The average starts short and lengthens, as a long one would remember the first weights.
            let steps = (self.state.epoch * self.plan.steps() + self.state.step) as f64;
            let decay = recipe.average_decay.min((1.0 + steps) / (10.0 + steps));
            average.average_in(&Weights::of(&self.net), decay as f32);
        }
        // Strangers have no right answer to count.
        let with_class = (0..count).filter(|&image| !batch.is_stranger(image)).count();
        self.state.loss_sum += mean_loss * with_class as f64;
        self.state.correct += count_correct(logits, batch);
        self.state.seen += with_class;
        self.state.step += 1;
        Ok(())
    }

    /// Learning rate of the current step.
    fn learning_rate(&self) -> f64 {
        let steps = self.plan.steps();
        let recipe = self.job.recipe;
        let now = self.state.epoch * steps + self.state.step.min(steps - 1);
        recipe.learning_rate * recipe.schedule.factor(now, recipe.epochs * steps)
    }

    fn end_epoch(&mut self, validation: &Samples, observer: &mut impl Observer) -> Result<(), TrainError> {
        let started = Instant::now();
        let weights = self.average.clone().unwrap_or_else(|| Weights::of(&self.net));
        let inner = self.job.device.clone();
        let net = weights.put_into(self.net.valid());
        let logits = if self.uses_lanes {
            lane_logits(&net, validation, &inner)
        } else {
            logits_of(validation, &inner, |images| net.forward(images))
        };
        let (validation_loss, validation_accuracy) = judge(&logits, &validation.labels);
        let seen = self.state.seen.max(1) as f64;
        let record = EpochRecord {
            epoch: self.state.epoch + 1,
            loss: self.state.loss_sum / seen,
            accuracy: self.state.correct as f64 / seen,
            validation_loss,
            validation_accuracy,
            learning_rate: self.learning_rate(),
            seconds: self.state.seconds + started.elapsed().as_secs_f64(),
        };
        self.state.history.push(record);
        let is_best = best_epoch(&self.state.history) == self.state.history.len() - 1;
        if is_best {
            self.best = Some(weights);
        }
        observer.epoch(&record, self.job.recipe.epochs, is_best);
        self.state.epoch += 1;
        (self.state.step, self.state.seen, self.state.correct) = (0, 0, 0);
        (self.state.loss_sum, self.state.seconds) = (0.0, 0.0);
        Ok(())
    }

    fn save(&self) -> Result<(), TrainError> {
        let failed = |error: burn::store::RecordError| {
            CheckpointError::Io(std::io::Error::other(format!("{}: {error}", self.job.checkpoint.display())))
        };
        // Running statistics wait in the layers for the next step; taking the inner network applies them.
        let _ = self.net.valid();
        let bytes_of =
            |weights: &Option<Weights>| weights.as_ref().map(Weights::to_bytes).unwrap_or_default();
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            model: self.net.clone().into_record().into_bytes().map_err(failed)?.to_vec(),
            optimizer: self.optimizer.into_bytes().map_err(failed)?.to_vec(),
            average: bytes_of(&self.average),
            best: bytes_of(&self.best),
        };
        Ok(checkpoint.save(self.job.checkpoint)?)
    }

    fn finish(self, split_sizes: (usize, usize)) -> Outcome {
        let net = self.net.valid();
        let net = match &self.best {
            Some(best) => best.put_into(net),
            None => net,
        };
        let best = best_epoch(&self.state.history);
        let net =
            TrainedNet { net, device: self.job.device.clone(), architecture: self.job.architecture.clone() };
        Outcome { net, best, history: self.state.history, split_sizes }
    }
}

/// Index of the epoch with the highest validation accuracy; the lower loss, then the later epoch, wins ties.
fn best_epoch(history: &[EpochRecord]) -> usize {
    let better = |a: &EpochRecord, b: &EpochRecord| {
        a.validation_accuracy
            .total_cmp(&b.validation_accuracy)
            .then(b.validation_loss.total_cmp(&a.validation_loss))
    };
    let best = history.iter().enumerate().max_by(|(_, a), (_, b)| better(a, b));
    best.map_or(0, |(index, _)| index)
}

fn count_correct(logits: Tensor<2>, batch: &Batch) -> usize {
    let is_right = |(image, row): &(usize, Vec<f32>)| {
        !batch.is_stranger(*image) && arg_max_f32(row) as i32 == batch.labels[*image]
    };
    rows_of(&logits).into_iter().enumerate().filter(is_right).count()
}
