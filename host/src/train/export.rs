//! Burn network → float ONNX file, through burn-onnx.

use burn::tensor::Tensor;
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};

use super::{TrainedNet, net::Net};
use shared::SIDE;

impl TrainedNet {
    /// Serializes the network as ONNX (opset 18): input `[batch][1][28][28]` in 0..=1, output `[batch][10]`.
    ///
    /// The batch dimension is symbolic; dropout vanishes, batch norm stays a node of its own.
    ///
    /// # Errors
    /// The exporter's message.
    pub fn to_onnx(&self) -> Result<Vec<u8>, String> {
        // Two batch sizes show the exporter which axis is free.
        let example = |batch| Tensor::<4>::zeros([batch, 1, SIDE, SIDE], &self.device);
        let axes = [AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static, AxisSpec::Static];
        OnnxExporter::new()
            .export_dynamic(&self.net, example(2), example(5), &[InputSpec::new(axes)], Net::forward)
            .map(|model| model.into_bytes())
            .map_err(|error| error.to_string())
    }
}
