//! What joins branches of a quantized file, and functions of one activation.

use super::super::OnnxError;
use super::super::branch::Join;
use super::super::float::Activation;
use super::super::pointwise::Function;
use super::super::proto::{self, NodeProto};
use super::layers::pending;
use super::read::{Codes, Pending, Reader, Value, bias_of};
use crate::import::tensor::Tensor;
use crate::quantize::network::Computation;

impl Reader<'_> {
    pub(super) fn concat(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
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
    pub(super) fn joined(&self, node: &NodeProto, parts: &[Codes]) -> Result<Pending, OnnxError> {
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
        let join = Join::Concat { size: [height, width], channels: [0; 2], is_other_first: false };
        let computation = Computation::Branch { join, other: 0, other_affine: first.affine };
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
    pub(super) fn clamped(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
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

    pub(super) fn add(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
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

    pub(super) fn sum(&self, node: &NodeProto, a: Codes, b: Codes) -> Result<Pending, OnnxError> {
        if a.shape != b.shape || a.is_flat != b.is_flat {
            return self
                .refuse(node, format!("it adds {:?} and {:?}; both must have one shape", a.shape, b.shape));
        }
        // What was computed last is read as it comes.
        let (late, early) = if a.layer > b.layer { (a, b) } else { (b, a) };
        let Some(other) = early.layer else { return self.refuse(node, "it adds the image") };
        Ok(joining(Join::Add { shape: a.shape }, late, early, other, a.shape))
    }

    /// A product of two activations, or a function.
    pub(super) fn multiplied(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        match [self.value(node, 0).ok().cloned(), self.value(node, 1).ok().cloned()] {
            [Some(Value::Real(a)), Some(Value::Real(b))] if a.layer != b.layer => {
                let [a, b] = [self.in_a_layer(a), self.in_a_layer(b)];
                Ok(Value::Pending(self.product(node, a, b)?))
            }
            _ => self.function(node),
        }
    }

    pub(super) fn product(&self, node: &NodeProto, a: Codes, b: Codes) -> Result<Pending, OnnxError> {
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
        Ok(joining(Join::Product { shape, are_single }, late, early, other, shape))
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
    pub(super) fn function(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
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
}

/// What is made of codes and of an earlier layer's.
fn joining(join: Join, input: Codes, early: Codes, other: usize, shape: [usize; 3]) -> Pending {
    let computation = Computation::Branch { join, other, other_affine: early.affine };
    let activation = Activation::Linear;
    Pending { computation, input, activation, shape, is_flat: input.is_flat, more: Vec::new() }
}
