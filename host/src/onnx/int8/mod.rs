//! Quantized network ⇄ int8 ONNX in QDQ form (QuantizeLinear / DequantizeLinear, opset 18).
//!
//! The file is the network's one home: tract and ONNX Runtime execute it, the integer engine and the
//! code generator read it back. Only standard operators are used; scales are the exact f32 of the
//! quantizer, so reading gives the network that was written, bit for bit.
//!
//! | module | holds |
//! |---|---|
//! | `write` | network → file |
//! | `read` | file → network, those of other tools too |
//! | `layers` | which node becomes what; codes and what they stand for |
//! | `windows` | convolutions, dense layers, pools |
//! | `branches` | sums, products, joined channels, functions |
//! | `codes` | operators over codes |
//! | `list` | the graph's layers as a list |
//! | `constants` | scales, zero points, weights, biases |

mod branches;
mod codes;
mod constants;
mod layers;
mod list;
mod read;
mod windows;
mod write;

use super::proto::ModelProto;
pub use read::{Foreign, read, read_foreign};
pub use write::write;

/// Returns the name of the int8 output of layer `index`, for comparing engines tensor by tensor.
pub fn quantized_name(index: usize) -> String {
    format!("layer{index}_q")
}

/// Whether a file is quantized: it holds operators over codes.
pub fn is_quantized(model: &ModelProto) -> bool {
    let quantizes =
        |op: &str| matches!(op, "QuantizeLinear" | "DequantizeLinear" | "QGemm") || op.starts_with("QLinear");
    model.graph.iter().flat_map(|graph| &graph.node).any(|node| quantizes(&node.op_type))
}
