//! The options of `host train`, the recipe they come to, and the command that repeats it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::super::{DataArgs, Failure};
use crate::dataset::Choice;
use crate::model_dir::ModelDir;
use crate::train::Recipe;
use crate::train::architecture::NetworkFile;
use crate::train::device::Backend;
use crate::train::recipe::{Asking, Distillation, OptimizerName, QuantizationAware, RecipeFile, Schedule};
use shared::input::InputShape;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host train                          the small network, a few minutes\n  \
host train --net article            the article's CNN with the article's numbers, 50 epochs\n  \
host train --recipe nano            the committed model `nano` again, to the bit\n  \
host train --net nano --epochs 40 --shift 1 --cutout 0.3 --out models/mine\n  \
host train --resume                 go on after Ctrl-C"
)]
pub(in crate::cli) struct TrainArgs {
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Recipe of a committed model: models/recipes/NAME.json, or the path of such a file
    #[arg(long, value_name = "NAME", conflicts_with = "net")]
    recipe: Option<String>,
    /// Which network: models/networks/NAME.json, or the path of such a file [default: small]
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Input of the network, HEIGHTxWIDTH or HEIGHTxWIDTHx1 for gray, for a folder of pictures
    /// [default: the recipe's, the network's, or 64x64x3]
    #[arg(long, value_name = "SIZE", value_parser = input_shape)]
    input: Option<InputShape>,
    /// Folder for everything made [default: models/my-<NET>, or models/drawn for drawn garments]
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
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
    /// Seed of the split alone, as a student must keep its teachers' split [default: the seed]
    #[arg(long, value_name = "SEED")]
    split_seed: Option<u64>,
    /// Optimizer [default: adam-w, article adam]
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
    #[arg(long, value_name = "LENGTH")]
    shift: Option<usize>,
    /// Blacken a random square of training images with this probability
    #[arg(long, value_name = "PROBABILITY")]
    cutout: Option<f64>,
    /// Side of that square
    #[arg(long, value_name = "LENGTH", default_value_t = 8)]
    cutout_side: usize,
    /// Epochs of quantization-aware training, 0 for none [default: 1, article 0]
    #[arg(long, value_name = "EPOCHS")]
    rounding_epochs: Option<usize>,
    /// Highest learning rate of those
    #[arg(long, value_name = "RATE")]
    rounding_lr: Option<f64>,
    /// Bits of the weights between the first and the last layer
    #[arg(long, value_parser = ["4", "8"])]
    weight_bits: Option<String>,
    /// Models under models/ whose answers are learned besides the labels, such as minivgg,teacher; or float
    /// ONNX files, such as mine.onnx; or none
    #[arg(long, value_name = "NAMES|FILES", value_delimiter = ',')]
    teachers: Vec<String>,
    /// Share of the teachers' term in the loss, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "teachers")]
    teacher_weight: f64,
    /// Divisor of both sides' logits in that term
    #[arg(long, default_value_t = 2.0, requires = "teachers")]
    temperature: f64,
    /// What the teachers are asked about: each image and its mirror image once, or each image as it is changed in every epoch
    #[arg(long, value_enum, default_value = "once", requires = "teachers")]
    ask_teachers: Asking,
    /// Where to train; only `cpu` is bit-reproducible
    #[arg(long, value_enum, default_value = "cpu")]
    pub(super) backend: Backend,
    /// Go on from the checkpoint in the output folder, with the options of the training that wrote it
    #[arg(long)]
    pub(super) resume: bool,
    /// One JSON document at the end instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Keep the manifest as models/ablations/NAME.json, for the table of ablations
    #[arg(long, value_name = "NAME", value_parser = ablation_name)]
    pub(super) ablation: Option<String>,
}

/// Reads `40x24`, `40x24x3` or `40x24x1`.
pub(in crate::cli) fn input_shape(text: &str) -> Result<InputShape, String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
    let shape = match sizes.as_deref() {
        Some(&[height, width]) => InputShape::new(height, width, 3),
        Some(&[height, width, channels]) => InputShape::new(height, width, channels),
        _ => None,
    };
    shape.ok_or_else(|| "give height and width of 1 to 256 such as 64x48, and x1 behind them for gray".into())
}

/// In place of teachers: from the labels alone, whatever the recipe says.
const NO_TEACHERS: &str = "none";

/// A name that is a file's.
fn ablation_name(text: &str) -> Result<String, String> {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match !text.is_empty() && is_plain && !text.starts_with('.') {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, - and _ only".into()),
    }
}

impl TrainArgs {
    /// What the options below change: a recipe file, or a network's defaults.
    pub(super) fn base(&self) -> Result<RecipeFile> {
        match &self.recipe {
            Some(name) => Ok(RecipeFile::named(name)?),
            None => {
                let network = self.net.clone().unwrap_or_else(|| "small".into());
                let recipe = Recipe::of_network(&network)?;
                Ok(RecipeFile { network, dataset: None, task: None, recipe })
            }
        }
    }

    /// Where the data come from: what the options say, else the recipe.
    pub(super) fn source(&self, base: &RecipeFile) -> DataArgs {
        let is_unnamed = self.data.dataset == Choice::Auto && self.data.data.is_none();
        match base.dataset {
            Some(dataset) if is_unnamed => DataArgs { dataset, ..self.data.clone() },
            _ => self.data.clone(),
        }
    }

    /// Shape that pictures get: the option's, the recipe's, the network's, or the default.
    pub(super) fn input(&self, base: &RecipeFile) -> Result<Option<InputShape>> {
        let told = self.input.or(base.task.as_ref().map(|task| task.input));
        Ok(told.or(NetworkFile::named(&base.network)?.input))
    }

    pub(super) fn recipe(&self, base: &RecipeFile) -> Result<Recipe> {
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
        recipe.split_seed = self.split_seed.or(recipe.split_seed);
        recipe.optimizer = self.optimizer.unwrap_or(recipe.optimizer);
        recipe.weight_decay = self.weight_decay.unwrap_or(recipe.weight_decay);
        recipe.schedule = self.schedule.unwrap_or(recipe.schedule);
        self.adjust_rounding(&mut recipe)?;
        if self.teachers == [NO_TEACHERS] {
            recipe.distillation = None;
        } else if !self.teachers.is_empty() {
            let (weight, temperature) = (self.teacher_weight, self.temperature);
            let is_fit = (0.0..=1.0).contains(&weight) && temperature > 0.0 && temperature.is_finite();
            if !is_fit {
                let problem = "--teacher-weight must be in 0..=1 and --temperature a positive number";
                return Err(Failure::Usage(problem.into()).into());
            }
            let (teachers, asking) = (self.teachers.clone(), self.ask_teachers);
            recipe.distillation = Some(Distillation { teachers, weight, temperature, asking });
        }
        if recipe.epochs == 0 || recipe.batch_size == 0 {
            return Err(Failure::Usage("--epochs and --batch-size must be at least 1".into()).into());
        }
        if !(recipe.learning_rate > 0.0 && recipe.learning_rate.is_finite()) {
            return Err(
                Failure::Usage(format!("--lr {} is not a positive number", recipe.learning_rate)).into()
            );
        }
        Ok(recipe)
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

    /// The command that gives the same weights again: the network and what differs from its defaults.
    pub(super) fn command(&self, base: &RecipeFile, recipe: &Recipe, dir: &ModelDir) -> String {
        let defaults = &base.recipe;
        let which = match &self.recipe {
            Some(name) => format!("--recipe {name}"),
            None => format!("--net {}", base.network),
        };
        let mut command = format!("cargo run -p host -- train {which}");
        if matches!(self.data.dataset, Choice::Custom | Choice::Photos) {
            command += &format!(" --dataset {}", value_name(&self.data.dataset));
        }
        if let Some(folder) = &self.data.data {
            command += &format!(" --data {}", quoted(&folder.display().to_string()));
        }
        if let Some(InputShape { height, width, channels }) = self.input {
            command += &format!(" --input {height}x{width}x{channels}");
        }
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
        let split_seed = recipe.split_seed.unwrap_or(recipe.seed);
        option("split-seed", recipe.split_seed != defaults.split_seed, split_seed.to_string());
        option("optimizer", recipe.optimizer != defaults.optimizer, value_name(&recipe.optimizer));
        option("weight-decay", recipe.weight_decay != defaults.weight_decay, recipe.weight_decay.to_string());
        option("schedule", recipe.schedule != defaults.schedule, value_name(&recipe.schedule));
        option("flip", aug.flip != aug_default.flip, aug.flip.to_string());
        option("shift", aug.shift != aug_default.shift, aug.shift.to_string());
        let cutout = aug.cutout_probability;
        option("cutout", cutout != aug_default.cutout_probability, cutout.to_string());
        let side_differs = cutout > 0.0 && ![8, aug_default.cutout_side].contains(&aug.cutout_side);
        option("cutout-side", side_differs, aug.cutout_side.to_string());
        match &recipe.distillation {
            same if *same == defaults.distillation => {}
            None => option("teachers", true, NO_TEACHERS.into()),
            Some(from) => {
                option("teachers", true, from.teachers.join(","));
                option("teacher-weight", true, from.weight.to_string());
                option("temperature", true, from.temperature.to_string());
                option("ask-teachers", !from.asking.is_once(), value_name(&from.asking));
            }
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
            None => command + &format!(" --out {}", quoted(&shown_in_project(dir))),
        }
    }
}

/// A word as a shell takes it.
pub(in crate::cli) fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|letter| letter.is_alphanumeric() || "/._-+:=,".contains(letter));
    if is_plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// A model's folder relative to the project where it lies inside.
fn shown_in_project(dir: &ModelDir) -> String {
    let path = std::path::absolute(dir.path()).unwrap_or_else(|_| dir.path().into());
    path.strip_prefix(crate::project_root()).unwrap_or(&path).display().to_string()
}

/// Name of a clap value on the command line.
fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
