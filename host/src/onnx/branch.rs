//! How a layer reads an earlier layer's output: the same in float and in int8.

use super::order::Form;

/// What is made of the layer's input and of an earlier layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Sum.
    Add {
        /// Shape of all three, `[channels, height, width]`.
        shape: [usize; 3],
    },
    /// Product.
    Product {
        /// Shape of the output, `[channels, height, width]`.
        shape: [usize; 3],
        /// Whether the input, the other one has one value a channel.
        are_single: [bool; 2],
    },
    /// Channels side by side.
    Concat {
        /// Rows and columns of all three.
        size: [usize; 2],
        /// Channels of the input, of the other one.
        channels: [usize; 2],
        /// Whether the other one's channels come first.
        is_other_first: bool,
    },
    /// The earlier output instead of the input: another branch begins.
    Recall {
        /// Its shape, `[channels, height, width]`.
        shape: [usize; 3],
    },
}

impl Join {
    /// How its output lies in a file.
    ///
    /// * `other`: position of the earlier layer.
    pub fn form(&self, other: usize) -> Form {
        match self {
            Self::Recall { .. } => Form::Of(other),
            Self::Product { shape, .. } if shape[1..] != [1, 1] => Form::Planes,
            _ => Form::Joined(other),
        }
    }

    /// The same with both operands' places exchanged.
    pub fn swapped(self) -> Self {
        match self {
            Self::Product { shape, are_single: [a, b] } => Self::Product { shape, are_single: [b, a] },
            Self::Concat { size, channels: [a, b], is_other_first } => {
                Self::Concat { size, channels: [b, a], is_other_first: !is_other_first }
            }
            other => other,
        }
    }

    /// Channels of two layers side by side; what was computed last is read as it comes.
    ///
    /// * `first`, `second`: position and channels of the layers, in the order of the channels.
    ///
    /// Returns the join, the position of its input and that of the other one.
    pub fn concat(size: [usize; 2], first: (usize, usize), second: (usize, usize)) -> (Self, usize, usize) {
        let is_other_first = second.0 > first.0;
        let (input, other) = if is_other_first { (second, first) } else { (first, second) };
        (Self::Concat { size, channels: [input.1, other.1], is_other_first }, input.0, other.0)
    }

    /// ONNX's operator and the order of its two inputs; a recalled output has none.
    pub fn as_onnx<T>(&self, input: T, other: T) -> Option<(&'static str, [T; 2])> {
        match self {
            Self::Add { .. } => Some(("Add", [input, other])),
            Self::Product { .. } => Some(("Mul", [input, other])),
            Self::Concat { is_other_first: true, .. } => Some(("Concat", [other, input])),
            Self::Concat { .. } => Some(("Concat", [input, other])),
            Self::Recall { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_computed_last_is_the_input_and_swapping_twice_is_nothing() {
        let (join, input, other) = Join::concat([2, 2], (3, 8), (7, 4));
        assert_eq!((input, other), (7, 3));
        assert_eq!(join, Join::Concat { size: [2, 2], channels: [4, 8], is_other_first: true });
        assert_eq!(join.swapped().swapped(), join);
        assert_eq!(join.as_onnx("input", "other"), Some(("Concat", ["other", "input"])));
    }
}
