//! ONNX Runtime's operators over codes.

use super::super::OnnxError;
use super::super::pointwise::Function;
use super::super::proto::{self, NodeProto};
use super::constants::Stored;
use super::layers::pending;
use super::read::{Codes, Reader, Value};
use crate::quantize::network::{Affine, Computation};

impl Reader<'_> {
    /// ONNX Runtime's operators over codes: the float operator between dequantization and quantization.
    pub(super) fn over_codes(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let (value, scale) = match node.op_type.as_str() {
            "QLinearConv" => {
                let input = self.checked(node, 0)?;
                let weights = self.codes_of_weights(node, 0)?;
                self.store_bias(node, 8, input.affine, &weights);
                (self.conv(node, input, &weights, 8)?, 6)
            }
            "QLinearMatMul" | "QGemm" => {
                let input = self.checked(node, 0)?;
                let is_transposed = proto::int_of(node, "transB").unwrap_or(0) != 0;
                let weights = self.codes_of_weights(node, i64::from(!is_transposed))?;
                let weights = if is_transposed { weights } else { weights.transposed() };
                let (bias, scale) = if node.op_type == "QGemm" { (6, 7) } else { (usize::MAX, 6) };
                self.store_bias(node, bias, input.affine, &weights);
                (self.dense(node, input, &weights, bias)?, scale)
            }
            "QLinearAdd" | "QLinearMul" => {
                let a = self.checked(node, 0)?;
                let b = self.checked(node, 3)?;
                let [a, b] = [self.in_a_layer(a), self.in_a_layer(b)];
                let is_sum = node.op_type == "QLinearAdd";
                let joined = if is_sum { self.sum(node, a, b)? } else { self.product(node, a, b)? };
                (Value::Pending(joined), 6)
            }
            "QLinearGlobalAveragePool" | "QLinearAveragePool" => {
                let input = self.checked(node, 0)?;
                (self.average(node, input)?, 3)
            }
            "QLinearConcat" => {
                let mut parts = Vec::new();
                for at in (2..node.input.len()).step_by(3) {
                    let part = self.checked(node, at)?;
                    parts.push(self.in_a_layer(part));
                }
                (Value::Pending(self.joined(node, &parts)?), 0)
            }
            "QLinearSigmoid" | "QLinearLeakyRelu" => {
                let input = self.checked(node, 0)?;
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

    /// Input `index`, codes with the scale and zero point behind it.
    fn checked(&self, node: &NodeProto, index: usize) -> Result<Codes, OnnxError> {
        let codes = self.codes(node, index)?;
        match self.affine(node, index + 1, index + 2)? == codes.affine {
            true => Ok(codes),
            false => self.refuse(node, "its input's scale or zero point is not what it was made with"),
        }
    }

    /// Weights, input 3 with scale and zero point behind it.
    fn codes_of_weights(&self, node: &NodeProto, axis: i64) -> Result<Stored, OnnxError> {
        let Some(codes) = self.constant(node, 3) else {
            return self.refuse(node, "its weights are no constant");
        };
        Stored::new(codes, self.constant(node, 4), self.constant(node, 5), axis)
            .or_else(|problem| self.refuse(node, problem))
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
