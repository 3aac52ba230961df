//! Arithmetic over constants: what exporters leave of shapes, and of weights they scaled.

use std::collections::HashMap;

use super::rearrange::{at, rearrange};
use super::tensor::{Tensor, Values, count};
use super::view::broadcast;
use crate::onnx::proto::{self, NodeProto};

/// Computes a node whose inputs are constants.
///
/// # Errors
/// What is wrong with it, or that the operator is not computed.
pub(crate) fn fold(node: &NodeProto, constants: &HashMap<String, Tensor>) -> Result<Tensor, String> {
    let argument = |index: usize| {
        let name = node.input.get(index).filter(|name| !name.is_empty());
        name.and_then(|name| constants.get(name)).ok_or(format!("its input {index} is missing"))
    };
    match node.op_type.as_str() {
        "Constant" => return constant(node),
        "Concat" => {
            let parts = (0..node.input.len()).map(argument).collect::<Result<Vec<_>, _>>()?;
            return concat(&parts, proto::int_of(node, "axis").unwrap_or(0));
        }
        "ConstantOfShape" => {
            let shape = argument(0)?.as_ints().ok_or("its shape is no list of whole numbers")?;
            let dims = shape.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
            let dims = dims.map_err(|_| format!("its shape is {shape:?}"))?;
            let count = count(&dims)?;
            let value = proto::attribute_of(node, "value");
            let value = value.and_then(|attribute| attribute.t.as_ref());
            let value = value.map_or(Ok(None), |tensor| Tensor::read(tensor).map(Some))?;
            return match value {
                None => Ok(Tensor { dims, values: Values::Floats(vec![0.0; count]) }),
                Some(value) if value.floats().len() == 1 => Ok(value.picked(dims, &vec![0; count])),
                Some(_) => Err("its value is no single number".into()),
            };
        }
        "Shape" => return Ok(Tensor::ints(argument(0)?.dims.iter().map(|&size| size as i64).collect())),
        "Expand" => {
            let (small, shape) = (argument(0)?, argument(1)?);
            let shape = shape.as_ints().ok_or("its shape is no list of whole numbers")?;
            let dims: Vec<usize> = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
            count(&dims)?;
            let map = broadcast(&small.dims, &dims).ok_or("its shape does not fit")?;
            return Ok(small.picked(dims, &map));
        }
        _ => {}
    }
    let first = argument(0)?;
    if let Some(rearranged) = rearrange(node, &first.dims, constants) {
        let (dims, map) = rearranged?;
        let moved = first.picked(dims, &map);
        return Ok(if node.op_type == "Cast" { cast(moved, node) } else { moved });
    }
    match node.op_type.as_str() {
        "Neg" => unary(first, |value| -value),
        "Sqrt" => unary(first, f64::sqrt),
        "Reciprocal" => unary(first, |value| 1.0 / value),
        "Add" | "Sub" | "Mul" | "Div" => binary(first, argument(1)?, &node.op_type),
        other => Err(format!(
            "the operator {other} over constants is not computed here; simplify the file with onnxsim first"
        )),
    }
}

fn constant(node: &NodeProto) -> Result<Tensor, String> {
    let [attribute] = &node.attribute[..] else { return Err("a constant has one attribute".into()) };
    let tensor = |values| Tensor { dims: vec![], values };
    match (attribute.name.as_str(), &attribute.t) {
        ("value", Some(value)) => Tensor::read(value),
        ("value_float", _) => Ok(tensor(Values::Floats(vec![attribute.f]))),
        ("value_int", _) => Ok(tensor(Values::Ints(vec![attribute.i]))),
        ("value_ints", _) => Ok(Tensor::ints(attribute.ints.clone())),
        ("value_floats", _) => Ok(Tensor {
            dims: vec![attribute.floats.len()],
            values: Values::Floats(attribute.floats.clone()),
        }),
        (other, _) => Err(format!("its attribute {other} is not read")),
    }
}

fn concat(parts: &[&Tensor], axis: i64) -> Result<Tensor, String> {
    let first = parts.first().ok_or("it joins nothing")?;
    let axis = at(axis, first.dims.len())?;
    let fits = |part: &&Tensor| {
        part.dims.len() == first.dims.len()
            && (0..first.dims.len()).all(|of| of == axis || part.dims[of] == first.dims[of])
    };
    if !parts.iter().all(fits) {
        return Err("its parts have different shapes".into());
    }
    let mut dims = first.dims.clone();
    dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
    count(&dims)?;
    let outer: usize = dims[..axis].iter().product();
    let lengths: Vec<usize> = parts.iter().map(|part| part.dims[axis..].iter().product()).collect();
    let is_whole = parts.iter().all(|part| part.as_ints().is_some());
    let mut whole = Vec::new();
    let mut real = Vec::new();
    for block in 0..outer {
        for (part, &length) in parts.iter().zip(&lengths) {
            let range = block * length..(block + 1) * length;
            match (part.as_ints(), is_whole) {
                (Some(values), true) => whole.extend_from_slice(&values[range]),
                _ => real.extend_from_slice(&part.floats()[range]),
            }
        }
    }
    Ok(Tensor { dims, values: if is_whole { Values::Ints(whole) } else { Values::Floats(real) } })
}

fn cast(tensor: Tensor, node: &NodeProto) -> Tensor {
    let is_float = matches!(proto::int_of(node, "to"), Some(1 | 10 | 11 | 16));
    let values = match (tensor.values, is_float) {
        (Values::Ints(values), true) => {
            Values::Floats(values.into_iter().map(|value| value as f32).collect())
        }
        (Values::Floats(values), false) => {
            Values::Ints(values.into_iter().map(|value| value as i64).collect())
        }
        (values, _) => values,
    };
    Tensor { dims: tensor.dims, values }
}

fn unary(of: &Tensor, apply: impl Fn(f64) -> f64) -> Result<Tensor, String> {
    let values = of.floats().into_iter().map(|value| apply(f64::from(value)) as f32).collect();
    Ok(Tensor { dims: of.dims.clone(), values: Values::Floats(values) })
}

fn binary(a: &Tensor, b: &Tensor, op: &str) -> Result<Tensor, String> {
    let (dims, left, right) = match (broadcast(&b.dims, &a.dims), broadcast(&a.dims, &b.dims)) {
        (Some(right), _) => (a.dims.clone(), (0..right.len()).collect(), right),
        (None, Some(left)) => (b.dims.clone(), left.clone(), (0..left.len()).collect::<Vec<usize>>()),
        _ => return Err(format!("{:?} and {:?} do not fit together", a.dims, b.dims)),
    };
    if let (Some(a), Some(b)) = (a.as_ints(), b.as_ints()) {
        let apply = |(&l, &r): (&usize, &usize)| match op {
            "Add" => a[l].checked_add(b[r]),
            "Sub" => a[l].checked_sub(b[r]),
            "Mul" => a[l].checked_mul(b[r]),
            _ => a[l].checked_div(b[r]),
        };
        let values = left.iter().zip(&right).map(apply).collect::<Option<Vec<_>>>();
        return Ok(Tensor { dims, values: Values::Ints(values.ok_or("it overflows or divides by zero")?) });
    }
    let (a, b) = (a.floats(), b.floats());
    let apply = |(&l, &r): (&usize, &usize)| {
        let (a, b) = (f64::from(a[l]), f64::from(b[r]));
        let value = match op {
            "Add" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            _ => a / b,
        };
        value as f32
    };
    let values: Vec<f32> = left.iter().zip(&right).map(apply).collect();
    if values.iter().any(|value| value.is_nan()) {
        return Err("it yields no number".into());
    }
    Ok(Tensor { dims, values: Values::Floats(values) })
}
