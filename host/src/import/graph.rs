//! The walk over a graph's nodes, from its input to its logits.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use shared::input::InputShape;

use super::fold::fold;
use super::rearrange::rearrange;
use super::tensor::{Tensor, inline};
use super::view::{Affine, Head, Pending, View};
use super::{Feed, Imported, InputRange, Options};
use crate::onnx::OnnxError;
use crate::onnx::float::{Activation, FloatLayer, FloatOp};
use crate::onnx::proto::{self, GraphProto, ModelProto, NodeProto, dimension, type_proto};

/// Operator sets whose meaning this reader knows.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=25;
/// Most nodes of a graph.
const MOST_NODES: usize = 100_000;

/// A layer while the graph is read.
pub(super) struct Built {
    pub(super) op: FloatOp,
    pub(super) activation: Activation,
    /// The layer it reads; `None` is the input.
    pub(super) input: Option<usize>,
    /// Output, `[channels, height, width]`.
    pub(super) shape: [usize; 3],
    /// Whether something else reads it as it is, so that nothing more may be folded into it.
    pub(super) is_shared: bool,
}

/// Reads a file with the constants beside it.
///
/// # Errors
/// [`OnnxError`] where one of them cannot be read.
pub fn read(path: &Path) -> Result<ModelProto, OnnxError> {
    let file = path.display().to_string();
    let mut model = proto::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    match inline(&mut model, folder) {
        Ok(()) => Ok(model),
        Err((name, problem)) => {
            Err(OnnxError::Unreadable { file, node: format!("the constant {name}"), problem })
        }
    }
}

/// Reads a model as layers.
///
/// * `file`: its name in messages. External data must have been put into it, as [`read`] does.
///
/// # Errors
/// [`OnnxError`] with the node, what about it, and what to export instead.
pub fn import(model: &ModelProto, file: &str, options: &Options) -> Result<Imported, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    let mut importer = Importer::new(graph, file)?;
    let opset = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    match opset.map(|set| set.version) {
        Some(version) if OPSETS.contains(&version) => {}
        version => {
            let told = version.map_or("none".into(), |version| version.to_string());
            return importer.refuse_at(
                "the operator set",
                format!("it is {told}; export with opset {} to {}", OPSETS.start(), OPSETS.end()),
            );
        }
    }
    let (input, feed) = importer.begin(graph, options)?;
    if graph.node.len() > MOST_NODES {
        return importer.refuse_at("the graph", format!("it has {} nodes", graph.node.len()));
    }
    for node in &graph.node {
        importer.node(node)?;
    }
    let output = importer.output(graph, options)?;
    let head = importer.finish(&graph.output[output].name)?;
    let layers = importer.chain()?;
    Ok(Imported { input, layers, remarks: importer.remarks, head, feed, output })
}

pub(super) struct Importer<'a> {
    file: &'a str,
    pub(super) constants: HashMap<String, Tensor>,
    pub(super) views: HashMap<String, View>,
    /// How many nodes and outputs read each tensor.
    uses: HashMap<&'a str, usize>,
    /// Names given to tensors so far.
    named: HashSet<&'a str>,
    input: [usize; 3],
    pub(super) layers: Vec<Built>,
    pub(super) remarks: Vec<String>,
}

impl<'a> Importer<'a> {
    fn new(graph: &'a GraphProto, file: &'a str) -> Result<Self, OnnxError> {
        let mut uses = HashMap::new();
        let read = graph.node.iter().flat_map(|node| &node.input).map(String::as_str);
        for name in read.chain(graph.output.iter().map(|output| output.name.as_str())) {
            *uses.entry(name).or_insert(0) += 1;
        }
        let mut importer = Self {
            file,
            constants: HashMap::new(),
            views: HashMap::new(),
            uses,
            named: HashSet::new(),
            input: [1; 3],
            layers: Vec::new(),
            remarks: Vec::new(),
        };
        if let Some(tensor) = graph.sparse_initializer.first() {
            let name = tensor.values.as_ref().map_or("", |values| &values.name);
            return importer.refuse_at(&format!("the constant {name}"), "it is sparse; export it dense");
        }
        for tensor in &graph.initializer {
            if !importer.named.insert(&tensor.name) {
                return importer
                    .refuse_at(&format!("the constant {}", tensor.name), "its name stands there twice");
            }
            match Tensor::read(tensor) {
                Ok(constant) => importer.constants.insert(tensor.name.clone(), constant),
                Err(problem) => {
                    return importer.refuse_at(&format!("the constant {}", tensor.name), problem);
                }
            };
        }
        Ok(importer)
    }

    pub(super) fn refuse_at<T>(&self, node: &str, problem: impl Into<String>) -> Result<T, OnnxError> {
        Err(OnnxError::Unreadable { file: self.file.into(), node: node.into(), problem: problem.into() })
    }

    pub(super) fn refuse<T>(&self, node: &NodeProto, problem: impl Into<String>) -> Result<T, OnnxError> {
        let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
        let name = name.map_or("", String::as_str);
        self.refuse_at(&format!("node {name} ({})", node.op_type), problem)
    }

    /// Shape of what a layer yields, `[channels, height, width]`.
    pub(super) fn shape_of(&self, layer: Option<usize>) -> [usize; 3] {
        layer.map_or(self.input, |at| self.layers[at].shape)
    }

    /// Finds the one input and makes it a view of the image.
    fn begin(&mut self, graph: &'a GraphProto, options: &Options) -> Result<(InputShape, Feed), OnnxError> {
        let inputs: Vec<_> =
            graph.input.iter().filter(|input| !self.constants.contains_key(&input.name)).collect();
        let &[input] = &inputs[..] else {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            return self.refuse_at(
                "the input",
                format!("there are {} ({}), one is read", names.len(), names.join(", ")),
            );
        };
        let what = format!("the input {}", input.name);
        let tensor = match input.r#type.as_ref().and_then(|of| of.value.as_ref()) {
            Some(type_proto::Value::TensorType(tensor)) => tensor,
            _ => return self.refuse_at(&what, "it is no tensor"),
        };
        if !matches!(tensor.elem_type, 1 | 2 | 10 | 11) {
            return self.refuse_at(
                &what,
                format!("its element type is {}; floats and uint8 are read", tensor.elem_type),
            );
        }
        let sizes: Vec<Option<usize>> = match &tensor.shape {
            Some(shape) => shape.dim.iter().map(size_of).collect(),
            None => return self.refuse_at(&what, "the file does not tell its shape; export it with one"),
        };
        let Some((shape, dims, map)) = image_of(&sizes, options.input) else {
            let told: Vec<String> =
                sizes.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
            return self.refuse_at(
                &what,
                format!(
                    "its shape is [{}]; one image of 1 or 3 channels and sides up to {} is read: [batch, channels, height, width], [batch, height, width, channels], [batch, height, width] or [batch, pixels]; say --input HxW or HxWx3 where the file leaves sizes open",
                    told.join(", "),
                    InputShape::MAX_SIDE
                ),
            );
        };
        let (scale, shift) = match &options.range {
            InputRange::Unit if tensor.elem_type == 2 => (vec![255.0], vec![0.0]),
            InputRange::Unit => (vec![1.0], vec![0.0]),
            InputRange::Bytes => (vec![255.0], vec![0.0]),
            InputRange::Normalized { mean, deviation } => (
                deviation.iter().map(|deviation| 1.0 / deviation).collect(),
                mean.iter().zip(deviation).map(|(mean, deviation)| -mean / deviation).collect(),
            ),
        };
        let spread = |values: Vec<f64>| match values[..] {
            [one] => Some(vec![one; shape.channels]),
            _ => (values.len() == shape.channels).then_some(values),
        };
        let (Some(scale), Some(shift)) = (spread(scale), spread(shift)) else {
            return self
                .refuse_at(&what, format!("--input-range has another number of channels than {shape}"));
        };
        self.input = [shape.channels, shape.height, shape.width];
        let affine = Affine { scale: scale.clone(), shift: shift.clone() };
        let view = View { layer: None, dims: dims.clone(), map: map.clone(), affine, pending: None };
        self.named.insert(&input.name);
        self.views.insert(input.name.clone(), view);
        Ok((shape, Feed { dims, map, scale, shift, element: tensor.elem_type }))
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        if !proto::has_standard_domain(node) {
            return self
                .refuse(node, format!("its domain {} is not ONNX's own; export without it", node.domain));
        }
        if let Some(attribute) = node.attribute.iter().find(|attribute| !attribute.ref_attr_name.is_empty()) {
            return self.refuse(node, format!("its attribute {} is a function's parameter", attribute.name));
        }
        if let Some(twice) =
            node.output.iter().find(|name| !name.is_empty() && self.named.contains(name.as_str()))
        {
            return self.refuse(node, format!("its output {twice} is another tensor's name, too"));
        }
        self.named.extend(node.output.iter().map(String::as_str));
        let [output, further @ ..] = &node.output[..] else { return self.refuse(node, "it has no output") };
        if let Some(used) = further.iter().find(|name| self.uses.contains_key(name.as_str())) {
            return self.refuse(node, format!("its output {used} is used; only the first is read"));
        }
        let inputs = node.input.iter().filter(|name| !name.is_empty());
        for name in inputs.clone() {
            if !self.constants.contains_key(name) && !self.views.contains_key(name) {
                return self
                    .refuse(node, format!("its input {name} is no constant and nothing computed before it"));
            }
        }
        if inputs.clone().all(|name| self.constants.contains_key(name)) {
            return match fold(node, &self.constants) {
                Ok(constant) => {
                    self.constants.insert(output.clone(), constant);
                    Ok(())
                }
                Err(problem) => self.refuse(node, problem),
            };
        }
        if node.op_type == "Shape" {
            if self.views.get(&node.input[0]).is_some_and(|view| view.pending.is_some()) {
                return self.refuse(node, "it follows a Pad or the probabilities");
            }
            let dims = self.views.get(&node.input[0]).map_or(vec![], |view| view.dims.clone());
            let all = Tensor::ints(dims.iter().map(|&size| size as i64).collect());
            let bound = |name: &str, default: usize| {
                let value = proto::int_of(node, name).unwrap_or(default as i64);
                let value = if value < 0 { value + dims.len() as i64 } else { value };
                value.clamp(0, dims.len() as i64) as usize
            };
            let range = bound("start", 0)..bound("end", dims.len()).max(bound("start", 0));
            let part = all.picked(vec![range.len()], &range.collect::<Vec<_>>());
            self.constants.insert(output.clone(), part);
            return Ok(());
        }
        let mut view = self.computed(node)?;
        if self.uses.get(output.as_str()).is_some_and(|&uses| uses > 1) {
            // Read twice: what waits is settled now, and the layer stays as it is from here on.
            if let Some(Pending::Pad(..)) = view.pending {
                return self.refuse(
                    node,
                    "a padding is read by several nodes; export padding inside the convolutions",
                );
            }
            view = self.settled(view);
            if let Some(at) = view.layer {
                self.layers[at].is_shared = true;
            }
        }
        self.views.insert(output.clone(), view);
        Ok(())
    }

    /// The view that a node over activations yields.
    fn computed(&mut self, node: &'a NodeProto) -> Result<View, OnnxError> {
        let index = node.input.iter().position(|name| self.views.contains_key(name)).unwrap_or(0);
        let Some(view) = self.views.get(&node.input[index]).cloned() else {
            return self.refuse(node, "it reads nothing that was computed");
        };
        self.check_pending(node, &view)?;
        if index == 0 && node.input[1..].iter().all(|name| !self.views.contains_key(name)) {
            if node.op_type == "Cast" && !matches!(proto::int_of(node, "to"), Some(1 | 10 | 11 | 16)) {
                return self.refuse(node, "activations are floats; a cast to another type would round them");
            }
            if node.op_type == "Dropout" && self.is_training(node) {
                return self.refuse(node, "it is in training mode; export after model.eval()");
            }
            match rearrange(node, &view.dims, &self.constants) {
                None => {}
                Some(Ok((dims, positions))) => return Ok(view.picked(dims, &positions)),
                Some(Err(problem)) => return self.refuse(node, problem),
            }
        }
        self.layer(node, index, view)
    }

    /// Whether a Dropout's third input says so.
    fn is_training(&self, node: &NodeProto) -> bool {
        let flag = node.input.get(2).and_then(|name| self.constants.get(name));
        flag.and_then(Tensor::scalar).is_some_and(|flag| flag != 0.0)
    }

    /// Whether the node may follow what waits in a view.
    fn check_pending(&self, node: &NodeProto, view: &View) -> Result<(), OnnxError> {
        let moves = matches!(node.op_type.as_str(), "Identity" | "Reshape" | "Squeeze" | "Flatten" | "Cast");
        match view.pending {
            Some(Pending::Head(head)) if !moves => {
                self.refuse(node, format!("it follows a {head:?}; only the graph's output may"))
            }
            Some(Pending::Pad(..))
                if !matches!(node.op_type.as_str(), "Conv" | "MaxPool" | "AveragePool") =>
            {
                self.refuse(node, "it follows a Pad; only a convolution or a pool may")
            }
            _ => Ok(()),
        }
    }

    /// Which output holds the logits.
    fn output(&self, graph: &GraphProto, options: &Options) -> Result<usize, OnnxError> {
        let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        match (&options.output, &names[..]) {
            (None, [_]) => Ok(0),
            (Some(wanted), _) if names.contains(&wanted.as_str()) => {
                Ok(names.iter().position(|name| name == wanted).unwrap_or(0))
            }
            (Some(wanted), _) => {
                self.refuse_at("the output", format!("there is no {wanted}; there are {}", names.join(", ")))
            }
            (None, _) => match names.iter().position(|&name| name == proto::OUTPUT_NAME) {
                Some(at) => Ok(at),
                None => self.refuse_at(
                    "the output",
                    format!(
                        "there are {} ({}); say which holds the logits with --output NAME",
                        names.len(),
                        names.join(", ")
                    ),
                ),
            },
        }
    }

    /// Makes the last layer a dense one that yields the logits in their order.
    fn finish(&mut self, name: &str) -> Result<Head, OnnxError> {
        let Some(view) = self.views.get(name).cloned() else {
            return self.refuse_at("the output", format!("{name} does not depend on the input"));
        };
        let head = match view.pending {
            Some(Pending::Pad(..)) => {
                return self.refuse_at("the output", format!("{name} is a padded plane"));
            }
            Some(Pending::Head(head)) => {
                self.remarks.push(format!(
                    "{head:?} at the end dropped: the logits are kept, the board makes probabilities of them"
                ));
                head
            }
            None => Head::Logits,
        };
        let count = view.map.len();
        if !(1..=firmware::nn::MAX_CLASSES).contains(&count) {
            return self.refuse_at(
                "the output",
                format!("{name} has {count} values; a classifier has 2 to {}", firmware::nn::MAX_CLASSES),
            );
        }
        if count == 1 && head != Head::Sigmoid {
            return self.refuse_at(
                "the output",
                format!("{name} is one value without a sigmoid; a classifier has 2 classes or more"),
            );
        }
        let at = view.layer;
        let shape = self.shape_of(at);
        let is_last = at.is_some_and(|at| {
            at + 1 == self.layers.len()
                && matches!(self.layers[at].op, FloatOp::Dense { .. })
                && self.layers[at].activation == Activation::Linear
                && !self.is_read(at)
        });
        // A single logit x of a sigmoid is two, 0 and x, of a softmax.
        let rows: Vec<Option<usize>> = match count {
            1 => vec![None, Some(0)],
            _ => (0..count).map(Some).collect(),
        };
        if count == 1 {
            self.remarks.push("one logit with a sigmoid becomes two: 0 and the logit".into());
        }
        if let (true, Some(FloatOp::Dense { out_features, weights, bias, .. })) =
            (is_last, self.layers.last_mut().map(|layer| &mut layer.op))
        {
            let inputs = weights.len() / *out_features;
            let (mut new_weights, mut new_bias) = (Vec::new(), Vec::new());
            for row in &rows {
                match row {
                    None => {
                        new_weights.extend(std::iter::repeat_n(0.0, inputs));
                        new_bias.push(0.0);
                    }
                    Some(row) => {
                        let from = view.map[*row];
                        let (scale, shift) = (view.affine.scale[from], view.affine.shift[from]);
                        let of = &weights[from * inputs..(from + 1) * inputs];
                        new_weights.extend(of.iter().map(|&w| (f64::from(w) * scale) as f32));
                        new_bias.push((f64::from(bias[from]) * scale + shift) as f32);
                    }
                }
            }
            (*out_features, *weights, *bias) = (rows.len(), new_weights, new_bias);
            if let Some(last) = self.layers.last_mut() {
                last.shape = [rows.len(), 1, 1];
            }
            return Ok(head);
        }
        let inputs: usize = shape.iter().product();
        let mut weights = vec![0.0; rows.len() * inputs];
        let mut bias = vec![0.0; rows.len()];
        for (row, from) in rows.iter().enumerate() {
            if let Some(from) = from {
                let channel = view.map[*from] / (shape[1] * shape[2]);
                weights[row * inputs + view.map[*from]] = view.affine.scale[channel] as f32;
                bias[row] = view.affine.shift[channel] as f32;
            }
        }
        self.remarks
            .push("a dense layer that copies its input was added: the logits must come out of one".into());
        let op = FloatOp::Dense { input: shape, out_features: rows.len(), weights, bias };
        self.push(op, at, [rows.len(), 1, 1]);
        Ok(head)
    }

    /// Whether a later layer reads layer `at`.
    fn is_read(&self, at: usize) -> bool {
        self.layers[at + 1..].iter().any(|layer| {
            layer.input == Some(at) || matches!(layer.op, FloatOp::Add { other, .. } if other == at)
        })
    }

    /// The layers as a chain: each reads the one before it.
    fn chain(&mut self) -> Result<Vec<FloatLayer>, OnnxError> {
        let mut chain = Vec::with_capacity(self.layers.len());
        let mut is_flat = false;
        for (at, layer) in std::mem::take(&mut self.layers).into_iter().enumerate() {
            if is_flat && !matches!(layer.op, FloatOp::Dense { .. }) {
                return self.refuse_at(
                    "the graph",
                    "planes are made of what a dense layer yields; only dense layers may follow one",
                );
            }
            is_flat = matches!(layer.op, FloatOp::Dense { .. });
            if layer.input != at.checked_sub(1) {
                let [channels, height, width] = layer.shape;
                return self.refuse_at(
                    "the graph",
                    format!(
                        "it has branches: a layer with outputs of {channels}×{height}×{width} does not follow the one computed before it; a sum of a layer's input and output is read, other branches are not yet"
                    ),
                );
            }
            let output = format!("layer{at}");
            chain.push(FloatLayer { op: layer.op, activation: layer.activation, output });
        }
        Ok(chain)
    }
}

fn size_of(dim: &proto::Dimension) -> Option<usize> {
    match dim.value {
        Some(dimension::Value::DimValue(value)) => usize::try_from(value).ok().filter(|&size| size > 0),
        _ => None,
    }
}

/// The image that an input of these sizes is, with its dimensions (batch 1) and the order of its values.
fn image_of(
    sizes: &[Option<usize>],
    told: Option<InputShape>,
) -> Option<(InputShape, Vec<usize>, Vec<usize>)> {
    let in_order = |shape: InputShape, dims: Vec<usize>| (shape, dims, (0..shape.len()).collect());
    let is_batch = |size: Option<usize>| matches!(size, None | Some(1));
    let known = |size: Option<usize>, of: fn(&InputShape) -> usize| size.or(told.as_ref().map(of));
    let (height, width) = (|of: &InputShape| of.height, |of: &InputShape| of.width);
    let channels = |of: &InputShape| of.channels;
    let agrees = |shape: &InputShape| told.is_none_or(|told| told == *shape);
    let found = match *sizes {
        [batch, c, h, w] if is_batch(batch) && matches!(known(c, channels), Some(1 | 3)) => {
            let shape = InputShape::new(known(h, height)?, known(w, width)?, known(c, channels)?)?;
            Some(in_order(shape, vec![1, shape.channels, shape.height, shape.width]))
        }
        [batch, h, w, Some(c @ (1 | 3))] if is_batch(batch) => {
            let shape = InputShape::new(known(h, height)?, known(w, width)?, c)?;
            let map = (0..shape.len()).map(|at| at % c * shape.pixels() + at / c).collect();
            Some((shape, vec![1, shape.height, shape.width, c], map))
        }
        [Some(c @ (1 | 3)), Some(h), Some(w)] => Some(in_order(InputShape::new(h, w, c)?, vec![c, h, w])),
        [None, h, w] => {
            let shape = InputShape::new(known(h, height)?, known(w, width)?, 1)?;
            Some(in_order(shape, vec![1, shape.height, shape.width]))
        }
        [batch, Some(pixels)] if is_batch(batch) => {
            let side = (1..=InputShape::MAX_SIDE).find(|side| side * side == pixels);
            let shape = told.or(side.and_then(|side| InputShape::new(side, side, 1)))?;
            (shape.len() == pixels).then(|| in_order(shape, vec![1, pixels]))
        }
        _ => None,
    };
    found.filter(|(shape, ..)| agrees(shape))
}
