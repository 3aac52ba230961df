//! Engines that turn images into logits: burn, tract, ONNX Runtime, and our own integers.

pub mod integer;
pub mod ort;
pub mod tract;

use anyhow::Result;
use shared::{CLASSES, PIXELS};

use crate::dataset::Samples;

/// What an engine says about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Real logits; the integer engine's are accumulators times the logit scale.
    pub logits: [f32; CLASSES],
    /// int8 activations of every hidden layer in channel, height, width order; empty for float engines.
    pub activations: Vec<Vec<i8>>,
}

/// Something that classifies images.
pub trait Engine {
    /// Returns the name used in tables and JSON, such as `tract-int8`.
    fn name(&self) -> &'static str;

    /// Classifies one image, `[28][28]` gray bytes.
    ///
    /// # Errors
    /// The library's message.
    fn answer(&mut self, image: &[u8; PIXELS]) -> Result<Answer>;

    /// Classifies all images in order.
    ///
    /// # Errors
    /// The first image's error, with its index.
    fn logits(&mut self, samples: &Samples) -> Result<Vec<[f32; CLASSES]>> {
        let answer = |index| {
            let answer = self.answer(samples.image(index));
            answer.map(|answer| answer.logits).map_err(|error| error.context(format!("image {index}")))
        };
        (0..samples.len()).map(answer).collect()
    }
}

/// Image bytes → network input in 0..=1.
pub fn scaled(image: &[u8; PIXELS]) -> Vec<f32> {
    image.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
}

/// Turns a slice of logits into an array.
fn logits_array(values: &[f32]) -> Result<[f32; CLASSES]> {
    values.try_into().map_err(|_| anyhow::anyhow!("{} logits instead of {CLASSES}", values.len()))
}
