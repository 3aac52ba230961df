//! What slides over planes: convolutions, pools, padding.

use firmware::nn::window::Window;

use super::geometry::{ConvShape, LARGEST_SIDE, MOST_VALUES, PoolShape};
use super::graph::Importer;
use super::layers::name_of;
use super::tensor::MOST_ELEMENTS;
use super::view::{Pending, View, broadcast};
use super::{depthwise as depthwise_over, mean_as_convolution};
use crate::onnx::OnnxError;
use crate::onnx::float::FloatOp;
use crate::onnx::proto::{self, NodeProto};

impl Importer<'_> {
    pub(super) fn conv(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let (channels, [_, height, width]) = self.channels(node, &view)?;
        let before = self.padding_before(node, &view)?;
        let dims = self.constant(node, 1)?.dims.clone();
        let input = [channels.len(), height, width];
        let shape =
            ConvShape::read(node, &dims, input, before).or_else(|problem| self.refuse(node, problem))?;
        let mut weights = shape.whole(self.floats(node, 1)?);
        self.remarks.extend(shape.remarks(name_of(node)));
        let mut bias = if self.has(node, 2) { self.floats(node, 2)? } else { vec![0.0; shape.out_channels] };
        if bias.len() != shape.out_channels {
            return self
                .refuse(node, format!("it has {} biases for {} channels", bias.len(), shape.out_channels));
        }
        let depthwise = shape.is_depthwise() && is_permutation(&channels, self.shape_of(view.layer)[0]);
        let taps = shape.window.taps();
        let mut view = View { pending: None, ..view };
        let folds = !view.affine.is_identity() && (!shape.is_padded() || view.affine.is_unshifted());
        if folds {
            let inner = weights.len() / shape.out_channels;
            for (out, bias) in bias.iter_mut().enumerate() {
                let mut shift = f64::from(*bias);
                for (at, weight) in weights[out * inner..(out + 1) * inner].iter_mut().enumerate() {
                    let channel = channels[if shape.is_depthwise() { out } else { at / taps }];
                    shift += f64::from(*weight) * view.affine.shift[channel];
                    *weight = (f64::from(*weight) * view.affine.scale[channel]) as f32;
                }
                *bias = shift as f32;
            }
            self.remarks
                .push(format!("{}: scale and shift of its input folded into its weights", name_of(node)));
        } else {
            view = self.settled(view);
        }
        let in_channels = self.shape_of(view.layer)[0];
        if depthwise {
            // Weights go to the channels that they are for; the output's channels stand as the input's do.
            let (mut ordered, mut biases) = (weights.clone(), bias.clone());
            for (from, &to) in channels.iter().enumerate() {
                ordered[to * taps..(to + 1) * taps].copy_from_slice(&weights[from * taps..(from + 1) * taps]);
                biases[to] = bias[from];
            }
            let op = depthwise_over(shape.window, ordered, biases);
            return Ok(self.push(op, view.layer, shape.output()).with_channels(&channels));
        }
        if shape.is_depthwise() {
            weights = apart(&weights, shape.out_channels, taps);
        }
        let weights = over_channels(&weights, &channels, in_channels, taps);
        let (window, out_channels) = (shape.window, shape.out_channels);
        let op = FloatOp::Conv { window, in_channels, out_channels, depthwise: false, weights, bias };
        Ok(self.push(op, view.layer, shape.output()))
    }

    /// Sides that a Pad before a convolution adds.
    fn padding_before(&self, node: &NodeProto, view: &View) -> Result<[usize; 4], OnnxError> {
        match view.pending {
            Some(Pending::Pad(_, value)) if value != 0.0 => {
                self.refuse(node, format!("it follows a Pad with {value}; a convolution pads with 0"))
            }
            Some(Pending::Pad(sides, _)) => Ok(sides),
            _ => Ok([0; 4]),
        }
    }

    pub(super) fn pool(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let (order, [channels, height, width]) = self.channels(node, &view)?;
        let is_max = node.op_type == "MaxPool";
        let before = match view.pending {
            Some(Pending::Pad(sides, _)) => sides,
            _ => [0; 4],
        };
        let shape =
            PoolShape::read(node, [height, width], before).or_else(|problem| self.refuse(node, problem))?;
        let counts = match view.pending {
            Some(Pending::Pad(sides, value)) => self.counts_pad(node, &view, &shape, sides, value)?,
            _ => shape.counts_padding,
        };
        let window = shape.window;
        let output = [channels, window.out_height, window.out_width];
        self.check_size(node, &output, MOST_VALUES)?;
        self.check_size(node, &[channels, window.taps()], MOST_ELEMENTS)?;
        let view = View { pending: None, ..view };
        if shape.is_identity() {
            return Ok(view);
        }
        if is_max {
            let view = self.settled(view);
            let pooled = self.push(FloatOp::MaxPool { window, channels }, view.layer, output);
            return Ok(pooled.with_channels(&order));
        }
        if counts && shape.pads != [0; 4] {
            // Zeros count: what a depthwise convolution with equal weights does.
            let view = self.settled(view);
            let op = mean_as_convolution(window, channels);
            self.remarks.push(format!(
                "{}: averages that count their padding became a depthwise convolution",
                name_of(node)
            ));
            return Ok(self.push(op, view.layer, output).with_channels(&order));
        }
        // A mean of scaled and shifted values is the mean, scaled and shifted.
        let mut pooled = self.push(FloatOp::AveragePool { window, channels }, view.layer, output);
        pooled.affine = view.affine;
        Ok(pooled.with_channels(&order))
    }

    /// Whether a pool behind a Pad averages zeros, too; refuses what it cannot compute.
    fn counts_pad(
        &self,
        node: &NodeProto,
        view: &View,
        shape: &PoolShape,
        before: [usize; 4],
        value: f32,
    ) -> Result<bool, OnnxError> {
        let window = &shape.window;
        let kernel = [window.kernel_height, window.kernel_width];
        let is_clamped = value == 0.0 && view.affine.is_identity() && self.is_positive(view.layer);
        let is_lowest = value == f32::NEG_INFINITY;
        let is_small = before.iter().zip([0, 1, 0, 1]).all(|(&pad, axis)| pad < kernel[axis]);
        match node.op_type == "MaxPool" {
            true if is_small && (is_clamped || is_lowest) => Ok(false),
            false if value == 0.0 && (shape.counts_padding || shape.pads == before) => Ok(true),
            _ => self.refuse(
                node,
                format!("it follows a Pad with {value}, which it would have to read; pad in the pool"),
            ),
        }
    }

    /// Axes that a reduction is over, without negative ones.
    fn reduced_axes(&mut self, node: &NodeProto, rank: usize) -> Result<Vec<usize>, OnnxError> {
        if proto::int_of(node, "noop_with_empty_axes").unwrap_or(0) != 0 {
            return self.refuse(node, "noop_with_empty_axes is not supported; name the axes");
        }
        let all = || (0..rank as i64).collect();
        let listed = self.list(node, "axes", 1)?.unwrap_or_else(all);
        match listed.iter().map(|&axis| super::rearrange::at(axis, rank)).collect() {
            Ok(axes) => Ok(axes),
            Err(problem) => self.refuse(node, format!("its axis {problem}")),
        }
    }

    /// A pool over whole planes, in whatever order the axes stand.
    pub(super) fn global(&mut self, node: &NodeProto, view: View, is_mean: bool) -> Result<View, OnnxError> {
        let rank = view.dims.len();
        let is_reduction = node.op_type.starts_with("Reduce");
        let axes = if is_reduction { self.reduced_axes(node, rank)? } else { (2..rank).collect() };
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

    pub(super) fn pad(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        self.channels(node, &view)?;
        let mode = proto::attribute_of(node, "mode");
        if mode.is_some_and(|mode| mode.s != b"constant") {
            return self.refuse(node, "only constant padding is supported; pad with zeros");
        }
        if self.has(node, 3) {
            return self.refuse(node, "its input axes is not read; export with opset 17");
        }
        let pads = self.list(node, "pads", 1)?.unwrap_or_default();
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
}

/// For each element the element of the reduced tensor that it falls into.
fn targets(dims: &[usize], axes: &[usize]) -> Option<Vec<usize>> {
    let reduced: Vec<usize> =
        (0..dims.len()).map(|axis| if axes.contains(&axis) { 1 } else { dims[axis] }).collect();
    broadcast(&reduced, dims)
}

/// Whether `channels` names each of `count` channels once.
fn is_permutation(channels: &[usize], count: usize) -> bool {
    let mut seen = vec![false; count];
    channels.len() == count && channels.iter().all(|&channel| !std::mem::replace(&mut seen[channel], true))
}

/// Depthwise weights `[channels][taps]` as those of a convolution, `[channels][channels][taps]`.
fn apart(weights: &[f32], channels: usize, taps: usize) -> Vec<f32> {
    let mut whole = vec![0.0; channels * channels * taps];
    for (channel, own) in weights.chunks_exact(taps).enumerate() {
        let to = (channel * channels + channel) * taps;
        whole[to..to + taps].copy_from_slice(own);
    }
    whole
}

/// Weights `[out][read][taps]` of a convolution that reads some channels, as those over all `count`.
fn over_channels(weights: &[f32], channels: &[usize], count: usize, taps: usize) -> Vec<f32> {
    if channels.len() == count && channels.iter().enumerate().all(|(at, &channel)| at == channel) {
        return weights.to_vec();
    }
    let inner = channels.len() * taps;
    let mut whole = vec![0.0; weights.len() / inner * count * taps];
    for (out, row) in weights.chunks_exact(inner).enumerate() {
        for (kernel, &channel) in row.chunks_exact(taps).zip(channels) {
            let to = (out * count + channel) * taps;
            whole[to..to + taps].iter_mut().zip(kernel).for_each(|(sum, &weight)| *sum += weight);
        }
    }
    whole
}
