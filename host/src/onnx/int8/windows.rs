//! Convolutions, dense layers and pools of a quantized file.

use firmware::nn::window::Window;

use super::super::OnnxError;
use super::super::float::Activation;
use super::super::proto::{self, NodeProto};
use super::constants::Stored;
use super::layers::pending;
use super::read::{Codes, Reader, Value, bias_of};
use crate::import::geometry::{ConvShape, PoolShape};
use crate::quantize::network::{Affine, Computation, Weights};
use crate::quantize::swap_inner;

impl Reader<'_> {
    /// * `bias`: index of the bias among the inputs.
    pub(super) fn conv(
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
                "{}: weights beyond -128..127 steps were rounded to wider ones; quantize weights as int8 around zero to keep them",
                node.op_type
            ));
        }
        Ok(weights)
    }

    pub(super) fn gemm(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
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
    pub(super) fn dense(
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

    /// A maximum keeps the steps of what it reads, codes or real.
    pub(super) fn max_pool(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let (input, are_codes) = match self.value(node, 0)? {
            Value::Codes(codes) => (*codes, true),
            _ => (self.real(node, 0)?, false),
        };
        let [channels, height, width] = input.shape;
        let (window, keeps) = match node.op_type.as_str() {
            "MaxPool" => {
                let shape = PoolShape::read(node, [height, width], [0; 4])
                    .or_else(|problem| self.refuse(node, problem))?;
                (shape.window, true)
            }
            op => (self.whole_plane(node, input)?, op != "ReduceMax" || self.reduces_planes(node)?),
        };
        let output = [channels, window.out_height, window.out_width];
        let computation = Computation::MaxPool { window, channels };
        let codes = self.push(computation, input, input.affine, Activation::Linear, output, !keeps);
        Ok(if are_codes { Value::Codes(codes) } else { Value::Real(codes) })
    }

    /// A window over a whole plane.
    fn whole_plane(&self, node: &NodeProto, input: Codes) -> Result<Window, OnnxError> {
        let [_, height, width] = input.shape;
        match Window::new([height, width], [height, width], [1, 1], [0; 4]) {
            Some(window) if !input.is_flat => Ok(window),
            _ => self.refuse(node, "its input is flat"),
        }
    }

    pub(super) fn average(&mut self, node: &NodeProto, input: Codes) -> Result<Value, OnnxError> {
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
            self.whole_plane(node, input)?
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
