//! Nodes that become layers, and what is folded into layers.

use super::attributes::check_attributes;
use super::geometry::check_size;
use super::graph::{Built, Importer};
use super::rearrange::list;
use super::tensor::{MOST_ELEMENTS, Tensor};
use super::view::{Head, Pending, View, broadcast};
use crate::onnx::OnnxError;
use crate::onnx::float::{Activation, FloatOp};
use crate::onnx::proto::{self, NodeProto};

/// Most outputs of a dense layer; a microcontroller holds far fewer.
const MOST_OUTPUTS: usize = 4_096;

impl Importer<'_> {
    /// Refuses unknown operators and attributes that no reader uses.
    pub(super) fn check_attributes(&self, node: &NodeProto) -> Result<(), OnnxError> {
        check_attributes(node).or_else(|problem| self.refuse(node, problem))
    }

    /// The view that a node yields.
    ///
    /// * `index`: of the first input that is computed; `view`: that input.
    pub(super) fn layer(&mut self, node: &NodeProto, index: usize, view: View) -> Result<View, OnnxError> {
        let is_second = node.input.iter().skip(index + 1).any(|name| self.views.contains_key(name));
        match node.op_type.as_str() {
            "Add" | "Sum" | "Sub" if is_second => self.sum(node),
            "Mul" if is_second => self.product(node),
            "Concat" => self.concat(node),
            _ if is_second => {
                let what = "two of its inputs are computed from the image, and not element by element from one tensor; only Add, Sub, Mul and Concat join branches";
                self.refuse(node, what)
            }
            "Conv" if index == 0 => self.conv(node, view),
            "MaxPool" | "AveragePool" => self.pool(node, view),
            "GlobalAveragePool" | "ReduceMean" => self.global(node, view, true),
            "GlobalMaxPool" | "ReduceMax" => self.global(node, view, false),
            "Gemm" | "MatMul" if index == 0 => self.dense(node, view),
            "BatchNormalization" if index == 0 => self.batch_norm(node, view),
            "Div" if index == 1 => self.applied(node, view),
            "Add" | "Sub" | "Mul" | "Div" | "Neg" => self.scaled(node, index, view),
            "Relu" => Ok(self.activated(view, Activation::Relu)),
            "Clip" => self.clip(node, view),
            "HardSigmoid" => {
                let value = |name, default| f64::from(proto::float_of(node, name).unwrap_or(default));
                let view = self.affine(view, value("alpha", 0.2), value("beta", 0.5));
                self.clipped(node, view, 0.0, 1.0)
            }
            "Pad" => self.pad(node, view),
            "Softmax" | "LogSoftmax" => self.head(node, view),
            "Sigmoid" if self.is_at_the_end(node) => self.head(node, view),
            _ => self.applied(node, view),
        }
    }

    /// Adds a layer and returns its whole output.
    pub(super) fn push(&mut self, op: FloatOp, input: Option<usize>, shape: [usize; 3]) -> View {
        self.layers.push(Built {
            op,
            activation: Activation::Linear,
            input,
            shape,
            is_shared: false,
            output: String::new(),
            remark: None,
        });
        View::whole(Some(self.layers.len() - 1), shape)
    }

    /// Channels of a view that must be whole planes of its layer, and that layer's shape.
    pub(super) fn channels(
        &self,
        node: &NodeProto,
        view: &View,
    ) -> Result<(Vec<usize>, [usize; 3]), OnnxError> {
        let shape = self.shape_of(view.layer);
        if let Some(channels) = view.channels(shape) {
            return Ok((channels, shape));
        }
        let [channels, height, width] = shape;
        self.refuse(node, format!(
            "its input has dimensions {:?} of a layer's {channels}×{height}×{width}, cut, reshaped or in another order; it reads whole planes [1, channels, {height}, {width}]",
            view.dims
        ))
    }

    pub(super) fn check_size(&self, node: &NodeProto, sizes: &[usize], most: usize) -> Result<(), OnnxError> {
        check_size(sizes, most).or_else(|problem| self.refuse(node, problem))
    }

    pub(super) fn constant(&self, node: &NodeProto, index: usize) -> Result<&Tensor, OnnxError> {
        let name = node.input.get(index).filter(|name| !name.is_empty());
        match name.and_then(|name| self.constants.get(name)) {
            Some(constant) => Ok(constant),
            None => self.refuse(node, format!("its input {index} is no constant")),
        }
    }

    /// A list of whole numbers; see [`list`].
    pub(super) fn list(
        &self,
        node: &NodeProto,
        name: &str,
        input: usize,
    ) -> Result<Option<Vec<i64>>, OnnxError> {
        list(node, &self.constants, name, input).or_else(|problem| self.refuse(node, problem))
    }

    /// Finite floats of a constant.
    pub(super) fn floats(&self, node: &NodeProto, index: usize) -> Result<Vec<f32>, OnnxError> {
        let values = self.constant(node, index)?.floats();
        match values.iter().any(|value| !value.is_finite()) {
            true => self.refuse(node, format!("its input {index} holds a value that is no finite number")),
            false => Ok(values),
        }
    }

    pub(super) fn has(&self, node: &NodeProto, index: usize) -> bool {
        node.input.get(index).is_some_and(|name| !name.is_empty())
    }

    pub(super) fn dense(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let is_gemm = node.op_type == "Gemm";
        let flag = |name| is_gemm && proto::int_of(node, name).unwrap_or(0) != 0;
        let factor = |name| f64::from(if is_gemm { proto::float_of(node, name).unwrap_or(1.0) } else { 1.0 });
        let inputs = view.map.len();
        let dims = self.constant(node, 1)?.dims.clone();
        let out_features = match (&dims[..], flag("transB")) {
            (&[have, out], false) | (&[out, have], true) if have == inputs && out >= 1 => out,
            _ => 0,
        };
        if out_features == 0 || view.dims.last() != Some(&inputs) || flag("transA") {
            return self.refuse(
                node,
                format!(
                    "weights {dims:?} do not fit {:?}: one row of all values is read, as Flatten leaves it",
                    view.dims
                ),
            );
        }
        let stored = self.floats(node, 1)?;
        let mut bias = match is_gemm && self.has(node, 2) {
            true => {
                let addend = self.constant(node, 2)?.clone();
                let Some(map) = broadcast(&addend.dims, &[1, out_features]) else {
                    return self.refuse(
                        node,
                        format!("a bias of {:?} does not fit {out_features} outputs", addend.dims),
                    );
                };
                let values = self.floats(node, 2)?;
                map.iter().map(|&at| f64::from(values[at]) * factor("beta")).collect()
            }
            false => vec![0.0; out_features],
        };
        let shape @ [_, height, width] = self.shape_of(view.layer);
        let len: usize = shape.iter().product();
        self.check_size(node, &[out_features], MOST_OUTPUTS)?;
        self.check_size(node, &[out_features, len], MOST_ELEMENTS)?;
        let mut weights = vec![0.0f64; out_features * len];
        for out in 0..out_features {
            for (at, &from) in view.map.iter().enumerate() {
                let weight = stored[if flag("transB") { out * inputs + at } else { at * out_features + out }];
                let weight = f64::from(weight) * factor("alpha");
                let channel = from / (height * width);
                weights[out * len + from] += weight * view.affine.scale[channel];
                bias[out] += weight * view.affine.shift[channel];
            }
        }
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let op = FloatOp::Dense { input: shape, out_features, weights: single(weights), bias: single(bias) };
        let mut dims = view.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = out_features;
        }
        Ok(self.push(op, view.layer, [out_features, 1, 1]).reshaped(dims))
    }

    pub(super) fn head(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let head = match node.op_type.as_str() {
            "Softmax" => Head::Softmax,
            "LogSoftmax" => Head::LogSoftmax,
            _ => Head::Sigmoid,
        };
        if head != Head::Sigmoid {
            let rank = view.dims.len();
            let axis = super::rearrange::at(proto::int_of(node, "axis").unwrap_or(-1), rank);
            let whole = axis.is_ok_and(|axis| view.dims[axis] == view.map.len());
            if !whole {
                return self.refuse(
                    node,
                    format!("it is over part of {:?}; over all logits it can be dropped", view.dims),
                );
            }
        }
        Ok(View { pending: Some(Pending::Head(head)), ..view })
    }
}

pub(super) fn name_of(node: &NodeProto) -> &str {
    if node.name.is_empty() { &node.op_type } else { &node.name }
}
