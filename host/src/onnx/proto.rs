//! ONNX protobufs (tract's prost types) and the few helpers that reading and writing them take.

use std::path::Path;

use firmware::nn::window::Window;
use prost::Message;
pub use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_shape_proto::Dimension, tensor_shape_proto::dimension, type_proto,
};

use shared::input::InputShape;

use super::OnnxError;
use crate::task::Task;

/// `TensorProto.DataType.FLOAT`.
pub const FLOAT: i32 = 1;
/// `TensorProto.DataType.UINT8`.
pub const UINT8: i32 = 2;
/// `TensorProto.DataType.INT8`.
pub const INT8: i32 = 3;
/// `TensorProto.DataType.INT32`.
pub const INT32: i32 = 6;
/// `TensorProto.DataType.INT64`.
pub const INT64: i32 = 7;

/// Version of the standard operators in every file this project writes.
pub const OPSET: i64 = 18;
/// Version of the file format itself.
pub const IR_VERSION: i64 = 8;

/// Name of the input of every file this project writes.
pub const INPUT_NAME: &str = "image";
/// Name of the output of every file this project writes.
pub const OUTPUT_NAME: &str = "logits";

/// Reads and decodes a model.
///
/// # Errors
/// [`OnnxError::Io`] or [`OnnxError::Damaged`].
pub fn read(path: &Path) -> Result<ModelProto, OnnxError> {
    let bytes = std::fs::read(path).map_err(|source| OnnxError::Io { path: path.into(), source })?;
    decode(&bytes, &path.display().to_string())
}

/// Decodes a model; `file` is its name in messages.
///
/// # Errors
/// [`OnnxError::Damaged`] where the bytes are no protobuf or hold no graph with nodes.
pub fn decode(bytes: &[u8], file: &str) -> Result<ModelProto, OnnxError> {
    let damaged = |problem: &str| OnnxError::Damaged(file.into(), problem.into());
    let model = ModelProto::decode(bytes).map_err(|error| damaged(&error.to_string()))?;
    match &model.graph {
        Some(graph) if !graph.node.is_empty() && !graph.input.is_empty() && !graph.output.is_empty() => {
            let incomplete = graph
                .node
                .iter()
                .find(|node| node.output.is_empty() || (node.input.is_empty() && node.op_type != "Constant"));
            match incomplete {
                Some(node) => {
                    Err(damaged(&format!("node {} ({}) lacks inputs or outputs", node.name, node.op_type)))
                }
                None => Ok(model),
            }
        }
        _ => Err(damaged("it holds no graph")),
    }
}

/// Returns a copy of the model with the tensors `names` as additional outputs of type `data_type`.
pub fn with_outputs(model: &ModelProto, names: &[String], data_type: i32) -> ModelProto {
    let mut model = model.clone();
    if let Some(graph) = &mut model.graph {
        for name in names {
            graph.output.push(value_info(name, data_type, None));
        }
    }
    model
}

/// Describes a graph input or output; `shape` begins with the symbolic batch where it is given.
pub fn value_info(name: &str, elem_type: i32, shape: Option<&[i64]>) -> ValueInfoProto {
    let shape = shape.map(|sizes| {
        let batch = dimension::Value::DimParam("batch".into());
        let sizes = sizes.iter().map(|&size| dimension::Value::DimValue(size));
        let dim = std::iter::once(batch)
            .chain(sizes)
            .map(|value| Dimension { value: Some(value), ..Dimension::default() });
        TensorShapeProto { dim: dim.collect() }
    });
    let tensor = type_proto::Tensor { elem_type, shape };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

/// Makes an integer-list attribute.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.iter().map(|&value| value as i64).collect(),
        ..AttributeProto::default()
    }
}

/// Makes an integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

/// Makes a float attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    }
}

/// Returns a node's attribute of this name.
pub fn attribute_of<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// Returns a node's integer-list attribute.
pub fn ints_of(node: &NodeProto, name: &str) -> Option<Vec<usize>> {
    attribute_of(node, name)?.ints.iter().map(|&value| usize::try_from(value).ok()).collect()
}

/// Returns a node's integer attribute.
pub fn int_of(node: &NodeProto, name: &str) -> Option<i64> {
    attribute_of(node, name).map(|attribute| attribute.i)
}

/// Returns a node's float attribute.
pub fn float_of(node: &NodeProto, name: &str) -> Option<f32> {
    attribute_of(node, name).map(|attribute| attribute.f)
}

/// Largest kernel, stride or pad that is read; no input is larger.
const LARGEST_SIDE: usize = 4096;

/// Whether the operator is ONNX's own; other domains' names say nothing about what they compute.
pub fn has_standard_domain(node: &NodeProto) -> bool {
    matches!(node.domain.as_str(), "" | "ai.onnx")
}

/// Returns the name and the shape of the one input that is no initializer.
///
/// Its type says `[batch, channels, height, width]` with one or three channels, the batch symbolic or 1.
///
/// # Errors
/// [`OnnxError::Unsupported`] with what is wrong with the inputs.
pub fn input_of<'a>(graph: &'a GraphProto, file: &str) -> Result<(&'a str, InputShape), OnnxError> {
    input_of_type(graph, &[FLOAT], file).map(|(name, shape, _)| (name, shape))
}

/// Like [`input_of`], with one of several element types, which is returned, too.
///
/// # Errors
/// As [`input_of`].
pub fn input_of_type<'a>(
    graph: &'a GraphProto,
    types: &[i32],
    file: &str,
) -> Result<(&'a str, InputShape, i32), OnnxError> {
    let refuse = |problem: String| {
        Err(OnnxError::Unsupported { file: file.into(), node: "the input".into(), problem })
    };
    let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !is_constant(&input.name)).collect();
    let &[input] = &inputs[..] else {
        return refuse(format!("there are {} inputs instead of one", inputs.len()));
    };
    let tensor = match input.r#type.as_ref().and_then(|of| of.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor,
        _ => return refuse("it is no tensor".into()),
    };
    if !types.contains(&tensor.elem_type) {
        return refuse(format!("its element type is {} instead of one of {types:?}", tensor.elem_type));
    }
    let Some(shape) = &tensor.shape else { return refuse("its shape is not told".into()) };
    let sizes: Vec<Option<usize>> = shape
        .dim
        .iter()
        .map(|dim| match dim.value {
            Some(dimension::Value::DimValue(value)) => usize::try_from(value).ok(),
            _ => None,
        })
        .collect();
    let found = match sizes[..] {
        [None | Some(0 | 1), Some(channels), Some(height), Some(width)] => {
            InputShape::new(height, width, channels)
        }
        _ => None,
    };
    if let Some(found) = found {
        return Ok((&input.name, found, tensor.elem_type));
    }
    let told = shape.dim.iter().map(|dim| match &dim.value {
        Some(dimension::Value::DimValue(value)) => value.to_string(),
        Some(dimension::Value::DimParam(name)) => name.clone(),
        None => "?".into(),
    });
    let told: Vec<String> = told.collect();
    refuse(format!(
        "it is [{}]; [batch, channels, height, width] with 1 or 3 channels and sides up to {} is read",
        told.join(", "),
        InputShape::MAX_SIDE
    ))
}

/// Describes the graph's input and output.
pub fn ends(task: &Task) -> (ValueInfoProto, ValueInfoProto) {
    let InputShape { height, width, channels } = task.input;
    let sizes = [channels, height, width].map(|size| size as i64);
    let logits = [task.classes.len() as i64];
    (value_info(INPUT_NAME, FLOAT, Some(&sizes)), value_info(OUTPUT_NAME, FLOAT, Some(&logits)))
}

/// Keys of the metadata that a model's task stands in, values in JSON.
const TASK_KEYS: [&str; 3] = ["input", "classes", "preprocessing"];

/// Writes a task as metadata, for people in Netron and for [`task_of`].
pub fn metadata(task: &Task) -> Vec<StringStringEntryProto> {
    // A task's fields are numbers and strings, which JSON always holds.
    let values = [
        serde_json::to_string(&task.input),
        serde_json::to_string(&task.classes),
        serde_json::to_string(&task.preprocessing),
    ];
    let entry = |(key, value): (&str, serde_json::Result<String>)| StringStringEntryProto {
        key: key.into(),
        value: value.unwrap_or_default(),
    };
    TASK_KEYS.into_iter().zip(values).map(entry).collect()
}

/// Returns what a file with this input and so many logits classifies.
///
/// That is what its metadata says. Without metadata, 28×28 gray images and ten classes are taken for
/// Fashion-MNIST's; the classes of any other file get numbers, its frames [`Square`](shared::preprocess::Preprocessing::Square).
///
/// # Errors
/// [`OnnxError::Unsupported`] where the metadata is damaged or says something else than the graph.
pub fn task_of(model: &ModelProto, input: InputShape, logits: usize, file: &str) -> Result<Task, OnnxError> {
    let refuse =
        |problem: String| OnnxError::Unsupported { file: file.into(), node: "the metadata".into(), problem };
    let told: Vec<Option<&str>> = TASK_KEYS
        .iter()
        .map(|key| model.metadata_props.iter().find(|entry| entry.key == *key).map(|entry| &entry.value[..]))
        .collect();
    let fashion_mnist = Task::fashion_mnist();
    let task = match told[..] {
        [Some(shape), Some(classes), Some(preprocessing)] => {
            let damaged = |error: serde_json::Error| refuse(error.to_string());
            Task {
                input: serde_json::from_str(shape).map_err(damaged)?,
                classes: serde_json::from_str(classes).map_err(damaged)?,
                preprocessing: serde_json::from_str(preprocessing).map_err(damaged)?,
            }
        }
        [None, None, None] if (input, logits) == (fashion_mnist.input, fashion_mnist.classes.len()) => {
            fashion_mnist
        }
        [None, None, None] => Task::numbered(input, logits),
        _ => return Err(refuse(format!("of {} some are missing", TASK_KEYS.join(", ")))),
    };
    if (task.input, task.classes.len()) != (input, logits) {
        return Err(refuse(format!(
            "it tells of {} and {} classes, the graph of {input} and {logits}",
            task.input,
            task.classes.len()
        )));
    }
    task.check().map_err(|error| refuse(error.to_string()))?;
    Ok(task)
}

/// Checks that the graph's only output is `last`, where the chain of layers ends.
///
/// # Errors
/// [`OnnxError::Unsupported`] with the outputs.
pub fn check_output(graph: &GraphProto, last: &str, file: &str) -> Result<(), OnnxError> {
    let outputs: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    if outputs == [last] {
        return Ok(());
    }
    Err(OnnxError::Unsupported {
        file: file.into(),
        node: "the output".into(),
        problem: format!("the chain ends in {last}, but the outputs are {outputs:?}"),
    })
}

/// Reads strides and pads of a convolution or pool; `None` where they are malformed or nothing fits.
pub fn window_of(node: &NodeProto, size: [usize; 2], kernel: [usize; 2]) -> Option<Window> {
    // An attribute that is there but negative or beyond every image is malformed, not absent.
    let given = |name: &str, default: &[usize]| match node.attribute.iter().any(|a| a.name == name) {
        true => ints_of(node, name).filter(|values| values.iter().all(|&value| value <= LARGEST_SIDE)),
        false => Some(default.to_vec()),
    };
    let (strides, pads) = (given("strides", &[1, 1])?, given("pads", &[0; 4])?);
    if kernel.iter().any(|&side| side == 0 || side > LARGEST_SIDE) {
        return None;
    }
    let (&[stride_y, stride_x], &[top, left, bottom, right]) = (&strides[..], &pads[..]) else { return None };
    Window::new(size, kernel, [stride_y, stride_x], [top, left, bottom, right])
}

/// Makes an initializer from raw little-endian bytes.
pub fn tensor(name: &str, data_type: i32, dims: &[usize], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type,
        dims: dims.iter().map(|&size| size as i64).collect(),
        raw_data,
        ..TensorProto::default()
    }
}

/// Makes a float initializer.
pub fn float_tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    tensor(name, FLOAT, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Makes an int32 initializer.
pub fn int32_tensor(name: &str, dims: &[usize], values: &[i32]) -> TensorProto {
    tensor(name, INT32, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Makes a list of whole numbers.
pub fn int64_tensor(name: &str, values: &[i64]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, INT64, &[values.len()], raw_data)
}

/// Makes an int8 initializer.
pub fn int8_tensor(name: &str, dims: &[usize], values: &[i8]) -> TensorProto {
    tensor(name, INT8, dims, values.iter().map(|&value| value as u8).collect())
}

/// Returns a tensor's dimensions.
pub fn dims_of(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect()
}

/// Returns a float tensor's values; `None` for another type or where the size is not that of its dimensions.
pub fn floats_of(tensor: &TensorProto) -> Option<Vec<f32>> {
    let count = element_count(tensor)?;
    let values = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        let words = tensor.raw_data.chunks_exact(4);
        words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    (tensor.data_type == FLOAT && values.len() == count).then_some(values)
}

/// Returns an int32 tensor's values, as [`floats_of`].
pub fn int32s_of(tensor: &TensorProto) -> Option<Vec<i32>> {
    let count = element_count(tensor)?;
    let words = tensor.raw_data.chunks_exact(4);
    let values: Vec<i32> = words.map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    (tensor.data_type == INT32 && values.len() == count).then_some(values)
}

/// Returns an int8 tensor's values, as [`floats_of`].
pub fn int8s_of(tensor: &TensorProto) -> Option<Vec<i8>> {
    let count = element_count(tensor)?;
    let values: Vec<i8> = tensor.raw_data.iter().map(|&byte| byte as i8).collect();
    (tensor.data_type == INT8 && values.len() == count).then_some(values)
}

fn element_count(tensor: &TensorProto) -> Option<usize> {
    tensor.dims.iter().try_fold(1usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_wrong_size_or_type_are_refused() {
        let good = float_tensor("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(floats_of(&good).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(int32s_of(&good), None);
        let mut short = good.clone();
        short.raw_data.pop();
        assert_eq!(floats_of(&short), None);
        let mut negative = good;
        negative.dims[0] = -2;
        assert_eq!(floats_of(&negative), None);
    }

    #[test]
    fn a_task_survives_the_metadata_and_must_fit_the_graph() {
        let input = InputShape::new(40, 24, 3).unwrap();
        let classes = vec!["Ärmel – lang".to_owned(), "\"b\"".into()];
        let task = Task { input, classes, preprocessing: shared::preprocess::Preprocessing::Square };
        let mut model = ModelProto { metadata_props: metadata(&task), ..ModelProto::default() };
        assert_eq!(task_of(&model, input, 2, "x.onnx").unwrap(), task);
        let message = task_of(&model, input, 3, "x.onnx").unwrap_err().to_string();
        assert!(message.contains("2 classes") && message.contains("and 3"), "{message}");
        model.metadata_props.pop();
        assert!(task_of(&model, input, 2, "x.onnx").is_err());
        model.metadata_props.clear();
        assert_eq!(task_of(&model, input, 2, "x.onnx").unwrap().classes, ["class 0", "class 1"]);
        let known = Task::fashion_mnist();
        assert_eq!(task_of(&model, known.input, 10, "x.onnx").unwrap(), known);
    }

    #[test]
    fn noise_is_no_model() {
        for bytes in [&b""[..], b"not a protobuf at all", &[0xff; 64]] {
            let message = decode(bytes, "x.onnx").unwrap_err().to_string();
            assert!(message.starts_with("x.onnx is no ONNX model"), "{message}");
        }
    }
}
