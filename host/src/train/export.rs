//! Burn network → float ONNX file, through burn-onnx.

use burn::tensor::Tensor;
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};

use super::{TrainedNet, net::Net};
use crate::onnx::proto;
use prost::Message;
use shared::SIDE;

impl TrainedNet {
    /// Serializes the network as ONNX (opset 18): input `[batch][1][28][28]` in 0..=1, output `[batch][10]`.
    ///
    /// The batch dimension is symbolic; dropout vanishes, batch norm is folded into its convolution.
    ///
    /// # Errors
    /// The exporter's message.
    pub fn to_onnx(&self) -> Result<Vec<u8>, String> {
        // Two batch sizes show the exporter which axis is free.
        let example = |batch| Tensor::<4>::zeros([batch, 1, SIDE, SIDE], &self.device);
        let axes = [AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static, AxisSpec::Static];
        let folded = self.net.folded();
        OnnxExporter::new()
            .export_dynamic(&folded, example(2), example(5), &[InputSpec::new(axes)], Net::forward)
            .map_err(|error| error.to_string())
            .and_then(|model| {
                proto::decode(model.as_bytes(), "the export").map_err(|error| error.to_string())
            })
            .map(|mut model| {
                proto::canonicalize(&mut model);
                model.encode_to_vec()
            })
    }
}
