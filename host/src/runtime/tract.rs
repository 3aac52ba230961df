//! tract: ONNX files on the desktop, float and int8.

use std::sync::Arc;

use anyhow::{Context, Result};
use shared::input::InputShape;
use tract_onnx::prelude::*;

use super::{Answer, Engine, scaled};
use crate::onnx::proto::{self, ModelProto};

/// Loads and optimizes a decoded model for inputs of one type and shape.
///
/// # Errors
/// tract's message, with the operator it does not like.
pub fn runnable(model: &ModelProto, input: TypedFact) -> Result<Arc<TypedRunnableModel>> {
    onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, input.into()))
        .and_then(|model| model.into_optimized())
        .and_then(|model| model.into_runnable())
        .context("tract cannot load the model")
}

/// A model optimized by tract for one image at a time.
pub struct TractModel {
    plan: Arc<TypedRunnableModel>,
    input: InputShape,
}

impl TractModel {
    /// Loads and optimizes a decoded model.
    ///
    /// # Errors
    /// tract's message, with the operator it does not like.
    pub fn from_proto(model: &ModelProto) -> Result<Self> {
        let graph = model.graph.as_ref().context("the file holds no graph")?;
        let (_, input) = proto::input_of(graph, "the model")?;
        let fact = f32::fact([1, input.channels, input.height, input.width]);
        Ok(Self { plan: runnable(model, fact)?, input })
    }

    fn run(&self, image: &[u8]) -> Result<TVec<TValue>> {
        let InputShape { height, width, channels } = self.input;
        let input = Tensor::from_shape(&[1, channels, height, width], &scaled(self.input, image))?;
        self.plan.run(tvec!(input.into())).context("tract cannot run the model")
    }

    /// Runs one image and returns every output as floats, in the order of the graph's outputs.
    ///
    /// # Errors
    /// tract's message, or that an output is not float.
    pub fn run_floats(&mut self, image: &[u8]) -> Result<Vec<Vec<f32>>> {
        let outputs = self.run(image)?;
        outputs
            .iter()
            .map(|output| Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect()))
            .collect()
    }
}

/// tract over a float or an int8 file.
pub struct Tract {
    name: &'static str,
    model: TractModel,
}

impl Tract {
    /// Loads a float model; output 0 is the logits.
    ///
    /// # Errors
    /// tract's message.
    pub fn float(model: &ModelProto) -> Result<Self> {
        Ok(Self { name: "tract-float", model: TractModel::from_proto(model)? })
    }

    /// Loads an int8 model; outputs after the logits are int8 activations.
    ///
    /// # Errors
    /// tract's message.
    pub fn int8(model: &ModelProto) -> Result<Self> {
        Ok(Self { name: "tract-int8", model: TractModel::from_proto(model)? })
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        self.name
    }

    fn answer(&mut self, image: &[u8]) -> Result<Answer> {
        let outputs = self.model.run(image)?;
        let view = outputs[0].to_plain_array_view::<f32>()?;
        let logits: Vec<f32> = view.iter().copied().collect();
        let hidden = outputs[1..].iter();
        let activations = hidden.map(|output| {
            let output = output.cast_to::<i8>()?;
            Ok(output.to_plain_array_view::<i8>()?.iter().copied().collect())
        });
        Ok(Answer { logits, activations: activations.collect::<Result<_>>()? })
    }
}
