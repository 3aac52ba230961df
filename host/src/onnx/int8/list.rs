//! The layers of a quantized file as a list, each reading the one before it.

use super::super::branch::Join;
use super::super::float::Activation;
use super::super::order::{self, Order, Placed, Reads};
use super::super::pointwise::Function;
use super::read::{Built, IMAGE, Reader};
use crate::quantize::network::{Affine, Computation, QuantizedLayer};

impl Reader<'_> {
    /// The layers that the logits depend on as a list.
    pub(super) fn in_a_list(&mut self, image: [usize; 3]) -> Vec<QuantizedLayer> {
        let reads = |layers: &[Built]| -> Vec<Reads> {
            layers
                .iter()
                .map(|layer| Reads { input: layer.input, other: layer.computation.other() })
                .collect()
        };
        let needed = order::needed(&reads(&self.layers));
        let reading =
            self.layers.iter().zip(needed).filter(|(layer, needed)| *needed && layer.input.is_none());
        if reading.count() > 1 {
            for layer in &mut self.layers {
                layer.input = Some(layer.input.map_or(0, |at| at + 1));
                if let Computation::Branch { other, .. } = &mut layer.computation {
                    *other += 1;
                }
            }
            self.layers.insert(
                0,
                Built {
                    computation: Computation::Lookup { shape: image, function: Function::Input },
                    input: None,
                    from: IMAGE,
                    output: IMAGE,
                    activation: Activation::Linear,
                    shape: image,
                },
            );
        }
        let order = order::in_order(&reads(&self.layers));
        let mut before = IMAGE;
        let entries = order.entries.iter().map(|entry| {
            let layer = self.layer(*entry, &order, before);
            before = layer.output;
            layer
        });
        entries.collect()
    }

    fn layer(&self, entry: Placed, order: &Order, before: Affine) -> QuantizedLayer {
        let (Placed::Layer { at, .. } | Placed::Recall { at }) = entry;
        let built = &self.layers[at];
        let position = |at: usize| order.positions[at].unwrap_or_default();
        let Placed::Layer { is_swapped, .. } = entry else {
            let (join, other) = (Join::Recall { shape: built.shape }, position(at));
            let computation = Computation::Branch { join, other, other_affine: built.output };
            let (output, activation) = (built.output, Activation::Linear);
            return QuantizedLayer { computation, input: before, output, activation };
        };
        let mut computation = built.computation.clone();
        let mut input = built.from;
        if let Computation::Branch { join, other, other_affine } = &mut computation {
            if is_swapped {
                *join = join.swapped();
                *other = built.input.unwrap_or_default();
                std::mem::swap(other_affine, &mut input);
            }
            *other = position(*other);
        }
        QuantizedLayer { computation, input, output: built.output, activation: built.activation }
    }
}
