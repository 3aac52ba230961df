//! `host train`: the whole line from images to the firmware's code.

mod options;
mod resume;
mod teachers;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use serde::Serialize;

pub(super) use options::{TrainArgs, input_shape, quoted};

use super::progress::Progress;
use super::{Failure, export, is_quiet, print_json, print_line, quantize, remark, shown, terminal};
use crate::dataset::identity;
use crate::dataset::locate::Pictures;
use crate::dataset::strangers::Stranger;
use crate::dataset::{Choice, Dataset, Kind};
use crate::evaluate::calibration::{Calibration, Judged};
use crate::evaluate::classification::{ConfusionMatrix, FEW_IMAGES, interval};
use crate::evaluate::{accuracy, accuracy_of, arg_max_f32};
use crate::model_dir::{Accuracies, Confusion, DatasetEntry, Manifest, ModelDir, TeacherAccuracies};
use crate::plan::{NetworkPlan, Options, Profile};
use crate::quantize::network::FirmwareNetwork;
use crate::report::chart;
use crate::runtime::{Engine, integer, tract};
use crate::train::architecture::name_of;
use crate::train::phases::{Phases, Trained};
use crate::train::recipe::RecipeFile;
use crate::train::{Architecture, Interrupt, Outcome, Recipe, history};

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    model: String,
    dataset: String,
    epochs: usize,
    best_epoch: usize,
    seconds_per_epoch: f64,
    validation_accuracy: f64,
    test_accuracy: TestAccuracy,
    files: Vec<String>,
}

/// Fractions of the test images that are right.
#[derive(Debug, Serialize)]
struct TestAccuracy {
    float: f64,
    int8: f64,
}

impl TrainArgs {
    pub(super) fn run(self) -> Result<()> {
        if self.resume {
            // As far as the options tell: garments are also drawn where no data are found.
            let folder = self.folder(&name_of(&self.base()?.network), self.data.dataset == Choice::Drawn);
            if let Some(with_kept) = resume::with_kept(&folder)? {
                return with_kept.train();
            }
        }
        self.train()
    }

    /// Whether a checkpoint goes on; if not, the folder is made ready for a training of its own.
    fn resumes(&self, dir: &ModelDir) -> Result<bool> {
        let (checkpoint, rounding_checkpoint) = (dir.checkpoint(), dir.rounding_checkpoint());
        if self.resume && checkpoint.exists() {
            return Ok(true);
        }
        if self.resume {
            remark(format_args!("{}: no checkpoint to resume; training starts anew", shown(&checkpoint)));
        }
        if rounding_checkpoint.exists() {
            // It belongs to an earlier training; a later --resume must not take it for this one's.
            std::fs::remove_file(&rounding_checkpoint).with_context(|| shown(&rounding_checkpoint))?;
        }
        resume::keep(dir.path())?;
        Ok(false)
    }

    fn train(self) -> Result<()> {
        let base = self.base()?;
        let recipe = self.recipe(&base)?;
        let device = self.backend.device().map_err(Failure::Usage)?;
        let dataset = self.source(&base).load(Pictures { shape: self.input(&base)?, for_training: true })?;
        check(&base, &recipe, &dataset)?;
        let architecture = Architecture::named(&base.network, dataset.task.clone())?;
        if let Some(odd) = architecture.without_lanes() {
            remark(format_args!(
                "{odd} is unknown to the interleaved layers: training with burn's own, which are slower"
            ));
        }
        let (dir, _lock) = self.dir(&architecture, &dataset)?;
        let teachers = teachers::ask(&recipe, &dataset)?;
        let (checkpoint, rounding_checkpoint) = (dir.checkpoint(), dir.rounding_checkpoint());
        let resume = self.resumes(&dir)?;
        let phases = Phases {
            architecture: &architecture,
            recipe: &recipe,
            dataset: &dataset,
            device,
            checkpoints: [&checkpoint, &rounding_checkpoint],
            resume,
            teacher: teachers.as_ref().map(|(labels, _)| labels),
            calibration_images: quantize::CALIBRATION_IMAGES,
        };
        remark(format_args!(
            "training {} on {} ({} images), {} epochs",
            architecture.network,
            dataset.name(),
            dataset.train.len(),
            recipe.epochs + recipe.quantization.map_or(0, |rounding| rounding.epochs)
        ));
        let mut progress = Progress::new(is_quiet(), recipe.epochs, recipe.batch_size);
        let trained = phases.run(&interrupt(), &mut progress)?;
        drop(progress);
        let Some(trained) = trained else {
            let command = self.command(&base, &recipe, &dir);
            let how =
                format!("interrupted; {} holds the state: `{command} --resume` goes on", shown(&checkpoint));
            return Err(Failure::Interrupted(how).into());
        };
        let teachers = teachers.map(|(_, accuracies)| accuracies);
        let made = write(&trained, &recipe, &dataset, &dir, teachers)?;
        let outcome = trained.outcome;
        let manifest = self.manifest(&base, &architecture, recipe, &dataset, &dir, &outcome, made)?;
        let summary = Summary::new(&dir, &dataset, &outcome, &manifest);
        if self.json {
            print_json(&summary)
        } else if is_quiet() {
            Ok(())
        } else {
            print_summary(&summary, &manifest, &dir, &dataset, &self.data_options())
        }
    }

    /// The options that name the data, for the commands to type next.
    fn data_options(&self) -> String {
        let custom = match self.data.dataset {
            Choice::Custom => " --dataset custom",
            Choice::Photos => " --dataset photos",
            _ => "",
        };
        let folder = self.data.data.as_ref().map(|folder| quoted(&shown(folder)));
        format!("{custom}{}", folder.map_or_else(String::new, |folder| format!(" --data {folder}")))
    }

    /// The output folder of a network, trained on drawn garments or on something else.
    fn folder(&self, network: &str, is_drawn: bool) -> PathBuf {
        let default_out = match (&self.ablation, is_drawn) {
            (Some(ablation), _) => format!("target/ablations/{ablation}"),
            (None, true) => "models/drawn".to_owned(),
            (None, false) => format!("models/my-{network}"),
        };
        self.out.clone().unwrap_or_else(|| crate::project_root().join(default_out))
    }

    /// The output folder, known to be writable, and the lock that keeps other trainings out of it.
    ///
    /// An output that cannot be written is found out before the work, not after it.
    fn dir(&self, architecture: &Architecture, dataset: &Dataset) -> Result<(ModelDir, File)> {
        let dir = ModelDir::new(&self.folder(&architecture.network, dataset.kind == Kind::Drawn));
        let lock = crate::files::lock(&dir.lock()).context("the output folder is not writable")?;
        let taken =
            || format!("{}: another training writes into it; wait, or give another --out", shown(dir.path()));
        let lock = lock.with_context(taken)?;
        Ok((dir, lock))
    }

    /// Judges the model and writes its manifest and the firmware's code.
    #[expect(clippy::too_many_arguments, reason = "everything that a training had and made")]
    fn manifest(
        &self,
        base: &RecipeFile,
        architecture: &Architecture,
        recipe: Recipe,
        dataset: &Dataset,
        dir: &ModelDir,
        outcome: &Outcome,
        made: Made,
    ) -> Result<Manifest> {
        let network = &made.network;
        let plan = NetworkPlan::new(network, Options::default())?;
        let smallest = NetworkPlan::new(network, Profile::Size)?;
        let best = &outcome.history[outcome.best];
        let Verdict { accuracies, macro_f1, calibration, confusions } =
            judge(dir, network, dataset, &recipe, best.validation_accuracy)?;
        let manifest = Manifest {
            name: dir.name(),
            network: architecture.network.clone(),
            layers: architecture.layers.clone(),
            task: architecture.task.clone(),
            dataset: DatasetEntry { name: dataset.name(), sha256: dataset.sha256.clone() },
            seed: recipe.seed,
            command: self.command(base, &recipe, dir),
            recipe,
            best_epoch: best.epoch,
            calibration_images: quantize::CALIBRATION_IMAGES.min(dataset.train.len()),
            accuracy: accuracies,
            macro_f1: Some(macro_f1),
            teachers: made.teachers,
            calibration: Some(calibration),
            confusions,
            weight_bytes: smallest.constant_bytes(),
            activation_bytes: smallest.arena_bytes(),
            macs: network.with_network(|network| network.macs()),
            onnx_sha256: made.onnx_sha256,
            int8_sha256: made.int8_sha256,
            weights_sha256: Some(identity::sha256_hex(&std::fs::read(dir.weights())?)),
        };
        dir.write_manifest(&manifest)?;
        if let Some(ablation) = &self.ablation {
            let path = crate::project_root().join(format!("models/ablations/{ablation}.json"));
            std::fs::create_dir_all(crate::project_root().join("models/ablations"))?;
            crate::files::write_whole(&path, &std::fs::read(dir.manifest_path())?)?;
        }
        super::codegen::write(&plan, dir, dir.path())?;
        Ok(manifest)
    }
}

/// What was made of a trained network, for the manifest.
struct Made {
    network: FirmwareNetwork,
    onnx_sha256: String,
    int8_sha256: String,
    teachers: Option<TeacherAccuracies>,
}

/// Becomes true with the first Ctrl-C; the second one does not wait for the step to end.
fn interrupt() -> Arc<Interrupt> {
    let interrupt = Arc::new(Interrupt::new(false));
    let handler = Arc::clone(&interrupt);
    let _ = ctrlc::set_handler(move || {
        if handler.swap(true, Ordering::Relaxed) {
            terminal::show_cursor();
            std::process::exit(130);
        }
    });
    interrupt
}

/// Refuses data that are not the recipe's, and images shifted out of sight.
fn check(base: &RecipeFile, recipe: &Recipe, dataset: &Dataset) -> Result<()> {
    if let Some(difference) = base.task.as_ref().and_then(|task| task.difference(&dataset.task)) {
        let problem = format!("{}: it has {difference}, which the recipe asks for", dataset.source);
        return Err(Failure::Usage(problem).into());
    }
    let sides = [dataset.task.input.height, dataset.task.input.width];
    if sides.iter().any(|&side| recipe.augmentation.shift >= side) {
        let problem = format!("--shift {} moves images out of sight", recipe.augmentation.shift);
        return Err(Failure::Usage(problem).into());
    }
    Ok(())
}

/// Writes what was trained into the folder, all but the manifest.
fn write(
    trained: &Trained,
    recipe: &Recipe,
    dataset: &Dataset,
    dir: &ModelDir,
    teachers: Option<TeacherAccuracies>,
) -> Result<Made> {
    // From here on the files are another model's than an older manifest's.
    dir.remove_manifest()?;
    write_history(dir, &trained.outcome, recipe)?;
    trained.net.save(&dir.weights())?;
    dir.write_grids(&trained.grids)?;
    let onnx_sha256 = export::write_and_check(&trained.net, dir, &dataset.test)?;
    let (network, int8_sha256) = quantize::write(dir, &dataset.train, quantize::CALIBRATION_IMAGES)?;
    Ok(Made { network, onnx_sha256, int8_sha256, teachers })
}

fn write_history(dir: &ModelDir, outcome: &Outcome, recipe: &Recipe) -> Result<()> {
    crate::files::write_whole(&dir.history(), history::to_csv(&outcome.history).as_bytes())?;
    let curves = chart::curves_svg(&outcome.history, recipe, &dir.name());
    Ok(crate::files::write_whole(&dir.curves(), curves.as_bytes())?)
}

impl Summary {
    fn new(dir: &ModelDir, dataset: &Dataset, outcome: &Outcome, manifest: &Manifest) -> Self {
        let seconds: f64 = outcome.history.iter().map(|record| record.seconds).sum();
        let files = [
            dir.manifest_path(),
            dir.history(),
            dir.curves(),
            dir.weights(),
            dir.grids_path(),
            dir.float_onnx(),
            dir.int8_onnx(),
            dir.path().join(crate::codegen::SOURCE_FILE),
            dir.path().join(crate::codegen::WEIGHTS_FILE),
            dir.checkpoint(),
            dir.rounding_checkpoint(),
        ];
        Self {
            model: dir.name(),
            dataset: dataset.name(),
            epochs: outcome.history.len(),
            best_epoch: manifest.best_epoch,
            seconds_per_epoch: seconds / outcome.history.len().max(1) as f64,
            validation_accuracy: manifest.accuracy.validation,
            test_accuracy: TestAccuracy { float: manifest.accuracy.float, int8: manifest.accuracy.int8 },
            files: files.iter().filter(|path| path.exists()).map(|path| shown(path)).collect(),
        }
    }
}

/// What the test set says of a model.
struct Verdict {
    accuracies: Accuracies,
    macro_f1: f64,
    calibration: Calibration,
    confusions: Vec<Confusion>,
}

/// Fits the confidences on the validation images and reads the test set: once, for the report.
fn judge(
    dir: &ModelDir,
    network: &FirmwareNetwork,
    dataset: &Dataset,
    recipe: &Recipe,
    validation: f64,
) -> Result<Verdict> {
    let model = dir.read_float()?.context("the float file was written just now")?;
    let float = accuracy_of(&mut tract::Tract::float(&model)?, &dataset.test)?;
    let mut engine = integer::Integer::new(network.clone(), false);
    let kept = recipe.split(dataset)?.validation;
    let kept = dataset.train.select(&kept);
    let (on_kept, on_test) = (engine.logits(&kept)?, engine.logits(&dataset.test)?);
    let test = Judged { logits: &on_test, labels: &dataset.test.labels };
    let scale = network.quantized().logit_scale();
    let strangers = Stranger::of(dataset.task.preprocessing).iter();
    let strangers: Vec<_> =
        strangers.map(|kind| engine.logits(&kind.judged(&kept))).collect::<Result<_>>()?;
    let on_kept = Judged { logits: &on_kept, labels: &kept.labels };
    let calibration = Calibration::fit(on_kept, test, &strangers, scale);
    let classes: Vec<usize> = on_test.iter().map(|row| arg_max_f32(row)).collect();
    let int8 = accuracy(&classes, &dataset.test.labels);
    let matrix = ConfusionMatrix::new(&dataset.task.classes, &classes, &dataset.test.labels);
    Ok(Verdict {
        accuracies: Accuracies { float, int8, validation },
        macro_f1: matrix.report().macro_avg.f1,
        calibration,
        confusions: matrix.most_confused(CONFUSIONS),
    })
}

/// How many answers are sure, and how many of those right, in words.
fn sure_answers(share: f64, accuracy: f64) -> String {
    match share > 0.0 {
        true => format!(
            "{:.1} % of the test images answered as sure, {:.2} % of those right",
            100.0 * share,
            100.0 * accuracy
        ),
        false => "no test image answered as sure".into(),
    }
}

/// Pairs of classes kept in the manifest.
const CONFUSIONS: usize = 8;

fn print_summary(
    summary: &Summary,
    manifest: &Manifest,
    dir: &ModelDir,
    dataset: &Dataset,
    data: &str,
) -> Result<()> {
    print_line(format_args!("\n{} on {}", summary.model, summary.dataset))?;
    print_line(format_args!(
        "  validation {:.2} % (epoch {} of {}), test float {:.2} %, int8 {:.2} %",
        100.0 * summary.validation_accuracy,
        summary.best_epoch,
        summary.epochs,
        100.0 * summary.test_accuracy.float,
        100.0 * summary.test_accuracy.int8
    ))?;
    let images = dataset.test.len();
    if let Some(macro_f1) = manifest.macro_f1 {
        let [low, high] = interval((summary.test_accuracy.int8 * images as f64).round() as usize, images);
        let few = match images < FEW_IMAGES {
            true => format!("; {images} test images: between {:.1} and {:.1} %", 100.0 * low, 100.0 * high),
            false => String::new(),
        };
        print_line(format_args!("  macro F1 {:.2} %{few}", 100.0 * macro_f1))?;
    }
    if let Some(calibration) = &manifest.calibration {
        print_line(format_args!(
            "  calibration: temperature {:.2}, ECE {:.2} % ({:.2} % without); {}",
            calibration.temperature,
            100.0 * calibration.ece,
            100.0 * calibration.ece_plain,
            sure_answers(calibration.coverage, calibration.answered_accuracy)
        ))?;
    }
    print_line(format_args!(
        "  {} bytes of weights and tables, {} bytes of activations, {} multiply-accumulates, {:.1} s an epoch",
        manifest.weight_bytes, manifest.activation_bytes, manifest.macs, summary.seconds_per_epoch
    ))?;
    print_line("\nwritten:")?;
    for file in &summary.files {
        print_line(format_args!("  {file}"))?;
    }
    let path = shown(dir.path());
    let data = if summary.dataset == "drawn" { " --dataset drawn" } else { data };
    let path = quoted(&path);
    print_line("\nnext:")?;
    print_line(format_args!("  cargo run -p host -- verify --model {path}{data}"))?;
    print_line(format_args!(
        "  cargo run -p host -- device run --emulate --model {path}{data} --image 0 --screen screen.png"
    ))?;
    print_line(format_args!("  cargo run -p host -- device hil --emulate --model {path}{data}"))
}
