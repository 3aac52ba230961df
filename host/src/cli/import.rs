//! `host import`: somebody's ONNX file → a model folder, exact or refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::quantize::CALIBRATION_IMAGES;
use super::train::input_shape;
use super::{DataArgs, Failure, codegen, image_count, print_line, quantize, remark, shown};
use crate::dataset::identity::sha256_hex;
use crate::dataset::locate::Pictures;
use crate::dataset::{Dataset, Samples};
use crate::evaluate::{accuracy, accuracy_of, agreement, arg_max_f32};
use crate::import::compare::compare;
use crate::import::{self, Imported, InputRange, Options};
use crate::model_dir::ModelDir;
use crate::onnx::float::{Activation, FloatLayer, FloatOp};
use crate::onnx::proto::{ModelProto, OUTPUT_NAME};
use crate::onnx::write::float_model;
use crate::plan::{NetworkPlan, Options as PlanOptions, Profile};
use crate::quantize::QuantizeError;
use crate::report::plans;
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
/// Who wrote the files.
const PRODUCER: &str = "host import";
/// What an import leaves beside the model.
const RECORD_FILE: &str = "import.json";

#[derive(Debug, Args)]
#[command(
    after_help = "The file is read exactly or refused with the node, the reason and what to export instead. What was \
folded, dropped or added is said; the file as it came and the one written are compared on pictures, and so are float and int8.\n\n\
Examples:\n  host import mine.onnx --out models/mine --data ../shared/data/fashion-mnist\n  \
host import mine.onnx --out models/mine --data pictures --input-range 0.485,0.456,0.406/0.229,0.224,0.225\n  \
host import mine.onnx --out models/mine --data pictures --labels shirt,shoe,hat --output logits"
)]
pub(super) struct ImportArgs {
    /// The ONNX file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Model folder to make
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Class names, in the order of the logits: a,b,c or a file with one a line [default: the data's]
    #[arg(long, value_name = "NAMES|FILE")]
    labels: Option<String>,
    /// What the network expects for a pixel: 0..1, 0..255, or MEANS/DEVIATIONS of pixel / 255
    #[arg(long, value_name = "RANGE", default_value = "0..1", value_parser = input_range)]
    input_range: InputRange,
    /// Input, HEIGHTxWIDTH or HEIGHTxWIDTHx1, where the file leaves it open
    #[arg(long, value_name = "SIZE", value_parser = input_shape)]
    input: Option<InputShape>,
    /// Which output holds the logits, where there are several
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Pictures to calibrate on
    #[arg(long, value_name = "COUNT", default_value_t = CALIBRATION_IMAGES, value_parser = image_count)]
    calibrate: usize,
    /// Most points of accuracy that rounding to int8 may cost
    #[arg(long, value_name = "POINTS", default_value_t = 1.0)]
    max_loss: f64,
    #[command(flatten)]
    data: DataArgs,
}

/// What `import.json` holds.
#[derive(Debug, Serialize)]
struct Record {
    /// Name of the file.
    file: String,
    /// Its sha256, hex.
    sha256: String,
    /// What was folded, dropped or added.
    remarks: Vec<String>,
    /// sha256 of the data that calibrated it.
    data_sha256: String,
    /// Pictures that calibrated it.
    calibration_images: usize,
    /// Share of right answers on the test part, where its classes are the model's.
    accuracy: Option<[f64; 2]>,
    /// Share of test pictures that float and int8 answer alike.
    agreement: f64,
}

/// `0..1`, `0..255` or `MEANS/DEVIATIONS`, each one number or one a channel.
fn input_range(text: &str) -> Result<InputRange, String> {
    let numbers = |part: &str| -> Option<Vec<f64>> {
        let values: Option<Vec<f64>> = part.split(',').map(|value| value.trim().parse().ok()).collect();
        values.filter(|values| matches!(values.len(), 1 | 3) && values.iter().all(|value| value.is_finite()))
    };
    match text {
        "0..1" => Ok(InputRange::Unit),
        "0..255" => Ok(InputRange::Bytes),
        "-1..1" => Ok(InputRange::Normalized { mean: vec![0.5], deviation: vec![0.5] }),
        _ => match text.split_once('/').map(|(mean, deviation)| (numbers(mean), numbers(deviation))) {
            Some((Some(mean), Some(deviation)))
                if mean.len() == deviation.len() && deviation.iter().all(|&value| value > 0.0) =>
            {
                Ok(InputRange::Normalized { mean, deviation })
            }
            _ => Err("give 0..1, 0..255, -1..1 or means and deviations of pixel / 255 such as 0.5/0.5 or 0.485,0.456,0.406/0.229,0.224,0.225".into()),
        },
    }
}

impl ImportArgs {
    pub(super) fn run(self) -> Result<()> {
        let is_ours = self.out.join(RECORD_FILE).exists();
        let is_empty = std::fs::read_dir(&self.out).map_or(true, |mut entries| entries.next().is_none());
        if !is_ours && !is_empty {
            return Err(Failure::Usage(format!(
                "{}: there is something else in it; name a new folder with --out",
                shown(&self.out)
            ))
            .into());
        }
        let file = self.file.display().to_string();
        let original = import::read(&self.file)?;
        let options =
            Options { range: self.input_range.clone(), input: self.input, output: self.output.clone() };
        let imported = import::import(&original, &file, &options)?;
        imported.remarks.iter().for_each(|line| remark(format_args!("· {line}")));
        let pictures = Pictures { shape: Some(imported.input), for_training: false };
        let dataset = self.data.load(pictures)?;
        if dataset.task.input != imported.input {
            return Err(Failure::Usage(format!(
                "{file}: it reads {}, {} has {}; name a folder of pictures with --data FOLDER",
                imported.input, dataset.source, dataset.task.input
            ))
            .into());
        }
        let task = self.task(&imported, &dataset)?;
        let model = float_model(&imported.layers, &task, PRODUCER);
        self.check_reading(&original, &imported, &model, &dataset.test)?;
        describe(&imported.layers);

        let name = self.out.file_name().unwrap_or_default().to_string_lossy();
        let staging = self.out.with_file_name(format!("{name}.importing"));
        let _ = std::fs::remove_dir_all(&staging);
        std::fs::create_dir_all(&staging).with_context(|| staging.display().to_string())?;
        let made = self.make(&staging, &model, &imported, &original, &dataset, &task);
        let moved = made.and_then(|()| {
            std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
            for entry in std::fs::read_dir(&staging)? {
                let entry = entry?;
                let to = self.out.join(entry.file_name());
                std::fs::rename(entry.path(), &to).with_context(|| to.display().to_string())?;
            }
            Ok(())
        });
        let _ = std::fs::remove_dir_all(&staging);
        moved?;
        print_line(shown(&self.out))?;
        remark(format_args!("next: cargo run -p host -- verify --model {}", shown(&self.out)));
        Ok(())
    }

    /// What the model classifies: names from the option, else from the data, else numbers.
    fn task(&self, imported: &Imported, dataset: &Dataset) -> Result<Task> {
        let count = imported.classes();
        let names = match &self.labels {
            Some(text) if Path::new(text).is_file() => {
                let text = std::fs::read_to_string(text).with_context(|| text.clone())?;
                Some(
                    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
                )
            }
            Some(text) => Some(text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<String>>()),
            None if dataset.task.classes.len() == count => Some(dataset.task.classes.clone()),
            None => None,
        };
        let classes = match names {
            Some(names) if names.len() != count => {
                return Err(Failure::Usage(format!(
                    "--labels: {} names for {count} logits; give one a logit, in their order",
                    names.len()
                ))
                .into());
            }
            Some(names) => names,
            None => {
                remark(format_args!(
                    "the file has {count} logits, {} {} classes: they get numbers, name them with --labels",
                    dataset.source,
                    dataset.task.classes.len()
                ));
                Task::numbered(imported.input, count).classes
            }
        };
        let preprocessing = match dataset.task.preprocessing.fits(imported.input) {
            true => dataset.task.preprocessing,
            false => Preprocessing::Square,
        };
        let task = Task { input: imported.input, classes, preprocessing };
        task.check().map_err(|error| Failure::Usage(format!("--labels: {error}")))?;
        Ok(task)
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
                    "read exactly: over {} pictures outputs differ by at most {:.1e} of {:.1}, in tract",
                    difference.images, difference.largest, difference.magnitude
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
                    "warning: {}: not compared with what was read from it, as tract cannot run it: {error:#}",
                    shown(&self.file)
                );
                Ok(())
            }
        }
    }

    /// Makes every file of the model in `folder`.
    fn make(
        &self,
        folder: &Path,
        model: &ModelProto,
        imported: &Imported,
        original: &ModelProto,
        dataset: &Dataset,
        task: &Task,
    ) -> Result<()> {
        let is_labelled = task.classes == dataset.task.classes;
        let dir = ModelDir::new(folder);
        let mut layers = imported.layers.clone();
        let mut model = model.clone();
        let network = loop {
            let (bytes, _) = crate::model_dir::encode(&model);
            crate::files::write_whole(&dir.float_onnx(), &bytes)?;
            let error = match quantize::write(&dir, &dataset.train, self.calibrate) {
                Ok((network, _)) => break network,
                Err(error) => error,
            };
            let at = error.chain().find_map(|cause| match cause.downcast_ref() {
                Some(QuantizeError::Multiplier { layer, .. }) => Some(*layer),
                _ => None,
            });
            let is_mended = at.and_then(|at| layers.get_mut(at)).is_some_and(import::average_as_convolution);
            if !is_mended {
                return Err(error.context(format!("{} cannot be quantized", shown(&self.file))));
            }
            remark(
                "· a mean whose outputs have a smaller range than its inputs became a depthwise convolution",
            );
            model = float_model(&layers, task, PRODUCER);
        };
        let model = &model;
        let classes_of =
            |rows: Vec<Vec<f32>>| -> Vec<usize> { rows.iter().map(|row| arg_max_f32(row)).collect() };
        let float_classes = classes_of(Tract::float(model)?.logits(&dataset.test)?);
        let int8_classes = classes_of(Integer::new(network.clone(), false).logits(&dataset.test)?);
        let agreement = agreement(&float_classes, &int8_classes);
        let mut accuracies = None;
        if is_labelled {
            let [float, int8] =
                [&float_classes, &int8_classes].map(|classes| accuracy(classes, &dataset.test.labels));
            accuracies = Some([float, int8]);
            print_line(format_args!(
                "{} test pictures: float {:.2} %, int8 {:.2} % right, {:.2} % answered alike",
                dataset.test.len(),
                100.0 * float,
                100.0 * int8,
                100.0 * agreement
            ))?;
            self.check_accuracy(original, dataset, &imported.input, float)?;
            if 100.0 * (float - int8) > self.max_loss {
                return Err(Failure::Gate(format!(
                    "{}: rounding costs {:.2} points, --max-loss admits {}; nothing was written. Train on with quantization in mind, or raise --max-loss",
                    shown(&self.file), 100.0 * (float - int8), self.max_loss
                ))
                .into());
            }
        } else {
            print_line(format_args!(
                "{} pictures without labels of these classes: float and int8 answer {:.2} % alike",
                dataset.test.len(),
                100.0 * agreement
            ))?;
            if 100.0 * (1.0 - agreement) > 5.0 * self.max_loss {
                return Err(Failure::Gate(format!(
                    "{}: rounding changes {:.2} % of the answers; nothing was written. Calibrate on pictures such as it was trained on (--data), check --input-range, or raise --max-loss",
                    shown(&self.file), 100.0 * (1.0 - agreement)
                ))
                .into());
            }
        }
        let plan = NetworkPlan::new(&network, PlanOptions { profile: Profile::Speed, flash: None })?;
        remark(plans::account(&plan).trim_end());
        // The generated file is named for the folder that it will lie in.
        codegen::write_as(&plan, &dir, folder, &ModelDir::new(&self.out).name())?;
        let source = std::fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        let record = Record {
            file: self.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            sha256: sha256_hex(&source),
            remarks: imported.remarks.clone(),
            data_sha256: dataset.sha256.clone(),
            calibration_images: self.calibrate.min(dataset.train.len()),
            accuracy: accuracies,
            agreement,
        };
        let text = serde_json::to_string_pretty(&record)? + "\n";
        crate::files::write_whole(&folder.join(RECORD_FILE), text.as_bytes())?;
        Ok(())
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
            "warning: the float file itself is right on {:.1} % only, before any rounding",
            100.0 * float
        );
        match best {
            Some((accuracy, text)) if accuracy > float + 0.1 => Err(Failure::Gate(format!(
                "{}: with --input-range {text} it is right on {:.1} % of {} pictures, with the range given on {:.1} %; nothing was written. Give the range it was trained with",
                shown(&self.file), 100.0 * accuracy, pictures.len(), 100.0 * float
            ))
            .into()),
            _ => Ok(()),
        }
    }
}

/// Says what each layer became.
fn describe(layers: &[FloatLayer]) {
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
            FloatOp::Add { other, .. } => format!("sum with layer {other}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_or_refused_with_examples() {
        assert_eq!(input_range("0..255"), Ok(InputRange::Bytes));
        let normalized = InputRange::Normalized { mean: vec![0.5], deviation: vec![0.25] };
        assert_eq!(input_range("0.5/0.25"), Ok(normalized));
        for text in ["", "0..2", "0.5", "0.5/0", "1,2/1,2", "a/b", "nan/1", "0.5/0.1,0.2,0.3"] {
            assert!(input_range(text).unwrap_err().contains("0.485"), "{text}");
        }
    }
}
