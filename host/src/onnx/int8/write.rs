//! Quantized network → int8 ONNX.

use super::super::branch::Join;
use super::super::float::Activation;
use super::super::order::{self, Reshaping, flatness};
use super::super::pointwise::Emit;
use super::super::proto::{self, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use super::super::write::{channel_dims, window_attributes};
use crate::quantize::network::{Affine, Computation, QuantizedLayer, QuantizedNetwork, Weights};
use crate::quantize::swap_inner;
use firmware::nn::window::Window;

/// Builds the int8 model.
pub fn write(network: &QuantizedNetwork) -> ModelProto {
    let mut writer = Writer { graph: GraphProto { name: "network".into(), ..GraphProto::default() } };
    let mut current = proto::INPUT_NAME.to_owned();
    if let Some(first) = network.layers.first() {
        current = writer.quantize_dequantize(&current, "input", first.input);
    }
    let flat = flatness(network.layers.iter().map(|layer| layer.computation.form()));
    for (index, layer) in network.layers.iter().enumerate() {
        let is_last = index + 1 == network.layers.len();
        let other = layer.computation.other();
        let other_name = other.map(|other| format!("layer{other}_x")).unwrap_or_default();
        // A dense layer flattens its input itself, whether it is flat or not.
        let joins = !matches!(
            layer.computation,
            Computation::Dense { .. } | Computation::Branch { join: Join::Recall { .. }, .. }
        );
        let mut operands = [(current, index.checked_sub(1), "flat"), (other_name, other, "other_flat")];
        for (operand, position, name) in &mut operands {
            let was_flat = position.is_some_and(|position| flat[position]);
            if joins && !operand.is_empty() {
                let reshaping = order::reshaping(was_flat, flat[index]);
                *operand = writer.reshaped(operand, reshaping, &format!("layer{index}_{name}"));
            }
        }
        let [(input, ..), (other, ..)] = operands;
        current = writer.layer(index, layer, [&input, &other], [is_last, flat[index]]);
    }
    let (input, output) = proto::ends(&network.task);
    (writer.graph.input, writer.graph.output) = (vec![input], vec![output]);
    ModelProto {
        ir_version: proto::IR_VERSION,
        producer_name: "host quantize".into(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: proto::OPSET }],
        graph: Some(writer.graph),
        metadata_props: proto::metadata(&network.task),
        ..ModelProto::default()
    }
}

struct Writer {
    graph: GraphProto,
}

impl Writer {
    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        self.graph.initializer.push(tensor);
        name
    }

    /// Adds a convolution in so many groups.
    fn convolution(&mut self, inputs: &[&str], output: &str, window: &Window, groups: usize) {
        let node = self.node("Conv", inputs, output);
        node.attribute = window_attributes(window);
        node.attribute.push(proto::int("group", groups as i64));
    }

    /// Adds a node whose only output is `output`, and returns that node.
    fn node(&mut self, op: &str, inputs: &[&str], output: &str) -> &mut NodeProto {
        self.graph.node.push(NodeProto {
            op_type: op.into(),
            name: format!("{output}_{}", op.to_lowercase()),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        });
        self.graph.node.last_mut().expect("one was just pushed")
    }

    fn reshaped(&mut self, input: &str, how: Reshaping, output: &str) -> String {
        match how {
            Reshaping::None => return input.to_owned(),
            Reshaping::Flatten => {
                self.node("Flatten", &[input], output).attribute.push(proto::int("axis", 1));
            }
            Reshaping::Unsqueeze => {
                let axes = self.constant(proto::int64_tensor(&format!("{output}_axes"), &[2, 3]));
                self.node("Unsqueeze", &[input, &axes], output);
            }
        }
        output.to_owned()
    }

    /// float → int8 (`<prefix>_q`) → float again (`<prefix>_x`); returns the float name.
    fn quantize_dequantize(&mut self, input: &str, prefix: &str, affine: Affine) -> String {
        let scale = self.constant(proto::float_tensor(&format!("{prefix}_scale"), &[], &[affine.scale]));
        let zero =
            self.constant(proto::int8_tensor(&format!("{prefix}_zero_point"), &[], &[affine.zero_point]));
        let quantized = format!("{prefix}_q");
        let restored = format!("{prefix}_x");
        self.node("QuantizeLinear", &[input, &scale, &zero], &quantized);
        self.node("DequantizeLinear", &[&quantized, &scale, &zero], &restored);
        restored
    }

    /// Adds weights and bias of a layer as dequantized constants; returns their float names.
    fn weights(
        &mut self,
        prefix: &str,
        dims: &[usize],
        values: &[i8],
        weights: &Weights,
        s_in: f32,
    ) -> [String; 2] {
        let out = weights.scales.len();
        let bias_scales: Vec<f32> = weights.scales.iter().map(|&s_w| s_in * s_w).collect();
        let name = |what: &str| format!("{prefix}_{what}");
        let w = self.constant(proto::int8_tensor(&name("weight"), dims, values));
        let w_scale = self.constant(proto::float_tensor(&name("weight_scale"), &[out], &weights.scales));
        let w_zero = self.constant(proto::int8_tensor(&name("weight_zero_point"), &[out], &vec![0; out]));
        let b = self.constant(proto::int32_tensor(&name("bias"), &[out], &weights.bias));
        let b_scale = self.constant(proto::float_tensor(&name("bias_scale"), &[out], &bias_scales));
        let b_zero = self.constant(proto::int32_tensor(&name("bias_zero_point"), &[out], &vec![0; out]));
        let (w_x, b_x) = (name("weight_x"), name("bias_x"));
        self.node("DequantizeLinear", &[&w, &w_scale, &w_zero], &w_x).attribute.push(proto::int("axis", 0));
        self.node("DequantizeLinear", &[&b, &b_scale, &b_zero], &b_x).attribute.push(proto::int("axis", 0));
        [w_x, b_x]
    }

    fn layer(
        &mut self,
        index: usize,
        layer: &QuantizedLayer,
        [input, other]: [&str; 2],
        [is_last, is_flat]: [bool; 2],
    ) -> String {
        let prefix = format!("layer{index}");
        let computed = if is_last { proto::OUTPUT_NAME.into() } else { format!("{prefix}_y") };
        match &layer.computation {
            Computation::Conv { window, in_channels, out_channels, weights } => {
                let dims = [*out_channels, *in_channels, window.kernel_height, window.kernel_width];
                let values = swap_inner(&weights.values, window.taps(), *in_channels);
                let [w, b] = self.weights(&prefix, &dims, &values, weights, layer.input.scale);
                self.convolution(&[input, &w, &b], &computed, window, 1);
            }
            Computation::Depthwise { window, channels, weights } => {
                let dims = [*channels, 1, window.kernel_height, window.kernel_width];
                let values = swap_inner(&weights.values, window.taps(), *channels);
                let [w, b] = self.weights(&prefix, &dims, &values, weights, layer.input.scale);
                self.convolution(&[input, &w, &b], &computed, window, *channels);
            }
            Computation::MaxPool { window, .. } => {
                self.node("MaxPool", &[input], &computed).attribute = window_attributes(window);
            }
            Computation::AveragePool { window, .. } => {
                let node = self.node("AveragePool", &[input], &computed);
                node.attribute = window_attributes(window);
                node.attribute.push(proto::int("count_include_pad", 0));
            }
            Computation::Branch { join, .. } => match join.as_onnx(input, other) {
                Some((op @ "Concat", operands)) => {
                    self.node(op, &operands, &computed).attribute.push(proto::int("axis", 1));
                }
                Some((op, operands)) => {
                    self.node(op, &operands, &computed);
                }
                None => {
                    self.node("Identity", &[other], &computed);
                }
            },
            Computation::Lookup { shape, function } => {
                let mut parts = Parts { writer: self, prefix: &prefix, count: 0 };
                let last = function.write(input, &channel_dims(shape[0], is_flat), &mut parts);
                self.node("Identity", &[&last], &computed);
            }
            Computation::Dense { input: [channels, height, width], out_features, weights } => {
                let pixels = height * width;
                let values = swap_inner(&weights.values, pixels, *channels);
                let dims = [*out_features, channels * pixels];
                let [w, b] = self.weights(&prefix, &dims, &values, weights, layer.input.scale);
                let flat = format!("{prefix}_flat");
                self.node("Flatten", &[input], &flat).attribute.push(proto::int("axis", 1));
                self.node("Gemm", &[&flat, &w, &b], &computed).attribute.push(proto::int("transB", 1));
            }
        }
        if is_last {
            return computed;
        }
        let activated = self.activation(&prefix, &computed, layer.activation);
        self.quantize_dequantize(&activated, &prefix, layer.output)
    }

    fn activation(&mut self, prefix: &str, input: &str, activation: Activation) -> String {
        let output = format!("{prefix}_activated");
        match activation {
            Activation::Linear => return input.to_owned(),
            Activation::Relu => {
                self.node("Relu", &[input], &output);
            }
            Activation::Relu6 => {
                let low = self.constant(proto::float_tensor(&format!("{prefix}_low"), &[], &[0.0]));
                let high = self.constant(proto::float_tensor(&format!("{prefix}_high"), &[], &[6.0]));
                self.node("Clip", &[input, &low, &high], &output);
            }
        }
        output
    }
}

/// Nodes of a function, named for their layer.
struct Parts<'a> {
    writer: &'a mut Writer,
    prefix: &'a str,
    count: usize,
}

impl Parts<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("{}_part{}", self.prefix, self.count)
    }
}

impl Emit for Parts<'_> {
    fn emit(&mut self, op: &str, inputs: Vec<String>, attributes: Vec<proto::AttributeProto>) -> String {
        let name = self.name();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.writer.node(op, &inputs, &name).attribute = attributes;
        name
    }

    fn emit_constant(&mut self, dims: &[usize], values: &[f32]) -> String {
        let name = self.name();
        self.writer.constant(proto::float_tensor(&name, dims, values))
    }
}
