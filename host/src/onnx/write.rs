//! Plain layers → a float ONNX file of this project's own form, which [`super::float`] reads back.

use firmware::nn::window::Window;

use super::branch::Join;
use super::float::{Activation, FloatLayer, FloatOp};
use super::order::{self, Reshaping, flatness};
use super::pointwise::{Emit, Function};
use super::proto::{self, AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use crate::task::Task;

/// Writes layers as ONNX: input `[batch][channels][height][width]` in 0..=1, output `[batch][classes]`.
///
/// The same layers give the same bytes.
pub fn float_model(layers: &[FloatLayer], task: &Task, producer: &str) -> ModelProto {
    let mut writer = GraphWriter::default();
    let mut outputs: Vec<String> = Vec::with_capacity(layers.len());
    let mut current = proto::INPUT_NAME.to_owned();
    let flat = flatness(layers.iter().map(|layer| layer.op.form()));
    for (at, layer) in layers.iter().enumerate() {
        let other = layer.op.other().and_then(|other| outputs.get(other).cloned()).unwrap_or_default();
        let mut operands = [(current, at.checked_sub(1)), (other, layer.op.other())];
        for (name, position) in &mut operands {
            let was_flat = position.is_some_and(|position| flat[position]);
            let reads = !matches!(layer.op, FloatOp::Branch { join: Join::Recall { .. }, .. });
            if reads && !name.is_empty() {
                *name = writer.reshaped(std::mem::take(name), order::reshaping(was_flat, flat[at]));
            }
        }
        let [(input, _), (other, _)] = operands;
        current = writer.layer(at, layer, input, other, flat[at]);
        outputs.push(current.clone());
    }
    writer.finish(&current, task, producer)
}

/// A graph that is written node by node.
#[derive(Debug, Default)]
pub struct GraphWriter {
    graph: GraphProto,
}

impl GraphWriter {
    /// Adds a node with one output and returns its name.
    pub fn node(&mut self, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let index = self.graph.node.len();
        let output = format!("t{index}");
        self.graph.node.push(NodeProto {
            op_type: op.into(),
            name: format!("{}_{index}", op.to_lowercase()),
            input,
            output: vec![output.clone()],
            attribute,
            ..NodeProto::default()
        });
        output
    }

    /// Adds a constant under its name and returns the name.
    pub fn constant(&mut self, name: String, dims: &[usize], values: &[f32]) -> String {
        self.graph.initializer.push(proto::float_tensor(&name, dims, values));
        name
    }

    fn reshaped(&mut self, input: String, how: Reshaping) -> String {
        match how {
            Reshaping::None => input,
            Reshaping::Flatten => self.node("Flatten", vec![input], vec![proto::int("axis", 1)]),
            Reshaping::Unsqueeze => {
                let name = format!("axes{}", self.graph.node.len());
                self.graph.initializer.push(proto::int64_tensor(&name, &[2, 3]));
                self.node("Unsqueeze", vec![input, name], vec![])
            }
        }
    }

    /// Makes the tensor `logits` the output of a model, the task in the metadata.
    pub fn finish(self, logits: &str, task: &Task, producer: &str) -> ModelProto {
        let mut graph = self.graph;
        graph.name = "network".into();
        for name in graph.node.iter_mut().flat_map(|node| &mut node.output) {
            if name == logits {
                *name = proto::OUTPUT_NAME.into();
            }
        }
        let (input, output) = proto::ends(task);
        (graph.input, graph.output) = (vec![input], vec![output]);
        ModelProto {
            ir_version: proto::IR_VERSION,
            producer_name: producer.into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: proto::OPSET }],
            graph: Some(graph),
            metadata_props: proto::metadata(task),
            ..ModelProto::default()
        }
    }

    fn layer(
        &mut self,
        at: usize,
        layer: &FloatLayer,
        input: String,
        other: String,
        is_flat: bool,
    ) -> String {
        let computed = match &layer.op {
            FloatOp::Conv { window, in_channels, out_channels, depthwise, weights, bias } => {
                let group = if *depthwise { *in_channels } else { 1 };
                let dims = [*out_channels, in_channels / group, window.kernel_height, window.kernel_width];
                let inputs = vec![
                    input,
                    self.constant(format!("layer{at}.weight"), &dims, weights),
                    self.constant(format!("layer{at}.bias"), &[*out_channels], bias),
                ];
                let mut attributes = window_attributes(window);
                attributes.push(proto::int("group", group as i64));
                self.node("Conv", inputs, attributes)
            }
            FloatOp::MaxPool { window, .. } => self.node("MaxPool", vec![input], window_attributes(window)),
            FloatOp::AveragePool { window, .. } => {
                self.node("AveragePool", vec![input], window_attributes(window))
            }
            FloatOp::Branch { join, .. } => match join.as_onnx(input, other.clone()) {
                Some((op @ "Concat", operands)) => {
                    self.node(op, operands.into(), vec![proto::int("axis", 1)])
                }
                Some((op, operands)) => self.node(op, operands.into(), vec![]),
                // The tensor is there already.
                None => other,
            },
            FloatOp::Lookup { function: Function::Input, .. } => self.node("Identity", vec![input], vec![]),
            FloatOp::Lookup { shape, function } => {
                function.write(&input, &channel_dims(shape[0], is_flat), self)
            }
            FloatOp::Dense { input: shape, out_features, weights, bias } => {
                let dims = [*out_features, shape.iter().product()];
                let inputs = vec![
                    input,
                    self.constant(format!("layer{at}.weight"), &dims, weights),
                    self.constant(format!("layer{at}.bias"), &[*out_features], bias),
                ];
                self.node("Gemm", inputs, vec![proto::int("transB", 1)])
            }
        };
        match layer.activation {
            Activation::Linear => computed,
            Activation::Relu => self.node("Relu", vec![computed], vec![]),
            Activation::Relu6 => {
                let bounds = [("low", 0.0), ("high", 6.0)];
                let bounds =
                    bounds.map(|(name, value)| self.constant(format!("layer{at}.{name}"), &[], &[value]));
                let [low, high] = bounds;
                self.node("Clip", vec![computed, low, high], vec![])
            }
        }
    }
}

impl Emit for GraphWriter {
    fn emit(&mut self, op: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) -> String {
        self.node(op, inputs, attributes)
    }

    fn emit_constant(&mut self, dims: &[usize], values: &[f32]) -> String {
        let name = format!("c{}", self.graph.initializer.len());
        self.constant(name, dims, values)
    }
}

/// Dimensions of a constant with one value a channel.
pub fn channel_dims(channels: usize, is_flat: bool) -> Vec<usize> {
    if is_flat { vec![channels] } else { vec![channels, 1, 1] }
}

/// Kernel, strides and pads; what the last window reaches beyond the input is the padding at the end.
pub fn window_attributes(window: &Window) -> Vec<AttributeProto> {
    let end = |size: usize, out: usize, stride: usize, kernel: usize, begin: usize| {
        ((out - 1) * stride + kernel).saturating_sub(size + begin)
    };
    let bottom =
        end(window.in_height, window.out_height, window.stride_y, window.kernel_height, window.pad_top);
    let right = end(window.in_width, window.out_width, window.stride_x, window.kernel_width, window.pad_left);
    vec![
        proto::ints("kernel_shape", &[window.kernel_height, window.kernel_width]),
        proto::ints("strides", &[window.stride_y, window.stride_x]),
        proto::ints("pads", &[window.pad_top, window.pad_left, bottom, right]),
    ]
}
