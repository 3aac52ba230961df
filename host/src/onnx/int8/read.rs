//! int8 ONNX → quantized network: files of this project, and those of other tools.
//!
//! Every tensor is codes, the real numbers that they stand for, or a computation whose result has not been
//! quantized yet. A quantized file says itself what each step is worth; nothing is calibrated again.

use std::collections::{HashMap, HashSet};

use super::super::OnnxError;
use super::super::branch::Join;
use super::super::float::Activation;
use super::super::pointwise::Function;
use super::super::proto::{self, GraphProto, ModelProto, NodeProto};
use super::constants::{Bias, Constant, Stored, affine, default_type};
use crate::import::InputRange;
use crate::import::attributes::check_attributes;
use crate::import::fold::fold;
use crate::import::graph::{check_opset, ends};
use crate::import::tensor::Tensor;
use crate::quantize::network::{Affine, Computation, QuantizedLayer, QuantizedNetwork, Weights};
use shared::preprocess::INPUT_ZERO_POINT;

/// The image: pixel − 128, each step 1 / 255.
pub(super) const IMAGE: Affine = Affine { scale: 1.0 / 255.0, zero_point: INPUT_ZERO_POINT };

/// A network read from another tool's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// The network.
    pub network: QuantizedNetwork,
    /// What was made of the file, a line each.
    pub remarks: Vec<String>,
}

/// Reads an int8 model that [`write()`](super::write()) made.
///
/// # Errors
/// [`OnnxError`] with the node where the graph is another one.
pub fn read(model: &ModelProto, file: &str) -> Result<QuantizedNetwork, OnnxError> {
    let foreign = read_foreign(model, file, &InputRange::Unit)?;
    match first_difference(model, &super::write(&foreign.network)) {
        None => Ok(foreign.network),
        Some(node) => Err(OnnxError::Unreadable {
            file: file.into(),
            node,
            problem:
                "it is not as `host quantize` writes it; a file of another tool is read by `host import`"
                    .into(),
        }),
    }
}

/// The first constant or node that differs; nothing that a file says may be lost by reading it.
fn first_difference(model: &ModelProto, written: &ModelProto) -> Option<String> {
    let (theirs, ours) = (model.graph.as_ref()?, written.graph.as_ref()?);
    let constants = theirs.initializer.iter().zip(&ours.initializer).find(|(a, b)| a != b);
    let nodes = theirs.node.iter().zip(&ours.node).find(|(a, b)| a != b);
    if let Some((constant, _)) = constants {
        return Some(format!("the constant {}", constant.name));
    }
    if let Some((node, _)) = nodes {
        return Some(format!("node {} ({})", node.name, node.op_type));
    }
    let lengths = |graph: &GraphProto| [graph.initializer.len(), graph.node.len()];
    (lengths(theirs) != lengths(ours)).then(|| "the graph".into())
}

/// Reads a quantized model of another tool: QuantizeLinear and DequantizeLinear around float operators, or
/// operators over codes.
///
/// * `range`: what the input's numbers are.
///
/// # Errors
/// [`OnnxError`] with the node that cannot be computed exactly.
pub fn read_foreign(model: &ModelProto, file: &str, range: &InputRange) -> Result<Foreign, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    let (input, shape, _) = proto::input_of_type(graph, &[proto::FLOAT, proto::UINT8], file)?;
    let mut reader = Reader {
        file,
        constants: HashMap::new(),
        stored: HashMap::new(),
        values: HashMap::new(),
        layers: Vec::new(),
        remarks: Vec::new(),
        range: (Vec::new(), Vec::new()),
        ends: ends(graph),
    };
    reader.range = range.over(shape).or_else(|problem| reader.refuse_at("the input", problem))?;
    if let Err(problem) = check_opset(model) {
        return reader.refuse_at("the operator set", problem);
    }
    reader.constants(graph)?;
    let image = [shape.channels, shape.height, shape.width];
    reader.values.insert(input.to_owned(), Value::Image(image, false));
    for node in &graph.node {
        reader.node(node)?;
    }
    let [output] = &graph.output[..] else {
        let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        return reader.refuse_at("the output", format!("the outputs are {names:?}; one is read, the logits"));
    };
    reader.finish(&output.name)?;
    let layers = reader.in_a_list(image);
    let logits = match layers.last() {
        Some(QuantizedLayer { computation: Computation::Dense { out_features, .. }, .. }) => *out_features,
        _ => 0,
    };
    let task = proto::task_of(model, shape, logits, file)?;
    Ok(Foreign { network: QuantizedNetwork { task, layers }, remarks: reader.remarks })
}

/// Codes of a layer's output, or of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Codes {
    /// Which layer's; `None` is the image.
    pub(super) layer: Option<usize>,
    pub(super) affine: Affine,
    /// `[channels, height, width]`.
    pub(super) shape: [usize; 3],
    /// Whether the tensor is `[batch][values]`.
    pub(super) is_flat: bool,
}

/// A computation whose result has not been quantized.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pending {
    pub(super) computation: Computation,
    pub(super) input: Codes,
    pub(super) activation: Activation,
    pub(super) shape: [usize; 3],
    pub(super) is_flat: bool,
    /// Further operands of joined channels.
    pub(super) more: Vec<Codes>,
}

/// What a tensor is.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a few dozen live while a file is read")]
pub(super) enum Value {
    /// The input as it comes, `[channels, height, width]`, and whether it was made a row.
    Image([usize; 3], bool),
    /// Codes.
    Codes(Codes),
    /// What codes stand for.
    Real(Codes),
    /// Not quantized yet.
    Pending(Pending),
}

/// A layer of the graph.
pub(super) struct Built {
    pub(super) computation: Computation,
    /// The layer it reads; `None` is the image.
    pub(super) input: Option<usize>,
    /// Quantization of what it reads.
    pub(super) from: Affine,
    pub(super) output: Affine,
    pub(super) activation: Activation,
    pub(super) shape: [usize; 3],
}

pub(super) struct Reader<'a> {
    file: &'a str,
    pub(super) constants: HashMap<String, Constant>,
    /// Codes with their scales, by the name of the dequantized tensor.
    pub(super) stored: HashMap<String, Stored>,
    pub(super) values: HashMap<String, Value>,
    pub(super) layers: Vec<Built>,
    pub(super) remarks: Vec<String>,
    /// Scale and shift that make the input's numbers of pixel / 255, one a channel.
    range: (Vec<f64>, Vec<f64>),
    /// Tensors behind which nothing is computed any more.
    ends: HashSet<&'a str>,
}

impl Reader<'_> {
    pub(super) fn refuse_at<T>(&self, node: &str, problem: impl Into<String>) -> Result<T, OnnxError> {
        Err(OnnxError::Unreadable { file: self.file.into(), node: node.into(), problem: problem.into() })
    }

    pub(super) fn refuse<T>(&self, node: &NodeProto, problem: impl Into<String>) -> Result<T, OnnxError> {
        let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
        let name = name.map_or("", String::as_str);
        self.refuse_at(&format!("node {name} ({})", node.op_type), problem)
    }

    fn constants(&mut self, graph: &GraphProto) -> Result<(), OnnxError> {
        for tensor in &graph.initializer {
            match Tensor::read(tensor) {
                Ok(read) => {
                    let constant = Constant { tensor: read, data_type: tensor.data_type };
                    if self.constants.insert(tensor.name.clone(), constant).is_some() {
                        let what = format!("the constant {}", tensor.name);
                        return self.refuse_at(&what, "its name stands there twice");
                    }
                }
                Err(problem) => {
                    return self.refuse_at(&format!("the constant {}", tensor.name), problem);
                }
            }
        }
        Ok(())
    }

    pub(super) fn constant(&self, node: &NodeProto, index: usize) -> Option<&Constant> {
        node.input.get(index).filter(|name| !name.is_empty()).and_then(|name| self.constants.get(name))
    }

    fn node(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let Some(output) = node.output.first() else { return self.refuse(node, "it has no output") };
        let is_taken = self.values.contains_key(output)
            || self.constants.contains_key(output)
            || self.stored.contains_key(output);
        if is_taken {
            return self.refuse(node, format!("its output {output} is another tensor's name, too"));
        }
        let is_known = |name: &&String| {
            name.is_empty()
                || self.values.contains_key(*name)
                || self.constants.contains_key(*name)
                || self.stored.contains_key(*name)
        };
        if let Some(unknown) = node.input.iter().find(|name| !is_known(name)) {
            return self
                .refuse(node, format!("its input {unknown} is no constant and nothing computed before it"));
        }
        if node.input.iter().any(|name| self.values.contains_key(name)) {
            if node.op_type == "Shape" {
                let dims = self.dims(&node.input[0]);
                let tensor = Tensor::ints(dims.iter().map(|&size| size as i64).collect());
                self.constants.insert(output.clone(), Constant { tensor, data_type: 7 });
                return Ok(());
            }
            check_attributes(node).or_else(|problem| self.refuse(node, problem))?;
            let value = self.computed(node)?;
            self.values.insert(output.clone(), value);
            return Ok(());
        }
        self.folded(node, output)
    }

    /// A node over constants.
    fn folded(&mut self, node: &NodeProto, output: &str) -> Result<(), OnnxError> {
        if node.op_type == "DequantizeLinear" {
            let Some(codes) = self.constant(node, 0) else {
                return self.refuse(node, "it dequantizes no constant");
            };
            let axis = proto::int_of(node, "axis").unwrap_or(1);
            let axis =
                if self.constant(node, 1).is_some_and(|s| s.tensor.floats().len() == 1) { 0 } else { axis };
            match Stored::new(codes, self.constant(node, 1), self.constant(node, 2), axis) {
                Ok(stored) => {
                    self.stored.insert(output.to_owned(), stored);
                    return Ok(());
                }
                Err(problem) => return self.refuse(node, problem),
            }
        }
        if let Some(stored) = node.input.iter().find_map(|name| self.stored.get(name)) {
            return match (node.op_type.as_str(), stored.dims.len()) {
                ("Transpose", 2) => {
                    let stored = stored.clone().transposed();
                    self.stored.insert(output.to_owned(), stored);
                    Ok(())
                }
                ("Identity", _) => {
                    let stored = stored.clone();
                    self.stored.insert(output.to_owned(), stored);
                    Ok(())
                }
                _ => self.refuse(node, "it changes dequantized weights; fold it before quantizing"),
            };
        }
        let data_type = match node.op_type.as_str() {
            "Constant" => {
                node.attribute.first().and_then(|a| a.t.as_ref()).map_or(proto::FLOAT, |t| t.data_type)
            }
            _ => self.constant(node, 0).map_or(proto::FLOAT, |first| first.data_type),
        };
        let tensors: HashMap<String, Tensor> = node
            .input
            .iter()
            .filter_map(|name| Some((name.clone(), self.constants.get(name)?.tensor.clone())))
            .collect();
        match fold(node, &tensors) {
            Ok(tensor) => {
                self.constants.insert(output.to_owned(), Constant { tensor, data_type });
                Ok(())
            }
            Err(problem) => self.refuse(node, problem),
        }
    }

    /// Dimensions of a tensor that was computed.
    pub(super) fn dims(&self, name: &str) -> Vec<usize> {
        let (shape, is_flat) = match self.values.get(name) {
            Some(Value::Image(shape, is_flat)) => (*shape, *is_flat),
            Some(Value::Codes(codes) | Value::Real(codes)) => (codes.shape, codes.is_flat),
            Some(Value::Pending(pending)) => (pending.shape, pending.is_flat),
            None => ([0; 3], true),
        };
        match is_flat {
            true => vec![1, shape.iter().product()],
            false => vec![1, shape[0], shape[1], shape[2]],
        }
    }

    /// Whether nothing but the graph's output follows a node.
    pub(super) fn is_at_the_end(&self, node: &NodeProto) -> bool {
        node.output.first().is_some_and(|name| self.ends.contains(name.as_str()))
    }

    /// Scale and zero point among a node's inputs.
    pub(super) fn affine(&self, node: &NodeProto, scale: usize, zero: usize) -> Result<Affine, OnnxError> {
        if node.input.get(zero).is_some_and(|name| !name.is_empty()) && self.constant(node, zero).is_none() {
            return self.refuse(node, "its zero point is no constant");
        }
        affine(self.constant(node, scale), self.constant(node, zero), default_type(node))
            .or_else(|problem| self.refuse(node, problem))
    }

    /// The image in the steps of the file.
    pub(super) fn image(
        &mut self,
        (shape, is_flat): ([usize; 3], bool),
        output: Affine,
        are_bytes: bool,
    ) -> Codes {
        let image = Codes { layer: None, affine: IMAGE, shape, is_flat };
        let (scale, shift) = match are_bytes {
            // Bytes that are codes already: what is written into the table is the byte itself.
            true => {
                let step = f64::from(output.scale);
                let zero = -step * f64::from(i32::from(output.zero_point) + 128);
                (vec![255.0 * step; shape[0]], vec![zero; shape[0]])
            }
            false => self.range.clone(),
        };
        let is_plain = scale.iter().all(|&scale| scale == 1.0) && shift.iter().all(|&shift| shift == 0.0);
        if is_plain && output == IMAGE {
            return image;
        }
        self.remarks.push(format!(
            "the image is brought to the file's steps ({} each, zero point {}) by a table",
            output.scale, output.zero_point
        ));
        self.table(image, Function::Input.scaled(&scale, &shift), output)
    }

    /// A layer that applies a function.
    pub(super) fn table(&mut self, input: Codes, function: Function, output: Affine) -> Codes {
        let computation = Computation::Lookup { shape: input.shape, function };
        self.push(computation, input, output, Activation::Linear, input.shape, input.is_flat)
    }

    pub(super) fn push(
        &mut self,
        computation: Computation,
        input: Codes,
        output: Affine,
        activation: Activation,
        shape: [usize; 3],
        is_flat: bool,
    ) -> Codes {
        let (from, input) = (input.affine, input.layer);
        self.layers.push(Built { computation, input, from, output, activation, shape });
        Codes { layer: Some(self.layers.len() - 1), affine: output, shape, is_flat }
    }

    /// Gives a computation the quantization of its result.
    pub(super) fn quantized(&mut self, pending: Pending, output: Affine) -> Codes {
        let Pending { computation, mut input, activation, shape, is_flat, more } = pending;
        let Computation::Branch { join: Join::Concat { size, .. }, .. } = computation else {
            return self.push(computation, input, output, activation, shape, is_flat);
        };
        let last = more.len().saturating_sub(1);
        for (at, next) in more.into_iter().enumerate() {
            let activation = if at == last { activation } else { Activation::Linear };
            let channels = input.shape[0] + next.shape[0];
            let place = |codes: &Codes| (codes.layer.unwrap_or_default(), codes.shape[0]);
            let (join, late, other) = Join::concat(size, place(&input), place(&next));
            let (late, early) = if next.layer == Some(late) { (next, input) } else { (input, next) };
            let computation = Computation::Branch { join, other, other_affine: early.affine };
            let shape = [channels, size[0], size[1]];
            input = self.push(computation, late, output, activation, shape, is_flat);
        }
        input
    }

    /// Makes the last layer a dense one that yields the logits.
    fn finish(&mut self, name: &str) -> Result<(), OnnxError> {
        match self.values.get(name).cloned() {
            Some(Value::Pending(pending))
                if matches!(pending.computation, Computation::Dense { .. })
                    && pending.activation == Activation::Linear =>
            {
                // The last output is not quantized; the field says nothing.
                let output = Affine { scale: 1.0, zero_point: 0 };
                let mut pending = pending;
                if let Computation::Dense { weights, .. } = &mut pending.computation
                    && !one_scale(weights)
                {
                    self.remarks.push(
                        "the last layer's weights were rounded to one scale: its sums are the logits".into(),
                    );
                }
                self.quantized(pending, output);
                Ok(())
            }
            Some(Value::Codes(codes) | Value::Real(codes)) if codes.layer.is_some() => {
                let count: usize = codes.shape.iter().product();
                if count > firmware::nn::MAX_CLASSES {
                    let most = firmware::nn::MAX_CLASSES;
                    return self.refuse_at(
                        "the output",
                        format!("it has {count} values; a classifier has 2 to {most}"),
                    );
                }
                let mut values = vec![0; count * count];
                (0..count).for_each(|at| values[at * (count + 1)] = 1);
                let weights = Weights { values, bias: vec![0; count], scales: vec![1.0; count] };
                let dense = Computation::Dense { input: codes.shape, out_features: count, weights };
                self.remarks
                    .push("the logits are quantized in the file; a dense layer yields their codes".into());
                let output = Affine { scale: 1.0, zero_point: 0 };
                self.push(dense, codes, output, Activation::Linear, [count, 1, 1], true);
                Ok(())
            }
            Some(_) => self.refuse_at(
                "the output",
                format!("{name} is no dense layer's sums and not quantized; a classifier ends so"),
            ),
            None => self.refuse_at("the output", format!("{name} does not depend on the input")),
        }
    }
}

/// Rounds weights to the largest of their scales; whether they had one already.
fn one_scale(weights: &mut Weights) -> bool {
    let largest = weights.scales.iter().copied().fold(0.0, f32::max);
    if weights.scales.iter().all(|&scale| scale == largest) {
        return true;
    }
    let inner = weights.values.len() / weights.scales.len().max(1);
    for (row, (bias, scale)) in
        weights.values.chunks_exact_mut(inner.max(1)).zip(weights.bias.iter_mut().zip(&mut weights.scales))
    {
        let share = *scale / largest;
        row.iter_mut().for_each(|value| *value = (f32::from(*value) * share).round_ties_even() as i8);
        *bias = (f64::from(*bias) * f64::from(share)).round_ties_even() as i32;
        *scale = largest;
    }
    false
}

/// Biases of a constant, stored as codes or as floats.
pub(super) fn bias_of(reader: &Reader<'_>, name: &str) -> Option<Bias> {
    if let Some(stored) = reader.stored.get(name) {
        return Some(Bias { reals: stored.reals(), stored: Some(stored.clone()) });
    }
    let reals = reader.constants.get(name)?.tensor.floats().into_iter().map(f64::from).collect();
    Some(Bias { reals, stored: None })
}
