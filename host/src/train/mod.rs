//! Training with burn: the only part of the project that knows burn's types.
//!
//! [`architecture`] names the networks, [`recipe`] says how they are trained, [`run`] does it. What
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
pub mod lanes;
mod net;
pub mod phases;
pub mod qat;
pub mod recipe;
pub mod run;
pub mod teacher;
mod weights;

pub use architecture::NetName;
pub use recipe::Recipe;
pub use run::{Interrupt, Observer, Outcome, TrainError, train};

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use shared::{CLASSES, PIXELS, SIDE};

use crate::dataset::Samples;
use crate::runtime::{Answer, Engine};

/// A network that answers; it holds no gradients.
#[derive(Debug, Clone)]
pub struct TrainedNet {
    net: net::Net,
    device: Device,
    name: NetName,
}

/// Images a forward pass.
const INFERENCE_BATCH: usize = 250;

impl TrainedNet {
    /// Returns which network this is.
    pub fn name(&self) -> NetName {
        self.name
    }

    /// Builds an untrained network, for tests and shape checks.
    pub fn untrained(name: NetName, seed: u64) -> Self {
        let device = device::cpu();
        device.seed(seed);
        Self { net: net::Net::new(&name.layers(), &device), device, name }
    }

    /// Returns the logits of every image, in order.
    pub fn logits(&self, samples: &Samples) -> Vec<[f32; CLASSES]> {
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
    pub fn load(name: NetName, path: &std::path::Path) -> Result<Self, String> {
        let refuse = |problem: String| format!("{}: {problem}; train again", path.display());
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))
            .map_err(|error| refuse(error.to_string()))?;
        let blank = Self::untrained(name, 0).folded();
        let net = blank.net.try_load_record(record).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { net, ..blank })
    }
}

/// Runs `forward` over all images in batches.
fn logits_of(
    samples: &Samples,
    device: &Device,
    forward: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Vec<[f32; CLASSES]> {
    let mut logits = Vec::with_capacity(samples.len());
    for chunk in samples.pixels.chunks(INFERENCE_BATCH * PIXELS) {
        let scaled: Vec<f32> = chunk.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let data = TensorData::new(scaled, [chunk.len() / PIXELS, 1, SIDE, SIDE]);
        let values = forward(Tensor::from_data(data, device)).into_data().to_vec::<f32>();
        let values = values.expect("logits are f32");
        let (rows, _) = values.as_chunks::<CLASSES>();
        logits.extend_from_slice(rows);
    }
    logits
}

impl Engine for TrainedNet {
    fn name(&self) -> &'static str {
        "burn"
    }

    fn answer(&mut self, image: &[u8; PIXELS]) -> anyhow::Result<Answer> {
        let mut one = Samples::default();
        one.push(image, shared::Label::TShirt);
        Ok(Answer { logits: TrainedNet::logits(self, &one)[0], activations: Vec::new() })
    }

    fn logits(&mut self, samples: &Samples) -> anyhow::Result<Vec<[f32; CLASSES]>> {
        Ok(TrainedNet::logits(self, samples))
    }
}
