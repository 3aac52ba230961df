//! Nodes that only say where elements stand: the same code for constants and for activations.

use std::collections::HashMap;

use super::tensor::Tensor;
use super::view::{gathered, transposed};
use crate::onnx::proto::{self, NodeProto};

/// Dimensions of the result and, for each element, the argument's position it comes from.
pub(crate) type Rearranged = (Vec<usize>, Vec<usize>);

/// What a rearranging node does to an argument of these dimensions; `None` for other operators.
///
/// # Errors
/// What is wrong with the node.
pub(crate) fn rearrange(
    node: &NodeProto,
    dims: &[usize],
    constants: &HashMap<String, Tensor>,
) -> Option<Result<Rearranged, String>> {
    let plain = |new: Result<Vec<usize>, String>| {
        let count: usize = dims.iter().product();
        new.and_then(|new| match new.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) {
            Some(product) if product == count => Ok((new, (0..count).collect())),
            _ => Err(format!("{dims:?} cannot become {new:?}")),
        })
    };
    let arguments = Arguments { node, constants };
    Some(match node.op_type.as_str() {
        "Identity" | "Dropout" | "Cast" => plain(Ok(dims.to_vec())),
        "Reshape" => plain(arguments.reshape(dims)),
        "Flatten" => plain(arguments.flatten(dims)),
        "Squeeze" => plain(arguments.squeeze(dims)),
        "Unsqueeze" => plain(arguments.unsqueeze(dims)),
        "Transpose" => arguments.transpose(dims),
        "Gather" => arguments.gather(dims),
        "Slice" => arguments.slice(dims),
        _ => return None,
    })
}

/// A list of whole numbers: an attribute in old operator sets, an input in new ones.
///
/// # Errors
/// Where the input is no constant of whole numbers.
pub(super) fn list(
    node: &NodeProto,
    constants: &HashMap<String, Tensor>,
    name: &str,
    input: usize,
) -> Result<Option<Vec<i64>>, String> {
    if let Some(attribute) = proto::attribute_of(node, name) {
        return Ok(Some(attribute.ints.clone()));
    }
    match node.input.get(input).filter(|name| !name.is_empty()) {
        None => Ok(None),
        Some(tensor) => match constants.get(tensor).and_then(Tensor::as_ints) {
            Some(values) => Ok(Some(values.to_vec())),
            None => Err(format!("its {name} ({tensor}) is no constant of whole numbers")),
        },
    }
}

struct Arguments<'a> {
    node: &'a NodeProto,
    constants: &'a HashMap<String, Tensor>,
}

impl Arguments<'_> {
    fn list(&self, name: &str, input: usize) -> Result<Option<Vec<i64>>, String> {
        list(self.node, self.constants, name, input)
    }

    fn reshape(&self, dims: &[usize]) -> Result<Vec<usize>, String> {
        let wanted = self.list("shape", 1)?.ok_or("its shape is missing")?;
        let keeps_zero = proto::int_of(self.node, "allowzero").unwrap_or(0) != 0;
        let mut new = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (axis, &size) in wanted.iter().enumerate() {
            new.push(match size {
                0 if !keeps_zero => *dims.get(axis).ok_or("it copies an axis that is not there")?,
                -1 if open.is_none() => {
                    open = Some(axis);
                    1
                }
                size => usize::try_from(size).map_err(|_| format!("its shape is {wanted:?}"))?,
            });
        }
        if let Some(axis) = open {
            let rest = new.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).unwrap_or(0);
            new[axis] = dims.iter().product::<usize>().checked_div(rest).ok_or("its shape holds a zero")?;
        }
        Ok(new)
    }

    fn flatten(&self, dims: &[usize]) -> Result<Vec<usize>, String> {
        let axis = proto::int_of(self.node, "axis").unwrap_or(1);
        let axis = if axis == dims.len() as i64 { dims.len() } else { at(axis, dims.len())? };
        Ok(vec![dims[..axis].iter().product(), dims[axis..].iter().product()])
    }

    fn squeeze(&self, dims: &[usize]) -> Result<Vec<usize>, String> {
        let axes = match self.list("axes", 1)? {
            Some(axes) => axes.into_iter().map(|axis| at(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
            None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
        };
        Ok((0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis]).collect())
    }

    fn unsqueeze(&self, dims: &[usize]) -> Result<Vec<usize>, String> {
        let axes = self.list("axes", 1)?.ok_or("its axes are missing")?;
        let rank = dims.len() + axes.len();
        let axes = axes.into_iter().map(|axis| at(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        let mut rest = dims.iter().copied();
        (0..rank)
            .map(
                |axis| if axes.contains(&axis) { Ok(1) } else { rest.next().ok_or("its axes repeat".into()) },
            )
            .collect()
    }

    fn transpose(&self, dims: &[usize]) -> Result<Rearranged, String> {
        let order = match proto::ints_of(self.node, "perm") {
            Some(order) => order,
            None => (0..dims.len()).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted != (0..dims.len()).collect::<Vec<_>>() {
            return Err(format!("its perm {order:?} does not fit {dims:?}"));
        }
        Ok(transposed(dims, &order))
    }

    fn gather(&self, dims: &[usize]) -> Result<Rearranged, String> {
        let axis = at(proto::int_of(self.node, "axis").unwrap_or(0), dims.len())?;
        let name = self.node.input.get(1).ok_or("its indices are missing")?;
        let indices = self.constants.get(name).ok_or("its indices are no constant")?;
        let values = indices.as_ints().ok_or("its indices are no whole numbers")?;
        let picked = values.iter().map(|&index| at(index, dims[axis])).collect::<Result<Vec<_>, _>>()?;
        let new = [&dims[..axis], &indices.dims, &dims[axis + 1..]].concat();
        super::tensor::count(&new)?;
        Ok((new, gathered(dims, axis, &picked)))
    }

    fn slice(&self, dims: &[usize]) -> Result<Rearranged, String> {
        let starts = self.list("starts", 1)?.ok_or("its starts are missing")?;
        let ends = self.list("ends", 2)?.ok_or("its ends are missing")?;
        let axes = self.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("its starts, ends, axes and steps have different lengths".into());
        }
        let (mut dims, mut map) = (dims.to_vec(), (0..dims.iter().product()).collect::<Vec<usize>>());
        for which in 0..starts.len() {
            let axis = at(axes[which], dims.len())?;
            let size = dims[axis] as i64;
            let from_start = |value: i64| if value < 0 { value.saturating_add(size) } else { value };
            let (start, end) = (from_start(starts[which]), from_start(ends[which]));
            let step = usize::try_from(steps[which].unsigned_abs()).unwrap_or(usize::MAX);
            let indices: Vec<usize> = match steps[which].signum() {
                1 => (start.clamp(0, size) as usize..end.clamp(0, size) as usize).step_by(step).collect(),
                // Backwards the end is left out as well: −1 is before the first.
                -1 => {
                    let (last, stop) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
                    (stop + 1..=last).rev().step_by(step).map(|index| index as usize).collect()
                }
                _ => return Err("its step is 0".into()),
            };
            map = gathered(&dims, axis, &indices).into_iter().map(|at| map[at]).collect();
            dims[axis] = indices.len();
        }
        Ok((dims, map))
    }
}

/// A position that may count from the end.
///
/// # Errors
/// Where it is outside.
pub(super) fn at(index: i64, size: usize) -> Result<usize, String> {
    let from_start = if index < 0 { index.saturating_add(size as i64) } else { index };
    match usize::try_from(from_start) {
        Ok(found) if found < size => Ok(found),
        _ => Err(format!("{index} is outside 0..{size}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(op: &str, inputs: &[&str]) -> NodeProto {
        let input = inputs.iter().map(|&name| name.to_owned()).collect();
        NodeProto { op_type: op.into(), input, ..NodeProto::default() }
    }

    fn with(name: &str, values: &[i64]) -> HashMap<String, Tensor> {
        HashMap::from([(name.to_owned(), Tensor::ints(values.to_vec()))])
    }

    #[test]
    fn reshape_knows_zero_and_minus_one() {
        let reshape = node("Reshape", &["x", "shape"]);
        let new = |dims: &[usize], shape: &[i64]| {
            rearrange(&reshape, dims, &with("shape", shape)).unwrap().map(|(dims, _)| dims)
        };
        assert_eq!(new(&[1, 2, 3, 4], &[0, -1]), Ok(vec![1, 24]));
        assert_eq!(new(&[1, 24], &[-1, 4, 6]), Ok(vec![1, 4, 6]));
        for shape in [&[5, 5][..], &[-1, -1], &[-2, 12], &[i64::MAX, i64::MAX]] {
            assert!(new(&[1, 24], shape).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn slices_and_axes_count_from_the_end() {
        let mut constants = with("starts", &[-2]);
        constants.insert("ends".into(), Tensor::ints(vec![i64::MAX]));
        constants.insert("axes".into(), Tensor::ints(vec![-1]));
        let slice = node("Slice", &["x", "starts", "ends", "axes"]);
        assert_eq!(rearrange(&slice, &[2, 3], &constants), Some(Ok((vec![2, 2], vec![1, 2, 4, 5]))));
        constants.insert("starts".into(), Tensor::ints(vec![-1]));
        constants.insert("ends".into(), Tensor::ints(vec![i64::MIN]));
        constants.insert("steps".into(), Tensor::ints(vec![-2]));
        let back = node("Slice", &["x", "starts", "ends", "axes", "steps"]);
        assert_eq!(rearrange(&back, &[1, 5], &constants), Some(Ok((vec![1, 3], vec![4, 2, 0]))));
        assert!(at(-4, 3).is_err() && at(i64::MIN, 3).is_err() && at(3, 3).is_err());
    }
}
