//! Which node of a quantized file becomes what.

use super::super::OnnxError;
use super::super::float::Activation;
use super::super::pointwise::Function;
use super::super::proto::{self, NodeProto};
use super::constants::Stored;
use super::read::{Codes, Pending, Reader, Value};
use crate::import::rearrange::rearrange;
use crate::quantize::network::{Affine, Computation};

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
            "MaxPool" | "GlobalMaxPool" | "ReduceMax" => self.max_pool(node),
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => {
                let input = self.real(node, 0)?;
                self.average(node, input)
            }
            "Concat" => self.concat(node),
            "Relu" | "Clip" => self.clamped(node),
            "Add" => self.add(node),
            "Mul" => self.multiplied(node),
            "Softmax" | "LogSoftmax" if self.is_at_the_end(node) => {
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
    pub(super) fn real(&mut self, node: &NodeProto, index: usize) -> Result<Codes, OnnxError> {
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

    pub(super) fn codes(&self, node: &NodeProto, index: usize) -> Result<Codes, OnnxError> {
        match self.value(node, index)? {
            Value::Codes(codes) => Ok(*codes),
            _ => self.refuse(node, "its input is no tensor of codes"),
        }
    }

    pub(super) fn weights(&self, node: &NodeProto, index: usize) -> Result<Stored, OnnxError> {
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
        let is_training = self.constant(node, 2).and_then(|flag| flag.tensor.scalar());
        if node.op_type == "Dropout" && is_training.is_some_and(|flag| flag != 0.0) {
            return self.refuse(node, "it is in training mode; export after model.eval()");
        }
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
    pub(super) fn in_a_layer(&mut self, codes: Codes) -> Codes {
        match codes.layer {
            Some(_) => codes,
            None => self.table(codes, Function::Input, codes.affine),
        }
    }
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

pub(super) fn pending(computation: Computation, input: Codes, shape: [usize; 3], is_flat: bool) -> Value {
    let activation = Activation::Linear;
    Value::Pending(Pending { computation, input, activation, shape, is_flat, more: Vec::new() })
}
