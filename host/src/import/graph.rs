//! The walk over a graph's nodes, from its input to its logits.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::fold::fold;
use super::functions::{Found, Trace};
use super::rearrange::rearrange;
use super::tensor::{Tensor, inline};
use super::view::{Head, Pending, View};
use super::{Imported, Options};
use crate::onnx::OnnxError;
use crate::onnx::float::{Activation, FloatOp};
use crate::onnx::proto::{self, GraphProto, ModelProto, NodeProto};

/// Operator sets whose meaning this reader knows.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=25;
/// Most nodes of a graph.
const MOST_NODES: usize = 100_000;

/// Nodes that only name or reshape what they read.
const MOVES: [&str; 6] = ["Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast"];

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
    /// The tensor that holds its output; empty where the graph has none.
    pub(super) output: String,
    /// What it was added for, where no node stands for it.
    pub(super) remark: Option<&'static str>,
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
    if let Err(problem) = check_opset(model) {
        return importer.refuse_at("the operator set", problem);
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
    let layers = importer.in_a_list()?;
    Ok(Imported { input, layers, remarks: importer.remarks, head, feed, output })
}

pub(super) struct Importer<'a> {
    file: &'a str,
    pub(super) constants: HashMap<String, Tensor>,
    pub(super) views: HashMap<String, View>,
    /// What tensors are of others, element by element.
    pub(super) traces: HashMap<String, Trace>,
    /// Tensors behind which nothing is computed any more.
    ends: HashSet<&'a str>,
    /// How many nodes and outputs read each tensor.
    uses: HashMap<&'a str, usize>,
    /// Names given to tensors so far.
    pub(super) named: HashSet<&'a str>,
    /// Shape of the image, `[channels, height, width]`.
    pub(super) input: [usize; 3],
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
            traces: HashMap::new(),
            ends: ends(graph),
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

    fn node(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        self.check_names(node)?;
        let [output, further @ ..] = &node.output[..] else { return self.refuse(node, "it has no output") };
        if node.op_type == "Split" && node.input.first().is_some_and(|name| self.views.contains_key(name)) {
            return self.split(node);
        }
        if let Some(used) = further.iter().find(|name| self.uses.contains_key(name.as_str())) {
            // An operator that is not supported at all is no matter of its outputs.
            let problem = super::attributes::check_attributes(node).err();
            return self.refuse(
                node,
                problem.unwrap_or_else(|| format!("its output {used} is used; only the first is read")),
            );
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
            let shape = self.shape(node)?;
            self.constants.insert(output.clone(), shape);
            return Ok(());
        }
        let view = self.computed(node)?;
        self.put(node, output, view)
    }

    /// Names a view; what several nodes read is settled.
    pub(super) fn put(&mut self, node: &NodeProto, output: &str, mut view: View) -> Result<(), OnnxError> {
        output.clone_into(&mut view.name);
        if self.is_read_twice(output) {
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
        if !MOVES.contains(&node.op_type.as_str()) {
            self.name(&view);
        }
        self.views.insert(output.to_owned(), view);
        Ok(())
    }

    /// Whether several nodes, or a node twice, read a tensor.
    pub(super) fn is_read_twice(&self, name: &str) -> bool {
        self.uses.get(name).is_some_and(|&uses| uses > 1)
    }

    /// Whether nothing but the graph's output follows a node.
    pub(super) fn is_at_the_end(&self, node: &NodeProto) -> bool {
        node.output.first().is_some_and(|name| self.ends.contains(name.as_str()))
    }

    /// Refuses what only looks like an operator, and names that mean two things.
    fn check_names(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
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
        Ok(())
    }

    /// Dimensions of a view, or of some of its axes.
    fn shape(&self, node: &NodeProto) -> Result<Tensor, OnnxError> {
        let dims = match self.views.get(&node.input[0]) {
            Some(View { dims, pending: None, .. }) => dims,
            _ => return self.refuse(node, "it follows a Pad or the probabilities"),
        };
        let rank = dims.len() as i64;
        let bound = |name: &str, default: i64| {
            let value = proto::int_of(node, name).unwrap_or(default);
            let from_start = if value < 0 { value.saturating_add(rank) } else { value };
            from_start.clamp(0, rank) as usize
        };
        let (start, end) = (bound("start", 0), bound("end", rank));
        let part = dims.get(start..end).unwrap_or(&[]);
        Ok(Tensor::ints(part.iter().map(|&size| size as i64).collect()))
    }

    /// The view that a node over activations yields.
    fn computed(&mut self, node: &'a NodeProto) -> Result<View, OnnxError> {
        let index = node.input.iter().position(|name| self.views.contains_key(name)).unwrap_or(0);
        let Some(view) = self.views.get(&node.input[index]).cloned() else {
            return self.refuse(node, "it reads nothing that was computed");
        };
        self.check_attributes(node)?;
        self.check_pending(node, &view)?;
        if let (None, Some(Found { trace, layer })) = (view.pending, self.function(node)?) {
            self.traces.insert(node.output[0].clone(), trace);
            if let Some(layer) = layer {
                return Ok(layer);
            }
        }
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
    pub(super) fn check_pending(&self, node: &NodeProto, view: &View) -> Result<(), OnnxError> {
        match view.pending {
            Some(Pending::Head(head)) if !MOVES.contains(&node.op_type.as_str()) => {
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
        // A single logit x of a sigmoid is two, 0 and x, of a softmax.
        let rows: Vec<Option<usize>> = match count {
            1 => vec![None, Some(0)],
            _ => (0..count).map(Some).collect(),
        };
        if count == 1 {
            self.remarks.push("one logit with a sigmoid becomes two: 0 and the logit".into());
        }
        self.logits(&view, &rows);
        Ok(head)
    }

    /// Makes the dense layer that yields the logits: of the last layer where it is one, else of its own.
    ///
    /// * `rows`: which of the view's elements each logit is; `None` is 0.
    fn logits(&mut self, view: &View, rows: &[Option<usize>]) {
        let [_, height, width] = self.shape_of(view.layer);
        let before = view.layer.map(|at| &self.layers[at]);
        let dense = before.filter(|layer| layer.activation == Activation::Linear).and_then(|layer| {
            matches!(layer.op, FloatOp::Dense { .. }).then(|| (layer.op.clone(), layer.input))
        });
        let (dense, reads) = match dense {
            Some((op, input)) => (Some(op), input),
            None => (None, view.layer),
        };
        let shape = self.shape_of(reads);
        let inputs: usize = shape.iter().product();
        let mut weights = vec![0.0; rows.len() * inputs];
        let mut bias = vec![0.0; rows.len()];
        for ((row, weights), bias) in rows.iter().zip(weights.chunks_exact_mut(inputs)).zip(&mut bias) {
            let Some(row) = row else { continue };
            let from = view.map[*row];
            let channel = from / (height * width);
            let (scale, shift) = (view.affine.scale[channel], view.affine.shift[channel]);
            match &dense {
                Some(FloatOp::Dense { weights: theirs, bias: their_bias, .. }) => {
                    let theirs = &theirs[from * inputs..(from + 1) * inputs];
                    for (weight, &of) in weights.iter_mut().zip(theirs) {
                        *weight = (f64::from(of) * scale) as f32;
                    }
                    *bias = (f64::from(their_bias[from]) * scale + shift) as f32;
                }
                _ => {
                    weights[from] = scale as f32;
                    *bias = shift as f32;
                }
            }
        }
        if dense.is_none() {
            self.remarks.push(
                "a dense layer that copies its input was added: the logits must come out of one".into(),
            );
        }
        self.push(
            FloatOp::Dense { input: shape, out_features: rows.len(), weights, bias },
            reads,
            [rows.len(), 1, 1],
        );
    }
}

/// Tensors that are the graph's output, but for a name or a shape.
pub(crate) fn ends(graph: &GraphProto) -> HashSet<&str> {
    let mut ends: HashSet<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    for node in graph.node.iter().rev().filter(|node| MOVES.contains(&node.op_type.as_str())) {
        if let (Some(input), true) =
            (node.input.first(), node.output.iter().any(|o| ends.contains(o.as_str())))
        {
            ends.insert(input);
        }
    }
    ends
}

/// Refuses operator sets whose meaning is not known here.
///
/// # Errors
/// Which one it is.
pub(crate) fn check_opset(model: &ModelProto) -> Result<(), String> {
    let opset = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    match opset.map(|set| set.version) {
        Some(version) if OPSETS.contains(&version) => Ok(()),
        version => {
            let told = version.map_or("none".into(), |version| version.to_string());
            Err(format!("it is {told}; export with opset {} to {}", OPSETS.start(), OPSETS.end()))
        }
    }
}
