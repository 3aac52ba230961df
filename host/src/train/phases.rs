//! A whole training: floats first, then, where the recipe says so, on with rounding.

use std::path::Path;

use burn::tensor::Device;
use thiserror::Error;

use super::inference::has_lanes;
use super::recipe::Schedule;
use super::run::Job;
use super::teacher::Teaching;
use super::{Architecture, Interrupt, Observer, Outcome, Recipe, TrainError, TrainedNet, train};
use crate::dataset::Dataset;
use crate::onnx::{OnnxError, float, proto};
use crate::quantize::observe::{Range, observe};
use crate::quantize::{LayerGrid, QuantizeError};

/// Why a training ended without a network.
#[derive(Debug, Error)]
pub enum PhaseError {
    /// One of the phases failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The exported file cannot be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The layers' outputs cannot be observed.
    #[error(transparent)]
    Observe(#[from] QuantizeError),
}

/// A training and where its states are kept.
pub struct Phases<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// How to train it.
    pub recipe: &'a Recipe,
    /// What to train it on.
    pub dataset: &'a Dataset,
    /// Where to train it.
    pub device: Device,
    /// Checkpoints of the float phase and of the one with rounding.
    pub checkpoints: [&'a Path; 2],
    /// Go on from the checkpoints that are there.
    pub resume: bool,
    /// What a teacher says of every training image, where the recipe distils.
    pub teacher: Option<&'a Teaching>,
    /// Training images whose activations decide the first ranges.
    pub calibration_images: usize,
}

/// What a training came to.
#[derive(Debug)]
pub struct Trained {
    /// Folded, weights on their grids.
    pub net: TrainedNet,
    /// Steps that the layers were trained with; empty without rounding.
    pub grids: Vec<LayerGrid>,
    /// Both phases' outcomes as one.
    pub outcome: Outcome,
}

impl Phases<'_> {
    /// Trains; `Ok(None)` means interrupted with a checkpoint written.
    ///
    /// # Errors
    /// [`PhaseError`]; the last checkpoint stays.
    pub fn run(
        &self,
        interrupt: &Interrupt,
        observer: &mut impl Observer,
    ) -> Result<Option<Trained>, PhaseError> {
        let [float_checkpoint, rounding_checkpoint] = self.checkpoints;
        if self.recipe.quantization.is_some() && !has_lanes(self.architecture, &self.device) {
            let remedy = "quantization-aware training runs on the CPU, on networks without depthwise or strided layers: --backend cpu, or --rounding-epochs 0";
            return Err(TrainError::Option(remedy).into());
        }
        let recipe = Recipe { quantization: None, ..self.recipe.clone() };
        let job = Job {
            architecture: self.architecture,
            recipe: &recipe,
            dataset: self.dataset,
            device: self.device.clone(),
            checkpoint: float_checkpoint,
            resume: self.resume,
            start: None,
            teacher: self.teacher,
        };
        let Some(outcome) = train(&job, interrupt, observer)? else { return Ok(None) };
        let folded = outcome.net.folded();
        let Some(rounding) = self.recipe.quantization else {
            return Ok(Some(Trained { net: folded, grids: Vec::new(), outcome }));
        };
        let start = folded.rounding(&self.ranges(&folded)?, rounding.weight_bits);
        let recipe = Recipe {
            epochs: rounding.epochs,
            learning_rate: rounding.learning_rate,
            // Decay would pull the logarithms of the steps.
            weight_decay: 0.0,
            schedule: Schedule::Cosine,
            seed: recipe.seed,
            ..recipe.clone()
        };
        let resume = self.resume && rounding_checkpoint.exists();
        let what = format!("phase 2: quantization-aware training, {}-bit weights", rounding.weight_bits);
        observer.phase(&what, rounding.epochs);
        let checkpoint = rounding_checkpoint;
        let job = Job { recipe: &recipe, checkpoint, resume, start: Some(&start), ..job };
        let Some(mut rounded) = train(&job, interrupt, observer)? else { return Ok(None) };
        let (net, grids) = rounded.net.baked();
        let before = outcome.history.len();
        rounded.history.iter_mut().for_each(|record| record.epoch += before);
        rounded.history.splice(0..0, outcome.history);
        rounded.best += before;
        Ok(Some(Trained { net, grids, outcome: rounded }))
    }

    /// Observes what every layer's output spans on training images.
    fn ranges(&self, net: &TrainedNet) -> Result<Vec<Range>, PhaseError> {
        let bytes = net.to_onnx();
        let model = proto::decode(&bytes, "the export")?;
        let layers = float::layers(&model, "the export")?;
        let images = self.dataset.train.take(self.calibration_images.max(1));
        Ok(observe(&model, &layers, &images)?)
    }
}
