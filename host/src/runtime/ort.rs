//! ONNX Runtime through `ort`, loaded at run time from the library that `ORT_DYLIB_PATH` names.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::Tensor;
use prost::Message;
use shared::input::InputShape;

use super::{Answer, Engine, scaled};
use crate::onnx::proto::{self, GraphProto, ModelProto};

/// Environment variable that names the shared library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// How to get ONNX Runtime, for messages.
pub const HOW_TO_GET: &str = "python3 -m venv .venv && .venv/bin/pip install onnxruntime && export ORT_DYLIB_PATH=$(ls \"$PWD\"/.venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*)";

/// Option of a session: 1 keeps products of int8 in full on processors without VNNI, where ONNX Runtime else adds
/// pairs of them with saturation to 16 bits.
const PRECISION_MODE: &str = "session.x64quantprecision";

/// A process has one environment; a failure to load is remembered.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

/// Returns the library's path where it is set and the file exists, else a sentence with the remedy.
///
/// # Errors
/// The sentence.
pub fn library() -> Result<PathBuf, String> {
    find_library().map_err(|problem| format!("{problem}; get it with: {HOW_TO_GET}"))
}

/// Returns the library's path where it is set and the file exists, else what is wrong; [`HOW_TO_GET`] is the remedy.
///
/// # Errors
/// What is wrong.
pub fn find_library() -> Result<PathBuf, String> {
    match std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()) {
        None => Err(format!("{LIBRARY_VARIABLE} is not set")),
        Some(path) if !std::path::Path::new(&path).is_file() => {
            Err(format!("{LIBRARY_VARIABLE} names {}, which is no file", path.display()))
        }
        Some(path) => Ok(path.into()),
    }
}

fn environment() -> Result<&'static Environment> {
    let loaded = ENVIRONMENT.get_or_init(|| {
        let path = library()?;
        let builder = ort::init_from(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        builder.with_name("host").build().map_err(|error| error.to_string())
    });
    loaded.as_ref().map_err(|message| anyhow!("ONNX Runtime: {message}"))
}

/// ONNX Runtime over a float or an int8 file.
pub struct Ort {
    name: &'static str,
    session: Session,
    /// Name of the graph's input.
    input: String,
    shape: InputShape,
}

impl Ort {
    /// Loads a float model.
    ///
    /// # Errors
    /// That the library is missing, or ONNX Runtime's message.
    pub fn float(model: &ModelProto) -> Result<Self> {
        Self::load("ort-float", model)
    }

    /// Loads an int8 model; outputs after the logits are int8 activations.
    ///
    /// # Errors
    /// As [`Ort::float`].
    pub fn int8(model: &ModelProto) -> Result<Self> {
        Self::load("ort-int8", model)
    }

    /// Loads an int8 file as it is in a session with the options that a user has, but for `session.x64quantprecision`.
    ///
    /// All graph optimizations are on: ONNX Runtime replaces the float operators by its own over codes.
    ///
    /// # Errors
    /// As [`Ort::float`].
    pub fn stock(model: &ModelProto) -> Result<Self> {
        Self::load("ort-int8-stock", model)
    }

    fn load(name: &'static str, model: &ModelProto) -> Result<Self> {
        let environment = environment()?;
        let build = || -> ort::Result<Session> {
            let builder = Session::builder(environment)?.with_intra_threads(1)?;
            builder.with_config_entry(PRECISION_MODE, "1")?.commit_from_memory(&model.encode_to_vec())
        };
        let session =
            build().map_err(|error| anyhow!("{error}")).context("ONNX Runtime cannot load the model")?;
        let graph = model.graph.as_ref().context("the file holds no graph")?;
        let (input, shape) = proto::input_of(graph, "the model")?;
        Ok(Self { name, session, input: input.to_owned(), shape })
    }
}

impl Engine for Ort {
    fn name(&self) -> &'static str {
        self.name
    }

    fn answer(&mut self, image: &[u8]) -> Result<Answer> {
        let message = |error: ort::Error| anyhow!("ONNX Runtime: {error}");
        let InputShape { height, width, channels } = self.shape;
        let values = scaled(self.shape, image);
        let input = Tensor::from_array(([1usize, channels, height, width], values)).map_err(message)?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => input]).map_err(message)?;
        let (_, logits) = outputs[0].try_extract_tensor::<f32>().map_err(message)?;
        let logits = logits.to_vec();
        let mut activations = Vec::new();
        for index in 1..outputs.len() {
            activations.push(outputs[index].try_extract_tensor::<i8>().map_err(message)?.1.to_vec());
        }
        Ok(Answer { logits, activations })
    }
}

/// ONNX Runtime over a file of any form, every node as the file says: without graph optimizations, but where products
/// would saturate.
pub struct RawOrt {
    session: Session,
    input: String,
}

/// Whether a file multiplies uint8 codes, whose sums of products saturate on x86 without VNNI unless
/// [`PRECISION_MODE`] rewrites the weights; that is one of the extended optimizations.
fn saturates(graph: &GraphProto) -> bool {
    let is_uint8 = |name: &String| {
        graph.initializer.iter().any(|tensor| tensor.name == *name && tensor.data_type == proto::UINT8)
    };
    graph.node.iter().any(|node| {
        let multiplies = ["ConvInteger", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"]
            .contains(&node.op_type.as_str());
        // The zero point of the first operand.
        multiplies && node.input.get(2).is_some_and(is_uint8)
    })
}

impl RawOrt {
    /// Loads a model.
    ///
    /// # Errors
    /// That the library is missing, or ONNX Runtime's message.
    pub fn load(model: &ModelProto) -> Result<Self> {
        let environment = environment()?;
        let level = match model.graph.as_ref().is_some_and(saturates) {
            true => GraphOptimizationLevel::Level2,
            false => GraphOptimizationLevel::Disable,
        };
        let build = || -> ort::Result<Session> {
            let builder = Session::builder(environment)?.with_intra_threads(1)?;
            let builder = builder.with_optimization_level(level)?;
            builder.with_config_entry(PRECISION_MODE, "1")?.commit_from_memory(&model.encode_to_vec())
        };
        let session =
            build().map_err(|error| anyhow!("{error}")).context("ONNX Runtime cannot load the model")?;
        let input = session.inputs().first().context("the file has no input")?.name().to_owned();
        Ok(Self { session, input })
    }

    /// Runs one input; returns an output's values.
    ///
    /// * `element`: `TensorProto.DataType` of the input, float or uint8.
    ///
    /// # Errors
    /// ONNX Runtime's message.
    pub fn run(&mut self, dims: &[usize], values: Vec<f32>, element: i32, output: usize) -> Result<Vec<f32>> {
        let message = |error: ort::Error| anyhow!("ONNX Runtime: {error}");
        let name = self.input.as_str();
        let outputs = if element == proto::UINT8 {
            let bytes: Vec<u8> = values.into_iter().map(|value| value as u8).collect();
            let input = Tensor::from_array((dims.to_vec(), bytes)).map_err(message)?;
            self.session.run(ort::inputs![name => input]).map_err(message)?
        } else {
            let input = Tensor::from_array((dims.to_vec(), values)).map_err(message)?;
            self.session.run(ort::inputs![name => input]).map_err(message)?
        };
        let output = &outputs[output];
        if let Ok((_, codes)) = output.try_extract_tensor::<u8>() {
            return Ok(codes.iter().map(|&code| f32::from(code)).collect());
        }
        if let Ok((_, codes)) = output.try_extract_tensor::<i8>() {
            return Ok(codes.iter().map(|&code| f32::from(code)).collect());
        }
        Ok(output.try_extract_tensor::<f32>().map_err(message)?.1.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{NodeProto, TensorProto};

    #[test]
    fn products_of_uint8_codes_are_those_that_saturate() {
        let graph = |op: &str, data_type| GraphProto {
            node: vec![NodeProto {
                op_type: op.into(),
                input: ["x", "scale", "zero"].map(str::to_owned).to_vec(),
                ..Default::default()
            }],
            initializer: vec![TensorProto { name: "zero".into(), data_type, ..Default::default() }],
            ..Default::default()
        };
        assert!(saturates(&graph("QLinearConv", proto::UINT8)));
        assert!(!saturates(&graph("QLinearConv", proto::INT8)));
        assert!(!saturates(&graph("DequantizeLinear", proto::UINT8)));
    }
}
