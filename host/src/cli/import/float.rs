//! A float file: compared with what was read from it, calibrated and quantized.

use anyhow::{Result, bail};
use shared::input::InputShape;

use super::describe::describe;
use super::{Failure, ImportArgs, Outcome, input_range, print_line, quantize, remark, shown};
use crate::dataset::{Dataset, Samples};
use crate::evaluate::{accuracy, accuracy_of, agreement, arg_max_f32};
use crate::import::compare::compare;
use crate::import::{self, Imported, Options};
use crate::model_dir::ModelDir;
use crate::onnx::proto::ModelProto;
use crate::onnx::write::float_model;
use crate::runtime::Engine;
use crate::runtime::integer::Integer;
use crate::runtime::tract::Tract;
use crate::task::Task;

/// Pictures on which the file as it came and the one written are compared.
const COMPARED_PICTURES: usize = 100;
/// Pictures on which ranges of the input are tried where the accuracy is low.
const TRIED_PICTURES: usize = 300;
/// Below this share of right answers another range of the input is looked for.
const LOW_ACCURACY: f64 = 0.5;
/// By so much another range must do better to be the right one.
const BETTER: f64 = 0.2;
/// Who wrote the files.
const PRODUCER: &str = "host import";

impl ImportArgs {
    /// Writes float and int8 file of what was read.
    pub(super) fn import_float(
        &self,
        dir: &ModelDir,
        original: &ModelProto,
        imported: &Imported,
        dataset: &Dataset,
        task: &Task,
    ) -> Result<Outcome> {
        let model = float_model(&imported.layers, task, PRODUCER);
        self.check_reading(original, imported, &model, &dataset.test)?;
        describe(&imported.layers);
        let (bytes, onnx_sha256) = crate::model_dir::encode(&model);
        crate::files::write_whole(&dir.float_onnx(), &bytes)?;
        let (network, int8_sha256) = quantize::write(dir, &dataset.train, self.calibrate)?;
        let classes_of =
            |rows: Vec<Vec<f32>>| -> Vec<usize> { rows.iter().map(|row| arg_max_f32(row)).collect() };
        let float_classes = classes_of(Tract::float(&model)?.logits(&dataset.test)?);
        let int8_classes = classes_of(Integer::new(network.clone(), false).logits(&dataset.test)?);
        let agreement = agreement(&float_classes, &int8_classes);
        let is_labelled = task.classes == dataset.task.classes;
        let accuracies = is_labelled
            .then(|| [&float_classes, &int8_classes].map(|classes| accuracy(classes, &dataset.test.labels)));
        let pictures = dataset.test.len();
        match accuracies {
            Some([float, int8]) => {
                print_line(format_args!(
                    "{pictures} test pictures: float {:.2} %, int8 {:.2} % right, {:.2} % answered alike",
                    100.0 * float,
                    100.0 * int8,
                    100.0 * agreement
                ))?;
                self.check_accuracy(original, dataset, &imported.input, float)?;
            }
            None => print_line(format_args!(
                "{pictures} pictures without labels of these classes: float and int8 answer {:.2} % alike",
                100.0 * agreement
            ))?,
        }
        self.check_loss(accuracies, agreement)?;
        let calibration_images = self.calibrate.min(dataset.train.len());
        Ok(Outcome {
            network,
            calibration_images,
            accuracy: accuracies,
            agreement,
            onnx_sha256: Some(onnx_sha256),
            int8_sha256,
        })
    }

    /// Refuses a loss by rounding that is too much: in accuracy (float, int8) where the pictures have labels of these
    /// classes, else in answers.
    fn check_loss(&self, accuracies: Option<[f64; 2]>, agreement: f64) -> Result<()> {
        let file = shown(&self.file);
        match accuracies {
            Some([float, int8]) if 100.0 * (float - int8) > self.max_loss => bail!(Failure::Gate(format!(
                "{file}: rounding costs {:.2} points, --max-loss admits {}; nothing was written. Train on with quantization in mind, or raise --max-loss",
                100.0 * (float - int8),
                self.max_loss
            ))),
            None if 100.0 * (1.0 - agreement) > 5.0 * self.max_loss => bail!(Failure::Gate(format!(
                "{file}: rounding changes {:.2} % of the answers; nothing was written. Calibrate on pictures such as it was trained on (--data), check --input-range, or raise --max-loss",
                100.0 * (1.0 - agreement)
            ))),
            _ => Ok(()),
        }
    }

    /// Runs the file as it came and the one to be written over the same pictures.
    fn check_reading(
        &self,
        original: &ModelProto,
        imported: &Imported,
        ours: &ModelProto,
        pictures: &Samples,
    ) -> Result<()> {
        match compare(original, imported, ours, &pictures.take(COMPARED_PICTURES)) {
            Ok(difference) if difference.is_rounding() => {
                remark(format_args!(
                    "read exactly: over {} pictures outputs differ by at most {:.1e} of {:.1}, in {}",
                    difference.images, difference.largest, difference.magnitude, difference.engine
                ));
                Ok(())
            }
            Ok(difference) => Err(Failure::Gate(format!(
                "{}: read, it answers otherwise than it does itself: an output is {} off, the largest is {}; nothing was written. Please report this with the file",
                shown(&self.file), difference.largest, difference.magnitude
            ))
            .into()),
            Err(error) => {
                eprintln!(
                    "warning: {}: not compared with what was read from it, as it cannot be run here: {error:#}",
                    shown(&self.file)
                );
                Ok(())
            }
        }
    }

    /// Where the float file does badly, looks whether another range of the input does better.
    fn check_accuracy(
        &self,
        original: &ModelProto,
        dataset: &Dataset,
        input: &InputShape,
        float: f64,
    ) -> Result<()> {
        if float >= LOW_ACCURACY {
            return Ok(());
        }
        let pictures = dataset.test.take(TRIED_PICTURES);
        let mut best: Option<(f64, &str)> = None;
        for text in ["0..1", "0..255", "-1..1"] {
            let range = input_range(text).map_err(Failure::Usage)?;
            if range == self.input_range {
                continue;
            }
            let options = Options { range, input: Some(*input), output: self.output.clone() };
            let Ok(other) = import::import(original, "", &options) else { continue };
            let other = float_model(&other.layers, &dataset.task, PRODUCER);
            let accuracy = accuracy_of(&mut Tract::float(&other)?, &pictures)?;
            if best.is_none_or(|(before, _)| accuracy > before) {
                best = Some((accuracy, text));
            }
        }
        eprintln!(
            "warning: the float file itself is right on {:.1} % only, before any rounding; check --input-range, and that the classes stand in the order of the logits (--labels)",
            100.0 * float
        );
        match best {
            Some((accuracy, text)) if accuracy > float + BETTER => Err(Failure::Gate(format!(
                "{}: with --input-range {text} it is right on {:.1} % of {} pictures, with the range given on {:.1} %; nothing was written. Give the range it was trained with",
                shown(&self.file), 100.0 * accuracy, pictures.len(), 100.0 * float
            ))
            .into()),
            _ => Ok(()),
        }
    }
}
