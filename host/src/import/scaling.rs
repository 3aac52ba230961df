//! Scale and shift by constants, and activations: into layers' weights, or as layers of their own.

use firmware::nn::window::Window;

use super::depthwise;
use super::graph::Importer;
use super::view::{Affine, View, broadcast};
use crate::onnx::OnnxError;
use crate::onnx::branch::Join;
use crate::onnx::float::{Activation, FloatOp};
use crate::onnx::proto::{self, NodeProto};

impl Importer<'_> {
    /// The view without waiting scale and shift: they go into the layer, or become one.
    pub(super) fn settled(&mut self, mut view: View) -> View {
        if view.affine.is_identity() {
            return view;
        }
        let affine = std::mem::replace(&mut view.affine, Affine::identity(self.shape_of(view.layer)[0]));
        if let Some(layer) = view.layer.map(|at| &mut self.layers[at])
            && !layer.is_shared
            && layer.activation == Activation::Linear
            && let FloatOp::Conv { weights, bias, .. } | FloatOp::Dense { weights, bias, .. } = &mut layer.op
        {
            let inner = weights.len() / bias.len().max(1);
            for (channel, bias) in bias.iter_mut().enumerate() {
                for weight in &mut weights[channel * inner..(channel + 1) * inner] {
                    *weight = (f64::from(*weight) * affine.scale[channel]) as f32;
                }
                *bias = (f64::from(*bias) * affine.scale[channel] + affine.shift[channel]) as f32;
            }
            self.name(&view);
            return view;
        }
        if let Some(layer) = view.layer.map(|at| &mut self.layers[at])
            && !layer.is_shared
            && let FloatOp::Lookup { function, .. } = &mut layer.op
        {
            *function = function.clone().scaled(&affine.scale, &affine.shift);
            self.name(&view);
            return view;
        }
        let at = self.pointwise(view.layer, &affine.scale, &affine.shift);
        self.layers[at].remark = Some(
            "a scale and shift of each channel that no neighbour can take exactly (it stands before padding, behind an activation or where a sum reads) became a 1×1 depthwise convolution",
        );
        view.layer = Some(at);
        self.name(&view);
        view
    }

    /// Remembers the name of the tensor that is a layer's whole output.
    pub(super) fn name(&mut self, view: &View) {
        let len = self.shape_of(view.layer).iter().product();
        if let Some(at) = view.layer
            && view.pending.is_none()
            && view.affine.is_identity()
            && view.is_in_order(len)
        {
            self.layers[at].output.clone_from(&view.name);
        }
    }

    /// Adds a 1×1 depthwise convolution; returns its position.
    pub(super) fn pointwise(&mut self, input: Option<usize>, scale: &[f64], shift: &[f64]) -> usize {
        let shape @ [channels, height, width] = self.shape_of(input);
        let single = |values: &[f64]| -> Vec<f32> { values.iter().map(|&value| value as f32).collect() };
        let (weights, bias) = (single(scale), single(shift));
        let op = if let Some(FloatOp::Dense { .. }) = input.map(|at| &self.layers[at].op) {
            let mut diagonal = vec![0.0; channels * channels];
            weights.iter().enumerate().for_each(|(at, &weight)| diagonal[at * (channels + 1)] = weight);
            FloatOp::Dense { input: shape, out_features: channels, weights: diagonal, bias }
        } else {
            let window = Window::new([height, width], [1, 1], [1, 1], [0; 4]).expect("no plane is empty");
            depthwise(window, weights, bias)
        };
        self.push(op, input, shape);
        self.layers.len() - 1
    }

    /// `y = γ (x − μ) / √(σ² + ε) + β` over axis 1.
    pub(super) fn batch_norm(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        if proto::int_of(node, "training_mode").unwrap_or(0) != 0 || proto::int_of(node, "spatial") == Some(0)
        {
            return self.refuse(node, "it is in training mode; export after model.eval()");
        }
        let mut parameters = Vec::new();
        for index in 1..=4 {
            parameters.push(self.floats(node, index)?);
        }
        let features = view.dims.get(1).copied().unwrap_or(0);
        if parameters.iter().any(|values| values.len() != features) {
            return self.refuse(node, format!("its parameters do not fit {:?}", view.dims));
        }
        let epsilon = f64::from(proto::float_of(node, "epsilon").unwrap_or(1e-5));
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|which: usize| &parameters[which]);
        let factor =
            |(&gamma, &variance): (&f32, &f32)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt();
        let scale: Vec<f64> = gamma.iter().zip(variance).map(factor).collect();
        let moved = beta.iter().zip(mean).zip(&scale);
        let shift: Vec<f64> =
            moved.map(|((&beta, &mean), factor)| f64::from(beta) - f64::from(mean) * factor).collect();
        if scale.iter().any(|value| !value.is_finite()) {
            return self.refuse(node, "its variance is negative");
        }
        let dims: Vec<usize> =
            (1..view.dims.len()).map(|axis| if axis == 1 { features } else { 1 }).collect();
        self.elementwise(node, view, &dims, &scale, &shift)
    }

    /// Addition, subtraction, multiplication, division with a constant.
    pub(super) fn scaled(&mut self, node: &NodeProto, index: usize, view: View) -> Result<View, OnnxError> {
        if node.op_type == "Neg" {
            return Ok(self.affine(view, -1.0, 0.0));
        }
        let constant = self.constant(node, 1 - index)?.clone();
        let values: Vec<f64> = self.floats(node, 1 - index)?.into_iter().map(f64::from).collect();
        let each = |of: &dyn Fn(f64) -> f64| values.iter().map(|&value| of(value)).collect::<Vec<f64>>();
        let (scale, shift) = match (node.op_type.as_str(), index) {
            ("Add", _) => (each(&|_| 1.0), values.clone()),
            ("Sub", 0) => (each(&|_| 1.0), each(&|value| -value)),
            ("Sub", _) => (each(&|_| -1.0), values.clone()),
            ("Mul", _) => (values.clone(), each(&|_| 0.0)),
            ("Div", 0) => (each(&|value| 1.0 / value), each(&|_| 0.0)),
            _ => return self.refuse(node, "a constant divided by what the image yields is not supported"),
        };
        if scale.iter().any(|value| !value.is_finite()) {
            return self.refuse(node, "it divides by zero");
        }
        self.elementwise(node, view, &constant.dims, &scale, &shift)
    }

    /// Scales and shifts elements by constants of dimensions `dims`, which must be equal within a channel.
    pub(super) fn elementwise(
        &mut self,
        node: &NodeProto,
        mut view: View,
        dims: &[usize],
        scale: &[f64],
        shift: &[f64],
    ) -> Result<View, OnnxError> {
        let Some(pairs) = broadcast(dims, &view.dims) else {
            return self
                .refuse(node, format!("a constant of {dims:?} changes the dimensions {:?}", view.dims));
        };
        let by_channel = |values: &[f64], otherwise: f64| -> Option<Vec<f64>> {
            let found = self.by_channel(&view, &pairs, values)?;
            Some(found.into_iter().map(|value| value.unwrap_or(otherwise)).collect())
        };
        let (Some(scale), Some(shift)) = (by_channel(scale, 1.0), by_channel(shift, 0.0)) else {
            return self
                .refuse(node, "its constant differs within a channel; one value a channel can be folded");
        };
        view.affine.then(&scale, &shift);
        Ok(view)
    }

    /// The value that meets each channel of a view's layer; `None` where it differs within one.
    ///
    /// * `pairs`: which of `values` meets each element.
    pub(super) fn by_channel(
        &self,
        view: &View,
        pairs: &[usize],
        values: &[f64],
    ) -> Option<Vec<Option<f64>>> {
        let [channels, height, width] = self.shape_of(view.layer);
        let mut found: Vec<Option<f64>> = vec![None; channels];
        for (&from, &pair) in view.map.iter().zip(pairs) {
            let here = values[pair];
            if *found[from / (height * width)].get_or_insert(here) != here {
                return None;
            }
        }
        Some(found)
    }

    /// Scales and shifts everything.
    pub(super) fn affine(&self, mut view: View, scale: f64, shift: f64) -> View {
        let channels = view.affine.scale.len();
        view.affine.then(&vec![scale; channels], &vec![shift; channels]);
        view
    }

    /// Whether no value of a layer's output is negative.
    pub(super) fn is_positive(&self, layer: Option<usize>) -> bool {
        let Some(layer) = layer.map(|at| &self.layers[at]) else { return true };
        layer.activation != Activation::Linear
            || match layer.op {
                FloatOp::MaxPool { .. } | FloatOp::AveragePool { .. } => self.is_positive(layer.input),
                FloatOp::Branch { join: Join::Add { .. }, other } => {
                    self.is_positive(layer.input) && self.is_positive(Some(other))
                }
                _ => false,
            }
    }

    /// Applies ReLU or ReLU6: in the layer, in the layer before a maximum, or by a layer of its own.
    pub(super) fn activated(&mut self, view: View, activation: Activation) -> View {
        let mut view = self.settled(view);
        if activation == Activation::Relu && self.is_positive(view.layer) {
            return view;
        }
        if self.is_clamped_in_table(view.layer, activation) {
            return view;
        }
        // A maximum keeps order: clamping before it and after it is the same, and it has no clamp.
        let mut at = view.layer;
        while let Some(FloatOp::MaxPool { .. }) = at.map(|at| &self.layers[at].op)
            && at.is_some_and(|at| !self.layers[at].is_shared)
        {
            at = at.and_then(|at| self.layers[at].input);
        }
        let free = at.filter(|&at| {
            !self.layers[at].is_shared && !matches!(self.layers[at].op, FloatOp::MaxPool { .. })
        });
        let at = match free {
            Some(at) => at,
            None => {
                let channels = self.shape_of(view.layer)[0];
                let at = self.pointwise(view.layer, &vec![1.0; channels], &vec![0.0; channels]);
                self.layers[at].remark =
                    Some("an activation that no layer before it can take became a 1×1 depthwise convolution");
                view.layer = Some(at);
                at
            }
        };
        let layer = &mut self.layers[at];
        if layer.activation != Activation::Relu6 {
            layer.activation = activation;
        }
        view
    }

    pub(super) fn clip(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let bound = |index: usize, name: &str, default: f32| {
            if self.has(node, index) {
                let constant = self.constant(node, index)?;
                return match constant.scalar() {
                    Some(value) => Ok(value),
                    None => self.refuse(node, format!("its {name} is no single number")),
                };
            }
            Ok(proto::float_of(node, name).unwrap_or(default))
        };
        let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        self.clipped(node, view, low, high)
    }

    /// `clip(x, low, high) = low + (high − low) / 6 · relu6((x − low) · 6 / (high − low))`.
    pub(super) fn clipped(
        &mut self,
        node: &NodeProto,
        view: View,
        low: f32,
        high: f32,
    ) -> Result<View, OnnxError> {
        // Exporters write "no bound" as the largest float.
        let (no_low, no_high) = (low <= f32::MIN, high >= f32::MAX);
        if no_low && no_high {
            return Ok(view);
        }
        if no_low || low >= high || low.is_nan() || high.is_nan() {
            return self.refuse(node, format!("clipping to {low}..{high} is not supported; the lower bound must be a number below the upper one"));
        }
        let low = f64::from(low);
        let view = if low == 0.0 { view } else { self.affine(view, 1.0, -low) };
        let clipped = if no_high {
            self.activated(view, Activation::Relu)
        } else {
            let factor = 6.0 / (f64::from(high) - low);
            let view = if factor == 1.0 { view } else { self.affine(view, factor, 0.0) };
            let view = self.activated(view, Activation::Relu6);
            if factor == 1.0 { view } else { self.affine(view, 1.0 / factor, 0.0) }
        };
        Ok(if low == 0.0 { clipped } else { self.affine(clipped, 1.0, low) })
    }
}
