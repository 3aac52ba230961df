//! What each layer of an imported network is, for a person.

use super::super::remark;
use crate::onnx::branch::Join;
use crate::onnx::float::{Activation, FloatLayer, FloatOp};
use crate::onnx::proto::OUTPUT_NAME;

/// Says what each layer became.
pub(super) fn describe(layers: &[FloatLayer]) {
    for (index, layer) in layers.iter().enumerate() {
        let what = match &layer.op {
            FloatOp::Conv { window, in_channels, out_channels, depthwise, .. } => format!(
                "{} {}×{}, stride {}×{}, {in_channels}×{}×{} → {out_channels}×{}×{}",
                if *depthwise { "depthwise" } else { "convolution" },
                window.kernel_height,
                window.kernel_width,
                window.stride_y,
                window.stride_x,
                window.in_height,
                window.in_width,
                window.out_height,
                window.out_width
            ),
            FloatOp::MaxPool { window, .. } => {
                format!("maximum {}×{}", window.kernel_height, window.kernel_width)
            }
            FloatOp::AveragePool { window, .. } => {
                format!("mean {}×{}", window.kernel_height, window.kernel_width)
            }
            FloatOp::Branch { join, other } => match join {
                Join::Add { .. } => format!("sum with layer {other}"),
                Join::Product { .. } => format!("product with layer {other}"),
                Join::Concat { channels, is_other_first, .. } => format!(
                    "{}+{} channels {} those of layer {other}",
                    channels[0],
                    channels[1],
                    if *is_other_first { "behind" } else { "before" }
                ),
                Join::Recall { .. } => format!("the output of layer {other} again"),
            },
            FloatOp::Lookup { function, .. } => format!("table of {}", function.name()),
            FloatOp::Dense { input, out_features, .. } => {
                format!("dense {} → {out_features}", input.iter().product::<usize>())
            }
        };
        let activation = match layer.activation {
            Activation::Linear if index + 1 == layers.len() => format!(" ({OUTPUT_NAME})"),
            Activation::Linear => String::new(),
            Activation::Relu => ", ReLU".into(),
            Activation::Relu6 => ", ReLU6".into(),
        };
        remark(format_args!("layer {index}: {what}{activation}"));
    }
}
