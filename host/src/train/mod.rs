//! Training with burn: the only part of the project that knows burn's types.
//!
//! [`architecture`] reads the networks, [`recipe`] says how they are trained, [`run`] does it. What
//! leaves this module is a [`TrainedNet`]: logits for images, and an ONNX file ([`export`]).

pub mod architecture;
pub mod batches;
pub mod checkpoint;
mod dequantize;
pub mod device;
pub mod export;
pub mod fake_quant;
mod forward;
pub mod history;
mod inference;
pub mod lanes;
mod net;
mod objective;
pub mod phases;
pub mod qat;
pub mod recipe;
pub mod run;
pub mod teacher;
mod weights;

pub use architecture::Architecture;
pub use recipe::Recipe;
pub use run::{Interrupt, Observer, Outcome, TrainError, train};

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor};

use crate::dataset::Samples;
use crate::runtime::{Answer, Engine, scaled};

/// A network that answers; it holds no gradients.
#[derive(Debug, Clone)]
pub struct TrainedNet {
    net: net::Net,
    device: Device,
    architecture: Architecture,
}

/// Images a forward pass.
const INFERENCE_BATCH: usize = 250;

impl TrainedNet {
    /// Returns which network this is.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Builds an untrained network, for tests and shape checks.
    pub fn untrained(architecture: &Architecture, seed: u64) -> Self {
        let device = device::cpu();
        device.seed(seed);
        let net = net::Net::new(architecture, &device);
        Self { net, device, architecture: architecture.clone() }
    }

    /// Returns the logits of every image, in order.
    pub fn logits(&self, samples: &Samples) -> Vec<Vec<f32>> {
        logits_of(samples, &self.device, |images| self.net.forward(images))
    }

    /// Saves the weights of a [folded](Self::folded) network as a burnpack file, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system answers, with the path.
    pub fn save(&self, path: &std::path::Path) -> std::io::Result<()> {
        let bytes = self.net.clone().into_record().into_bytes().map_err(std::io::Error::other)?;
        crate::files::write_whole(path, &bytes)
    }

    /// Loads weights that [`TrainedNet::save`] wrote.
    ///
    /// # Errors
    /// A message with the path where the file is missing, damaged or of another network.
    pub fn load(architecture: &Architecture, path: &std::path::Path) -> Result<Self, String> {
        let refuse = |problem: String| format!("{}: {problem}; train again", path.display());
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))
            .map_err(|error| refuse(error.to_string()))?;
        let blank = Self::untrained(architecture, 0).folded();
        let net = blank.net.try_load_record(record).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { net, ..blank })
    }
}

/// Runs `forward` over all images in batches.
fn logits_of(samples: &Samples, device: &Device, forward: impl Fn(Tensor<4>) -> Tensor<2>) -> Vec<Vec<f32>> {
    let mut logits = Vec::with_capacity(samples.len());
    for chunk in samples.pixels.chunks(INFERENCE_BATCH * samples.shape.len()) {
        let images = chunk.chunks_exact(samples.shape.len());
        let values = images.flat_map(|image| scaled(samples.shape, image)).collect();
        logits.extend(rows_of(&forward(inference::planar(values, samples.shape, device))));
    }
    logits
}

/// Copies `[images][classes]` out of a tensor.
fn rows_of(logits: &Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = logits.dims();
    let values = logits.to_data().to_vec::<f32>().expect("logits are f32");
    values.chunks_exact(classes.max(1)).map(<[f32]>::to_vec).collect()
}

impl Engine for TrainedNet {
    fn name(&self) -> &'static str {
        "burn"
    }

    fn answer(&mut self, image: &[u8]) -> anyhow::Result<Answer> {
        let mut one = Samples::empty(self.architecture.task.input);
        one.push(image, 0);
        Ok(Answer { logits: TrainedNet::logits(self, &one).swap_remove(0), activations: Vec::new() })
    }

    fn logits(&mut self, samples: &Samples) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(TrainedNet::logits(self, samples))
    }
}
