//! The networks as burn modules, built from an [architecture](super::architecture).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::architecture::{Architecture, LayerSpec, Shape};
use super::fake_quant::FakeQuant;

/// Convolution, batch norm where there is one, ReLU.
#[derive(Module, Debug)]
pub struct ConvBlock {
    pub(super) conv: Conv2d,
    pub(super) norm: Option<BatchNorm>,
    pub(super) quant: Option<FakeQuant>,
    /// The input is added to the output.
    pub(super) residual: bool,
}

/// Fully connected layer over the flattened input, ReLU where `relu`.
#[derive(Module, Debug)]
pub struct DenseBlock {
    pub(super) linear: Linear,
    pub(super) relu: bool,
    pub(super) quant: Option<FakeQuant>,
}

/// Mean over windows.
#[derive(Module, Debug)]
pub struct AveragePoolBlock {
    pub(super) pool: AvgPool2d,
    pub(super) quant: Option<FakeQuant>,
}

/// Mean over the whole plane.
#[derive(Module, Debug)]
pub struct GlobalAveragePool {
    pub(super) height: usize,
    pub(super) width: usize,
}

/// One layer of a [`Net`].
#[allow(clippy::large_enum_variant, reason = "a network holds about ten of them")]
#[derive(Module, Debug)]
pub enum Block {
    /// Convolution block.
    Conv(ConvBlock),
    /// Maximum pooling.
    MaxPool(MaxPool2d),
    /// Average pooling.
    AveragePool(AveragePoolBlock),
    /// Global average pooling.
    GlobalAveragePool(GlobalAveragePool),
    /// Dropout.
    Dropout(Dropout),
    /// Dense block.
    Dense(DenseBlock),
}

/// A chain of layers from images to logits.
#[derive(Module, Debug)]
pub struct Net {
    pub(super) blocks: Vec<Block>,
}

impl Net {
    /// Builds the network with fresh weights from the device's random state ([`Device::seed`]).
    pub fn new(architecture: &Architecture, device: &Device) -> Self {
        let classes = architecture.task.classes.len();
        let blocks = architecture.shaped().map(|(layer, shape)| block(&layer, shape, classes, device));
        Self { blocks: blocks.collect() }
    }

    /// Maps images `[n][channels][height][width]` in 0..=1 to logits `[n][classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut planes = images;
        let mut features: Option<Tensor<2>> = None;
        for block in &self.blocks {
            match (block, features.take()) {
                (Block::Dense(dense), Some(flat)) => features = Some(dense.forward(flat)),
                (Block::Dense(dense), None) => {
                    features = Some(dense.forward(planes.clone().flatten(1, 3)));
                }
                (Block::Dropout(dropout), Some(flat)) => features = Some(dropout.forward(flat)),
                (spatial, _) => planes = spatial.forward_planes(planes),
            }
        }
        features.unwrap_or_else(|| planes.flatten(1, 3))
    }
}

impl Block {
    fn forward_planes(&self, planes: Tensor<4>) -> Tensor<4> {
        match self {
            Block::Conv(block) => {
                let convolved = block.conv.forward(planes.clone());
                let activated = relu(match &block.norm {
                    Some(norm) => norm.forward(convolved),
                    None => convolved,
                });
                if block.residual { activated + planes } else { activated }
            }
            Block::MaxPool(pool) => pool.forward(planes),
            Block::AveragePool(block) => block.pool.forward(planes),
            Block::GlobalAveragePool(pool) => {
                AvgPool2dConfig::new([pool.height, pool.width]).init().forward(planes)
            }
            Block::Dropout(dropout) => dropout.forward(planes),
            Block::Dense(_) => unreachable!("dense layers are handled by Net::forward"),
        }
    }
}

impl DenseBlock {
    fn forward(&self, flat: Tensor<2>) -> Tensor<2> {
        let out = self.linear.forward(flat);
        if self.relu { relu(out) } else { out }
    }
}

fn block(layer: &LayerSpec, [channels, height, width]: Shape, classes: usize, device: &Device) -> Block {
    let padding = |padding: usize| match padding {
        0 => PaddingConfig2d::Valid,
        p => PaddingConfig2d::Explicit(p, p, p, p),
    };
    let norm = |channels: usize| BatchNormConfig::new(channels).init(device);
    match *layer {
        LayerSpec::Conv { out_channels, kernel, stride, padding: p, batch_norm } => {
            let conv = Conv2dConfig::new([channels, out_channels], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(padding(p))
                .with_bias(!batch_norm);
            let norm = batch_norm.then(|| norm(out_channels));
            Block::Conv(ConvBlock { conv: conv.init(device), norm, quant: None, residual: false })
        }
        LayerSpec::Residual => {
            let conv =
                Conv2dConfig::new([channels, channels], [3, 3]).with_padding(padding(1)).with_bias(false);
            let norm = Some(norm(channels));
            Block::Conv(ConvBlock { conv: conv.init(device), norm, quant: None, residual: true })
        }
        LayerSpec::Depthwise { stride } => {
            let conv = Conv2dConfig::new([channels, channels], [3, 3])
                .with_stride([stride, stride])
                .with_padding(padding(1))
                .with_groups(channels)
                .with_bias(false);
            let norm = Some(norm(channels));
            Block::Conv(ConvBlock { conv: conv.init(device), norm, quant: None, residual: false })
        }
        LayerSpec::MaxPool { size } => {
            Block::MaxPool(MaxPool2dConfig::new([size, size]).with_strides([size, size]).init())
        }
        LayerSpec::AveragePool { size, stride } => {
            let pool = AvgPool2dConfig::new([size, size]).with_strides([stride, stride]).init();
            Block::AveragePool(AveragePoolBlock { pool, quant: None })
        }
        LayerSpec::GlobalAveragePool => Block::GlobalAveragePool(GlobalAveragePool { height, width }),
        LayerSpec::Dropout { probability } => Block::Dropout(DropoutConfig::new(probability).init()),
        LayerSpec::Dense { out_features, relu } => {
            let linear = LinearConfig::new(channels * height * width, out_features).init(device);
            Block::Dense(DenseBlock { linear, relu, quant: None })
        }
        LayerSpec::Logits => {
            let linear = LinearConfig::new(channels * height * width, classes).init(device);
            Block::Dense(DenseBlock { linear, relu: false, quant: None })
        }
    }
}
