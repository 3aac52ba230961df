//! Nodes that become layers, and what is folded into layers.

use firmware::nn::window::Window;

use super::graph::{Built, Importer};
use super::tensor::{MOST_ELEMENTS, Tensor};
use super::view::{Head, Pending, View, broadcast};
use crate::onnx::OnnxError;
use crate::onnx::float::{Activation, FloatOp};
use crate::onnx::proto::{self, NodeProto};

/// Largest kernel, stride or pad; no input is larger.
const LARGEST_SIDE: usize = 4_096;
/// Most values that a layer yields, and most outputs of a dense one; a microcontroller holds far fewer.
const MOST_VALUES: usize = 1 << 22;
const MOST_OUTPUTS: usize = 4_096;

/// Attributes of a node that its reader uses or that change nothing.
const ATTRIBUTES: [(&str, &[&str]); 23] = [
    ("Conv", &["kernel_shape", "strides", "pads", "dilations", "group", "auto_pad"]),
    ("MaxPool", &["kernel_shape", "strides", "pads", "dilations", "ceil_mode", "auto_pad", "storage_order"]),
    (
        "AveragePool",
        &["kernel_shape", "strides", "pads", "dilations", "ceil_mode", "auto_pad", "count_include_pad"],
    ),
    ("GlobalAveragePool", &[]),
    ("GlobalMaxPool", &[]),
    ("ReduceMean", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMax", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("Gemm", &["alpha", "beta", "transA", "transB"]),
    ("MatMul", &[]),
    ("BatchNormalization", &["epsilon", "momentum", "training_mode", "spatial"]),
    ("Add", &[]),
    ("Sum", &[]),
    ("Sub", &[]),
    ("Mul", &[]),
    ("Div", &[]),
    ("Neg", &[]),
    ("Relu", &[]),
    ("Clip", &["min", "max"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("Pad", &["mode", "pads", "value"]),
    ("Softmax", &["axis"]),
    ("LogSoftmax", &["axis"]),
    ("Sigmoid", &[]),
];

impl Importer<'_> {
    /// The view that a node yields.
    ///
    /// * `index`: of the first input that is computed; `view`: that input.
    pub(super) fn layer(&mut self, node: &NodeProto, index: usize, view: View) -> Result<View, OnnxError> {
        let Some((_, known)) = ATTRIBUTES.iter().find(|(op, _)| *op == node.op_type) else {
            return self.refuse(node, unsupported(&node.op_type));
        };
        if let Some(odd) = node.attribute.iter().find(|attribute| !known.contains(&attribute.name.as_str())) {
            return self.refuse(node, format!("its attribute {} is not known", odd.name));
        }
        let is_second = node.input.iter().skip(index + 1).any(|name| self.views.contains_key(name));
        match node.op_type.as_str() {
            "Add" | "Sum" if is_second => self.sum(node, view),
            _ if is_second => {
                let what = format!(
                    "both inputs are computed from the image; only Add is read so. {}",
                    unsupported(&node.op_type)
                );
                self.refuse(node, what)
            }
            "Conv" if index == 0 => self.conv(node, view),
            "MaxPool" | "AveragePool" => self.pool(node, view),
            "GlobalAveragePool" | "ReduceMean" => self.global(node, view, true),
            "GlobalMaxPool" | "ReduceMax" => self.global(node, view, false),
            "Gemm" | "MatMul" if index == 0 => self.dense(node, view),
            "BatchNormalization" if index == 0 => self.batch_norm(node, view),
            "Add" | "Sub" | "Mul" | "Div" | "Neg" => self.scaled(node, index, view),
            "Relu" => Ok(self.activated(view, Activation::Relu)),
            "Clip" => self.clip(node, view),
            "HardSigmoid" => {
                let value = |name, default| f64::from(proto::float_of(node, name).unwrap_or(default));
                let view = self.affine(view, value("alpha", 0.2), value("beta", 0.5));
                self.clipped(node, view, 0.0, 1.0)
            }
            "Pad" => self.pad(node, view),
            "Softmax" | "LogSoftmax" | "Sigmoid" => self.head(node, view),
            other => self.refuse(node, unsupported(other)),
        }
    }

    /// Adds a layer and returns its whole output.
    pub(super) fn push(&mut self, op: FloatOp, input: Option<usize>, shape: [usize; 3]) -> View {
        self.layers.push(Built { op, activation: Activation::Linear, input, shape, is_shared: false });
        View::whole(Some(self.layers.len() - 1), shape)
    }

    /// The view without waiting scale and shift: they go into the layer, or become one.
    pub(super) fn settled(&mut self, mut view: View) -> View {
        if view.affine.is_identity() {
            return view;
        }
        let affine =
            std::mem::replace(&mut view.affine, super::view::Affine::identity(self.shape_of(view.layer)[0]));
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
            return view;
        }
        view.layer = Some(self.pointwise(view.layer, &affine.scale, &affine.shift));
        self.remarks.push(format!(
            "layer {}: a scale and shift of each channel that no neighbour can take exactly (it stands before padding, behind an activation or where a sum reads) became a 1×1 depthwise convolution",
            self.layers.len() - 1
        ));
        view
    }

    /// Adds a 1×1 depthwise convolution; returns its position.
    fn pointwise(&mut self, input: Option<usize>, scale: &[f64], shift: &[f64]) -> usize {
        let shape @ [channels, height, width] = self.shape_of(input);
        if let Some(FloatOp::Dense { .. }) = input.map(|at| &self.layers[at].op) {
            let weight =
                |at: usize| if at.is_multiple_of(channels + 1) { scale[at / channels] as f32 } else { 0.0 };
            let weights = (0..channels * channels).map(weight).collect();
            let bias = shift.iter().map(|&value| value as f32).collect();
            self.push(FloatOp::Dense { input: shape, out_features: channels, weights, bias }, input, shape);
            return self.layers.len() - 1;
        }
        let window = Window::new([height, width], [1, 1], [1, 1], [0; 4]).expect("no plane is empty");
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let (weights, bias) = (single(scale), single(shift));
        let op = FloatOp::Conv {
            window,
            in_channels: channels,
            out_channels: channels,
            depthwise: channels > 1,
            weights,
            bias,
        };
        self.push(op, input, shape);
        self.layers.len() - 1
    }

    /// The shape of a view that must be whole planes.
    fn planes(&self, node: &NodeProto, view: &View) -> Result<[usize; 3], OnnxError> {
        let shape = self.shape_of(view.layer);
        if view.is_planes(shape) {
            return Ok(shape);
        }
        let [channels, height, width] = shape;
        self.refuse(node, format!(
            "its input has dimensions {:?} of a layer's {channels}×{height}×{width}, cut, reshaped or in another order; it reads whole planes [1, {channels}, {height}, {width}]",
            view.dims
        ))
    }

    /// Refuses weights or outputs that no chip holds, before memory is taken for them.
    fn check_size(&self, node: &NodeProto, sizes: &[usize], most: usize) -> Result<(), OnnxError> {
        match sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) {
            Some(product) if product <= most => Ok(()),
            _ => self.refuse(node, format!("{sizes:?} values are more than the {most} that are read")),
        }
    }

    fn constant(&self, node: &NodeProto, index: usize) -> Result<&Tensor, OnnxError> {
        let name = node.input.get(index).filter(|name| !name.is_empty());
        match name.and_then(|name| self.constants.get(name)) {
            Some(constant) => Ok(constant),
            None => self.refuse(node, format!("its input {index} is no constant")),
        }
    }

    /// Finite floats of a constant.
    fn floats(&self, node: &NodeProto, index: usize) -> Result<Vec<f32>, OnnxError> {
        let values = self.constant(node, index)?.floats();
        match values.iter().any(|value| !value.is_finite()) {
            true => self.refuse(node, format!("its input {index} holds a value that is no finite number")),
            false => Ok(values),
        }
    }

    fn has(&self, node: &NodeProto, index: usize) -> bool {
        node.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// A pair of sizes of an attribute.
    fn pair(&self, node: &NodeProto, name: &str, default: [usize; 2]) -> Result<[usize; 2], OnnxError> {
        let given = node.attribute.iter().find(|attribute| attribute.name == name);
        let Some(given) = given else { return Ok(default) };
        match given.ints[..] {
            [a, b] if [a, b].iter().all(|&size| (1..=LARGEST_SIDE as i64).contains(&size)) => {
                Ok([a as usize, b as usize])
            }
            _ => self.refuse(
                node,
                format!("its {name} {:?} are not two sizes; planes are two-dimensional", given.ints),
            ),
        }
    }

    /// Pads `[top, left, bottom, right]`, those of a Pad before it included.
    fn pads(
        &self,
        node: &NodeProto,
        pending: Option<Pending>,
        size: [usize; 2],
        reach: [usize; 2],
        strides: [usize; 2],
    ) -> Result<[usize; 4], OnnxError> {
        let rule = node.attribute.iter().find(|attribute| attribute.name == "auto_pad");
        let rule = rule.map_or("NOTSET".into(), |rule| String::from_utf8_lossy(&rule.s).into_owned());
        let before = match pending {
            Some(Pending::Pad(pads, _)) => pads,
            _ => [0; 4],
        };
        let size = [size[0] + before[0] + before[2], size[1] + before[1] + before[3]];
        let own = match rule.as_str() {
            "NOTSET" | "" => match node.attribute.iter().find(|attribute| attribute.name == "pads") {
                None => [0; 4],
                Some(pads) => match pads.ints[..] {
                    [a, b, c, d] if pads.ints.iter().all(|&pad| (0..=LARGEST_SIDE as i64).contains(&pad)) => {
                        [a, b, c, d].map(|pad| pad as usize)
                    }
                    _ => return self.refuse(node, format!("its pads {:?} are not four sizes", pads.ints)),
                },
            },
            "VALID" => [0; 4],
            "SAME_UPPER" | "SAME_LOWER" => {
                let mut pads = [0; 4];
                for axis in 0..2 {
                    let out = size[axis].div_ceil(strides[axis]);
                    let all = ((out - 1) * strides[axis] + reach[axis]).saturating_sub(size[axis]);
                    let first = if rule == "SAME_UPPER" { all / 2 } else { all.div_ceil(2) };
                    (pads[axis], pads[axis + 2]) = (first, all - first);
                }
                pads
            }
            other => return self.refuse(node, format!("its auto_pad {other} is not known")),
        };
        Ok(std::array::from_fn(|side| own[side] + before[side]))
    }

    fn conv(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let [in_channels, in_height, in_width] = self.planes(node, &view)?;
        let dims = self.constant(node, 1)?.dims.clone();
        let &[out_channels, group_channels, height, width] = &dims[..] else {
            return self
                .refuse(node, format!("its weights have dimensions {dims:?}; planes are two-dimensional"));
        };
        let groups = usize::try_from(proto::int_of(node, "group").unwrap_or(1)).unwrap_or(0);
        let fits = groups >= 1
            && group_channels.checked_mul(groups) == Some(in_channels)
            && out_channels >= 1
            && out_channels % groups == 0
            && height >= 1
            && width >= 1;
        if !fits || self.pair(node, "kernel_shape", [height, width])? != [height, width] {
            return self.refuse(
                node,
                format!("weights {dims:?} with {groups} groups do not fit {in_channels} channels"),
            );
        }
        let mut weights = self.floats(node, 1)?;
        let bias = if self.has(node, 2) { self.floats(node, 2)? } else { vec![0.0; out_channels] };
        if bias.len() != out_channels {
            return self.refuse(node, format!("it has {} biases for {out_channels} channels", bias.len()));
        }
        let dilations = self.pair(node, "dilations", [1, 1])?;
        let kernel =
            [(height - 1).saturating_mul(dilations[0]) + 1, (width - 1).saturating_mul(dilations[1]) + 1];
        if kernel.iter().any(|&side| side > LARGEST_SIDE) {
            return self.refuse(node, format!("its kernel reaches over {kernel:?} pixels"));
        }
        let strides = self.pair(node, "strides", [1, 1])?;
        let pads = self.pads(node, view.pending, [in_height, in_width], kernel, strides)?;
        if let Some(Pending::Pad(_, value)) = view.pending
            && value != 0.0
        {
            return self.refuse(node, format!("it follows a Pad with {value}; a convolution pads with 0"));
        }
        let Some(window) = Window::new([in_height, in_width], kernel, strides, pads) else {
            return self.refuse(
                node,
                format!("a kernel of {kernel:?} does not fit {in_height}×{in_width} with pads {pads:?}"),
            );
        };
        self.check_size(node, &[out_channels, window.out_height, window.out_width], MOST_VALUES)?;
        self.check_size(node, &[out_channels, in_channels, kernel[0], kernel[1]], MOST_ELEMENTS)?;
        if dilations != [1, 1] {
            weights = spread(&weights, [height, width], kernel, dilations);
            self.remarks.push(format!(
                "{}: dilations {dilations:?} became a kernel of {}×{} with zeros between",
                name_of(node),
                kernel[0],
                kernel[1]
            ));
        }
        let depthwise = groups > 1 && groups == in_channels && out_channels == in_channels;
        if groups > 1 && !depthwise {
            weights = ungrouped(&weights, groups, out_channels, group_channels, window.taps());
            self.remarks.push(format!(
                "{}: {groups} groups became one with zeros: {groups} times the weights and products",
                name_of(node)
            ));
        }
        let is_padded = pads != [0; 4];
        let mut view = View { pending: None, ..view };
        let mut bias = bias;
        if !view.affine.is_identity() && (!is_padded || view.affine.is_unshifted()) {
            let affine = &view.affine;
            let taps = window.taps();
            let inner = weights.len() / out_channels;
            for (out, bias) in bias.iter_mut().enumerate() {
                let mut shift = f64::from(*bias);
                for (at, weight) in weights[out * inner..(out + 1) * inner].iter_mut().enumerate() {
                    let channel = if depthwise { out } else { at / taps };
                    shift += f64::from(*weight) * affine.shift[channel];
                    *weight = (f64::from(*weight) * affine.scale[channel]) as f32;
                }
                *bias = shift as f32;
            }
            self.remarks
                .push(format!("{}: scale and shift of its input folded into its weights", name_of(node)));
        } else {
            view = self.settled(view);
        }
        let op = FloatOp::Conv { window, in_channels, out_channels, depthwise, weights, bias };
        Ok(self.push(op, view.layer, [out_channels, window.out_height, window.out_width]))
    }

    fn pool(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let [channels, height, width] = self.planes(node, &view)?;
        if !node.attribute.iter().any(|attribute| attribute.name == "kernel_shape") {
            return self.refuse(node, "its kernel_shape is missing");
        }
        let kernel = self.pair(node, "kernel_shape", [1, 1])?;
        let strides = self.pair(node, "strides", [1, 1])?;
        if self.pair(node, "dilations", [1, 1])? != [1, 1] {
            return self.refuse(node, "a pool with dilations is not supported; use stride or a convolution");
        }
        let mut pads = self.pads(node, view.pending, [height, width], kernel, strides)?;
        let is_max = node.op_type == "MaxPool";
        let mut counts = proto::int_of(node, "count_include_pad").unwrap_or(0) != 0;
        if let Some(Pending::Pad(before, value)) = view.pending {
            let is_clamped = value == 0.0 && view.affine.is_identity() && self.is_positive(view.layer);
            let is_lowest = value == f32::NEG_INFINITY;
            let is_small = before.iter().zip([0, 1, 0, 1]).all(|(&pad, axis)| pad < kernel[axis]);
            match is_max {
                true if is_small && (is_clamped || is_lowest) => {}
                false if value == 0.0 && (counts || pads == before) => counts = true,
                _ => {
                    return self.refuse(
                        node,
                        format!(
                            "it follows a Pad with {value}, which it would have to read; pad in the pool"
                        ),
                    );
                }
            }
        }
        if pads.iter().zip([0, 1, 0, 1]).any(|(&pad, axis)| pad >= kernel[axis]) {
            return self.refuse(node, format!("pads {pads:?} are as large as its kernel {kernel:?}"));
        }
        let is_padded = pads != [0; 4];
        if proto::int_of(node, "ceil_mode").unwrap_or(0) != 0 {
            let added = ceiled([height, width], kernel, strides, &mut pads);
            if added && counts && !is_max {
                return self
                    .refuse(node, "ceil_mode with count_include_pad is not supported; export one of them");
            }
        }
        let Some(window) = Window::new([height, width], kernel, strides, pads) else {
            return self.refuse(node, format!("a kernel of {kernel:?} does not fit {height}×{width}"));
        };
        let shape = [channels, window.out_height, window.out_width];
        self.check_size(node, &shape, MOST_VALUES)?;
        self.check_size(node, &[channels, kernel[0], kernel[1]], MOST_ELEMENTS)?;
        let view = View { pending: None, ..view };
        if kernel == [1, 1] && strides == [1, 1] {
            return Ok(view);
        }
        if is_max {
            let view = self.settled(view);
            return Ok(self.push(FloatOp::MaxPool { window, channels }, view.layer, shape));
        }
        if counts && is_padded {
            // Zeros count: what a depthwise convolution with equal weights does.
            let view = self.settled(view);
            let share = 1.0 / window.taps() as f32;
            let weights = vec![share; channels * window.taps()];
            let op = FloatOp::Conv {
                window,
                in_channels: channels,
                out_channels: channels,
                depthwise: channels > 1,
                weights,
                bias: vec![0.0; channels],
            };
            self.remarks.push(format!(
                "{}: averages that count their padding became a depthwise convolution",
                name_of(node)
            ));
            return Ok(self.push(op, view.layer, shape));
        }
        // A mean of scaled and shifted values is the mean, scaled and shifted.
        let mut pooled = self.push(FloatOp::AveragePool { window, channels }, view.layer, shape);
        pooled.affine = view.affine;
        Ok(pooled)
    }

    /// A pool over whole planes, in whatever order the axes stand.
    fn global(&mut self, node: &NodeProto, view: View, is_mean: bool) -> Result<View, OnnxError> {
        let rank = view.dims.len();
        let is_reduction = node.op_type.starts_with("Reduce");
        let axes: Vec<usize> = if is_reduction {
            let attribute = node.attribute.iter().find(|attribute| attribute.name == "axes");
            let listed: Vec<i64> = match attribute {
                Some(attribute) => attribute.ints.clone(),
                None if self.has(node, 1) => self.constant(node, 1)?.as_ints().unwrap_or(&[]).to_vec(),
                None => (0..rank as i64).collect(),
            };
            match listed.iter().map(|&axis| super::rearrange::at(axis, rank)).collect() {
                Ok(axes) => axes,
                Err(problem) => return self.refuse(node, format!("its axis {problem}")),
            }
        } else {
            (2..rank).collect()
        };
        let keeps = !is_reduction || proto::int_of(node, "keepdims").unwrap_or(1) != 0;
        let shape @ [channels, height, width] = self.shape_of(view.layer);
        let plane = height * width;
        // Which channel each element of the result is the pool of.
        let kept: Vec<usize> =
            (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { view.dims[axis] }).collect();
        let count: usize = kept.iter().product();
        let mut sources = vec![Vec::new(); count];
        if let Some(targets) = targets(&view.dims, &axes) {
            for (&from, target) in view.map.iter().zip(targets) {
                sources[target].push(from);
            }
        }
        let of_channel = |positions: &mut Vec<usize>| {
            positions.sort_unstable();
            let channel = positions.first().copied()? / plane;
            let whole = positions.len() == plane
                && positions.iter().enumerate().all(|(at, &from)| from == channel * plane + at);
            whole.then_some(channel)
        };
        let map: Option<Vec<usize>> = sources.iter_mut().map(of_channel).collect();
        let Some(map) = map else {
            return self.refuse(
                node,
                format!(
                    "over axes {axes:?} of {:?} it pools no whole planes of {channels}×{height}×{width}",
                    view.dims
                ),
            );
        };
        let dims = match keeps {
            true => kept,
            false => (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| view.dims[axis]).collect(),
        };
        if plane == 1 {
            return Ok(View { dims, map, ..view });
        }
        let window =
            Window::new([height, width], [height, width], [1, 1], [0; 4]).expect("no plane is empty");
        let view = if is_mean { view } else { self.settled(view) };
        let op = match is_mean {
            true => FloatOp::AveragePool { window, channels },
            false => FloatOp::MaxPool { window, channels },
        };
        let affine = view.affine.clone();
        let pooled = self.push(op, view.layer, [shape[0], 1, 1]);
        Ok(View { dims, map, affine, ..pooled })
    }

    fn dense(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
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

    /// `y = γ (x − μ) / √(σ² + ε) + β` over axis 1.
    fn batch_norm(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
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
    fn scaled(&mut self, node: &NodeProto, index: usize, view: View) -> Result<View, OnnxError> {
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
    fn elementwise(
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
        let [channels, height, width] = self.shape_of(view.layer);
        let mut found: Vec<Option<(f64, f64)>> = vec![None; channels];
        for (&from, &pair) in view.map.iter().zip(&pairs) {
            let here = (scale[pair], shift[pair]);
            if found[from / (height * width)].get_or_insert(here) != &here {
                return self.refuse(
                    node,
                    "its constant differs within a channel; one value a channel can be folded",
                );
            }
        }
        let per_channel = |of: fn((f64, f64)) -> f64, otherwise: f64| -> Vec<f64> {
            found.iter().map(|pair| pair.map_or(otherwise, of)).collect()
        };
        view.affine.then(&per_channel(|pair| pair.0, 1.0), &per_channel(|pair| pair.1, 0.0));
        Ok(view)
    }

    /// Scales and shifts everything.
    fn affine(&self, mut view: View, scale: f64, shift: f64) -> View {
        let channels = view.affine.scale.len();
        view.affine.then(&vec![scale; channels], &vec![shift; channels]);
        view
    }

    /// The sum that ends a residual block.
    fn sum(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let [_, second] = &node.input[..] else { return self.refuse(node, "it adds other than two tensors") };
        let Some(other) = self.views.get(second).cloned() else {
            return self.refuse(node, format!("{second} is not computed"));
        };
        self.planes(node, &view)?;
        self.planes(node, &other)?;
        if let Some(Pending::Pad(..) | Pending::Head(_)) = other.pending {
            return self.refuse(node, format!("{second} is padded or a probability"));
        }
        if view.layer == other.layer {
            let mut both = view;
            for channel in 0..both.affine.scale.len() {
                both.affine.scale[channel] += other.affine.scale[channel];
                both.affine.shift[channel] += other.affine.shift[channel];
            }
            return Ok(both);
        }
        let (first, second) = (self.summand(view), self.summand(other));
        let shape = self.layers[first].shape;
        if shape != self.layers[second].shape {
            return self.refuse(
                node,
                format!("it adds {:?} to {shape:?}; both must have one shape", self.layers[second].shape),
            );
        }
        // What was computed last is read as it comes, the other one is kept.
        let (last, other) = (first.max(second), first.min(second));
        self.layers[other].is_shared = true;
        Ok(self.push(FloatOp::Add { shape, other }, Some(last), shape))
    }

    /// A layer that yields the view's values; the image becomes one.
    fn summand(&mut self, view: View) -> usize {
        let view = self.settled(view);
        match view.layer {
            Some(at) => at,
            None => {
                let channels = self.shape_of(None)[0];
                self.pointwise(None, &vec![1.0; channels], &vec![0.0; channels])
            }
        }
    }

    /// Whether no value of a layer's output is negative.
    fn is_positive(&self, layer: Option<usize>) -> bool {
        let Some(layer) = layer.map(|at| &self.layers[at]) else { return true };
        layer.activation != Activation::Linear
            || match layer.op {
                FloatOp::MaxPool { .. } | FloatOp::AveragePool { .. } => self.is_positive(layer.input),
                FloatOp::Add { other, .. } => self.is_positive(layer.input) && self.is_positive(Some(other)),
                _ => false,
            }
    }

    /// Applies ReLU or ReLU6: in the layer, in the layer before a maximum, or by a layer of its own.
    fn activated(&mut self, view: View, activation: Activation) -> View {
        let mut view = self.settled(view);
        if activation == Activation::Relu && self.is_positive(view.layer) {
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
                self.remarks.push(format!("layer {at}: an activation that no layer before it can take became a 1×1 depthwise convolution"));
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

    fn clip(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
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
    fn clipped(&mut self, node: &NodeProto, view: View, low: f32, high: f32) -> Result<View, OnnxError> {
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

    fn pad(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        self.planes(node, &view)?;
        let mode = node.attribute.iter().find(|attribute| attribute.name == "mode");
        if mode.is_some_and(|mode| mode.s != b"constant") {
            return self.refuse(node, "only constant padding is supported");
        }
        if self.has(node, 3) {
            return self.refuse(node, "its input axes is not read; export with opset 17");
        }
        let attribute = node.attribute.iter().find(|attribute| attribute.name == "pads");
        let pads = match attribute {
            Some(attribute) => attribute.ints.clone(),
            None => self.constant(node, 1)?.as_ints().unwrap_or(&[]).to_vec(),
        };
        let value = match self.has(node, 2) {
            true => self.constant(node, 2)?.scalar().unwrap_or(f32::NAN),
            false => proto::float_of(node, "value").unwrap_or(0.0),
        };
        match pads[..] {
            [0, 0, top, left, 0, 0, bottom, right]
                if pads.iter().all(|pad| (0..=LARGEST_SIDE as i64).contains(pad)) && !value.is_nan() =>
            {
                let sides = [top, left, bottom, right].map(|pad| pad as usize);
                if sides == [0; 4] {
                    return Ok(view);
                }
                // The padding is a value of the scaled and shifted planes.
                // The elements stay those of the planes; the next node adds the sides.
                let mut view = if view.affine.is_unshifted() { view } else { self.settled(view) };
                view.pending = Some(Pending::Pad(sides, value));
                Ok(view)
            }
            _ => self.refuse(node, format!("pads {pads:?}: rows and columns can be padded, by 0 or more")),
        }
    }

    fn head(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
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

fn name_of(node: &NodeProto) -> &str {
    if node.name.is_empty() { &node.op_type } else { &node.name }
}

/// What to do about an operator.
fn unsupported(op: &str) -> String {
    let instead = match op {
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Gelu" | "HardSwish" | "Mish" | "Softplus" | "Tanh"
        | "Erf" => "; use ReLU, ReLU6 or HardSigmoid in its place and train on",
        "Concat" | "Split" => "; add branches instead of joining them",
        "QuantizeLinear"
        | "DequantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => {
            ": the file is quantized already; import the float file that it was made of"
        }
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" | "LRN" => {
            "; use batch normalization"
        }
        "Resize" | "Upsample" | "ConvTranspose" => "; classifiers need none",
        "LSTM" | "GRU" | "RNN" | "Loop" | "If" | "Scan" => "; export a network without control flow",
        _ => "",
    };
    format!("the operator {op} is not supported{instead}")
}

/// For each element the element of the reduced tensor that it falls into.
fn targets(dims: &[usize], axes: &[usize]) -> Option<Vec<usize>> {
    let reduced: Vec<usize> =
        (0..dims.len()).map(|axis| if axes.contains(&axis) { 1 } else { dims[axis] }).collect();
    broadcast(&reduced, dims)
}

/// A kernel with zeros between its taps.
fn spread(
    weights: &[f32],
    [height, width]: [usize; 2],
    kernel: [usize; 2],
    dilations: [usize; 2],
) -> Vec<f32> {
    let mut spread = vec![0.0; weights.len() / (height * width) * kernel[0] * kernel[1]];
    for (at, &weight) in weights.iter().enumerate() {
        let (plane, y, x) = (at / (height * width), at / width % height, at % width);
        spread[(plane * kernel[0] + y * dilations[0]) * kernel[1] + x * dilations[1]] = weight;
    }
    spread
}

/// Weights `[out][in / groups][taps]` as `[out][in][taps]` with zeros for what other groups read.
fn ungrouped(
    weights: &[f32],
    groups: usize,
    out_channels: usize,
    group_channels: usize,
    taps: usize,
) -> Vec<f32> {
    let inner = group_channels * taps;
    let mut whole = vec![0.0; out_channels * groups * inner];
    for out in 0..out_channels {
        let group = out / (out_channels / groups);
        let to = (out * groups + group) * inner;
        whole[to..to + inner].copy_from_slice(&weights[out * inner..(out + 1) * inner]);
    }
    whole
}

/// Pads bottom and right so far that the last, partial window counts; whether anything was added.
fn ceiled(size: [usize; 2], kernel: [usize; 2], strides: [usize; 2], pads: &mut [usize; 4]) -> bool {
    let before = *pads;
    for axis in 0..2 {
        let padded = size[axis] + pads[axis] + pads[axis + 2];
        let Some(rest) = padded.checked_sub(kernel[axis]) else { continue };
        let mut windows = rest.div_ceil(strides[axis]) + 1;
        // A window that begins in the padding behind the plane is left out.
        if (windows - 1) * strides[axis] >= size[axis] + pads[axis] {
            windows -= 1;
        }
        let need = (windows - 1) * strides[axis] + kernel[axis];
        pads[axis + 2] = (pads[axis + 2] + need).saturating_sub(padded);
    }
    *pads != before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_spread_and_ungrouped() {
        assert_eq!(spread(&[1., 2., 3., 4.], [2, 2], [3, 3], [2, 2]), [1., 0., 2., 0., 0., 0., 3., 0., 4.]);
        assert_eq!(ungrouped(&[1., 2., 3., 4.], 2, 2, 2, 1), [1., 2., 0., 0., 0., 0., 3., 4.]);
    }

    #[test]
    fn ceil_mode_adds_a_partial_window() {
        let mut pads = [0; 4];
        assert!(ceiled([5, 6], [2, 2], [2, 2], &mut pads));
        assert_eq!(pads, [0, 0, 1, 0]);
    }
}
