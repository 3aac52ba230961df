//! Quantized network ⇄ int8 ONNX in QDQ form (QuantizeLinear / DequantizeLinear, opset 18).
//!
//! The file is the network's one home: tract and ONNX Runtime execute it, the integer engine and the
//! code generator read it back. Only standard operators are used; scales are the exact f32 of the
//! quantizer, so reading gives the network that was written, bit for bit.

use std::collections::HashMap;

use firmware::nn::window::Window;

use super::OnnxError;
use super::float::Activation;
use super::proto::{self, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use crate::quantize::network::{Affine, Computation, QuantizedLayer, QuantizedNetwork, Weights};
use crate::quantize::swap_inner;

/// Returns the name of the int8 output of layer `index`, for comparing engines tensor by tensor.
pub fn quantized_name(index: usize) -> String {
    format!("layer{index}_q")
}

/// Builds the int8 model.
pub fn write(network: &QuantizedNetwork) -> ModelProto {
    let mut writer = Writer { graph: GraphProto { name: "network".into(), ..GraphProto::default() } };
    let mut current = proto::INPUT_NAME.to_owned();
    if let Some(first) = network.layers.first() {
        current = writer.quantize_dequantize(&current, "input", first.input);
    }
    for (index, layer) in network.layers.iter().enumerate() {
        let is_last = index + 1 == network.layers.len();
        current = writer.layer(index, layer, &current, is_last);
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

    /// Adds a node whose only output is `output`, and returns that name.
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

    fn layer(&mut self, index: usize, layer: &QuantizedLayer, input: &str, is_last: bool) -> String {
        let prefix = format!("layer{index}");
        let computed = if is_last { proto::OUTPUT_NAME.into() } else { format!("{prefix}_y") };
        match &layer.computation {
            Computation::Conv { window, in_channels, out_channels, weights } => {
                let dims = [*out_channels, *in_channels, window.kernel_height, window.kernel_width];
                let values = swap_inner(&weights.values, window.taps(), *in_channels);
                let [w, b] = self.weights(&prefix, &dims, &values, weights, layer.input.scale);
                let node = self.node("Conv", &[input, &w, &b], &computed);
                node.attribute = window_attributes(window);
                node.attribute.push(proto::int("group", 1));
            }
            Computation::Depthwise { window, channels, weights } => {
                let dims = [*channels, 1, window.kernel_height, window.kernel_width];
                let values = swap_inner(&weights.values, window.taps(), *channels);
                let [w, b] = self.weights(&prefix, &dims, &values, weights, layer.input.scale);
                let node = self.node("Conv", &[input, &w, &b], &computed);
                node.attribute = window_attributes(window);
                node.attribute.push(proto::int("group", *channels as i64));
            }
            Computation::MaxPool { window, .. } => {
                self.node("MaxPool", &[input], &computed).attribute = window_attributes(window);
            }
            Computation::AveragePool { window, .. } => {
                let node = self.node("AveragePool", &[input], &computed);
                node.attribute = window_attributes(window);
                node.attribute.push(proto::int("count_include_pad", 0));
            }
            Computation::Add { other, .. } => {
                self.node("Add", &[input, &format!("layer{other}_x")], &computed);
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

fn window_attributes(window: &Window) -> Vec<proto::AttributeProto> {
    // What the last window reaches beyond the input; less padding would lose it, more would add one.
    let beyond = |out: usize, stride: usize, kernel: usize, size: usize, before: usize| {
        ((out - 1) * stride + kernel).saturating_sub(size + before)
    };
    let bottom =
        beyond(window.out_height, window.stride_y, window.kernel_height, window.in_height, window.pad_top);
    let right =
        beyond(window.out_width, window.stride_x, window.kernel_width, window.in_width, window.pad_left);
    vec![
        proto::ints("kernel_shape", &[window.kernel_height, window.kernel_width]),
        proto::ints("strides", &[window.stride_y, window.stride_x]),
        proto::ints("pads", &[window.pad_top, window.pad_left, bottom, right]),
    ]
}

/// Reads an int8 model that [`write()`] made.
///
/// # Errors
/// [`OnnxError::Unsupported`] with the node where the graph is no chain of quantized layers.
pub fn read(model: &ModelProto, file: &str) -> Result<QuantizedNetwork, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    let (input, shape) = proto::input_of(graph, file)?;
    let mut reader = Reader {
        file,
        constants: graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
        dequantized: HashMap::new(),
        current: input,
        affine: None,
        shape: [shape.channels, shape.height, shape.width],
        pending: None,
        outputs: HashMap::new(),
        layers: Vec::new(),
    };
    for node in &graph.node {
        reader.node(node)?;
    }
    proto::check_output(graph, reader.current, file)?;
    let (layers, logits) = reader.finish()?;
    Ok(QuantizedNetwork { task: proto::task_of(model, shape, logits, file)?, layers })
}

struct Reader<'a> {
    file: &'a str,
    constants: HashMap<&'a str, &'a TensorProto>,
    /// Float name of a dequantized constant → the constant and its scales.
    dequantized: HashMap<&'a str, (&'a TensorProto, Vec<f32>)>,
    /// The tensor that the chain has come to.
    current: &'a str,
    /// Quantization of the activation that the chain has come to.
    affine: Option<Affine>,
    shape: [usize; 3],
    /// A layer whose output quantization has not come yet.
    pending: Option<(Computation, Activation)>,
    /// Position and shape of the layer that each dequantized tensor is the output of.
    outputs: HashMap<&'a str, (usize, [usize; 3])>,
    layers: Vec<QuantizedLayer>,
}

impl<'a> Reader<'a> {
    fn refuse<T>(&self, node: &NodeProto, problem: impl Into<String>) -> Result<T, OnnxError> {
        Err(OnnxError::Unsupported {
            file: self.file.into(),
            node: format!("{} ({})", node.name, node.op_type),
            problem: problem.into(),
        })
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        if !proto::has_standard_domain(node) {
            return self.refuse(node, format!("its domain {} is not ONNX's own", node.domain));
        }
        if node.op_type == "DequantizeLinear" && self.constants.contains_key(node.input[0].as_str()) {
            return self.dequantize_constant(node);
        }
        if node.input[0] != self.current {
            return self
                .refuse(node, format!("it does not continue the chain, which is at {}", self.current));
        }
        match node.op_type.as_str() {
            "QuantizeLinear" => self.quantize(node)?,
            "DequantizeLinear" => self.dequantize(node)?,
            "Conv" => self.conv(node)?,
            "Gemm" => self.dense(node)?,
            "MaxPool" | "AveragePool" => self.pool(node)?,
            "Add" => self.add(node)?,
            "Flatten" if proto::int_of(node, "axis").is_none_or(|axis| axis == 1) => {}
            "Relu" => self.activate(node, Activation::Relu)?,
            "Clip" => self.clip(node)?,
            other => return self.refuse(node, format!("this {other} is not part of an int8 network")),
        }
        self.current = &node.output[0];
        Ok(())
    }

    /// Refuses attributes that the engine does not compute with.
    fn check_attributes(&self, node: &NodeProto) -> Result<(), OnnxError> {
        let differs = |name: &str, plain: i64| proto::int_of(node, name).is_some_and(|value| value != plain);
        let any_not = |name: &str, plain: i64| {
            node.attribute.iter().any(|a| a.name == name && a.ints.iter().any(|&value| value != plain))
        };
        let scaled =
            ["alpha", "beta"].iter().any(|name| proto::float_of(node, name).is_some_and(|f| f != 1.0));
        let automatic =
            node.attribute.iter().any(|a| a.name == "auto_pad" && !matches!(&a.s[..], b"" | b"NOTSET"));
        let counted = differs("count_include_pad", 0) && any_not("pads", 0);
        for (is_wrong, name) in [
            (any_not("dilations", 1), "dilations"),
            (differs("ceil_mode", 0), "ceil_mode"),
            (differs("transA", 0), "transA"),
            (scaled, "alpha or beta"),
            (automatic, "auto_pad"),
            (counted, "count_include_pad"),
        ] {
            if is_wrong {
                return self.refuse(node, format!("its attribute {name} is not supported"));
            }
        }
        Ok(())
    }

    fn clip(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let bound = |index: usize| {
            let tensor = node.input.get(index).and_then(|name| self.constants.get(name.as_str()))?;
            proto::floats_of(tensor)?.first().copied()
        };
        match (bound(1), bound(2)) {
            (Some(0.0), Some(6.0)) => self.activate(node, Activation::Relu6),
            _ => self.refuse(node, "only Clip(0, 6) is supported"),
        }
    }

    fn affine_of(&self, node: &NodeProto) -> Result<Affine, OnnxError> {
        let constant = |index: usize| {
            let name = node.input.get(index).map(String::as_str);
            name.and_then(|name| self.constants.get(name)).copied()
        };
        let scale = constant(1).and_then(proto::floats_of).and_then(|scale| scale.first().copied());
        let zero_point = constant(2).and_then(proto::int8s_of).and_then(|zero| zero.first().copied());
        match (scale, zero_point) {
            (Some(scale), Some(zero_point)) if scale > 0.0 && scale.is_finite() => {
                Ok(Affine { scale, zero_point })
            }
            _ => self.refuse(node, "scale or zero point is missing, not positive or of another type"),
        }
    }

    fn quantize(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let output = self.affine_of(node)?;
        match (self.pending.take(), self.affine) {
            (Some((computation, activation)), Some(input)) => {
                if matches!(computation, Computation::MaxPool { .. })
                    && (output != input || activation != Activation::Linear)
                {
                    return self.refuse(node, "a maximum must keep its input's scale and zero point");
                }
                self.layers.push(QuantizedLayer { computation, input, output, activation });
            }
            (None, None) => {
                let expected = Affine { scale: 1.0 / 255.0, zero_point: -128 };
                if output != expected {
                    return self
                        .refuse(node, format!("the input's quantization is {output:?}, not {expected:?}"));
                }
            }
            _ => return self.refuse(node, "it follows no layer"),
        }
        self.affine = Some(output);
        Ok(())
    }

    fn dequantize(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        if Some(self.affine_of(node)?) != self.affine {
            return self.refuse(node, "its scale or zero point is not that of its QuantizeLinear");
        }
        if let Some(last) = self.layers.len().checked_sub(1) {
            self.outputs.insert(&node.output[0], (last, self.shape));
        }
        Ok(())
    }

    fn dequantize_constant(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let Some(&tensor) = self.constants.get(node.input[0].as_str()) else {
            return self.refuse(node, "it dequantizes no constant");
        };
        let zero_point = node.input.get(2).and_then(|name| self.constants.get(name.as_str()));
        let is_zero = zero_point.is_none_or(|tensor| {
            let bytes = tensor.raw_data.iter().all(|&byte| byte == 0);
            bytes && tensor.int32_data.iter().all(|&value| value == 0)
        });
        if !is_zero {
            return self.refuse(node, "weights and biases must have zero point 0");
        }
        let scales = node.input.get(1).and_then(|name| self.constants.get(name.as_str()));
        let Some(scales) = scales.and_then(|scales| proto::floats_of(scales)) else {
            return self.refuse(node, "the scales are no float constant");
        };
        self.dequantized.insert(&node.output[0], (tensor, scales));
        Ok(())
    }

    /// Returns dimensions and weights of a node, in ONNX's order.
    fn weights(&self, node: &NodeProto) -> Result<(Vec<usize>, Weights), OnnxError> {
        let constant =
            |index: usize| node.input.get(index).and_then(|name| self.dequantized.get(name.as_str()));
        let input_scale = self.affine.map_or(1.0, |affine| affine.scale);
        let scales_fit = constant(1).zip(constant(2)).is_none_or(|((_, w), (_, b))| {
            w.len() == b.len() && w.iter().zip(b).all(|(&s_w, &s_b)| s_b == input_scale * s_w)
        });
        if !scales_fit {
            return self.refuse(node, "the bias scale is not input scale × weight scale");
        }
        self.check_attributes(node)?;
        let read = constant(1).zip(constant(2)).and_then(|((w, scales), (b, _))| {
            let weights =
                Weights { values: proto::int8s_of(w)?, bias: proto::int32s_of(b)?, scales: scales.clone() };
            Some((proto::dims_of(w), weights))
        });
        match read {
            Some((dims, weights))
                if dims.first() == Some(&weights.scales.len())
                    && weights.bias.len() == weights.scales.len()
                    && weights.scales.iter().all(|&scale| scale > 0.0 && scale.is_finite()) =>
            {
                Ok((dims, weights))
            }
            _ => self.refuse(node, "weights, scales or bias are missing or of other sizes"),
        }
    }

    fn window(&self, node: &NodeProto, kernel: [usize; 2]) -> Result<Window, OnnxError> {
        let [_, height, width] = self.shape;
        match proto::window_of(node, [height, width], kernel) {
            Some(window) => Ok(window),
            None => self.refuse(node, format!("kernel {kernel:?} does not fit {height}×{width}")),
        }
    }

    fn begin(
        &mut self,
        node: &NodeProto,
        computation: Computation,
        shape: [usize; 3],
    ) -> Result<(), OnnxError> {
        if self.pending.is_some() || self.affine.is_none() {
            return self.refuse(node, "its input is not quantized");
        }
        self.shape = shape;
        self.pending = Some((computation, Activation::Linear));
        Ok(())
    }

    fn conv(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let (dims, weights) = self.weights(node)?;
        let &[out_channels, group_channels, height, width] = &dims[..] else {
            return self.refuse(node, "the weights are not four-dimensional");
        };
        let in_channels = self.shape[0];
        let window = self.window(node, [height, width])?;
        let shape = [out_channels, window.out_height, window.out_width];
        let groups = proto::int_of(node, "group").unwrap_or(1);
        let computation = if groups == 1 && group_channels == in_channels {
            let weights = weights.reordered(|w| swap_inner(w, in_channels, window.taps()));
            Computation::Conv { window, in_channels, out_channels, weights }
        } else if groups as usize == in_channels && group_channels == 1 && out_channels == in_channels {
            let weights = weights.reordered(|w| swap_inner(w, in_channels, window.taps()));
            Computation::Depthwise { window, channels: in_channels, weights }
        } else {
            return self.refuse(
                node,
                format!("weights {dims:?} with {groups} groups do not fit {in_channels} channels"),
            );
        };
        self.begin(node, computation, shape)
    }

    fn dense(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let (dims, weights) = self.weights(node)?;
        let input = self.shape;
        let [channels, height, width] = input;
        let &[out_features, in_features] = &dims[..] else {
            return self.refuse(node, "the weights are not two-dimensional");
        };
        if in_features != channels * height * width || proto::int_of(node, "transB") != Some(1) {
            return self.refuse(node, format!("weights {dims:?} do not fit {input:?} inputs"));
        }
        let weights = weights.reordered(|w| swap_inner(w, channels, height * width));
        self.begin(node, Computation::Dense { input, out_features, weights }, [out_features, 1, 1])
    }

    fn pool(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let Some(&[height, width]) = proto::ints_of(node, "kernel_shape").as_deref() else {
            return self.refuse(node, "kernel_shape is missing or not two-dimensional");
        };
        let window = self.window(node, [height, width])?;
        self.check_attributes(node)?;
        let channels = self.shape[0];
        let computation = match node.op_type.as_str() {
            "MaxPool" => Computation::MaxPool { window, channels },
            _ => Computation::AveragePool { window, channels },
        };
        self.begin(node, computation, [channels, window.out_height, window.out_width])
    }

    /// The sum that ends a residual block.
    fn add(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let other = node.input.get(1).and_then(|name| self.outputs.get(name.as_str())).copied();
        match other {
            Some((other, shape)) if shape == self.shape && node.input.len() == 2 => {
                let other_affine = self.layers[other].output;
                self.begin(node, Computation::Add { shape, other, other_affine }, shape)
            }
            _ => self.refuse(node, "its second input is no layer's output of the same shape"),
        }
    }

    fn activate(&mut self, node: &NodeProto, activation: Activation) -> Result<(), OnnxError> {
        match &mut self.pending {
            Some((Computation::MaxPool { .. }, _)) => {
                return self.refuse(node, "a maximum has no clamp; put the activation before it");
            }
            Some((_, pending)) => *pending = activation,
            None => return self.refuse(node, "it follows no layer"),
        }
        Ok(())
    }

    /// Returns the layers and the number of logits.
    fn finish(mut self) -> Result<(Vec<QuantizedLayer>, usize), OnnxError> {
        match (self.pending.take(), self.affine) {
            (Some((computation @ Computation::Dense { out_features, .. }, activation)), Some(input))
                if activation == Activation::Linear && has_one_scale(&computation) =>
            {
                // The last output is not quantized; the field says nothing.
                let output = Affine { scale: 1.0, zero_point: 0 };
                self.layers.push(QuantizedLayer { computation, input, output, activation });
                Ok((self.layers, out_features))
            }
            _ => Err(OnnxError::Unsupported {
                file: self.file.into(),
                node: "the last".into(),
                problem: "the chain does not end in a dense layer with one weight scale".into(),
            }),
        }
    }
}

/// Whether all outputs share one weight scale, so that their accumulators can be compared.
fn has_one_scale(computation: &Computation) -> bool {
    computation.weights().is_some_and(|(weights, _)| {
        weights.scales.first().is_some_and(|first| weights.scales.iter().all(|scale| scale == first))
    })
}
