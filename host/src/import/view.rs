//! What a tensor of the graph is: some elements of a layer's output, in some order, scaled and shifted.
//!
//! Transpose, Reshape, Flatten, Gather and their like move no number on the chip: they only say which
//! element stands where. A [`View`] keeps that as a list of positions, so that whatever order an exporter
//! chose ends in the order of the next dense layer's weights. Scaling and shifting by constants wait here,
//! too, until a layer takes them into its weights.

/// Some elements of a layer's output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    /// Which layer's; `None` is the graph's input.
    pub(super) layer: Option<usize>,
    /// Dimensions in the graph, the batch included where there is one.
    pub(super) dims: Vec<usize>,
    /// Position in the layer's output, `[channels][height][width]`, of each element.
    pub(super) map: Vec<usize>,
    /// `value = scale · output + shift`, for each channel of the layer's output.
    pub(super) affine: Affine,
    /// What else waits for the next node.
    pub(super) pending: Option<Pending>,
    /// The tensor's name in the graph; empty while it has none.
    pub(super) name: String,
}

/// What a node did that only the next one can take over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pending {
    /// Rows and columns of one value around the planes, `[top, left, bottom, right]`.
    Pad([usize; 4], f32),
    /// Logits became probabilities: only the graph's output may follow.
    Head(Head),
}

/// What a graph does to its logits at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Nothing.
    Logits,
    /// `exp(x) / Σ exp(x)`.
    Softmax,
    /// Its logarithm.
    LogSoftmax,
    /// `1 / (1 + exp(−x))`, each by itself.
    Sigmoid,
}

/// Scale and shift a channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    pub(super) fn identity(channels: usize) -> Self {
        Self { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    pub(super) fn is_identity(&self) -> bool {
        self.scale.iter().all(|&scale| scale == 1.0) && self.is_unshifted()
    }

    pub(super) fn is_unshifted(&self) -> bool {
        self.shift.iter().all(|&shift| shift == 0.0)
    }

    /// Applies `scale · value + shift` on top.
    pub(super) fn then(&mut self, scale: &[f64], shift: &[f64]) {
        for (channel, (scale, shift)) in scale.iter().zip(shift).enumerate() {
            self.scale[channel] *= scale;
            self.shift[channel] = self.shift[channel] * scale + shift;
        }
    }
}

impl View {
    /// The whole output of a layer, `[1][channels][height][width]`.
    pub(super) fn whole(layer: Option<usize>, [channels, height, width]: [usize; 3]) -> Self {
        Self {
            layer,
            dims: vec![1, channels, height, width],
            map: (0..channels * height * width).collect(),
            affine: Affine::identity(channels),
            pending: None,
            name: String::new(),
        }
    }

    /// Whether every element of an output of `len` is there once, in order.
    pub(super) fn is_in_order(&self, len: usize) -> bool {
        self.map.len() == len && self.map.iter().enumerate().all(|(at, &from)| at == from)
    }

    /// The same planes with channels in another order, or some of them: channel `at` is `channels[at]`.
    pub(super) fn with_channels(self, channels: &[usize]) -> Self {
        let &[batch, count, height, width] = &self.dims[..] else { return self };
        if channels.len() == count && channels.iter().enumerate().all(|(at, &channel)| at == channel) {
            return self;
        }
        let plane = height * width;
        let map =
            channels.iter().flat_map(|channel| self.map[channel * plane..(channel + 1) * plane].to_vec());
        Self { dims: vec![batch, channels.len(), height, width], map: map.collect(), ..self }
    }

    /// Which channel of a layer with `plane` pixels each channel is, where the view is whole planes of them.
    pub(super) fn channels(&self, [_, height, width]: [usize; 3]) -> Option<Vec<usize>> {
        let plane = height * width;
        let &[1, count, rows, columns] = &self.dims[..] else { return None };
        if [rows, columns] != [height, width] || count == 0 {
            return None;
        }
        let of = |pixels: &[usize]| {
            let channel = pixels[0] / plane;
            let is_whole = pixels.iter().enumerate().all(|(at, &from)| from == channel * plane + at);
            is_whole.then_some(channel)
        };
        self.map.chunks_exact(plane).map(of).collect()
    }

    /// The same elements with other dimensions.
    pub(super) fn reshaped(&self, dims: Vec<usize>) -> Self {
        Self { dims, ..self.clone() }
    }

    /// Elements picked by position in this view.
    pub(super) fn picked(&self, dims: Vec<usize>, positions: &[usize]) -> Self {
        Self { dims, map: positions.iter().map(|&at| self.map[at]).collect(), ..self.clone() }
    }
}

/// Positions that a transposition picks: axis `a` of the result is axis `order[a]` of the argument.
pub(super) fn transposed(dims: &[usize], order: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let new: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
    let steps = steps(dims);
    let from: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
    let positions = positions(&new).map(|at| at.iter().zip(&from).map(|(i, step)| i * step).sum());
    (new.clone(), positions.collect())
}

/// Positions that indexing one axis picks.
///
/// * `indices`: of that axis, each below its size.
pub(super) fn gathered(dims: &[usize], axis: usize, indices: &[usize]) -> Vec<usize> {
    let inner: usize = dims[axis + 1..].iter().product();
    let outer: usize = dims[..axis].iter().product();
    let mut picked = Vec::with_capacity(outer * indices.len() * inner);
    for block in 0..outer {
        for &index in indices {
            picked.extend((0..inner).map(|at| (block * dims[axis] + index) * inner + at));
        }
    }
    picked
}

/// For each element of `dims` the element of a constant with `small` dimensions that broadcasting pairs it with.
///
/// `None` where the constant does not broadcast to `dims`.
pub(super) fn broadcast(small: &[usize], dims: &[usize]) -> Option<Vec<usize>> {
    let extra = dims.len().checked_sub(small.len())?;
    let fits = small.iter().zip(&dims[extra..]).all(|(&have, &need)| have == need || have == 1);
    let steps = steps(small);
    let of = |at: &[usize]| -> usize {
        let axes = at[extra..].iter().zip(small).zip(&steps);
        axes.map(|((&index, &size), &step)| if size == 1 { 0 } else { index * step }).sum()
    };
    fits.then(|| positions(dims).map(|at| of(&at)).collect())
}

/// Distance from one element to the next along each axis.
fn steps(dims: &[usize]) -> Vec<usize> {
    (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect()
}

/// All positions of an array, row-major.
fn positions(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let (steps, dims) = (steps(dims), dims.to_vec());
    (0..dims.iter().product())
        .map(move |at: usize| steps.iter().zip(&dims).map(|(step, size)| at / step % size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_is_nothing() {
        let (dims, there) = transposed(&[1, 2, 3, 4], &[0, 2, 3, 1]);
        assert_eq!(dims, [1, 3, 4, 2]);
        let (dims, back) = transposed(&dims, &[0, 3, 1, 2]);
        assert_eq!(dims, [1, 2, 3, 4]);
        let both: Vec<usize> = back.iter().map(|&at| there[at]).collect();
        assert_eq!(both, (0..24).collect::<Vec<_>>());
    }

    #[test]
    fn constants_broadcast_from_the_right() {
        assert_eq!(broadcast(&[2, 1], &[2, 3]), Some(vec![0, 0, 0, 1, 1, 1]));
        assert_eq!(broadcast(&[], &[2]), Some(vec![0, 0]));
        assert_eq!(broadcast(&[3], &[2]), None);
    }

    #[test]
    fn gathering_picks_along_its_axis() {
        assert_eq!(gathered(&[2, 3], 1, &[2, 0]), [2, 0, 5, 3]);
    }
}
