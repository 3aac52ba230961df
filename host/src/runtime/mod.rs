//! Engines that turn images into logits: burn, tract, ONNX Runtime, and our own integers.

pub mod integer;
pub mod ort;
pub mod tract;

use anyhow::Result;
use shared::input::InputShape;

use crate::counter::Counter;
use crate::dataset::Samples;

/// What an engine says about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Real logits; the integer engine's are accumulators times the logit scale.
    pub logits: Vec<f32>,
    /// int8 activations of every hidden layer in channel, height, width order; empty for float engines.
    pub activations: Vec<Vec<i8>>,
}

/// Something that classifies images.
pub trait Engine {
    /// Returns the name used in tables and JSON, such as `tract-int8`.
    fn name(&self) -> &'static str;

    /// Classifies one image, `[height][width][channels]` bytes.
    ///
    /// # Errors
    /// The library's message.
    fn answer(&mut self, image: &[u8]) -> Result<Answer>;

    /// Classifies all images in order.
    ///
    /// # Errors
    /// The first image's error, with its index.
    fn logits(&mut self, samples: &Samples) -> Result<Vec<Vec<f32>>> {
        let counter = Counter::new(self.name(), samples.len());
        let answer = |index| {
            counter.count();
            let answer = self.answer(samples.image(index));
            answer.map(|answer| answer.logits).map_err(|error| error.context(format!("image {index}")))
        };
        (0..samples.len()).map(answer).collect()
    }
}

/// Image bytes → network input in 0..=1, channels first: `[channels][height][width]`.
pub fn scaled(shape: InputShape, image: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(image.len());
    for channel in 0..shape.channels {
        let plane = image.iter().skip(channel).step_by(shape.channels);
        values.extend(plane.map(|&pixel| f32::from(pixel) / 255.0));
    }
    values
}
