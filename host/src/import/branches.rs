//! Nodes that join branches: sums, differences, products, channels side by side.

use firmware::nn::window::Window;

use super::graph::Importer;
use super::rearrange::at;
use super::view::{Pending, View, gathered};
use crate::onnx::OnnxError;
use crate::onnx::branch::Join;
use crate::onnx::float::FloatOp;
use crate::onnx::pointwise::Function;
use crate::onnx::proto::{self, NodeProto};

impl Importer<'_> {
    /// The views that a node reads, all of them computed.
    fn operands(&self, node: &NodeProto) -> Result<Vec<View>, OnnxError> {
        let mut operands = Vec::with_capacity(node.input.len());
        for name in &node.input {
            let Some(view) = self.views.get(name).cloned() else {
                return self.refuse(node, format!("{name} is not computed from the image"));
            };
            if let Some(Pending::Pad(..) | Pending::Head(_)) = view.pending {
                return self.refuse(node, format!("{name} is padded or a probability"));
            }
            operands.push(view);
        }
        Ok(operands)
    }

    /// The sum that ends a residual block, or a difference.
    pub(super) fn sum(&mut self, node: &NodeProto) -> Result<View, OnnxError> {
        let mut operands = self.operands(node)?.into_iter();
        let Some(mut sum) = operands.next() else { return self.refuse(node, "it adds nothing") };
        for other in operands {
            let [first, other] = self.alike(sum, other);
            sum = first;
            let other = if node.op_type == "Sub" { self.affine(other, -1.0, 0.0) } else { other };
            sum = self.added(node, sum, other)?;
        }
        Ok(sum)
    }

    /// Two operands; where one is some channels of its layer, or in another order than the other one is, they become
    /// a layer's.
    fn alike(&mut self, first: View, second: View) -> [View; 2] {
        let orders = [&first, &second].map(|view| view.channels(self.shape_of(view.layer)));
        let is_whole = |view: &View, order: &Option<Vec<usize>>| {
            let count = self.shape_of(view.layer)[0];
            order.as_ref().is_some_and(|order| order.iter().copied().eq(0..count))
        };
        let whole = [is_whole(&first, &orders[0]), is_whole(&second, &orders[1])];
        let [first_order, second_order] = orders;
        match (first_order, second_order) {
            (Some(first_order), Some(second_order))
                if first_order != second_order || !(whole[0] && whole[1]) =>
            {
                [self.picked(first, &first_order), self.picked(second, &second_order)]
            }
            _ => [first, second],
        }
    }

    /// Channels of a layer as a layer: a 1×1 convolution with ones.
    fn picked(&mut self, view: View, order: &[usize]) -> View {
        let view = self.settled(view);
        let [in_channels, height, width] = self.shape_of(view.layer);
        if order.iter().copied().eq(0..in_channels) {
            return view;
        }
        let out_channels = order.len();
        let mut weights = vec![0.0; out_channels * in_channels];
        order.iter().enumerate().for_each(|(to, &from)| weights[to * in_channels + from] = 1.0);
        let window = Window::new([height, width], [1, 1], [1, 1], [0; 4]).expect("no plane is empty");
        let bias = vec![0.0; out_channels];
        let op = FloatOp::Conv { window, in_channels, out_channels, depthwise: false, weights, bias };
        let picked = self.push(op, view.layer, [out_channels, height, width]);
        if let Some(layer) = self.layers.last_mut() {
            layer.remark =
                Some("some channels, or channels in another order, were picked by a 1×1 convolution");
        }
        picked
    }

    fn added(&mut self, node: &NodeProto, view: View, other: View) -> Result<View, OnnxError> {
        let shape = self.shape_of(view.layer);
        let other_shape = self.shape_of(other.layer);
        if view.dims != other.dims || view.map != other.map || shape != other_shape {
            return self.refuse(
                node,
                format!(
                    "it adds {:?} of {shape:?} and {:?} of {other_shape:?}; both must have one shape and order",
                    view.dims, other.dims
                ),
            );
        }
        if view.layer == other.layer {
            let mut both = view;
            for channel in 0..both.affine.scale.len() {
                both.affine.scale[channel] += other.affine.scale[channel];
                both.affine.shift[channel] += other.affine.shift[channel];
            }
            return Ok(both);
        }
        let (dims, map) = (view.dims.clone(), view.map.clone());
        let (first, second) = (self.summand(view), self.summand(other));
        // What was computed last is read as it comes, the other one is kept.
        let (last, other) = (first.max(second), first.min(second));
        self.layers[other].is_shared = true;
        let sum = self.push(FloatOp::Branch { join: Join::Add { shape }, other }, Some(last), shape);
        Ok(View { dims, map, ..sum })
    }

    /// Product of two tensors; one may have a single value a channel, as squeeze-and-excitation multiplies.
    pub(super) fn product(&mut self, node: &NodeProto) -> Result<View, OnnxError> {
        let [first, second] = &self.operands(node)?[..] else {
            return self.refuse(node, "it multiplies other than two tensors");
        };
        let operands = self.alike(first.clone(), second.clone());
        let [first, second] = &operands;
        let shapes = [self.shape_of(first.layer), self.shape_of(second.layer)];
        let is_alike = first.dims == second.dims && first.map == second.map && shapes[0] == shapes[1];
        let is_whole = |view: &View, shape: [usize; 3]| {
            view.channels(shape).is_some_and(|all| all.len() == shape[0] && all.is_sorted())
        };
        let is_single = |shape: [usize; 3]| shape[1..] == [1, 1];
        let is_scaled = shapes[0][0] == shapes[1][0]
            && is_whole(first, shapes[0])
            && is_whole(second, shapes[1])
            && (is_single(shapes[0]) || is_single(shapes[1]));
        if !is_alike && !is_scaled {
            return self.refuse(
                node,
                format!(
                    "it multiplies {:?} of {:?} by {:?} of {:?}; both must have one shape, or one of them a value a channel",
                    first.dims, shapes[0], second.dims, shapes[1]
                ),
            );
        }
        let large = usize::from(is_single(shapes[0]));
        let (dims, map, shape) = (operands[large].dims.clone(), operands[large].map.clone(), shapes[large]);
        let mut positions = Vec::with_capacity(2);
        for view in operands {
            positions.push(self.summand(view));
        }
        let (input, other) = (positions[0].max(positions[1]), positions[0].min(positions[1]));
        let are_single = [input, other].map(|at| !is_alike && is_single(self.layers[at].shape));
        self.layers[other].is_shared = true;
        let product = self.push(
            FloatOp::Branch { join: Join::Product { shape, are_single }, other },
            Some(input),
            shape,
        );
        Ok(View { dims, map, ..product })
    }

    /// Channels side by side, whatever the axes' order is.
    pub(super) fn concat(&mut self, node: &NodeProto) -> Result<View, OnnxError> {
        let operands = self.operands(node)?;
        let Some(first) = operands.first() else { return self.refuse(node, "it joins nothing") };
        let rank = first.dims.len();
        let axis = match at(proto::int_of(node, "axis").unwrap_or(0), rank) {
            Ok(axis) => axis,
            Err(problem) => return self.refuse(node, format!("its axis {problem}")),
        };
        let [_, height, width] = self.shape_of(first.layer);
        let fits = |view: &View| {
            let [_, rows, columns] = self.shape_of(view.layer);
            let alike = (0..rank).all(|of| of == axis || view.dims.get(of) == first.dims.get(of));
            view.dims.len() == rank && alike && [rows, columns] == [height, width]
        };
        if let Some(odd) = operands.iter().find(|view| !fits(view)) {
            return self.refuse(
                node,
                format!(
                    "it joins {:?} of {:?} and {:?} of {:?}; channels of planes of one size can be joined: pool to one size first",
                    first.dims,
                    self.shape_of(first.layer),
                    odd.dims,
                    self.shape_of(odd.layer)
                ),
            );
        }
        let plane = height * width;
        let outer: usize = first.dims[..axis].iter().product();
        let mut dims = first.dims.clone();
        dims[axis] = operands.iter().map(|view| view.dims[axis]).sum();
        // Where each operand's elements stand among the joined channels.
        let mut parts = Vec::with_capacity(operands.len());
        let mut joined: Option<(usize, usize)> = None;
        for view in operands {
            let block = view.map.len() / outer.max(1);
            let map = view.map.clone();
            let layer = self.summand(view);
            let channels = self.layers[layer].shape[0];
            let before = joined.map_or(0, |(_, channels)| channels);
            parts.push((block, map.into_iter().map(|from| from + before * plane).collect::<Vec<_>>()));
            joined = Some(match joined {
                None => (layer, channels),
                Some(joined) => self.joined(joined, (layer, channels), [height, width]),
            });
        }
        let mut map = Vec::new();
        for row in 0..outer {
            for (block, part) in &parts {
                map.extend_from_slice(&part[row * block..(row + 1) * block]);
            }
        }
        let (layer, channels) = joined.unwrap_or_default();
        Ok(View { dims, map, ..View::whole(Some(layer), [channels, height, width]) })
    }

    /// Parts of a tensor along an axis, one an output.
    pub(super) fn split(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        self.check_attributes(node)?;
        let Some(view) = self.views.get(&node.input[0]).cloned() else {
            return self.refuse(node, "it reads nothing that was computed");
        };
        self.check_pending(node, &view)?;
        let axis = match at(proto::int_of(node, "axis").unwrap_or(0), view.dims.len()) {
            Ok(axis) => axis,
            Err(problem) => return self.refuse(node, format!("its axis {problem}")),
        };
        // The parts go different ways: the layer stays as it is from here on.
        let view = self.settled(view);
        if let Some(layer) = view.layer {
            self.layers[layer].is_shared = true;
        }
        let (size, count) = (view.dims[axis], node.output.len());
        let sizes: Vec<usize> = match self.list(node, "split", 1)? {
            Some(sizes) => sizes.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect(),
            None => {
                let each = size.div_ceil(count);
                (0..count).map(|part| each.min(size.saturating_sub(part * each))).collect()
            }
        };
        let is_whole = sizes.iter().try_fold(0usize, |sum, &part| sum.checked_add(part)) == Some(size);
        if !is_whole || sizes.len() != count || sizes.contains(&0) {
            return self.refuse(node, format!("parts of {sizes:?} do not make {size}"));
        }
        let mut first = 0;
        for (output, part) in node.output.iter().zip(sizes) {
            let indices: Vec<usize> = (first..first + part).collect();
            first += part;
            let mut dims = view.dims.clone();
            let positions = gathered(&dims, axis, &indices);
            dims[axis] = part;
            self.put(node, output, view.picked(dims, &positions))?;
        }
        Ok(())
    }

    /// Adds a layer that joins two; returns its position and channels.
    fn joined(&mut self, first: (usize, usize), second: (usize, usize), size: [usize; 2]) -> (usize, usize) {
        self.layers[first.0].is_shared = true;
        self.layers[second.0].is_shared = true;
        let (join, input, other) = Join::concat(size, first, second);
        let channels = first.1 + second.1;
        self.push(FloatOp::Branch { join, other }, Some(input), [channels, size[0], size[1]]);
        (self.layers.len() - 1, channels)
    }

    /// A layer that yields the view's layer's values, scaled and shifted; the image becomes one.
    pub(super) fn summand(&mut self, view: View) -> usize {
        let view = self.settled(view);
        match view.layer {
            Some(at) => at,
            None => {
                let shape = self.shape_of(None);
                self.push(FloatOp::Lookup { shape, function: Function::Input }, None, shape);
                self.layers.len() - 1
            }
        }
    }
}
