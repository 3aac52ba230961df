//! All float tensors of a network as plain vectors, in the module's own visiting order.
//!
//! Holds the copy in and out and the running average; leaves gradients and devices to the loop.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

/// Every parameter and running statistic of a network, tensor by tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(pub Vec<Vec<f32>>);

impl Weights {
    /// Copies the weights out of a network.
    pub fn of(net: &impl Module) -> Self {
        let mut collector = Collector(Vec::new());
        net.visit(&mut collector);
        Self(collector.0)
    }

    /// Returns the network with these weights in place of its own.
    ///
    /// # Panics
    /// Where the weights come from a network of another shape; checkpoints are checked before.
    pub fn put_into<M: Module>(&self, net: M) -> M {
        net.map(&mut Writer { tensors: self.0.iter() })
    }

    /// Moves towards `newer`: `self = decay · self + (1 − decay) · newer`.
    pub fn average_in(&mut self, newer: &Weights, decay: f32) {
        for (own, new) in self.0.iter_mut().zip(&newer.0) {
            for (own, new) in own.iter_mut().zip(new) {
                *own = decay * *own + (1.0 - decay) * new;
            }
        }
    }

    /// Returns the number of values of each tensor.
    pub fn lengths(&self) -> Vec<usize> {
        self.0.iter().map(Vec::len).collect()
    }

    /// Serializes as little-endian f32, tensors one after another.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Reads what [`Weights::to_bytes`] wrote, given the tensors' lengths; `None` where sizes differ.
    pub fn from_bytes(bytes: &[u8], lengths: &[usize]) -> Option<Self> {
        if bytes.len() != 4 * lengths.iter().sum::<usize>() {
            return None;
        }
        let mut values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Some(Self(lengths.iter().map(|&length| values.by_ref().take(length).collect()).collect()))
    }
}

struct Collector(Vec<Vec<f32>>);

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().to_vec::<f32>();
        self.0.push(values.expect("networks are trained in f32"));
    }
}

struct Writer<'a> {
    tensors: std::slice::Iter<'a, Vec<f32>>,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let values = self.tensors.next().expect("as many tensors as the network has").clone();
        param.map(|tensor| {
            let data = TensorData::new(values, tensor.shape());
            Tensor::from_data(data, &tensor.device())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_refuse_other_sizes() {
        let weights = Weights(vec![vec![1.0, -2.5], vec![f32::MIN_POSITIVE]]);
        let bytes = weights.to_bytes();
        assert_eq!(Weights::from_bytes(&bytes, &weights.lengths()), Some(weights.clone()));
        assert_eq!(Weights::from_bytes(&bytes[1..], &weights.lengths()), None);
    }

    #[test]
    fn averaging_moves_by_the_complement_of_decay() {
        let mut average = Weights(vec![vec![0.0]]);
        average.average_in(&Weights(vec![vec![8.0]]), 0.75);
        assert_eq!(average.0[0][0], 2.0);
    }
}
