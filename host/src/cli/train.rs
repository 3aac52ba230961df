//! `host train`: the whole line from images to the firmware's code.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::{DataArgs, Failure, export, is_quiet, print_json, print_line, quantize, remark, shown, terminal};
use crate::dataset::split::split;
use crate::dataset::{Dataset, Kind};
use crate::evaluate::calibration::{Calibration, Judged};
use crate::evaluate::classification::ConfusionMatrix;
use crate::evaluate::{accuracy, accuracy_of, arg_max_f32};
use crate::model_dir::{Accuracies, Confusion, DatasetEntry, Manifest, ModelDir, TeacherAccuracies};
use crate::plan::{NetworkPlan, Options, Profile};
use crate::quantize::network::FirmwareNetwork;
use crate::report::chart;
use crate::runtime::{Engine, integer, tract};
use crate::train::device::Backend;
use crate::train::phases::{Phases, Trained};
use crate::train::recipe::{Distillation, OptimizerName, QuantizationAware, RecipeFile, Schedule};
use crate::train::teacher::{SoftLabels, Teacher};
use crate::train::{Interrupt, NetName, Recipe, history};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host train                          the small network, a few minutes\n  \
host train --net article            the article's CNN with the article's numbers, 50 epochs\n  \
host train --recipe nano            the committed model `nano` again, to the bit\n  \
host train --net nano --epochs 40 --shift 1 --cutout 0.3 --out models/mine\n  \
host train --resume                 go on after Ctrl-C"
)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Recipe of a committed model: models/recipes/NAME.json, or the path of such a file
    #[arg(long, value_name = "NAME", conflicts_with = "net")]
    recipe: Option<String>,
    /// Which network; each has its own defaults for the options below [default: small]
    #[arg(long, value_enum)]
    net: Option<NetName>,
    /// Folder for everything made [default: models/my-<NET>, or models/drawn for drawn garments]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Passes over the training images before rounding [default: 5, article 50]
    #[arg(long)]
    epochs: Option<usize>,
    /// Images a step [default: 128, article 512]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Highest learning rate [default: 4e-3, article 1e-3]
    #[arg(long)]
    lr: Option<f64>,
    /// Fraction kept for validation [default: 1/12, article 0.2]
    #[arg(long)]
    val_split: Option<f64>,
    /// Seed of everything random; the same seed gives the same weights on one kind of CPU
    #[arg(long)]
    seed: Option<u64>,
    /// Step rule [default: adam-w, article adam]
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerName>,
    /// Decoupled weight decay [default: 0.02, article 0]
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Course of the learning rate [default: cosine, article constant]
    #[arg(long, value_enum)]
    schedule: Option<Schedule>,
    /// Mirror training images at random [default: true, article false]
    #[arg(long)]
    flip: Option<bool>,
    /// Shift training images by up to this many pixels
    #[arg(long, value_name = "PIXELS")]
    shift: Option<usize>,
    /// Blacken a random square of training images with this probability
    #[arg(long, value_name = "PROBABILITY")]
    cutout: Option<f64>,
    /// Side of that square
    #[arg(long, value_name = "PIXELS", default_value_t = 8)]
    cutout_side: usize,
    /// Passes with rounded weights and activations, 0 for none [default: 1, article 0]
    #[arg(long, value_name = "EPOCHS")]
    rounding_epochs: Option<usize>,
    /// Highest learning rate of those
    #[arg(long, value_name = "RATE")]
    rounding_lr: Option<f64>,
    /// Bits of the weights between the first and the last layer
    #[arg(long, value_parser = ["4", "8"])]
    weight_bits: Option<String>,
    /// Models under models/ whose answers are learned besides the labels, such as minivgg,flagship
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    teachers: Vec<String>,
    /// Share of the teachers' term in the loss, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "teachers")]
    teacher_weight: f64,
    /// Divisor of both sides' logits in that term
    #[arg(long, default_value_t = 2.0, requires = "teachers")]
    temperature: f64,
    /// Where to train; only `cpu` is bit-reproducible
    #[arg(long, value_enum, default_value = "cpu")]
    backend: Backend,
    /// Go on from the checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// One JSON document at the end instead of text
    #[arg(long)]
    json: bool,
    /// Keep the manifest as models/ablations/NAME.json, for the table of what paid
    #[arg(long, value_name = "NAME", value_parser = ablation_name)]
    ablation: Option<String>,
}

/// A name that is a file's.
fn ablation_name(text: &str) -> Result<String, String> {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match !text.is_empty() && is_plain && !text.starts_with('.') {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, - and _ only".into()),
    }
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    model: String,
    dataset: String,
    epochs: usize,
    best_epoch: usize,
    seconds_per_epoch: f64,
    validation_accuracy: f64,
    test_accuracy: Accuracies,
    files: Vec<String>,
}

impl TrainArgs {
    /// What the options below change: a recipe file, or a network's defaults.
    fn base(&self) -> Result<RecipeFile> {
        match &self.recipe {
            Some(name) => Ok(RecipeFile::named(name)?),
            None => {
                let network = self.net.unwrap_or(NetName::Small);
                Ok(RecipeFile { network, recipe: Recipe::default_for(network) })
            }
        }
    }

    fn recipe(&self, base: &RecipeFile) -> Result<Recipe> {
        let mut recipe = base.recipe.clone();
        let aug = &mut recipe.augmentation;
        aug.flip = self.flip.unwrap_or(aug.flip);
        aug.shift = self.shift.unwrap_or(aug.shift);
        if let Some(probability) = self.cutout {
            if !(0.0..=1.0).contains(&probability) {
                return Err(Failure::Usage(format!("--cutout {probability} is not in 0..=1")).into());
            }
            aug.cutout_probability = probability;
            aug.cutout_side = if probability > 0.0 { self.cutout_side } else { 0 };
        }
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        recipe.learning_rate = self.lr.unwrap_or(recipe.learning_rate);
        recipe.validation_split = self.val_split.unwrap_or(recipe.validation_split);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.optimizer = self.optimizer.unwrap_or(recipe.optimizer);
        recipe.weight_decay = self.weight_decay.unwrap_or(recipe.weight_decay);
        recipe.schedule = self.schedule.unwrap_or(recipe.schedule);
        self.adjust_rounding(&mut recipe)?;
        if !self.teachers.is_empty() {
            let (weight, temperature) = (self.teacher_weight, self.temperature);
            let is_fit = (0.0..=1.0).contains(&weight) && temperature > 0.0 && temperature.is_finite();
            if !is_fit {
                let problem = "--teacher-weight must be in 0..=1 and --temperature a positive number";
                return Err(Failure::Usage(problem.into()).into());
            }
            recipe.distillation = Some(Distillation { teachers: self.teachers.clone(), weight, temperature });
        }
        let aug = &recipe.augmentation;
        if recipe.epochs == 0 || recipe.batch_size == 0 {
            return Err(Failure::Usage("--epochs and --batch-size must be at least 1".into()).into());
        }
        if !(recipe.learning_rate > 0.0 && recipe.learning_rate.is_finite()) {
            return Err(
                Failure::Usage(format!("--lr {} is not a positive number", recipe.learning_rate)).into()
            );
        }
        if aug.shift >= shared::SIDE {
            return Err(Failure::Usage(format!("--shift {} moves images out of sight", aug.shift)).into());
        }
        Ok(recipe)
    }

    /// What the recipe's teachers say of the training images, and how good they are; computed once, kept under
    /// `target/`.
    fn teacher(&self, recipe: &Recipe, dataset: &Dataset) -> Result<Option<(SoftLabels, TeacherAccuracies)>> {
        let Some(distillation) = &recipe.distillation else { return Ok(None) };
        let folder = crate::project_root().join("target/teachers");
        let mut teachers = Vec::new();
        for name in &distillation.teachers {
            let dir = ModelDir::new(&crate::project_root().join("models").join(name));
            let network = dir.manifest().with_context(|| format!("the teacher {name}"))?.network;
            if !dir.weights().exists() {
                let remedy = format!(
                    "the teacher {name} is not kept; make it with `cargo run -p host -- train --recipe {name} --out models/{name}`"
                );
                return Err(Failure::Usage(remedy).into());
            }
            teachers.push(Teacher { network, weights: dir.weights() });
        }
        remark(format_args!("asking {}", distillation.teachers.join(" and ")));
        let labels = SoftLabels::of(&teachers, &dataset.train, &folder)?;
        let kept = split(dataset.train.len(), recipe.validation_split, recipe.seed)?.validation;
        let on_test = SoftLabels::of(&teachers, &dataset.test, &folder)?;
        let all: Vec<usize> = (0..dataset.test.len()).collect();
        let accuracies = TeacherAccuracies {
            validation: labels.accuracy(&kept, &dataset.train.labels),
            test: on_test.accuracy(&all, &dataset.test.labels),
        };
        remark(format_args!(
            "together they are right on {:.2} % of the validation images",
            100.0 * accuracies.validation
        ));
        Ok(Some((labels, accuracies)))
    }

    fn adjust_rounding(&self, recipe: &mut Recipe) -> Result<()> {
        let asked =
            self.rounding_epochs.is_some() || self.rounding_lr.is_some() || self.weight_bits.is_some();
        if !asked {
            return Ok(());
        }
        let old = recipe.quantization.unwrap_or(QuantizationAware::DEFAULT);
        let weight_bits =
            self.weight_bits.as_deref().map_or(old.weight_bits, |bits| if bits == "4" { 4 } else { 8 });
        let learning_rate = self.rounding_lr.unwrap_or(old.learning_rate);
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            return Err(
                Failure::Usage(format!("--rounding-lr {learning_rate} is not a positive number")).into()
            );
        }
        let epochs = self.rounding_epochs.unwrap_or(old.epochs);
        recipe.quantization =
            (epochs > 0).then_some(QuantizationAware { epochs, learning_rate, weight_bits });
        Ok(())
    }

    pub(super) fn run(self) -> Result<()> {
        let base = self.base()?;
        let (name, recipe) = (base.network, self.recipe(&base)?);
        let device = self.backend.device().map_err(Failure::Usage)?;
        let dataset = self.data.load()?;
        let default_out = match (dataset.kind, &self.ablation) {
            (_, Some(ablation)) => format!("target/ablations/{ablation}"),
            (Kind::Drawn, _) => "models/drawn".to_owned(),
            _ => format!("models/my-{}", name.name()),
        };
        let out = self.out.clone().unwrap_or_else(|| crate::project_root().join(default_out));
        let dir = ModelDir::new(&out);
        // An output that cannot be written is found out before the work, not after it.
        crate::files::write_whole(&dir.path().join(".probe"), b"")
            .context("the output folder is not writable")?;
        let _ = std::fs::remove_file(dir.path().join(".probe"));
        let interrupt = Arc::new(Interrupt::new(false));
        let handler = Arc::clone(&interrupt);
        let _ = ctrlc::set_handler(move || {
            // The second Ctrl-C does not wait for the step to end.
            if handler.swap(true, Ordering::Relaxed) {
                terminal::show_cursor();
                std::process::exit(130);
            }
        });
        let teacher = self.teacher(&recipe, &dataset)?;
        let (checkpoint, rounding_checkpoint) = (dir.checkpoint(), dir.rounding_checkpoint());
        if !self.resume && rounding_checkpoint.exists() {
            // It belongs to an earlier training; a later --resume must not take it for this one's.
            std::fs::remove_file(&rounding_checkpoint).with_context(|| shown(&rounding_checkpoint))?;
        }
        let phases = Phases {
            name,
            recipe: &recipe,
            dataset: &dataset,
            device,
            checkpoints: [&checkpoint, &rounding_checkpoint],
            resume: self.resume,
            teacher: teacher.as_ref().map(|(labels, _)| labels),
            calibration_images: quantize::CALIBRATION_IMAGES,
        };
        remark(format_args!(
            "training {} on {} ({} images), {} epochs",
            name.name(),
            dataset.kind.name(),
            dataset.train.len(),
            recipe.epochs + recipe.quantization.map_or(0, |rounding| rounding.epochs)
        ));
        let mut progress = Progress::new(is_quiet(), recipe.epochs, recipe.batch_size);
        let trained = phases.run(&interrupt, &mut progress)?;
        drop(progress);
        let Some(trained) = trained else {
            let how = format!("interrupted; {} holds the state, --resume goes on", shown(&checkpoint));
            return Err(Failure::Interrupted(how).into());
        };
        let Trained { net, grids, outcome } = trained;
        crate::files::write_whole(&dir.history(), history::to_csv(&outcome.history).as_bytes())?;
        let rounding_epochs = recipe.quantization.map_or(0, |rounding| rounding.epochs);
        let curves = chart::curves_svg(&outcome.history, rounding_epochs, &dir.name());
        crate::files::write_whole(&dir.curves(), curves.as_bytes())?;
        net.save(&dir.weights())?;
        dir.write_grids(&grids)?;
        let onnx_sha256 = export::write_and_check(&net, &dir, &dataset.test)?;
        let (network, int8_sha256) = quantize::write(&dir, &dataset.train, quantize::CALIBRATION_IMAGES)?;
        let plan = NetworkPlan::new(&network, Options::default())?;
        let smallest = NetworkPlan::new(&network, Profile::Size)?;
        let best = &outcome.history[outcome.best];
        let (test, calibration, confusions) =
            judge(&dir, &network, &dataset, &recipe, best.validation_accuracy)?;
        let manifest = Manifest {
            name: dir.name(),
            network: name,
            dataset: DatasetEntry { name: dataset.kind.name().into(), sha256: dataset.sha256.clone() },
            seed: recipe.seed,
            command: self.command(&base, &recipe, &dir),
            recipe: recipe.clone(),
            best_epoch: best.epoch,
            calibration_images: quantize::CALIBRATION_IMAGES.min(dataset.train.len()),
            accuracy: test,
            teachers: teacher.as_ref().map(|(_, accuracies)| *accuracies),
            calibration: Some(calibration),
            confusions,
            weight_bytes: smallest.constant_bytes(),
            activation_bytes: smallest.arena_bytes(),
            macs: network.with_network(|network| network.macs()),
            onnx_sha256,
            int8_sha256,
        };
        dir.write_manifest(&manifest)?;
        if let Some(ablation) = &self.ablation {
            let path = crate::project_root().join(format!("models/ablations/{ablation}.json"));
            std::fs::create_dir_all(crate::project_root().join("models/ablations"))?;
            crate::files::write_whole(&path, &std::fs::read(dir.manifest_path())?)?;
        }
        super::codegen::write(&plan, &dir, dir.path())?;
        let seconds: f64 = outcome.history.iter().map(|record| record.seconds).sum();
        let summary = Summary {
            model: dir.name(),
            dataset: dataset.kind.name().into(),
            epochs: outcome.history.len(),
            best_epoch: best.epoch,
            seconds_per_epoch: seconds / outcome.history.len().max(1) as f64,
            validation_accuracy: best.validation_accuracy,
            test_accuracy: test,
            files: [
                dir.manifest_path(),
                dir.history(),
                dir.curves(),
                dir.weights(),
                dir.grids_path(),
                dir.float_onnx(),
                dir.int8_onnx(),
                dir.path().join(crate::codegen::SOURCE_FILE),
                dir.path().join(crate::codegen::WEIGHTS_FILE),
                checkpoint.clone(),
                rounding_checkpoint.clone(),
            ]
            .iter()
            .filter(|path| path.exists())
            .map(|path| shown(path))
            .collect(),
        };
        if self.json { print_json(&summary) } else { print_summary(&summary, &manifest, &dir) }
    }

    /// The command that gives the same weights again: the network and what differs from its defaults.
    fn command(&self, base: &RecipeFile, recipe: &Recipe, dir: &ModelDir) -> String {
        let defaults = &base.recipe;
        let which = match &self.recipe {
            Some(name) => format!("--recipe {name}"),
            None => format!("--net {}", base.network.name()),
        };
        let mut command = format!("cargo run -p host -- train {which}");
        let mut option = |name: &str, differs: bool, value: String| {
            if differs {
                command += &format!(" --{name} {value}");
            }
        };
        let (aug, aug_default) = (recipe.augmentation, defaults.augmentation);
        option("epochs", recipe.epochs != defaults.epochs, recipe.epochs.to_string());
        option("batch-size", recipe.batch_size != defaults.batch_size, recipe.batch_size.to_string());
        option("lr", recipe.learning_rate != defaults.learning_rate, recipe.learning_rate.to_string());
        let split = recipe.validation_split;
        option("val-split", split != defaults.validation_split, split.to_string());
        option("seed", recipe.seed != defaults.seed, recipe.seed.to_string());
        option("optimizer", recipe.optimizer != defaults.optimizer, value_name(&recipe.optimizer));
        option("weight-decay", recipe.weight_decay != defaults.weight_decay, recipe.weight_decay.to_string());
        option("schedule", recipe.schedule != defaults.schedule, value_name(&recipe.schedule));
        option("flip", aug.flip != aug_default.flip, aug.flip.to_string());
        option("shift", aug.shift != aug_default.shift, aug.shift.to_string());
        let cutout = aug.cutout_probability;
        option("cutout", cutout != aug_default.cutout_probability, cutout.to_string());
        let side_differs = cutout > 0.0 && ![8, aug_default.cutout_side].contains(&aug.cutout_side);
        option("cutout-side", side_differs, aug.cutout_side.to_string());
        if let Some(from) =
            recipe.distillation.as_ref().filter(|_| recipe.distillation != defaults.distillation)
        {
            option("teachers", true, from.teachers.join(","));
            option("teacher-weight", true, from.weight.to_string());
            option("temperature", true, from.temperature.to_string());
        }
        if recipe.quantization != defaults.quantization {
            let rounding =
                recipe.quantization.unwrap_or(QuantizationAware { epochs: 0, ..QuantizationAware::DEFAULT });
            option("rounding-epochs", true, rounding.epochs.to_string());
            option("rounding-lr", rounding.epochs > 0, rounding.learning_rate.to_string());
            option("weight-bits", rounding.epochs > 0, rounding.weight_bits.to_string());
        }
        match &self.ablation {
            Some(ablation) => command + &format!(" --ablation {ablation}"),
            None => command + &format!(" --out models/{}", dir.name()),
        }
    }
}

/// Name of a clap value on the command line.
fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Fits the confidences on the validation images and reads the test set: once, for the report.
fn judge(
    dir: &ModelDir,
    network: &FirmwareNetwork,
    dataset: &Dataset,
    recipe: &Recipe,
    validation: f64,
) -> Result<(Accuracies, Calibration, Vec<Confusion>)> {
    let model = dir.read_float()?.context("the float file was written just now")?;
    let float = accuracy_of(&mut tract::Tract::float(&model)?, &dataset.test)?;
    let mut engine = integer::Integer::new(network.clone(), false);
    let kept = split(dataset.train.len(), recipe.validation_split, recipe.seed)?.validation;
    let kept = dataset.train.select(&kept);
    let (on_kept, on_test) = (engine.logits(&kept)?, engine.logits(&dataset.test)?);
    let test = Judged { logits: &on_test, labels: &dataset.test.labels };
    let scale = network.quantized().logit_scale();
    let calibration = Calibration::fit(Judged { logits: &on_kept, labels: &kept.labels }, test, scale)
        .context("the confidences' temperature")?;
    let classes: Vec<usize> = on_test.iter().map(arg_max_f32).collect();
    let int8 = accuracy(&classes, &dataset.test.labels);
    let confusions = ConfusionMatrix::new(&classes, &dataset.test.labels).most_confused(CONFUSIONS);
    Ok((Accuracies { float, int8, validation }, calibration, confusions))
}

/// Pairs of classes kept in the manifest.
const CONFUSIONS: usize = 8;

fn print_summary(summary: &Summary, manifest: &Manifest, dir: &ModelDir) -> Result<()> {
    print_line(format_args!("\n{} on {}", summary.model, summary.dataset))?;
    print_line(format_args!(
        "  validation {:.2} % (epoch {} of {}), test float {:.2} %, int8 {:.2} %",
        100.0 * summary.validation_accuracy,
        summary.best_epoch,
        summary.epochs,
        100.0 * summary.test_accuracy.float,
        100.0 * summary.test_accuracy.int8
    ))?;
    if let Some(calibration) = &manifest.calibration {
        print_line(format_args!(
            "  confidences: temperature {:.2}, calibration error {:.2} % ({:.2} % without); sure of {:.1} % of the images, {:.2} % of those right",
            calibration.temperature,
            100.0 * calibration.ece,
            100.0 * calibration.ece_plain,
            100.0 * calibration.coverage,
            100.0 * calibration.answered_accuracy
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
    let data = if summary.dataset == "drawn" { " --dataset drawn" } else { "" };
    print_line("\nnext:")?;
    print_line(format_args!("  cargo run -p host -- verify --model {path}{data}"))?;
    print_line(format_args!(
        "  cargo run -p host -- device run --emulate --model {path}{data} --image 0 --screen screen.png"
    ))?;
    print_line(format_args!("  cargo run -p host -- device hil --emulate --model {path}{data}"))
}
