//! Integer inference: a list of int8 layers from an image to one logit a class.
//!
//! | module | holds |
//! |---|---|
//! | [`requantize`] | the one rounding rule |
//! | [`window`] | geometry of convolutions and pools |
//! | [`layer`] | layers as plain values over borrowed weights |
//! | [`branch`] | layers that read an earlier output: sums, joined channels |
//! | [`kernel`] | the loops: reference and packed |
//! | [`plan`] | steps with their kernels and places in memory: what a chip runs |
//! | [`arena`] | the memory of a plan |
//! | [`ends`] | the memory of the reference |
//! | [`confidence`] | logits → shares of 256, in integers |
//!
//! [`Network::infer`] is the reference: layer by layer, scalar kernels, any shape. [`plan::Plan::infer`]
//! is what `host codegen` makes of it: fused, packed, overlapping. Both give the same logits, which tests
//! hold on the desktop, in the emulator and on a board.

pub mod arena;
pub mod branch;
pub mod confidence;
pub mod ends;
pub mod kernel;
pub mod layer;
pub mod plan;
pub mod requantize;
pub mod window;

use ends::Place;
use layer::{Dense, Layer};

/// Why layers are no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkError {
    /// Layer `index` has a table of another size than its shape promises.
    Inconsistent {
        /// Position in the chain; the last dense layer counts as one more.
        index: usize,
    },
    /// Layer `index` reads another number of activations than the layer before it writes.
    Mismatch {
        /// Position in the chain.
        index: usize,
        /// Activations it reads.
        reads: usize,
        /// Activations there are.
        have: usize,
    },
    /// Layer `index` reads the output of a layer that does not come before it, or has another length.
    BadBranch {
        /// Position in the chain.
        index: usize,
    },
    /// The last layer yields fewer than two logits, or more than [`MAX_CLASSES`].
    BadClassCount {
        /// Logits it yields.
        have: usize,
    },
}

impl core::fmt::Display for NetworkError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Inconsistent { index } => {
                write!(f, "layer {index}: weights or tables do not fit its shape")
            }
            Self::Mismatch { index, reads, have } => {
                write!(f, "layer {index} reads {reads} activations, but there are {have}")
            }
            Self::BadBranch { index } => {
                write!(f, "layer {index} reads no earlier layer's output of the length that it needs")
            }
            Self::BadClassCount { have } => {
                write!(f, "the last layer yields {have} logits; a classifier has 2 to {MAX_CLASSES}")
            }
        }
    }
}

impl core::error::Error for NetworkError {}

/// Why an inference did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InferError {
    /// The arena given is smaller than [`Network::arena_bytes`].
    ArenaTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The input has another length than the network reads.
    InputLength {
        /// Values read.
        need: usize,
        /// Values given.
        have: usize,
    },
    /// There is room for another number of logits than the network yields.
    LogitCount {
        /// Logits yielded.
        need: usize,
        /// Places given.
        have: usize,
    },
}

impl core::fmt::Display for InferError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ArenaTooSmall { need, have } => write!(f, "the arena has {have} bytes and needs {need}"),
            Self::InputLength { need, have } => write!(f, "the input has {have} values instead of {need}"),
            Self::LogitCount { need, have } => write!(f, "there is room for {have} logits instead of {need}"),
        }
    }
}

impl core::error::Error for InferError {}

/// A checked list of layers, each reading the one before it. Everything below this door trusts the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network<'a> {
    layers: &'a [Layer<'a>],
    last: Dense<'a>,
    arena_bytes: usize,
}

impl<'a> Network<'a> {
    /// Checks that the layers fit together; in a `const` a misfit is a compile error.
    ///
    /// * `layers`: all but the last; the first one's window says what the input is.
    /// * `last`: yields one logit a class as raw accumulators.
    ///
    /// # Errors
    /// [`NetworkError`] with the first layer that does not fit.
    pub const fn new(layers: &'a [Layer<'a>], last: Dense<'a>) -> Result<Self, NetworkError> {
        let mut have = input_len(layers, &last);
        let mut index = 0;
        while index < layers.len() {
            if !layers[index].is_consistent() {
                return Err(NetworkError::Inconsistent { index });
            }
            let branches_off = matches!(layers[index], Layer::Recall(_));
            if !branches_off && layers[index].input_len() != have {
                return Err(NetworkError::Mismatch { index, reads: layers[index].input_len(), have });
            }
            if let Some(other) = layers[index].other()
                && (other >= index || layers[other].output_len() != layers[index].other_len())
            {
                return Err(NetworkError::BadBranch { index });
            }
            have = layers[index].output_len();
            index += 1;
        }
        if !last.is_consistent() {
            return Err(NetworkError::Inconsistent { index });
        }
        if last.in_features != have {
            return Err(NetworkError::Mismatch { index, reads: last.in_features, have });
        }
        if last.out_features < 2 || last.out_features > MAX_CLASSES {
            return Err(NetworkError::BadClassCount { have: last.out_features });
        }
        Ok(Self { layers, last, arena_bytes: ends::arena_bytes(layers) + ends::kept_bytes(layers) })
    }

    /// Returns the values of an input: height × width × channels.
    pub const fn input_len(&self) -> usize {
        input_len(self.layers, &self.last)
    }

    /// Returns the number of classes, which is that of the logits.
    pub const fn classes(&self) -> usize {
        self.last.out_features
    }

    /// Returns all layers but the last.
    pub const fn layers(&self) -> &'a [Layer<'a>] {
        self.layers
    }

    /// Returns the last layer.
    pub const fn last(&self) -> &Dense<'a> {
        &self.last
    }

    /// Returns the bytes of memory that [`Network::infer`] needs for activations.
    pub const fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Returns the multiply-accumulates of one inference.
    pub const fn macs(&self) -> usize {
        let mut macs = self.last.in_features * self.last.out_features;
        let mut index = 0;
        while index < self.layers.len() {
            macs += self.layers[index].macs();
            index += 1;
        }
        macs
    }

    /// Returns the bytes of weights, biases and requantization tables.
    pub const fn constant_bytes(&self) -> usize {
        let mut bytes = self.last.weights.len() + 4 * self.last.bias.len();
        let mut index = 0;
        while index < self.layers.len() {
            bytes += self.layers[index].constant_bytes();
            index += 1;
        }
        bytes
    }

    /// Maps an image to one logit a class.
    ///
    /// * `input`: `[height][width][channels]` i8, row-major, pixel − 128.
    /// * `arena`: scratch memory, contents irrelevant before and after.
    /// * `logits`: `[classes]` i32, raw accumulators of the last layer.
    ///
    /// # Errors
    /// [`InferError`] where a length is wrong; nothing is written then.
    ///
    /// ```
    /// use firmware::nn::layer::{Dense, Layer, MaxPool};
    /// use firmware::nn::requantize::Requantization;
    /// use firmware::nn::{Network, window::Window};
    /// let window = Window::new([28, 28], [7, 7], [7, 7], [0; 4]).unwrap();
    /// let layers = [Layer::MaxPool(MaxPool { window, channels: 1 })];
    /// let none = Requantization { multipliers: &[], shift: 0, zero_point: 0, min: -128, max: 127 };
    /// let last = Dense { in_features: 16, out_features: 10, weights: &[1; 160], bias: &[5; 10], requantization: none };
    /// let network = Network::new(&layers, last).unwrap();
    /// let mut logits = [0; 10];
    /// network.infer(&[-128; 784], &mut vec![0; network.arena_bytes()], &mut logits).unwrap();
    /// assert_eq!(logits, [5 - 128 * 16; 10]);
    /// ```
    pub fn infer(&self, input: &[i8], arena: &mut [i8], logits: &mut [i32]) -> Result<(), InferError> {
        self.infer_watched(input, arena, logits, |_, _| ())
    }

    /// Like [`Network::infer`], and shows every activation to `watch(layer index, activations)`.
    ///
    /// # Errors
    /// As [`Network::infer`].
    pub fn infer_watched(
        &self,
        input: &[i8],
        arena: &mut [i8],
        logits: &mut [i32],
        mut watch: impl FnMut(usize, &[i8]),
    ) -> Result<(), InferError> {
        check_lengths(self.input_len(), input, self.classes(), logits)?;
        let too_small = InferError::ArenaTooSmall { need: self.arena_bytes, have: arena.len() };
        let arena = arena.get_mut(..self.arena_bytes).ok_or(too_small)?;
        let (arena, kept) = arena.split_at_mut_checked(ends::arena_bytes(self.layers)).ok_or(too_small)?;
        let mut from: Option<Place> = None;
        for (index, layer) in self.layers.iter().enumerate() {
            let to = ends::place(self.layers, index);
            let (read, write) = match from {
                None => (input, arena.get_mut(to.offset..to.offset + to.len).ok_or(too_small)?),
                Some(from) => ends::pair(arena, from, to).ok_or(too_small)?,
            };
            let other = match layer.other() {
                Some(other) => kept.get(ends::kept(self.layers, other)).ok_or(too_small)?,
                None => &[],
            };
            layer.run(read, other, write);
            watch(index, write);
            if ends::is_kept(self.layers, index) {
                let place = kept.get_mut(ends::kept(self.layers, index)).ok_or(too_small)?;
                place.copy_from_slice(write);
            }
            from = Some(to);
        }
        let read = match from {
            None => input,
            Some(place) => arena.get(place.offset..place.offset + place.len).ok_or(too_small)?,
        };
        self.last.run_logits(read, logits);
        Ok(())
    }
}

/// Most classes of a network.
pub const MAX_CLASSES: usize = shared::MAX_CLASSES;

/// Values that a chain reads first.
const fn input_len(layers: &[Layer<'_>], last: &Dense<'_>) -> usize {
    match layers {
        [first, ..] => first.input_len(),
        [] => last.in_features,
    }
}

/// Checks what a caller hands to an inference.
fn check_lengths(need: usize, input: &[i8], classes: usize, logits: &[i32]) -> Result<(), InferError> {
    if input.len() != need {
        return Err(InferError::InputLength { need, have: input.len() });
    }
    if logits.len() != classes {
        return Err(InferError::LogitCount { need: classes, have: logits.len() });
    }
    Ok(())
}

/// Returns the index of the largest logit; the lowest index wins ties.
pub fn arg_max(logits: &[i32]) -> usize {
    let mut best = 0;
    let mut highest = i32::MIN;
    for (index, &logit) in logits.iter().enumerate() {
        if logit > highest {
            (best, highest) = (index, logit);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layer::MaxPool;
    use crate::nn::requantize::Requantization;
    use crate::nn::window::Window;

    const NO_ROUNDING: Requantization<'static> =
        Requantization { multipliers: &[], shift: 0, zero_point: 0, min: -128, max: 127 };

    fn dense<'a>(in_features: usize, out_features: usize, weights: &'a [i8], bias: &'a [i32]) -> Dense<'a> {
        Dense { in_features, out_features, weights, bias, requantization: NO_ROUNDING }
    }

    fn pool_to(out: usize) -> Layer<'static> {
        let window = Window::new([28, 28], [28 / out, 28 / out], [28 / out, 28 / out], [0; 4]).unwrap();
        Layer::MaxPool(MaxPool { window, channels: 1 })
    }

    #[test]
    fn a_chain_that_does_not_fit_is_refused_with_its_layer() {
        let weights = [1; 160];
        let layers = [pool_to(4)];
        assert!(Network::new(&layers, dense(16, 10, &weights, &[0; 10])).is_ok());
        let mismatch = Network::new(&layers, dense(15, 10, &weights[..150], &[0; 10]));
        assert_eq!(mismatch, Err(NetworkError::Mismatch { index: 1, reads: 15, have: 16 }));
        let short = Network::new(&layers, dense(16, 10, &weights[1..], &[0; 10]));
        assert_eq!(short, Err(NetworkError::Inconsistent { index: 1 }));
        let eight = Network::new(&layers, dense(16, 8, &weights[..128], &[0; 8])).unwrap();
        assert_eq!((eight.input_len(), eight.classes()), (784, 8));
        let one = Network::new(&layers, dense(16, 1, &weights[..16], &[0]));
        assert_eq!(one, Err(NetworkError::BadClassCount { have: 1 }));
        let twice = [pool_to(4), pool_to(4)];
        let second = Network::new(&twice, dense(16, 10, &weights, &[0; 10]));
        assert_eq!(second, Err(NetworkError::Mismatch { index: 1, reads: 784, have: 16 }));
    }

    #[test]
    fn too_small_an_arena_is_refused_with_both_sizes() {
        let layers = [pool_to(4)];
        let weights = [1; 160];
        let network = Network::new(&layers, dense(16, 10, &weights, &[5; 10])).unwrap();
        let mut logits = [0; 10];
        let refused = network.infer(&[3; 784], &mut [0; 15], &mut logits);
        assert_eq!(refused, Err(InferError::ArenaTooSmall { need: 16, have: 15 }));
        let short = network.infer(&[3; 783], &mut [0; 16], &mut logits);
        assert_eq!(short, Err(InferError::InputLength { need: 784, have: 783 }));
        let few = network.infer(&[3; 784], &mut [0; 16], &mut logits[..9]);
        assert_eq!(few, Err(InferError::LogitCount { need: 10, have: 9 }));
        network.infer(&[3; 784], &mut [0; 16], &mut logits).unwrap();
        assert_eq!(logits, [5 + 16 * 3; 10]);
    }

    #[test]
    fn arg_max_takes_the_lowest_index_of_equals() {
        assert_eq!(arg_max(&[0, 7, 7, -1, 7, 0, 0, 0, 0, 0]), 1);
        assert_eq!(arg_max(&[i32::MIN; 10]), 0);
    }
}
