//! Where kernels slide: the attributes of convolutions and pools, for float files and quantized ones.

use firmware::nn::window::Window;

use super::tensor::MOST_ELEMENTS;
use crate::onnx::proto::{self, NodeProto};

/// Largest kernel, stride or pad; no input is larger.
pub(crate) const LARGEST_SIDE: usize = 4_096;
/// Most values that a layer yields; a microcontroller holds far fewer.
pub(crate) const MOST_VALUES: usize = 1 << 22;

/// A convolution's geometry, and the layout that its weights are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConvShape {
    /// Where the kernel slides, dilations included.
    pub(crate) window: Window,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    groups: usize,
    /// Kernel as it is stored.
    stored: [usize; 2],
    dilations: [usize; 2],
}

/// A pool's geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolShape {
    /// Where the window slides.
    pub(crate) window: Window,
    /// Pads, `[top, left, bottom, right]`, without what `ceil_mode` adds.
    pub(crate) pads: [usize; 4],
    /// Whether an average counts its padding.
    pub(crate) counts_padding: bool,
}

/// A pair of sizes of an attribute.
///
/// # Errors
/// Where it holds something else.
pub(crate) fn pair(node: &NodeProto, name: &str, default: [usize; 2]) -> Result<[usize; 2], String> {
    let Some(given) = proto::attribute_of(node, name) else { return Ok(default) };
    match given.ints[..] {
        [a, b] if [a, b].iter().all(|&size| (1..=LARGEST_SIDE as i64).contains(&size)) => {
            Ok([a as usize, b as usize])
        }
        _ => Err(format!("its {name} {:?} are not two sizes; planes are two-dimensional", given.ints)),
    }
}

/// Pads `[top, left, bottom, right]`, those of a Pad before it included.
///
/// * `before`: of a Pad that the node follows; `reach`: rows and columns that a window covers.
fn pads(
    node: &NodeProto,
    before: [usize; 4],
    size: [usize; 2],
    reach: [usize; 2],
    strides: [usize; 2],
) -> Result<[usize; 4], String> {
    let rule = proto::attribute_of(node, "auto_pad");
    let rule = rule.map_or("NOTSET".into(), |rule| String::from_utf8_lossy(&rule.s).into_owned());
    let size = [size[0] + before[0] + before[2], size[1] + before[1] + before[3]];
    let own = match rule.as_str() {
        "NOTSET" | "" => match proto::attribute_of(node, "pads") {
            None => [0; 4],
            Some(pads) => match pads.ints[..] {
                [a, b, c, d] if pads.ints.iter().all(|&pad| (0..=LARGEST_SIDE as i64).contains(&pad)) => {
                    [a, b, c, d].map(|pad| pad as usize)
                }
                _ => return Err(format!("its pads {:?} are not four sizes", pads.ints)),
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
        other => return Err(format!("its auto_pad {other} is not known")),
    };
    Ok(std::array::from_fn(|side| own[side] + before[side]))
}

impl ConvShape {
    /// Reads a convolution's attributes.
    ///
    /// * `dims`: of its weights; `input`: channels, height, width; `before`: of a Pad that it follows.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(
        node: &NodeProto,
        dims: &[usize],
        input: [usize; 3],
        before: [usize; 4],
    ) -> Result<Self, String> {
        let [in_channels, in_height, in_width] = input;
        let &[out_channels, group_channels, height, width] = dims else {
            return Err(format!("its weights have dimensions {dims:?}; planes are two-dimensional"));
        };
        let groups = usize::try_from(proto::int_of(node, "group").unwrap_or(1)).unwrap_or(0);
        let fits = groups >= 1
            && group_channels.checked_mul(groups) == Some(in_channels)
            && out_channels >= 1
            && out_channels % groups == 0
            && height >= 1
            && width >= 1;
        if !fits || pair(node, "kernel_shape", [height, width])? != [height, width] {
            return Err(format!("weights {dims:?} with {groups} groups do not fit {in_channels} channels"));
        }
        let dilations = pair(node, "dilations", [1, 1])?;
        let kernel =
            [(height - 1).saturating_mul(dilations[0]) + 1, (width - 1).saturating_mul(dilations[1]) + 1];
        if kernel.iter().any(|&side| side > LARGEST_SIDE) {
            return Err(format!("its kernel reaches over {kernel:?} pixels"));
        }
        let strides = pair(node, "strides", [1, 1])?;
        let pads = pads(node, before, [in_height, in_width], kernel, strides)?;
        let Some(window) = Window::new([in_height, in_width], kernel, strides, pads) else {
            return Err(format!(
                "a kernel of {kernel:?} does not fit {in_height}×{in_width} with pads {pads:?}"
            ));
        };
        check_size(&[out_channels, window.out_height, window.out_width], MOST_VALUES)?;
        check_size(&[out_channels, in_channels, kernel[0], kernel[1]], MOST_ELEMENTS)?;
        Ok(Self { window, in_channels, out_channels, groups, stored: [height, width], dilations })
    }

    /// Whether every channel is convolved by itself.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.out_channels == self.in_channels
    }

    /// Shape of the output, `[channels, height, width]`.
    pub(crate) fn output(&self) -> [usize; 3] {
        [self.out_channels, self.window.out_height, self.window.out_width]
    }

    /// Whether the window reaches beyond the planes.
    pub(crate) fn is_padded(&self) -> bool {
        let window = &self.window;
        let end = |out: usize, stride: usize, kernel: usize| (out - 1) * stride + kernel;
        [window.pad_top, window.pad_left] != [0; 2]
            || end(window.out_height, window.stride_y, window.kernel_height) > window.in_height
            || end(window.out_width, window.stride_x, window.kernel_width) > window.in_width
    }

    /// Weights `[out][in / groups][height][width]` as they are stored, with zeros between dilated taps and for
    /// what other groups read: `[out][in][taps]`, or `[channels][taps]` of a depthwise convolution.
    pub(crate) fn whole<T: Copy + Default>(&self, stored: Vec<T>) -> Vec<T> {
        let kernel = [self.window.kernel_height, self.window.kernel_width];
        let weights = match self.dilations {
            [1, 1] => stored,
            dilations => spread(&stored, self.stored, kernel, dilations),
        };
        if self.groups == 1 || self.is_depthwise() {
            return weights;
        }
        let group_channels = self.in_channels / self.groups;
        ungrouped(&weights, self.groups, self.out_channels, group_channels, self.window.taps())
    }

    /// What was made of dilations and groups, for a person.
    pub(crate) fn remarks(&self, name: &str) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.dilations != [1, 1] {
            let [height, width] = [self.window.kernel_height, self.window.kernel_width];
            remarks.push(format!(
                "{name}: dilations {:?} became a kernel of {height}×{width} with zeros between",
                self.dilations
            ));
        }
        if self.groups > 1 && !self.is_depthwise() {
            let groups = self.groups;
            remarks.push(format!(
                "{name}: {groups} groups became one with zeros: {groups} times the weights and products"
            ));
        }
        remarks
    }
}

impl PoolShape {
    /// Reads a pool's attributes.
    ///
    /// * `size`: rows and columns; `before`: of a Pad that it follows.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(node: &NodeProto, size: [usize; 2], before: [usize; 4]) -> Result<Self, String> {
        if proto::attribute_of(node, "kernel_shape").is_none() {
            return Err("its kernel_shape is missing".into());
        }
        let kernel = pair(node, "kernel_shape", [1, 1])?;
        let strides = pair(node, "strides", [1, 1])?;
        if pair(node, "dilations", [1, 1])? != [1, 1] {
            return Err("a pool with dilations is not supported; use stride or a convolution".into());
        }
        let pads = pads(node, before, size, kernel, strides)?;
        if pads.iter().zip([0, 1, 0, 1]).any(|(&pad, axis)| pad >= kernel[axis]) {
            return Err(format!("pads {pads:?} are as large as its kernel {kernel:?}"));
        }
        let counts_padding = proto::int_of(node, "count_include_pad").unwrap_or(0) != 0;
        let mut reached = pads;
        if proto::int_of(node, "ceil_mode").unwrap_or(0) != 0 {
            let added = ceiled(size, kernel, strides, &mut reached);
            if added && counts_padding && node.op_type == "AveragePool" {
                return Err("ceil_mode with count_include_pad is not supported; export one of them".into());
            }
        }
        match Window::new(size, kernel, strides, reached) {
            Some(window) => Ok(Self { window, pads, counts_padding }),
            None => Err(format!("a kernel of {kernel:?} does not fit {}×{}", size[0], size[1])),
        }
    }

    /// Whether it gives what it gets.
    pub(crate) fn is_identity(&self) -> bool {
        let window = &self.window;
        window.taps() == 1 && [window.stride_y, window.stride_x] == [1, 1] && self.pads == [0; 4]
    }
}

/// Refuses weights or outputs that no chip holds, before memory is taken for them.
///
/// # Errors
/// Where their product is beyond `most`.
pub(crate) fn check_size(sizes: &[usize], most: usize) -> Result<(), String> {
    match sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) {
        Some(product) if product <= most => Ok(()),
        _ => Err(format!("{sizes:?} values are more than the {most} that are read")),
    }
}

/// A kernel with zeros between its taps.
fn spread<T: Copy + Default>(
    weights: &[T],
    [height, width]: [usize; 2],
    kernel: [usize; 2],
    dilations: [usize; 2],
) -> Vec<T> {
    let mut spread = vec![T::default(); weights.len() / (height * width) * kernel[0] * kernel[1]];
    for (at, &weight) in weights.iter().enumerate() {
        let (plane, y, x) = (at / (height * width), at / width % height, at % width);
        spread[(plane * kernel[0] + y * dilations[0]) * kernel[1] + x * dilations[1]] = weight;
    }
    spread
}

/// Weights `[out][in / groups][taps]` as `[out][in][taps]` with zeros for what other groups read.
fn ungrouped<T: Copy + Default>(
    weights: &[T],
    groups: usize,
    out_channels: usize,
    group_channels: usize,
    taps: usize,
) -> Vec<T> {
    let inner = group_channels * taps;
    let mut whole = vec![T::default(); out_channels * groups * inner];
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
