//! Which node of a quantized file becomes what.

use firmware::nn::window::Window;

use super::super::OnnxError;
use super::super::float::Activation;
use super::super::pointwise::Function;
use super::super::proto::{self, NodeProto};
use super::constants::Stored;
use super::read::{Codes, Pending, Reader, Value, bias_of};
use crate::import::geometry::{ConvShape, PoolShape};
use crate::import::rearrange::rearrange;
use crate::import::tensor::Tensor;
use crate::quantize::network::{Affine, Computation, Weights};
use crate::quantize::swap_inner;

/// The domain of ONNX Runtime's operators over codes.
const MICROSOFT: &str = "com.microsoft";

impl Reader<'_> {
    /// The value that a node over activations yields.
    pub(super) fn computed(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let is_microsoft = node.domain == MICROSOFT && node.op_type.starts_with('Q');
        if !proto::has_standard_domain(node) && !is_microsoft {
            return self.refuse(node, format!("its domain {} is not ONNX's own", node.domain));
        }
        match node.op_type.as_str() {
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast" | "Dropout" => {
                self.reshaped(node)
            }
            "Conv" => {
                let input = self.real(node, 0)?;
                let stored = self.weights(node, 1)?;
                self.conv(node, input, &stored, 2)
            }
            "Gemm" | "MatMul" => self.gemm(node),
            "MaxPool" => self.max_pool(node),
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => {
                let input = self.real(node, 0)?;
                self.average(node, input)
            }
            "GlobalMaxPool" | "ReduceMax" => self.global_max(node),
            "Concat" => self.concat(node),
            "Relu" | "Clip" => self.clamped(node),
            "Add" => self.add(node),
            "Mul" => self.multiplied(node),
            "Softmax" | "LogSoftmax" => {
                self.remarks.push(format!("{} at the end dropped: the logits are kept", node.op_type));
                Ok(self.value(node, 0)?.clone())
            }
            name if name.starts_with("QLinear") || name == "QGemm" => self.over_codes(node),
            _ => self.function(node),
        }
    }

    pub(super) fn value(&self, node: &NodeProto, index: usize) -> Result<&Value, OnnxError> {
        match node.input.get(index).and_then(|name| self.values.get(name)) {
            Some(value) => Ok(value),
            None => self.refuse(node, format!("its input {index} is no activation")),
        }
    }

    /// An input that stands for codes.
    fn real(&mut self, node: &NodeProto, index: usize) -> Result<Codes, OnnxError> {
        match self.value(node, index)?.clone() {
            Value::Real(codes) => Ok(codes),
            // A function of codes has 256 values: they are rounded to as many steps.
            Value::Pending(Pending {
                computation: Computation::Lookup { function, .. },
                input,
                is_flat,
                ..
            }) => {
                self.remarks.push(format!(
                    "{}, which the file does not quantize, was rounded to 256 steps",
                    function.name()
                ));
                let output = spanning(&function, input);
                let codes = self.table(input, function, output);
                Ok(Codes { is_flat, ..codes })
            }
            _ => self.refuse(
                node,
                "its input is not quantized; quantize every activation (QuantizeLinear, DequantizeLinear)",
            ),
        }
    }

    fn codes(&self, node: &NodeProto, index: usize) -> Result<Codes, OnnxError> {
        match self.value(node, index)? {
            Value::Codes(codes) => Ok(*codes),
            _ => self.refuse(node, "its input is no tensor of codes"),
        }
    }

    fn weights(&self, node: &NodeProto, index: usize) -> Result<Stored, OnnxError> {
        match node.input.get(index).and_then(|name| self.stored.get(name)) {
            Some(stored) => Ok(stored.clone()),
            None => self.refuse(node, "its weights are not quantized; quantize them to int8"),
        }
    }

    fn quantize(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let output = self.affine(node, 1, 2)?;
        match self.value(node, 0)?.clone() {
            Value::Image(shape, is_flat) => Ok(Value::Codes(self.image((shape, is_flat), output, false))),
            Value::Real(codes) if codes.affine == output => Ok(Value::Codes(codes)),
            Value::Real(codes) => {
                self.remarks.push(format!("{}: new steps for old codes became a table", node.op_type));
                Ok(Value::Codes(self.table(codes, Function::Input, output)))
            }
            Value::Pending(pending) => Ok(Value::Codes(self.quantized(pending, output))),
            Value::Codes(_) => self.refuse(node, "it quantizes codes"),
        }
    }

    fn dequantize(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let affine = self.affine(node, 1, 2)?;
        match self.value(node, 0)?.clone() {
            Value::Codes(codes) if codes.affine == affine => Ok(Value::Real(codes)),
            Value::Codes(_) => self.refuse(node, "its scale or zero point is not that of its QuantizeLinear"),
            Value::Image(shape, is_flat) => Ok(Value::Real(self.image((shape, is_flat), affine, true))),
            _ => self.refuse(node, "its input is no tensor of codes"),
        }
    }

    /// Nodes that only name or reshape: the same, or all values in a row.
    fn reshaped(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let (name, mut value) = (&node.input[0], self.value(node, 0)?.clone());
        let dims = self.dims(name);
        let constants = node
            .input
            .iter()
            .skip(1)
            .filter_map(|name| Some((name.clone(), self.constants.get(name)?.tensor.clone())));
        // A copy of the image, which several layers read.
        if let (Value::Real(codes @ Codes { layer: None, .. }), "Identity") = (&value, node.op_type.as_str())
        {
            let computation = Computation::Lookup { shape: codes.shape, function: Function::Input };
            return Ok(pending(computation, *codes, codes.shape, codes.is_flat));
        }
        let new = match rearrange(node, &dims, &constants.collect()) {
            Some(Ok((new, _))) => new,
            Some(Err(problem)) => return self.refuse(node, problem),
            None => return self.refuse(node, "it is not known"),
        };
        let count: usize = dims.iter().product();
        let is_flat = match new {
            _ if new == dims => return Ok(value),
            _ if new == [1, count] => true,
            _ if new == [1, count, 1, 1] => false,
            _ => {
                return self.refuse(
                    node,
                    format!("it makes {new:?} of {dims:?}; only all values in a row can follow"),
                );
            }
        };
        match &mut value {
            Value::Codes(codes) | Value::Real(codes) => codes.is_flat = is_flat,
            Value::Pending(pending) => pending.is_flat = is_flat,
            Value::Image(_, image) => *image = is_flat,
        }
        Ok(value)
    }

    /// Codes as a layer's, which a later one can read: the image is copied.
    fn in_a_layer(&mut self, codes: Codes) -> Codes {
        match codes.layer {
            Some(_) => codes,
            None => self.table(codes, Function::Input, codes.affine),
        }
    }

    /// * `bias`: index of the bias among the inputs.
    fn conv(
        &mut self,
        node: &NodeProto,
        input: Codes,
        stored: &Stored,
        bias: usize,
    ) -> Result<Value, OnnxError> {
        let shape = ConvShape::read(node, &stored.dims, input.shape, [0; 4])
            .or_else(|problem| self.refuse(node, problem))?;
        self.remarks.extend(shape.remarks(&node.name));
        let mut weights = self.in_steps(node, stored, bias, input.affine)?;
        weights.values = shape.whole(weights.values);
        let (window, in_channels, out_channels) = (shape.window, shape.in_channels, shape.out_channels);
        let weights = weights.reordered(|w| swap_inner(w, in_channels, window.taps()));
        let computation = match shape.is_depthwise() {
            true => Computation::Depthwise { window, channels: in_channels, weights },
            false => Computation::Conv { window, in_channels, out_channels, weights },
        };
        Ok(pending(computation, input, shape.output(), false))
    }

    fn in_steps(
        &mut self,
        node: &NodeProto,
        stored: &Stored,
        bias: usize,
        input: Affine,
    ) -> Result<Weights, OnnxError> {
        let bias = match node.input.get(bias).filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => match bias_of(self, name) {
                Some(bias) => Some(bias),
                None => return self.refuse(node, "its bias is no constant"),
            },
        };
        let (weights, is_rounded) =
            stored.weights(bias.as_ref(), input.scale).or_else(|problem| self.refuse(node, problem))?;
        if is_rounded {
            self.remarks.push(format!(
                "{}: weights beyond ±127 steps were rounded to wider ones; quantize weights symmetrically to keep them",
                node.op_type
            ));
        }
        Ok(weights)
    }

    fn gemm(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let input = self.real(node, 0)?;
        let is_gemm = node.op_type == "Gemm";
        let flag = |name| is_gemm && proto::int_of(node, name).unwrap_or(0) != 0;
        let scaled = is_gemm
            && ["alpha", "beta"].iter().any(|name| proto::float_of(node, name).is_some_and(|f| f != 1.0));
        if scaled || flag("transA") {
            return self.refuse(node, "its attributes alpha, beta or transA are not supported");
        }
        let stored = self.weights(node, 1)?;
        let stored = if flag("transB") { stored } else { stored.transposed() };
        self.dense(node, input, &stored, 2)
    }

    /// * `stored`: weights, outputs first.
    fn dense(
        &mut self,
        node: &NodeProto,
        input: Codes,
        stored: &Stored,
        bias: usize,
    ) -> Result<Value, OnnxError> {
        let shape @ [channels, height, width] = input.shape;
        let &[out_features, in_features] = &stored.dims[..] else {
            return self.refuse(node, format!("its weights have dimensions {:?}", stored.dims));
        };
        if in_features != channels * height * width || !(input.is_flat || height * width == 1) {
            return self.refuse(node, format!("weights {:?} do not fit {shape:?} inputs", stored.dims));
        }
        let weights = self.in_steps(node, stored, bias, input.affine)?;
        let weights = weights.reordered(|w| swap_inner(w, channels, height * width));
        let computation = Computation::Dense { input: shape, out_features, weights };
        Ok(pending(computation, input, [out_features, 1, 1], true))
    }

    fn max_pool(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let (input, are_codes) = match self.value(node, 0)? {
            Value::Codes(codes) => (*codes, true),
            _ => (self.real(node, 0)?, false),
        };
        let [channels, height, width] = input.shape;
        let shape =
            PoolShape::read(node, [height, width], [0; 4]).or_else(|problem| self.refuse(node, problem))?;
        let window = shape.window;
        let output = [channels, window.out_height, window.out_width];
        let computation = Computation::MaxPool { window, channels };
        let codes = self.push(computation, input, input.affine, Activation::Linear, output, false);
        Ok(if are_codes { Value::Codes(codes) } else { Value::Real(codes) })
    }

    fn global_max(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let (input, are_codes) = match self.value(node, 0)? {
            Value::Codes(codes) => (*codes, true),
            _ => (self.real(node, 0)?, false),
        };
        let keeps = node.op_type != "ReduceMax" || self.reduces_planes(node)?;
        let [channels, height, width] = input.shape;
        let Some(window) = Window::new([height, width], [height, width], [1, 1], [0; 4]) else {
            return self.refuse(node, "its input is empty");
        };
        let computation = Computation::MaxPool { window, channels };
        let output = [channels, 1, 1];
        let codes = self.push(computation, input, input.affine, Activation::Linear, output, !keeps);
        Ok(if are_codes { Value::Codes(codes) } else { Value::Real(codes) })
    }

    fn average(&mut self, node: &NodeProto, input: Codes) -> Result<Value, OnnxError> {
        let [channels, height, width] = input.shape;
        if input.is_flat {
            return self.refuse(node, "its input is flat");
        }
        let is_pool = node.op_type.ends_with("AveragePool") && !node.op_type.contains("Global");
        let mut keeps = true;
        let window = if is_pool {
            let shape = PoolShape::read(node, [height, width], [0; 4])
                .or_else(|problem| self.refuse(node, problem))?;
            if shape.counts_padding && shape.pads != [0; 4] {
                return Ok(mean_with_padding(shape.window, input));
            }
            shape.window
        } else {
            if node.op_type == "ReduceMean" {
                keeps = self.reduces_planes(node)?;
            }
            if proto::int_of(node, "channels_last").unwrap_or(0) != 0 {
                return self.refuse(node, "its attribute channels_last is not supported");
            }
            match Window::new([height, width], [height, width], [1, 1], [0; 4]) {
                Some(window) => window,
                None => return self.refuse(node, "its input is empty"),
            }
        };
        let output = [channels, window.out_height, window.out_width];
        Ok(pending(Computation::AveragePool { window, channels }, input, output, !keeps))
    }

    /// Checks that a reduction is over rows and columns; whether it keeps them.
    fn reduces_planes(&self, node: &NodeProto) -> Result<bool, OnnxError> {
        let listed = proto::attribute_of(node, "axes").map(|axes| axes.ints.clone());
        let given = listed.or_else(|| Some(self.constant(node, 1)?.tensor.as_ints()?.to_vec()));
        let mut axes: Vec<i64> = given
            .unwrap_or_default()
            .into_iter()
            .map(|axis| if axis < 0 { axis + 4 } else { axis })
            .collect();
        axes.sort_unstable();
        match axes == [2, 3] {
            true => Ok(proto::int_of(node, "keepdims").unwrap_or(1) != 0),
            false => self.refuse(node, format!("over axes {axes:?} it averages no whole planes")),
        }
    }

    fn concat(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let parts = (0..node.input.len()).map(|at| match self.value(node, at)? {
            Value::Real(codes) | Value::Codes(codes) => Ok(*codes),
            _ => self.refuse(node, "an operand is not quantized"),
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<Codes> = parts.into_iter().map(|part| self.in_a_layer(part)).collect();
        let joined = self.joined(node, &parts)?;
        match self.value(node, 0)? {
            Value::Codes(first) => {
                let affine = first.affine;
                if parts.iter().any(|part| part.affine != affine) {
                    return self.refuse(node, "it joins codes of different steps");
                }
                Ok(Value::Codes(self.quantized(joined, affine)))
            }
            _ => Ok(Value::Pending(joined)),
        }
    }

    /// Channels of parts side by side, not quantized yet.
    fn joined(&self, node: &NodeProto, parts: &[Codes]) -> Result<Pending, OnnxError> {
        let axis = proto::int_of(node, "axis").unwrap_or(1);
        let Some((first, more)) = parts.split_first() else { return self.refuse(node, "it joins nothing") };
        let [_, height, width] = first.shape;
        let fits = |part: &Codes| {
            part.layer.is_some() && part.shape[1..] == [height, width] && part.is_flat == first.is_flat
        };
        let rank = if first.is_flat { 2 } else { 4 };
        let is_flat_plane = first.is_flat && height * width != 1;
        if !parts.iter().all(fits) || more.is_empty() || (axis != 1 && axis != 1 - rank) || is_flat_plane {
            return self.refuse(node, "it joins something else than the channels of planes of one size");
        }
        let channels: usize = parts.iter().map(|part| part.shape[0]).sum();
        // The operands are put in when the result's steps are known.
        let computation = Computation::Concat {
            size: [height, width],
            channels: [0; 2],
            other: 0,
            other_affine: first.affine,
            is_other_first: false,
        };
        Ok(Pending {
            computation,
            input: *first,
            activation: Activation::Linear,
            shape: [channels, height, width],
            is_flat: first.is_flat,
            more: more.to_vec(),
        })
    }

    /// ReLU and ReLU6 go into the layer before them; other bounds, and those behind codes, become tables.
    fn clamped(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let bound = |index: usize, open: f32| match node.input.get(index).filter(|name| !name.is_empty()) {
            None => Some(open),
            Some(name) => self.constants.get(name).and_then(|bound| bound.tensor.scalar()),
        };
        let activation = match (node.op_type.as_str(), bound(1, f32::MIN), bound(2, f32::MAX)) {
            ("Relu", ..) => Some(Activation::Relu),
            (_, Some(0.0), Some(f32::MAX)) => Some(Activation::Relu),
            (_, Some(0.0), Some(6.0)) => Some(Activation::Relu6),
            _ => None,
        };
        if let (Some(activation), Value::Pending(pending)) = (activation, self.value(node, 0)?) {
            let is_table = matches!(pending.computation, Computation::Lookup { .. });
            if !is_table && pending.activation == Activation::Linear {
                return Ok(Value::Pending(Pending { activation, ..pending.clone() }));
            }
        }
        self.function(node)
    }

    fn add(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let operands = [self.value(node, 0).ok().cloned(), self.value(node, 1).ok().cloned()];
        match operands {
            [Some(Value::Real(a)), Some(Value::Real(b))] if a.layer != b.layer => {
                let [a, b] = [self.in_a_layer(a), self.in_a_layer(b)];
                Ok(Value::Pending(self.sum(node, a, b)?))
            }
            [Some(Value::Pending(dense)), None] => self.with_bias(node, dense, 1),
            [None, Some(Value::Pending(dense))] => self.with_bias(node, dense, 0),
            _ => self.function(node),
        }
    }

    fn sum(&self, node: &NodeProto, a: Codes, b: Codes) -> Result<Pending, OnnxError> {
        if a.shape != b.shape || a.is_flat != b.is_flat {
            return self
                .refuse(node, format!("it adds {:?} and {:?}; both must have one shape", a.shape, b.shape));
        }
        // What was computed last is read as it comes.
        let (late, early) = if a.layer > b.layer { (a, b) } else { (b, a) };
        let Some(other) = early.layer else { return self.refuse(node, "it adds the image") };
        let computation = Computation::Add { shape: a.shape, other, other_affine: early.affine };
        Ok(Pending {
            computation,
            input: late,
            activation: Activation::Linear,
            shape: a.shape,
            is_flat: a.is_flat,
            more: Vec::new(),
        })
    }

    /// A product of two activations, or a function.
    fn multiplied(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        match [self.value(node, 0).ok().cloned(), self.value(node, 1).ok().cloned()] {
            [Some(Value::Real(a)), Some(Value::Real(b))] if a.layer != b.layer => {
                let [a, b] = [self.in_a_layer(a), self.in_a_layer(b)];
                Ok(Value::Pending(self.product(node, a, b)?))
            }
            _ => self.function(node),
        }
    }

    fn product(&self, node: &NodeProto, a: Codes, b: Codes) -> Result<Pending, OnnxError> {
        let (late, early) = if a.layer > b.layer { (a, b) } else { (b, a) };
        let is_single = |codes: &Codes| codes.shape[1..] == [1, 1];
        let are_alike = a.shape == b.shape && a.is_flat == b.is_flat;
        let fits = a.shape[0] == b.shape[0] && !a.is_flat && !b.is_flat && (is_single(&a) || is_single(&b));
        let Some(other) = early.layer.filter(|_| are_alike || fits) else {
            return self.refuse(
                node,
                format!(
                    "it multiplies {:?} by {:?}; both must have one shape, or one of them a value a channel",
                    a.shape, b.shape
                ),
            );
        };
        let are_single = [late, early].map(|codes| !are_alike && is_single(&codes));
        let shape = if is_single(&a) { b.shape } else { a.shape };
        let computation = Computation::Product { shape, other, other_affine: early.affine, are_single };
        let (activation, is_flat) = (Activation::Linear, a.is_flat);
        Ok(Pending { computation, input: late, activation, shape, is_flat, more: Vec::new() })
    }

    /// A bias that stands behind its MatMul.
    fn with_bias(&mut self, node: &NodeProto, mut dense: Pending, index: usize) -> Result<Value, OnnxError> {
        let step = dense.input.affine.scale;
        let bias = bias_of(self, &node.input[index]);
        let Computation::Dense { weights, .. } = &mut dense.computation else { return self.function(node) };
        let fits = bias.filter(|bias| bias.reals.len() == weights.bias.len());
        let Some(bias) = fits.filter(|_| dense.activation == Activation::Linear) else {
            return self.refuse(node, "its constant is no bias of the layer before it");
        };
        let steps = bias.in_steps(&weights.scales, step).or_else(|problem| self.refuse(node, problem))?;
        for (sum, step) in weights.bias.iter_mut().zip(steps) {
            *sum = match sum.checked_add(step) {
                Some(sum) => sum,
                None => return self.refuse(node, "a bias is beyond 32 bits"),
            };
        }
        Ok(Value::Pending(dense))
    }

    /// A function of codes, element by element.
    fn function(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let mut root: Option<Codes> = None;
        let mut arguments = Vec::with_capacity(node.input.len());
        for (index, name) in node.input.iter().enumerate() {
            let (codes, function) = match self.values.get(name) {
                Some(Value::Real(codes)) => (*codes, Function::Input),
                Some(Value::Pending(Pending {
                    computation: Computation::Lookup { function, .. },
                    input,
                    ..
                })) => (*input, function.clone()),
                Some(_) => {
                    return self.refuse(
                        node,
                        "its input is not quantized; only ReLU and ReLU6 go into the layer before",
                    );
                }
                None => {
                    arguments.push(self.argument(node, index)?);
                    continue;
                }
            };
            if root.is_some_and(|root| root != codes) {
                return self
                    .refuse(node, "its inputs are two activations; only Add, Mul and Concat join branches");
            }
            root = Some(codes);
            arguments.push(function);
        }
        let Some(input) = root else { return self.refuse(node, "it reads no activation") };
        match Function::of_node(node, arguments) {
            Some(Ok(function)) => {
                let computation = Computation::Lookup { shape: input.shape, function };
                Ok(pending(computation, input, input.shape, input.is_flat))
            }
            Some(Err(problem)) => self.refuse(node, problem),
            None => self.refuse(node, "the operator is not supported in a quantized file"),
        }
    }

    /// A constant among the inputs of a function: a number, or one a channel.
    fn argument(&self, node: &NodeProto, index: usize) -> Result<Function, OnnxError> {
        let constant = match self.constant(node, index) {
            Some(constant) => constant.tensor.clone(),
            None => match node.input.get(index).and_then(|name| self.stored.get(name)) {
                Some(stored) => Tensor::floats_of(&stored.dims, stored.reals()),
                None if node.op_type == "Clip" && index == 1 => {
                    return Ok(Function::Constant(vec![f32::MIN]));
                }
                None => return self.refuse(node, format!("its input {index} is no constant")),
            },
        };
        let shape = node.input.iter().map(|name| self.dims(name)).find(|dims| dims[..] != [1, 0]);
        let dims = shape.unwrap_or_default();
        let values = constant.floats();
        let own: Vec<usize> = std::iter::repeat_n(1, dims.len().saturating_sub(constant.dims.len()))
            .chain(constant.dims.iter().copied())
            .collect();
        let is_by_channel = own.len() == dims.len()
            && own
                .iter()
                .zip(&dims)
                .enumerate()
                .all(|(axis, (&have, &need))| have == 1 || (axis == 1 && have == need));
        match values.len() {
            1 => Ok(Function::Constant(values)),
            _ if is_by_channel => Ok(Function::Constant(values)),
            _ => self.refuse(node, "its constant differs within a channel"),
        }
    }

    /// ONNX Runtime's operators over codes: the float operator between dequantization and quantization.
    fn over_codes(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let stored = |reader: &Self, at: usize, axis: i64| {
            let Some(codes) = reader.constant(node, at) else {
                return reader.refuse(node, "its weights are no constant");
            };
            Stored::new(codes, reader.constant(node, at + 1), reader.constant(node, at + 2), axis)
                .or_else(|problem| reader.refuse(node, problem))
        };
        let check = |reader: &Self, codes: Codes, scale: usize| match reader.affine(node, scale, scale + 1)?
            == codes.affine
        {
            true => Ok(codes),
            false => reader.refuse(node, "its input's scale or zero point is not what it was made with"),
        };
        let (value, scale) = match node.op_type.as_str() {
            "QLinearConv" => {
                let input = check(self, self.codes(node, 0)?, 1)?;
                let weights = stored(self, 3, 0)?;
                self.store_bias(node, 8, input.affine, &weights);
                (self.conv(node, input, &weights, 8)?, 6)
            }
            "QLinearMatMul" | "QGemm" => {
                let input = check(self, self.codes(node, 0)?, 1)?;
                let is_transposed = proto::int_of(node, "transB").unwrap_or(0) != 0;
                let weights = stored(self, 3, i64::from(!is_transposed))?;
                let weights = if is_transposed { weights } else { weights.transposed() };
                let (bias, scale) = if node.op_type == "QGemm" { (6, 7) } else { (usize::MAX, 6) };
                self.store_bias(node, bias, input.affine, &weights);
                (self.dense(node, input, &weights, bias)?, scale)
            }
            "QLinearAdd" | "QLinearMul" => {
                let a = check(self, self.codes(node, 0)?, 1)?;
                let b = check(self, self.codes(node, 3)?, 4)?;
                let [a, b] = [self.in_a_layer(a), self.in_a_layer(b)];
                let is_sum = node.op_type == "QLinearAdd";
                let joined = if is_sum { self.sum(node, a, b)? } else { self.product(node, a, b)? };
                (Value::Pending(joined), 6)
            }
            "QLinearGlobalAveragePool" | "QLinearAveragePool" => {
                let input = check(self, self.codes(node, 0)?, 1)?;
                (self.average(node, input)?, 3)
            }
            "QLinearConcat" => {
                let mut parts = Vec::new();
                for at in (2..node.input.len()).step_by(3) {
                    let part = check(self, self.codes(node, at)?, at + 1)?;
                    parts.push(self.in_a_layer(part));
                }
                (Value::Pending(self.joined(node, &parts)?), 0)
            }
            "QLinearSigmoid" | "QLinearLeakyRelu" => {
                let input = check(self, self.codes(node, 0)?, 1)?;
                let plain = NodeProto { op_type: node.op_type.replace("QLinear", ""), ..node.clone() };
                match Function::of_node(&plain, vec![Function::Input]) {
                    Some(Ok(function)) => {
                        let computation = Computation::Lookup { shape: input.shape, function };
                        (pending(computation, input, input.shape, input.is_flat), 3)
                    }
                    _ => return self.refuse(node, "it is not read"),
                }
            }
            _ => return self.refuse(node, "the operator is not supported in a quantized file"),
        };
        let output = self.affine(node, scale, scale + 1)?;
        match value {
            Value::Pending(pending) => Ok(Value::Codes(self.quantized(pending, output))),
            other => Ok(other),
        }
    }

    /// Biases of operators over codes are in steps of input × weights, which the file does not say.
    fn store_bias(&mut self, node: &NodeProto, index: usize, input: Affine, weights: &Stored) {
        let Some(name) = node.input.get(index).filter(|name| !name.is_empty()) else { return };
        let Some(constant) = self.constants.get(name) else { return };
        if let Some(stored) = Stored::bias(constant, &weights.scales, input.scale) {
            self.stored.insert(name.clone(), stored);
        }
    }
}

/// A mean that counts zeros of the padding: a depthwise convolution with weights of one step.
fn mean_with_padding(window: Window, input: Codes) -> Value {
    let (channels, taps) = (input.shape[0], window.taps());
    let weights = Weights {
        values: vec![1; channels * taps],
        bias: vec![0; channels],
        scales: vec![1.0 / taps as f32; channels],
    };
    let computation = Computation::Depthwise { window, channels, weights };
    pending(computation, input, [channels, window.out_height, window.out_width], false)
}

/// Steps that span a function's values over all codes.
fn spanning(function: &Function, input: Codes) -> Affine {
    let (mut low, mut high) = (0.0f64, 0.0f64);
    for code in i8::MIN..=i8::MAX {
        let steps = f64::from(i32::from(code) - i32::from(input.affine.zero_point));
        for channel in 0..if function.is_per_channel() { input.shape[0] } else { 1 } {
            let value = function.value(steps * f64::from(input.affine.scale), channel);
            (low, high) = (low.min(value), high.max(value));
        }
    }
    let scale = (((high - low) / 255.0) as f32).max(1e-6);
    let zero_point = (-128.0 - low / f64::from(scale)).round().clamp(-128.0, 127.0) as i8;
    Affine { scale, zero_point }
}

fn pending(computation: Computation, input: Codes, shape: [usize; 3], is_flat: bool) -> Value {
    let activation = Activation::Linear;
    Value::Pending(Pending { computation, input, activation, shape, is_flat, more: Vec::new() })
}
