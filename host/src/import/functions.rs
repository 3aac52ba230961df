//! Functions of one activation: from single nodes, and from several nodes that start at one tensor.
//!
//! Exporters write SiLU as `x · sigmoid(x)` and HardSwish as `x · clip(x + 3, 0, 6) / 6`: nodes that read a
//! tensor and something computed from it element by element. Each such tensor remembers where it starts and
//! what was done since; where two of them meet, their function of the common start becomes one table.

use super::attributes::unsupported;
use super::graph::Importer;
use super::view::{View, broadcast};
use crate::onnx::OnnxError;
use crate::onnx::float::{Activation, FloatOp};
use crate::onnx::pointwise::Function;
use crate::onnx::proto::NodeProto;

/// What a tensor is of another one, element by element.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trace {
    /// The tensor that it starts at, which several nodes read.
    root: String,
    function: Function,
}

/// A function that a node computes.
pub(super) struct Found {
    /// What it is of a tensor before it.
    pub(super) trace: Trace,
    /// The layer that computes it, where it is of two tensors that start at one; else scale, shift or clamp may
    /// express it as well.
    pub(super) layer: Option<View>,
}

impl Importer<'_> {
    /// What a node computes element by element; `None` where it is no such node.
    pub(super) fn function(&mut self, node: &NodeProto) -> Result<Option<Found>, OnnxError> {
        let computed: Vec<&String> =
            node.input.iter().filter(|name| self.views.contains_key(*name)).collect();
        let Some((first, others)) = computed.split_first() else { return Ok(None) };
        let starts = self.starts(first);
        let is_common =
            |root: &str| others.iter().all(|name| self.starts(name).iter().any(|trace| trace.root == root));
        let Some(root) = starts.into_iter().map(|trace| trace.root).find(|root| is_common(root)) else {
            return Ok(None);
        };
        let Some(view) = self.views.get(&root).cloned() else { return Ok(None) };
        let Some(arguments) = self.arguments(node, &view, Some(&root)) else { return Ok(None) };
        let function = match Function::of_node(node, arguments) {
            Some(Ok(function)) => function,
            Some(Err(_)) if others.is_empty() => return Ok(None),
            Some(Err(problem)) => return self.refuse(node, problem),
            None => return Ok(None),
        };
        let layer = if others.is_empty() { None } else { Some(self.lookup(view, function.clone())) };
        Ok(Some(Found { trace: Trace { root, function }, layer }))
    }

    /// What a tensor can be seen as a function of: its start, itself.
    fn starts(&self, name: &str) -> Vec<Trace> {
        let mut starts: Vec<Trace> = self.traces.get(name).cloned().into_iter().collect();
        if self.is_read_twice(name) {
            starts.push(Trace { root: name.to_owned(), function: Function::Input });
        }
        starts
    }

    /// A node's inputs as functions of a view.
    ///
    /// * `root`: the view's name; without it every computed input is the view itself.
    fn arguments(&self, node: &NodeProto, view: &View, root: Option<&str>) -> Option<Vec<Function>> {
        let of = |name: &String| match self.constants.get(name) {
            Some(constant) => {
                let values: Vec<f64> = constant.floats().into_iter().map(f64::from).collect();
                let pairs = broadcast(&constant.dims, &view.dims)?;
                let by_channel = self.by_channel(view, &pairs, &values)?;
                // Channels that the view leaves out get what others have: a zero might be divided by.
                let other = by_channel.iter().flatten().next().copied().unwrap_or(0.0);
                let values = by_channel.iter().map(|value| value.unwrap_or(other) as f32);
                Some(Function::by_channel(values.collect()))
            }
            None => match root {
                Some(root) => {
                    self.starts(name).into_iter().find(|trace| trace.root == root).map(|trace| trace.function)
                }
                None => Some(Function::Input),
            },
        };
        // An open bound of a Clip has no name.
        let last = node.input.iter().rposition(|name| !name.is_empty())?;
        let names = node.input[..=last].iter().enumerate();
        names.map(|(at, name)| if name.is_empty() { open_bound(node, at) } else { of(name) }).collect()
    }

    /// Applies a node that is a function of its one computed input.
    pub(super) fn applied(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let Some(arguments) = self.arguments(node, &view, None) else {
            return self.refuse(
                node,
                "its constant differs within a channel; one value, or one a channel, can be a table",
            );
        };
        match Function::of_node(node, arguments) {
            Some(Ok(function)) => Ok(self.lookup(view, function)),
            Some(Err(problem)) => self.refuse(node, problem),
            None => self.refuse(node, unsupported(&node.op_type)),
        }
    }

    /// A layer that applies a function to a view, or the layer that does so already with this one after it.
    pub(super) fn lookup(&mut self, view: View, function: Function) -> View {
        let mut view = self.settled(view);
        if let Some(layer) = view.layer.map(|at| &mut self.layers[at])
            && !layer.is_shared
            && let FloatOp::Lookup { function: before, .. } = &mut layer.op
        {
            *before = function.after(before);
            return view;
        }
        let shape = self.shape_of(view.layer);
        self.push(FloatOp::Lookup { shape, function }, view.layer, shape);
        view.layer = Some(self.layers.len() - 1);
        view
    }

    /// Applies an activation in a table that is there already; whether there is one.
    pub(super) fn is_clamped_in_table(&mut self, layer: Option<usize>, activation: Activation) -> bool {
        let Some(layer) = layer.map(|at| &mut self.layers[at]) else { return false };
        let FloatOp::Lookup { function, .. } = &mut layer.op else { return false };
        if layer.is_shared {
            return false;
        }
        *function = Function::clamped(activation == Activation::Relu6).after(function);
        true
    }
}

/// What stands for an input left out.
fn open_bound(node: &NodeProto, at: usize) -> Option<Function> {
    match (node.op_type.as_str(), at) {
        ("Clip", 1) => Some(Function::Constant(vec![f32::MIN])),
        _ => None,
    }
}
