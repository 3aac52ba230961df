//! `host evaluate`: how good a model is, in numbers and pictures.

mod document;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use shared::preprocess::Preprocessing;

use super::{DataArgs, Failure, print_json, shown};
use crate::dataset::Samples;
use crate::dataset::strangers::Stranger;
use crate::evaluate::classification::interval;
use crate::evaluate::compose;
use crate::evaluate::judgement::Judgement;
use crate::import::record::Record;
use crate::model_dir::{Kept, ModelDir};
use crate::plan::{NetworkPlan, Options};
use crate::report::garments;
use crate::report::models::{self, Entry};
use crate::report::page::{Origin, Report};
use crate::report::{ablations, chart, heatmap, kernels};
use crate::runtime::{Engine, integer, ort, tract};
use crate::task::Task;
use crate::train::{TrainedNet, history};
use document::{Document, Strangers};

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    /// The firmware's own integers
    Integer,
    /// burn's float weights
    Burn,
    /// The float ONNX file in tract
    Tract,
    /// The float ONNX file in ONNX Runtime
    Ort,
    /// The int8 ONNX file in tract
    TractInt8,
    /// The int8 ONNX file in ONNX Runtime
    OrtInt8,
}

impl EngineName {
    /// Loads the engine over a model.
    ///
    /// # Errors
    /// Where the model lacks the file, or the machine the library.
    pub(super) fn load(self, dir: &ModelDir) -> Result<Box<dyn Engine>> {
        let float = || {
            dir.read_float()?.with_context(|| {
                format!(
                    "{} is not kept; train the model again, or use --engine integer",
                    dir.float_onnx().display()
                )
            })
        };
        let has_ort = || ort::library().map_err(Failure::Missing);
        Ok(match self {
            Self::Integer => Box::new(integer::Integer::new(dir.read_firmware()?, false)),
            Self::Burn => {
                let architecture = dir.manifest()?.architecture()?;
                dir.check(Kept::Weights)?;
                Box::new(TrainedNet::load(&architecture, &dir.weights()).map_err(anyhow::Error::msg)?)
            }
            Self::Tract => Box::new(tract::Tract::float(&float()?)?),
            Self::TractInt8 => Box::new(tract::Tract::int8(&dir.read_int8()?.0)?),
            Self::Ort => {
                has_ort()?;
                Box::new(ort::Ort::float(&float()?)?)
            }
            Self::OrtInt8 => {
                has_ort()?;
                Box::new(ort::Ort::int8(&dir.read_int8()?.0)?)
            }
        })
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Writes report.txt, predictions.csv, confusion.svg and .csv, predictions.png, mistakes.png,\n\
confidence.svg and coverage.svg, flips.csv and flips.png (int8 against float), report.html.\n\n\
Examples:\n  host evaluate --model models/nano --out nano-judged\n  \
host evaluate --model models/small --engine ort --json"
)]
pub(super) struct EvaluateArgs {
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// What answers
    #[arg(long, value_enum, default_value = "integer")]
    engine: EngineName,
    /// Folder for what is written [default: target/evaluate/MODEL]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Only the first images of the test part
    #[arg(long, value_name = "COUNT", value_parser = super::image_count)]
    images: Option<usize>,
    /// Photograph-like pictures made of the first test images, to try the preprocessing on; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = compose::DEFAULT_COUNT)]
    photos: usize,
    /// Digits behind the point in the report
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=9))]
    digits: u8,
    /// Seed of the 25 images shown with their predictions
    #[arg(long, default_value_t = 12_345)]
    seed: u64,
    #[command(flatten)]
    data: DataArgs,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// A model's answers, with what they are compared with.
pub(super) struct Answers {
    pub dir: ModelDir,
    pub dataset: String,
    pub task: Task,
    pub test: Samples,
    pub files: Vec<PathBuf>,
    pub judgement: Judgement,
    pub float: Option<Judgement>,
    pub photos: Option<compose::Composed>,
    pub strangers: Vec<Strangers>,
    /// Least probability of a sure answer.
    pub sure_from: f64,
}

impl Answers {
    /// Asks the engine about the test images and about photos composed of them.
    pub(super) fn collect(
        model: &Path,
        engine: EngineName,
        data: &DataArgs,
        images: Option<usize>,
        photos: usize,
    ) -> Result<Self> {
        let dir = ModelDir::new(model);
        let mut loaded = engine.load(&dir)?;
        let dataset = data.load_for(&dir, &dir.task()?)?;
        let test = dataset.test.take(images.unwrap_or(usize::MAX).max(1));
        let confidence = dir.confidence()?;
        let (temperature, sure_from) = (confidence.temperature, confidence.sure_from());
        let judgement = Judgement::of(loaded.as_mut(), &test, &dataset.task.classes, temperature)?;
        let float = match (engine, dir.read_float()?) {
            (EngineName::Integer, Some(model)) => {
                let mut engine = tract::Tract::float(&model)?;
                Some(Judgement::of(&mut engine, &test, &dataset.task.classes, temperature)?)
            }
            _ => None,
        };
        let name = dataset.name();
        let (task, files) = (dataset.task, dataset.test_files);
        let photos = match photos {
            count if count > 0 && task.preprocessing == Preprocessing::Garment => {
                let some = test.take(count);
                Some(compose::judge(loaded.as_mut(), &some, &task, compose::DEFAULT_SEED)?)
            }
            // Photographs need none composed.
            _ => None,
        };
        let strangers = Stranger::of(task.preprocessing).iter().map(|kind| {
            let samples = kind.judged(&test);
            let answers = Judgement::of(loaded.as_mut(), &samples, &task.classes, temperature)?;
            Ok(Strangers { kind: kind.name(), images: samples.len(), sure_share: answers.sure(sure_from).0 })
        });
        let strangers = strangers.collect::<Result<_>>()?;
        Ok(Self { dir, dataset: name, task, test, files, judgement, float, photos, strangers, sure_from })
    }

    /// Writes the page about them.
    ///
    /// # Errors
    /// For a model that was neither trained nor imported here, and where a record is damaged.
    pub(super) fn html(&self, seed: u64) -> Result<String> {
        let (dir, name) = (&self.dir, self.dir.name());
        let record = Record::of(dir)?;
        let (entry, device);
        let origin = match &record {
            Some(record) if !dir.manifest_path().exists() => {
                device = models::record(&dir.device_record())?;
                Origin::Imported { name: &name, record, device: device.as_ref() }
            }
            _ => {
                entry = Entry::of(dir)
                    .context("nothing to report on; `host train` and `host import` leave it")?;
                Origin::Trained(&entry)
            }
        };
        let folder = crate::project_root().join("models");
        let history = std::fs::read_to_string(self.dir.history()).ok();
        let history = history.and_then(|text| history::from_csv(&text)).unwrap_or_default();
        let counted = kernels::Record::read()?;
        let report = Report {
            origin,
            all: &Entry::all(&folder)?,
            dataset: &self.dataset,
            task: &self.task,
            test: &self.test,
            judgement: &self.judgement,
            float: self.float.as_ref(),
            chosen: &chosen(self.test.len(), seed),
            files: &self.files,
            photos: self.photos.as_ref(),
            history: &history,
            plan: &NetworkPlan::new(&self.dir.read_firmware()?, Options::default())?,
            kernels: counted.as_ref(),
            ablations: &ablations::groups(&folder)?,
        };
        Ok(report.html())
    }
}

impl EvaluateArgs {
    pub(super) fn run(self) -> Result<()> {
        let answers = Answers::collect(&self.model, self.engine, &self.data, self.images, self.photos)?;
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| crate::project_root().join("target/evaluate").join(answers.dir.name()));
        let mut files = Files { folder: &out, written: Vec::new() };
        self.write(&answers, &mut files)?;
        let Answers { dir, dataset, test, judgement, float, photos, strangers, sure_from, .. } = answers;
        let report = judgement.matrix().report();
        let right = (0..test.len()).filter(|&index| judgement.is_right(index)).count();
        let (sure_share, sure_accuracy) = judgement.sure(sure_from);
        let report_text = report.to_text(self.digits.into());
        let document = Document {
            model: dir.name(),
            dataset,
            engine: judgement.engine.clone(),
            images: test.len(),
            accuracy: report.accuracy,
            accuracy_interval: interval(right, test.len()),
            macro_f1: report.macro_avg.f1,
            sure_share,
            sure_accuracy,
            strangers,
            confusion: judgement.matrix().counts,
            calibration: judgement.by_class(),
            flips: float.as_ref().map(|float| judgement.flips(float).len()),
            photos,
            files: files.written,
            macro_avg: report.macro_avg,
            weighted_avg: report.weighted_avg,
            report: report.classes,
        };
        if self.json { print_json(&document) } else { document.print(&report_text, self.engine) }
    }

    fn write(&self, answers: &Answers, files: &mut Files<'_>) -> Result<()> {
        let Answers { dir, test, judgement, .. } = answers;
        let matrix = judgement.matrix();
        files.text("report.txt", &matrix.report().to_text(self.digits.into()))?;
        files.text("predictions.csv", &judgement.to_csv())?;
        files.text("confusion.csv", &matrix.to_csv())?;
        files.text("confusion.svg", &heatmap::svg(&matrix, &dir.name()))?;
        files.text("confidence.svg", &chart::reliability(&judgement.reliability()).svg())?;
        if dir.manifest_path().exists()
            && let Some(calibration) = dir.manifest()?.calibration
        {
            files.text("coverage.svg", &chart::coverage(&calibration.curve).svg())?;
        }
        files.picture("predictions.png", test, judgement, &chosen(test.len(), self.seed))?;
        files.picture("mistakes.png", test, judgement, &judgement.worst(SHOWN))?;
        if let Some(float) = &answers.float {
            let flips = judgement.flips(float);
            files.text("flips.csv", &flips_csv(&flips, judgement, float))?;
            files.picture("flips.png", test, judgement, &flips[..flips.len().min(SHOWN)])?;
        }
        if let Some(photos) = &answers.photos {
            files.text("photos.csv", &photos.to_csv())?;
        }
        // A folder with nothing but the networks has nothing more to tell.
        if dir.manifest_path().exists() || dir.import_record().exists() {
            files.text("report.html", &answers.html(self.seed)?)?;
        }
        Ok(())
    }
}

/// Images shown in a grid of five by five.
const SHOWN: usize = 25;

/// Images for the grid of predictions, chosen by a seed.
fn chosen(count: usize, seed: u64) -> Vec<usize> {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    rand::seq::index::sample(&mut rng, count, SHOWN.min(count)).into_vec()
}

fn flips_csv(flips: &[usize], int8: &Judgement, float: &Judgement) -> String {
    let mut text = String::from("index,label,int8,float,int8_confidence,float_confidence\n");
    for &index in flips {
        text += &format!(
            "{index},{},{},{},{:.6},{:.6}\n",
            int8.labels[index],
            int8.predicted[index],
            float.predicted[index],
            int8.confidence[index],
            float.confidence[index]
        );
    }
    text
}

/// Writes into one folder and remembers what.
struct Files<'a> {
    folder: &'a Path,
    written: Vec<String>,
}

impl Files<'_> {
    fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.bytes(name, text.as_bytes())
    }

    fn picture(
        &mut self,
        name: &str,
        samples: &Samples,
        judgement: &Judgement,
        indices: &[usize],
    ) -> Result<()> {
        self.bytes(name, &garments::answers(samples, judgement, indices).to_png()?)
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        crate::files::write_whole(&path, bytes)?;
        self.written.push(shown(&path));
        Ok(())
    }
}
