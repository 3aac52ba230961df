//! `host import`: somebody's ONNX file → a model folder, exact or refused.
//!
//! | module | holds |
//! |---|---|
//! | `float` | float files: read, calibrated, quantized |
//! | `quantized` | files that are quantized already |
//! | `describe` | what each layer is |

mod describe;
mod float;
mod quantized;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::quantize::CALIBRATION_IMAGES;
use super::train::{input_shape, quoted};
use super::{DataArgs, Failure, codegen, image_count, print_line, quantize, remark, shown};
use crate::dataset::identity::sha256_hex;
use crate::dataset::locate::Pictures;
use crate::dataset::npy;
use crate::dataset::{Dataset, Kind};
use crate::import::record::Record;
use crate::import::{self, Imported, InputRange, Options};
use crate::model_dir::ModelDir;
use crate::onnx::int8::{self, Foreign};
use crate::plan::{NetworkPlan, Options as PlanOptions, Profile};
use crate::quantize::network::FirmwareNetwork;
use crate::report::plans;
use crate::task::{Task, visible};

#[derive(Debug, Args)]
#[command(
    after_help = "The file is read exactly or refused with the node, the reason and what to export instead. What was \
folded, dropped or added is said; the file as it came and the one written are compared on pictures, and so are float and int8.\n\n\
Examples:\n  host import mine.onnx --out models/mine --data FOLDER\n  \
host import mine.onnx --out models/mine --data pictures --input-range 0.485,0.456,0.406/0.229,0.224,0.225\n  \
host import mine.onnx --out models/mine --data pictures --labels shirt,shoe,hat --output logits\n  \
host import quantized.onnx --out models/mine --data pixels.npy"
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

/// What was read of the file.
enum Reading {
    Float(Imported),
    Quantized(Foreign),
}

impl Reading {
    fn remarks(&self) -> &[String] {
        match self {
            Self::Float(imported) => &imported.remarks,
            Self::Quantized(foreign) => &foreign.remarks,
        }
    }

    fn input(&self) -> InputShape {
        match self {
            Self::Float(imported) => imported.input,
            Self::Quantized(foreign) => foreign.network.task.input,
        }
    }

    fn classes(&self) -> usize {
        match self {
            Self::Float(imported) => imported.classes(),
            Self::Quantized(foreign) => foreign.network.task.classes.len(),
        }
    }
}

/// What an import comes to.
struct Outcome {
    network: FirmwareNetwork,
    calibration_images: usize,
    /// Share of right answers of the file and of the integer engine, where its classes are the data's.
    accuracy: Option<[f64; 2]>,
    /// Share of pictures that both answer alike.
    agreement: f64,
    /// sha256 of the float file written, if one was.
    onnx_sha256: Option<String>,
    /// sha256 of the int8 file written.
    int8_sha256: String,
}

/// The command as it was typed.
fn typed() -> String {
    let words = std::env::args().skip(1).map(|word| quoted(&visible(&word)));
    format!("cargo run -p host -- {}", words.collect::<Vec<String>>().join(" "))
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
        let is_ours = ModelDir::new(&self.out).import_record().exists();
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
        let reading = match int8::is_quantized(&original) {
            true => Reading::Quantized(int8::read_foreign(&original, &file, &self.input_range)?),
            false => Reading::Float(import::import(&original, &file, &self.options())?),
        };
        reading.remarks().iter().for_each(|line| remark(format_args!("· {line}")));
        let input = reading.input();
        let dataset = self.pictures(input)?;
        if dataset.task.input != input {
            return Err(Failure::Usage(format!(
                "{file}: it reads {input}, {} has {}; name a folder of pictures with --data FOLDER",
                dataset.source, dataset.task.input
            ))
            .into());
        }
        let task = self.task(input, reading.classes(), &dataset)?;

        let name = self.out.file_name().unwrap_or_default().to_string_lossy();
        let staging = self.out.with_file_name(format!("{name}.importing"));
        let _ = std::fs::remove_dir_all(&staging);
        std::fs::create_dir_all(&staging).with_context(|| staging.display().to_string())?;
        let folder = ModelDir::new(&staging);
        let made = match &reading {
            Reading::Float(imported) => self.import_float(&folder, &original, imported, &dataset, &task),
            Reading::Quantized(foreign) => {
                self.import_quantized(&folder, &original, foreign, &dataset, &task)
            }
        };
        let made = made.and_then(|outcome| self.finish(&folder, outcome, reading.remarks(), &dataset));
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

    /// The data to calibrate on and to compare with.
    fn pictures(&self, input: InputShape) -> Result<Dataset> {
        let array = self.data.data.as_deref().filter(|path| path.extension().is_some_and(|ext| ext == "npy"));
        let Some(path) = array else {
            return Ok(self.data.load(Pictures { shape: Some(input), for_training: false })?);
        };
        let samples = npy::read(path, input)?;
        // Pictures of no classes: the model's get numbers or the names given.
        let task = Task { input, classes: Vec::new(), preprocessing: Preprocessing::Square };
        Ok(Dataset::new(Kind::Custom, path.display().to_string(), task, samples.clone(), samples))
    }

    fn options(&self) -> Options {
        Options { range: self.input_range.clone(), input: self.input, output: self.output.clone() }
    }

    /// Generates the firmware's code and writes the record.
    fn finish(&self, dir: &ModelDir, outcome: Outcome, remarks: &[String], dataset: &Dataset) -> Result<()> {
        let plan = NetworkPlan::new(&outcome.network, PlanOptions { profile: Profile::Speed, flash: None })?;
        remark(plans::account(&plan).trim_end());
        // The generated file is named for the folder that it will lie in.
        codegen::write_as(&plan, dir, dir.path(), &ModelDir::new(&self.out).name())?;
        let source = std::fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        let record = Record {
            command: typed(),
            file: self.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            sha256: sha256_hex(&source),
            remarks: remarks.to_vec(),
            dataset: dataset.name(),
            data_sha256: dataset.sha256.clone(),
            calibration_images: outcome.calibration_images,
            accuracy: outcome.accuracy,
            agreement: outcome.agreement,
            onnx_sha256: outcome.onnx_sha256,
            int8_sha256: outcome.int8_sha256,
        };
        record.write(dir)
    }

    /// What the model classifies: names from the option, else from the data, else numbers.
    fn task(&self, input: InputShape, count: usize, dataset: &Dataset) -> Result<Task> {
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
                Task::numbered(input, count).classes
            }
        };
        let preprocessing = match dataset.task.preprocessing.fits(input) {
            true => dataset.task.preprocessing,
            false => Preprocessing::Square,
        };
        let task = Task { input, classes, preprocessing };
        task.check().map_err(|error| Failure::Usage(format!("--labels: {error}")))?;
        Ok(task)
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
