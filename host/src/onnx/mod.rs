//! ONNX files: the float network in, the int8 network out and in.
//!
//! | module | holds |
//! |---|---|
//! | [`proto`] | protobuf types and small helpers over them |
//! | [`float`] | plain layers, and a float file of this project read as such |
//! | [`branch`] | how a layer reads an earlier layer's output |
//! | [`order`] | layers of a graph → a list |
//! | [`pointwise`] | functions of one activation |
//! | [`mod@write`] | plain layers → float ONNX |
//! | [`int8`] | quantized network ⇄ int8 ONNX in QDQ form |
//!
//! The float file is written by `train::export`; running files is `runtime`'s.

pub mod branch;
pub mod float;
pub mod int8;
pub mod order;
pub mod pointwise;
pub mod proto;
pub mod write;

use std::path::PathBuf;

use thiserror::Error;

/// Why an ONNX file cannot be used.
#[derive(Debug, Error)]
pub enum OnnxError {
    /// Not readable.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Not a protobuf of an ONNX model.
    #[error(
        "{0} is no ONNX model or is damaged: {1}; export it again where it comes from, a model trained here with `host export`"
    )]
    Damaged(String, String),
    /// An ONNX model, but not of the kind of network that this project runs.
    #[error("{file}: node {node}: {problem}; docs/onnx.md lists what is read")]
    Unsupported {
        /// The file.
        file: String,
        /// The node's name or operator.
        node: String,
        /// What about it.
        problem: String,
    },
    /// Somebody's ONNX model, with something that cannot be computed exactly.
    #[error("{file}: {node}: {problem}")]
    Unreadable {
        /// The file.
        file: String,
        /// The node with its operator, the input or the output.
        node: String,
        /// What about it, and what to export instead.
        problem: String,
    },
}
