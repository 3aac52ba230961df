//! What slides over planes: convolutions, pools, padding.

use firmware::nn::window::Window;

use super::graph::Importer;
use super::layers::{LARGEST_SIDE, MOST_VALUES, name_of};
use super::mean_as_convolution;
use super::tensor::MOST_ELEMENTS;
use super::view::{Pending, View, broadcast};
use crate::onnx::OnnxError;
use crate::onnx::float::FloatOp;
use crate::onnx::proto::{self, NodeProto};

impl Importer<'_> {
    /// A pair of sizes of an attribute.
    pub(super) fn pair(
        &self,
        node: &NodeProto,
        name: &str,
        default: [usize; 2],
    ) -> Result<[usize; 2], OnnxError> {
        let given = proto::attribute_of(node, name);
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
    pub(super) fn pads(
        &self,
        node: &NodeProto,
        pending: Option<Pending>,
        size: [usize; 2],
        reach: [usize; 2],
        strides: [usize; 2],
    ) -> Result<[usize; 4], OnnxError> {
        let rule = proto::attribute_of(node, "auto_pad");
        let rule = rule.map_or("NOTSET".into(), |rule| String::from_utf8_lossy(&rule.s).into_owned());
        let before = match pending {
            Some(Pending::Pad(pads, _)) => pads,
            _ => [0; 4],
        };
        let size = [size[0] + before[0] + before[2], size[1] + before[1] + before[3]];
        let own = match rule.as_str() {
            "NOTSET" | "" => match proto::attribute_of(node, "pads") {
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

    pub(super) fn conv(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
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

    pub(super) fn pool(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        let [channels, height, width] = self.planes(node, &view)?;
        if proto::attribute_of(node, "kernel_shape").is_none() {
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
            let op = mean_as_convolution(window, channels);
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
    pub(super) fn global(&mut self, node: &NodeProto, view: View, is_mean: bool) -> Result<View, OnnxError> {
        let rank = view.dims.len();
        let is_reduction = node.op_type.starts_with("Reduce");
        let axes: Vec<usize> = if is_reduction {
            if proto::int_of(node, "noop_with_empty_axes").unwrap_or(0) != 0 {
                return self.refuse(node, "noop_with_empty_axes is not supported; name the axes");
            }
            let all = || (0..rank as i64).collect();
            let listed = self.list(node, "axes", 1)?.unwrap_or_else(all);
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

    pub(super) fn pad(&mut self, node: &NodeProto, view: View) -> Result<View, OnnxError> {
        self.planes(node, &view)?;
        let mode = proto::attribute_of(node, "mode");
        if mode.is_some_and(|mode| mode.s != b"constant") {
            return self.refuse(node, "only constant padding is supported");
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
