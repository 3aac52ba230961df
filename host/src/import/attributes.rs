//! Which operators are read, and which of their attributes: nothing that a file says is skipped.

use crate::onnx::proto::NodeProto;

/// Attributes of a node that its reader uses or that change nothing.
const ATTRIBUTES: [(&str, &[&str]); 74] = [
    ("Identity", &[]),
    ("Dropout", &["ratio", "seed"]),
    ("Cast", &["to", "saturate", "round_mode"]),
    ("Reshape", &["allowzero", "shape"]),
    ("Flatten", &["axis"]),
    ("Squeeze", &["axes"]),
    ("Unsqueeze", &["axes"]),
    ("Transpose", &["perm"]),
    ("Gather", &["axis"]),
    ("Slice", &["axes", "starts", "ends"]),
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
    ("Concat", &["axis"]),
    ("Split", &["axis", "split", "num_outputs"]),
    ("Greater", &[]),
    ("GreaterOrEqual", &[]),
    ("Less", &[]),
    ("LessOrEqual", &[]),
    ("Where", &[]),
    ("Min", &[]),
    ("Max", &[]),
    ("Pow", &[]),
    ("Abs", &[]),
    ("Exp", &[]),
    ("Log", &[]),
    ("Sqrt", &[]),
    ("Reciprocal", &[]),
    ("Erf", &[]),
    ("Tanh", &[]),
    ("Softplus", &[]),
    ("Softsign", &[]),
    ("PRelu", &[]),
    ("LeakyRelu", &["alpha"]),
    ("Elu", &["alpha"]),
    ("Celu", &["alpha"]),
    ("Selu", &["alpha", "gamma"]),
    ("HardSwish", &[]),
    ("Swish", &["alpha"]),
    ("Mish", &[]),
    ("Gelu", &["approximate"]),
    ("QuantizeLinear", &["axis", "saturate", "output_dtype"]),
    ("DequantizeLinear", &["axis", "output_dtype"]),
    ("QLinearConv", &["kernel_shape", "strides", "pads", "dilations", "group", "auto_pad"]),
    ("QLinearMatMul", &[]),
    ("QGemm", &["alpha", "transA", "transB"]),
    ("QLinearAdd", &[]),
    ("QLinearMul", &[]),
    ("QLinearGlobalAveragePool", &["channels_last"]),
    (
        "QLinearAveragePool",
        &[
            "kernel_shape",
            "strides",
            "pads",
            "dilations",
            "ceil_mode",
            "auto_pad",
            "count_include_pad",
            "channels_last",
        ],
    ),
    ("QLinearConcat", &["axis"]),
    ("QLinearSigmoid", &[]),
    ("QLinearLeakyRelu", &["alpha"]),
    ("Shape", &["start", "end"]),
];

/// Refuses unknown operators and attributes that no reader uses.
///
/// # Errors
/// What is wrong with the node.
pub(crate) fn check_attributes(node: &NodeProto) -> Result<(), String> {
    let Some((_, known)) = ATTRIBUTES.iter().find(|(op, _)| *op == node.op_type) else {
        return Err(unsupported(&node.op_type));
    };
    match node.attribute.iter().find(|attribute| !known.contains(&attribute.name.as_str())) {
        Some(odd) => Err(format!("its attribute {} is not known", odd.name)),
        None => Ok(()),
    }
}

/// What to do about an operator.
pub(super) fn unsupported(op: &str) -> String {
    let instead = match op {
        "QuantizeLinear"
        | "DequantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => {
            ": a file that is quantized in part, or while it runs; import the float file that it was made of, or quantize that statically"
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
