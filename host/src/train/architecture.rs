//! The networks by name, as lists of layers, with their sizes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::{CLASSES, SIDE};

/// One layer; its input shape follows from the layers before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerSpec {
    /// 2-D convolution, square kernel, optional batch norm, then ReLU.
    Conv {
        /// Output channels.
        out_channels: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
        /// Rows and columns of zeros on every side.
        padding: usize,
        /// Batch norm in place of a bias.
        batch_norm: bool,
    },
    /// Depthwise 3×3 convolution, padded by 1, batch norm, ReLU.
    Depthwise {
        /// Step in both directions.
        stride: usize,
    },
    /// 3×3 convolution with as many channels as its input, batch norm, ReLU, added to its input.
    Residual,
    /// Maximum over non-overlapping squares.
    MaxPool {
        /// Side and step of the window.
        size: usize,
    },
    /// Mean over square windows.
    AveragePool {
        /// Side of the window.
        size: usize,
        /// Step of the window.
        stride: usize,
    },
    /// Mean over the whole plane.
    GlobalAveragePool,
    /// Dropout while training, nothing afterwards.
    Dropout {
        /// Probability of a zero.
        probability: f64,
    },
    /// Fully connected layer over the flattened input.
    Dense {
        /// Outputs.
        out_features: usize,
        /// ReLU behind it; the last layer has none.
        relu: bool,
    },
}

/// A network that the command line knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetName {
    /// Five 3×3 convolutions, 27,000 weights, 0.9M multiply-accumulates: 16 KB with 4-bit weights.
    Nano,
    /// Five 3×3 convolutions, 55,000 weights, 1.8M multiply-accumulates: 31 KB with 4-bit weights.
    Small,
    /// Five 3×3 convolutions, 116,000 weights, 3.8M multiply-accumulates: 63 KB with 4-bit weights.
    Flagship,
    /// The beginner's article's CNN: one convolution, two dense layers, 347 KB.
    Article,
    /// Two blocks of two 3×3 convolutions and 512 dense features, 1.7M weights, 20M multiply-accumulates: for the desktop.
    Minivgg,
    /// Six 3×3 convolutions, 450,000 weights, 25M multiply-accumulates: for the desktop, to teach smaller ones.
    Teacher,
    /// `nano` with every channel's mean in place of its flattened head: shows what the head is worth.
    NanoMean,
}

impl NetName {
    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            NetName::Nano => "nano",
            NetName::Small => "small",
            NetName::Flagship => "flagship",
            NetName::Article => "article",
            NetName::Minivgg => "minivgg",
            NetName::Teacher => "teacher",
            NetName::NanoMean => "nano-mean",
        }
    }

    /// Returns the layers, input 1×28×28, output [`CLASSES`] logits.
    pub fn layers(self) -> Vec<LayerSpec> {
        match self {
            NetName::Nano => tapering([8, 20, 32, 32, 28]),
            NetName::NanoMean => {
                let mut layers = NetName::Nano.layers();
                layers.insert(layers.len() - 1, LayerSpec::GlobalAveragePool);
                layers
            }
            NetName::Small => tapering([16, 24, 40, 48, 48]),
            NetName::Flagship => tapering([20, 36, 64, 72, 64]),
            NetName::Article => vec![
                LayerSpec::Conv { out_channels: 64, kernel: 3, stride: 1, padding: 0, batch_norm: false },
                LayerSpec::MaxPool { size: 2 },
                LayerSpec::Dropout { probability: 0.25 },
                LayerSpec::Dense { out_features: 32, relu: true },
                LayerSpec::Dense { out_features: CLASSES, relu: false },
            ],
            NetName::Minivgg => vec![
                conv(32, 1),
                conv(32, 1),
                LayerSpec::MaxPool { size: 2 },
                LayerSpec::Dropout { probability: 0.25 },
                conv(64, 1),
                conv(64, 1),
                LayerSpec::MaxPool { size: 2 },
                LayerSpec::Dropout { probability: 0.25 },
                // The dense layer with batch norm: a kernel as large as its input.
                LayerSpec::Conv { out_channels: 512, kernel: 7, stride: 1, padding: 0, batch_norm: true },
                LayerSpec::Dropout { probability: 0.5 },
                LayerSpec::Dense { out_features: CLASSES, relu: false },
            ],
            NetName::Teacher => vec![
                conv(24, 1),
                LayerSpec::MaxPool { size: 2 },
                conv(64, 1),
                conv(64, 1),
                LayerSpec::MaxPool { size: 2 },
                LayerSpec::Dropout { probability: 0.1 },
                conv(128, 1),
                conv(128, 1),
                LayerSpec::Dropout { probability: 0.2 },
                conv(128, 0),
                LayerSpec::Dropout { probability: 0.3 },
                LayerSpec::Dense { out_features: CLASSES, relu: false },
            ],
        }
    }
}

/// A 3×3 convolution with batch norm.
fn conv(out_channels: usize, padding: usize) -> LayerSpec {
    LayerSpec::Conv { out_channels, kernel: 3, stride: 1, padding, batch_norm: true }
}

/// Two pooled convolutions, one at 7×7, two without padding down to 3×3, flattened into the logits.
///
/// Most weights sit where a pixel is cheap, and nothing larger than 14×14 is ever stored: the first two
/// convolutions take their pools' maximum before they write.
fn tapering(channels: [usize; 5]) -> Vec<LayerSpec> {
    vec![
        conv(channels[0], 1),
        LayerSpec::MaxPool { size: 2 },
        conv(channels[1], 1),
        LayerSpec::MaxPool { size: 2 },
        conv(channels[2], 1),
        conv(channels[3], 0),
        conv(channels[4], 0),
        LayerSpec::Dense { out_features: CLASSES, relu: false },
    ]
}

/// Shape of an activation: channels, height, width; dense outputs are `[n, 1, 1]`.
pub type Shape = [usize; 3];

/// Input shape of every network: one gray channel.
pub const INPUT_SHAPE: Shape = [1, SIDE, SIDE];

impl LayerSpec {
    /// Whether training on interleaved images ([`super::lanes`]) knows the layer.
    pub fn has_lanes(&self) -> bool {
        match *self {
            Self::Conv { stride, .. } => stride == 1,
            Self::MaxPool { size } => size == 2,
            Self::Depthwise { .. } => false,
            _ => true,
        }
    }

    /// Returns the output shape for an input shape.
    pub fn output_shape(&self, [channels, height, width]: Shape) -> Shape {
        let window = |size: usize, stride: usize, padding: usize| {
            let out = |side: usize| (side + 2 * padding - size) / stride + 1;
            (out(height), out(width))
        };
        match *self {
            LayerSpec::Conv { out_channels, kernel, stride, padding, .. } => {
                let (height, width) = window(kernel, stride, padding);
                [out_channels, height, width]
            }
            LayerSpec::Depthwise { stride } => {
                let (height, width) = window(3, stride, 1);
                [channels, height, width]
            }
            LayerSpec::MaxPool { size } => {
                let (height, width) = window(size, size, 0);
                [channels, height, width]
            }
            LayerSpec::AveragePool { size, stride } => {
                let (height, width) = window(size, stride, 0);
                [channels, height, width]
            }
            LayerSpec::GlobalAveragePool => [channels, 1, 1],
            LayerSpec::Residual | LayerSpec::Dropout { .. } => [channels, height, width],
            LayerSpec::Dense { out_features, .. } => [out_features, 1, 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_ends_in_ten_logits() {
        for net in NetName::value_variants() {
            let last = net.layers().iter().fold(INPUT_SHAPE, |shape, layer| layer.output_shape(shape));
            assert_eq!(last, [CLASSES, 1, 1], "{net:?}");
        }
    }

    #[test]
    fn the_article_flattens_to_10816_features() {
        let layers = NetName::Article.layers();
        let flat = layers[..3].iter().fold(INPUT_SHAPE, |shape, layer| layer.output_shape(shape));
        assert_eq!(flat, [64, 13, 13]);
    }
}
