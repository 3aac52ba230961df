//! The firmware's own `infer`, run on the desktop.

use anyhow::Result;
use rayon::prelude::*;

use super::{Answer, Engine};
use crate::counter::Counter;
use crate::dataset::Samples;
use crate::quantize::network::FirmwareNetwork;
use crate::quantize::{quantized, swap_inner};

/// The integer engine over a quantized network.
pub struct Integer {
    network: FirmwareNetwork,
    /// Whether to keep hidden activations for comparison.
    watch: bool,
}

impl Integer {
    /// Wraps a network; with `watch`, answers carry every hidden activation.
    pub fn new(network: FirmwareNetwork, watch: bool) -> Self {
        Self { network, watch }
    }
}

impl Engine for Integer {
    fn name(&self) -> &'static str {
        "integer"
    }

    fn logits(&mut self, samples: &Samples) -> Result<Vec<Vec<f32>>> {
        let counter = Counter::new(self.name(), samples.len());
        let one = |index| {
            counter.count();
            self.answer_of(samples.image(index)).map(|answer| answer.logits)
        };
        (0..samples.len()).into_par_iter().map(one).collect()
    }

    fn answer(&mut self, image: &[u8]) -> Result<Answer> {
        self.answer_of(image)
    }
}

impl Integer {
    fn answer_of(&self, image: &[u8]) -> Result<Answer> {
        let scale = self.network.quantized().logit_scale();
        let mut activations = Vec::new();
        let logits = self.network.with_network(|network| {
            let mut arena = vec![0; network.arena_bytes()];
            let mut logits = vec![0; network.classes()];
            let watched =
                network.infer_watched(&quantized(image), &mut arena, &mut logits, |index, values| {
                    if self.watch {
                        let channels = network.layers()[index].out_channels();
                        // ONNX's order: channel, height, width.
                        activations.push(swap_inner(values, values.len() / channels, channels));
                    }
                });
            watched.map(|()| logits)
        })?;
        Ok(Answer { logits: logits.into_iter().map(|logit| logit as f32 * scale).collect(), activations })
    }
}

/// Runs each layer on another engine's input of it; returns our outputs, in channel, height, width order.
///
/// * `activations`: that engine's int8 activations of every hidden layer, as in [`Answer`].
///
/// So a layer is judged by itself, not by what the layers before it already did differently.
pub fn layer_by_layer(network: &FirmwareNetwork, image: &[u8], activations: &[Vec<i8>]) -> Vec<Vec<i8>> {
    network.with_network(|network| {
        let mut input = quantized(image);
        let mut outputs = Vec::with_capacity(activations.len());
        for (layer, theirs) in network.layers().iter().zip(activations) {
            let mut output = vec![0; layer.output_len()];
            let other = match layer.other().and_then(|other| Some((other, activations.get(other)?))) {
                Some((other, theirs)) => {
                    let channels = network.layers()[other].out_channels();
                    swap_inner(theirs, channels, theirs.len() / channels)
                }
                None => Vec::new(),
            };
            layer.run(&input, &other, &mut output);
            let channels = layer.out_channels();
            let pixels = output.len() / channels;
            outputs.push(swap_inner(&output, pixels, channels));
            input = swap_inner(theirs, channels, pixels);
        }
        outputs
    })
}
