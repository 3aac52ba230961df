//! A file that is quantized already: moved to this engine's arithmetic, nothing is calibrated again.

use anyhow::{Result, bail};

use super::{Failure, ImportArgs, Outcome, print_line, remark, shown};
use crate::dataset::Dataset;
use crate::evaluate::verify::{MAX_LSB, largest_layer_step};
use crate::evaluate::{accuracy, agreement, arg_max_f32};
use crate::import::compare::Original;
use crate::model_dir::{ModelDir, encode};
use crate::onnx::int8::{self, Foreign};
use crate::onnx::proto::ModelProto;
use crate::quantize::network::QuantizedNetwork;
use crate::runtime::Engine;
use crate::runtime::integer::Integer;
use crate::task::Task;

/// Pictures on which the layers are compared with tract's.
const CHECKED_PICTURES: usize = 8;
/// Pictures on which the file as it came is run.
const COMPARED_PICTURES: usize = 1_000;
/// Share of answers that the file and the engine must have in common without a warning.
const EXPECTED_AGREEMENT: f64 = 0.999;

impl ImportArgs {
    /// Writes the int8 file of what was read.
    pub(super) fn import_quantized(
        &self,
        dir: &ModelDir,
        original: &ModelProto,
        foreign: &Foreign,
        dataset: &Dataset,
        task: &Task,
    ) -> Result<Outcome> {
        let network = QuantizedNetwork { task: task.clone(), ..foreign.network.clone() };
        let firmware = network.to_firmware()?;
        let written = int8::write(&network);
        let steps = largest_layer_step(&written, &firmware, &dataset.test.take(CHECKED_PICTURES))?;
        if steps > MAX_LSB {
            bail!(Failure::Gate(format!(
                "{}: read, a layer is {steps} steps from what tract computes, {MAX_LSB} is admitted; nothing was written. Please report this with the file",
                shown(&self.file)
            )));
        }
        let (bytes, int8_sha256) = encode(&written);
        crate::files::write_whole(&dir.int8_onnx(), &bytes)?;

        let pictures = dataset.test.take(COMPARED_PICTURES);
        let theirs = Original::quantized(original, task.input, &self.input_range)?;
        remark(format_args!("compared in {}", theirs.engine()));
        let theirs = theirs.classes(task.input, &pictures)?;
        let rows = Integer::new(firmware.clone(), false).logits(&pictures)?;
        let ours: Vec<usize> = rows.iter().map(|row| arg_max_f32(row)).collect();
        let agreement = agreement(&theirs, &ours);
        let is_labelled = task.classes == dataset.task.classes;
        let accuracies =
            is_labelled.then(|| [&theirs, &ours].map(|classes| accuracy(classes, &pictures.labels)));
        match accuracies {
            Some([file, here]) => print_line(format_args!(
                "{} test pictures: the file {:.2} %, here {:.2} % right, {:.2} % answered alike",
                pictures.len(),
                100.0 * file,
                100.0 * here,
                100.0 * agreement
            ))?,
            None => print_line(format_args!(
                "{} pictures without labels of these classes: {:.2} % answered alike",
                pictures.len(),
                100.0 * agreement
            ))?,
        }
        self.check_answers(agreement)?;
        Ok(Outcome {
            network: firmware,
            calibration_images: 0,
            accuracy: accuracies,
            agreement,
            onnx_sha256: None,
            int8_sha256,
        })
    }

    /// Refuses too many other answers than the file's, by share of equal ones; warns of some.
    fn check_answers(&self, agreement: f64) -> Result<()> {
        if 100.0 * (1.0 - agreement) > self.max_loss {
            bail!(Failure::Gate(format!(
                "{}: {:.2} % of the answers are other ones here, --max-loss admits {}; nothing was written",
                shown(&self.file),
                100.0 * (1.0 - agreement),
                self.max_loss
            )));
        }
        if agreement < EXPECTED_AGREEMENT {
            eprintln!("warning: {:.2} % of the answers are other ones here", 100.0 * (1.0 - agreement));
        }
        Ok(())
    }
}
