//! Burn network → float ONNX: one node an operation, weights under their path in the network.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::tensor::Tensor;
use prost::Message;

use super::TrainedNet;
use super::net::{Block, ConvBlock, DenseBlock};
use crate::onnx::proto::{self, AttributeProto};
use crate::onnx::write::GraphWriter;

impl TrainedNet {
    /// Serializes the network as ONNX (opset 18): input `[batch][channels][height][width]` in 0..=1, output
    /// `[batch][classes]`, the task in the metadata.
    ///
    /// The batch dimension is symbolic; dropout vanishes, batch norm is folded into its convolution. The same
    /// network gives the same bytes.
    pub fn to_onnx(&self) -> Vec<u8> {
        let folded = self.net.folded();
        let mut writer = Writer(GraphWriter::default());
        let mut current = proto::INPUT_NAME.to_owned();
        let mut is_flat = false;
        for (index, block) in folded.blocks.iter().enumerate() {
            if let (Block::Dense(_), false) = (block, is_flat) {
                let axis = vec![proto::int("axis", 1)];
                current = writer.node("Flatten", vec![current], axis);
                is_flat = true;
            }
            current = writer.block(index, block, current);
        }
        if !is_flat {
            current = writer.node("Flatten", vec![current], vec![proto::int("axis", 1)]);
        }
        writer.0.finish(&current, &self.architecture.task, "host train").encode_to_vec()
    }
}

/// The blocks of a network as nodes.
struct Writer(GraphWriter);

impl Writer {
    fn node(&mut self, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        self.0.node(op, input, attribute)
    }

    /// Adds a constant under its path in the network and returns the path.
    fn constant<const D: usize>(&mut self, path: String, value: &Param<Tensor<D>>) -> String {
        let tensor = value.val();
        let dims: [usize; D] = tensor.dims();
        let values = tensor.into_data().to_vec::<f32>().expect("networks are trained in f32");
        self.0.constant(path, &dims, &values)
    }

    fn block(&mut self, index: usize, block: &Block, input: String) -> String {
        match block {
            Block::Conv(block) => self.conv(index, block, input),
            Block::MaxPool(pool) => {
                self.node("MaxPool", vec![input], pool_attributes(pool.kernel_size, pool.stride))
            }
            Block::AveragePool(block) => {
                let attributes = pool_attributes(block.pool.kernel_size, block.pool.stride);
                self.node("AveragePool", vec![input], attributes)
            }
            Block::GlobalAveragePool(_) => self.node("GlobalAveragePool", vec![input], vec![]),
            Block::Dropout(_) => input,
            Block::Dense(block) => self.dense(index, block, input),
        }
    }

    fn conv(&mut self, index: usize, block: &ConvBlock, input: String) -> String {
        let conv = &block.conv;
        let weight = self.constant(format!("blocks.{index}.Conv.conv.weight"), &conv.weight);
        let mut inputs = vec![input.clone(), weight];
        if let Some(bias) = &conv.bias {
            inputs.push(self.constant(format!("blocks.{index}.Conv.conv.bias"), bias));
        }
        let [_, _, height, width] = conv.weight.val().dims();
        let pads = match conv.padding {
            PaddingConfig2d::Explicit(top, left, bottom, right) => [top, left, bottom, right],
            PaddingConfig2d::Valid | PaddingConfig2d::Same => [0; 4],
        };
        let attributes = vec![
            proto::ints("kernel_shape", &[height, width]),
            proto::ints("strides", &conv.stride),
            proto::ints("pads", &pads),
            proto::ints("dilations", &[1, 1]),
            proto::int("group", conv.groups as i64),
        ];
        let convolved = self.node("Conv", inputs, attributes);
        let activated = self.node("Relu", vec![convolved], vec![]);
        if block.residual { self.node("Add", vec![activated, input], vec![]) } else { activated }
    }

    fn dense(&mut self, index: usize, block: &DenseBlock, input: String) -> String {
        let weight = self.constant(format!("blocks.{index}.Dense.linear.weight"), &block.linear.weight);
        let mut inputs = vec![input, weight];
        if let Some(bias) = &block.linear.bias {
            inputs.push(self.constant(format!("blocks.{index}.Dense.linear.bias"), bias));
        }
        let out = self.node("Gemm", inputs, vec![]);
        if block.relu { self.node("Relu", vec![out], vec![]) } else { out }
    }
}

fn pool_attributes(kernel: [usize; 2], stride: [usize; 2]) -> Vec<AttributeProto> {
    vec![proto::ints("kernel_shape", &kernel), proto::ints("strides", &stride)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;
    use crate::runtime::Engine;
    use crate::runtime::tract::Tract;
    use crate::task::Task;
    use crate::train::Architecture;
    use crate::train::architecture::{LayerSpec, NetworkFile, known};

    fn assert_tract_agrees(net: &TrainedNet, what: &str) {
        let samples = drawn::samples(5, 2);
        let model = proto::decode(&net.to_onnx(), what).unwrap();
        let theirs = Tract::float(&model).unwrap().logits(&samples).unwrap();
        for (index, (a, b)) in net.logits(&samples).iter().zip(&theirs).enumerate() {
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() <= 1e-4, "{what}, image {index}: {a} against {b}");
            }
        }
    }

    #[test]
    fn tract_answers_exported_networks_as_burn_does() {
        let gray = |name: &String| NetworkFile::named(name).unwrap().input.is_none();
        for name in known().into_iter().filter(gray) {
            let architecture = Architecture::named(&name, Task::fashion_mnist()).unwrap();
            assert_tract_agrees(&TrainedNet::untrained(&architecture, 7), &name);
        }
    }

    #[test]
    fn every_kind_of_layer_is_exported() {
        let layers = [
            LayerSpec::Conv { out_channels: 6, kernel: 5, stride: 2, padding: 2, batch_norm: true },
            LayerSpec::Residual,
            LayerSpec::Depthwise { stride: 1 },
            LayerSpec::AveragePool { size: 2, stride: 2 },
            LayerSpec::Conv { out_channels: 7, kernel: 1, stride: 1, padding: 0, batch_norm: false },
            LayerSpec::GlobalAveragePool,
            LayerSpec::Dense { out_features: 9, relu: true },
            LayerSpec::Dropout { probability: 0.5 },
            LayerSpec::Logits,
        ];
        let all = Architecture::new("all".into(), layers.to_vec(), Task::fashion_mnist()).unwrap();
        assert_tract_agrees(&TrainedNet::untrained(&all, 3), "all layers");
    }

    #[test]
    fn the_same_network_gives_the_same_bytes() {
        let small = Architecture::named("small", Task::fashion_mnist()).unwrap();
        let net = TrainedNet::untrained(&small, 7);
        assert_eq!(net.to_onnx(), net.to_onnx());
    }
}
