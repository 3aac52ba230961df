//! Ablations: runs that differ from a committed model's recipe in one thing, or in their seed only.
//!
//! A run is kept as its manifest, `models/ablations/NAME.json`; `host train … --ablation NAME` writes it there.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::model_dir::Manifest;
use crate::train::Recipe;
use crate::train::recipe::RecipeFile;

/// Runs of one network with one recipe, whatever their seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Name of the network.
    pub network: String,
    /// What differs from the network's recipe; empty for the recipe itself.
    pub difference: String,
    /// Accuracies on the validation images, one a seed.
    pub validation: Vec<f64>,
    /// Accuracies of int8 on the test images, one a seed.
    pub test: Vec<f64>,
}

impl Group {
    /// A table's cells: network, difference, runs, validation and test accuracy.
    ///
    /// Test accuracies stand with the recipes themselves only: nothing else was judged by them.
    pub fn cells(&self) -> [String; 5] {
        let is_recipe = self.difference.is_empty();
        [
            self.network.clone(),
            if is_recipe { "nothing".into() } else { self.difference.clone() },
            self.validation.len().to_string(),
            percent(&self.validation),
            if is_recipe { percent(&self.test) } else { "–".into() },
        ]
    }
}

/// Mean and standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation; 0 for a single value.
    pub deviation: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if values.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() };
        Self { mean, deviation }
    }
}

/// Name of the photographs.
const PHOTOS: &str = "photos";

/// Formats a mean of fractions in percent, with its deviation where there is one.
pub fn percent(values: &[f64]) -> String {
    let Spread { mean, deviation } = Spread::of(values);
    match values.len() {
        0 => "–".into(),
        1 => format!("{:.2} %", 100.0 * mean),
        _ => format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * deviation),
    }
}

/// Reads the runs of a models folder: those kept in `ablations/`, and the committed models themselves.
///
/// # Errors
/// Where a manifest or a recipe is damaged.
pub fn groups(models: &Path) -> Result<Vec<Group>> {
    let mut runs = Vec::new();
    let mut paths = kept(models)?;
    for entry in std::fs::read_dir(models).with_context(|| models.display().to_string())? {
        let manifest = entry?.path().join("manifest.json");
        if manifest.exists() {
            paths.push(manifest);
        }
    }
    paths.sort();
    for path in &paths {
        let run = Manifest::read(path)?;
        // Runs on other data are not listed, and what people trained for themselves is theirs.
        let is_kept = path.parent().is_some_and(|folder| folder.ends_with("ablations"));
        let is_committed = run.name == run.network;
        let is_listed = ["fashion-mnist", PHOTOS].contains(&run.dataset.name.as_str());
        if is_listed && (is_kept || is_committed) {
            runs.push(run);
        }
    }
    grouped(&runs, |network| Ok(RecipeFile::named(network)?.recipe))
}

/// Paths of the manifests in `ablations/` of a models folder.
///
/// # Errors
/// Where the folder cannot be read.
pub fn kept(models: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(models.join("ablations")) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?,
        Err(_) => Vec::new(),
    };
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    Ok(paths)
}

fn grouped(runs: &[Manifest], recipe_of: impl Fn(&str) -> Result<Recipe>) -> Result<Vec<Group>> {
    let mut groups: BTreeMap<(String, String), Vec<&Manifest>> = BTreeMap::new();
    for run in runs {
        let network = run.network.as_str();
        let key = (network.to_owned(), difference(&run.recipe, &recipe_of(network)?));
        groups.entry(key).or_default().push(run);
    }
    let group = |((network, difference), runs): ((String, String), Vec<&Manifest>)| {
        // The same run may lie in two places.
        let by_seed: BTreeMap<u64, &&Manifest> = runs.iter().map(|run| (run.seed, run)).collect();
        Group {
            network,
            difference,
            validation: by_seed.values().map(|run| run.accuracy.validation).collect(),
            // The photographs have no test part: the validation photographs serve for the report.
            test: by_seed
                .values()
                .filter(|run| run.dataset.name != PHOTOS)
                .map(|run| run.accuracy.int8)
                .collect(),
        }
    };
    Ok(groups.into_iter().map(group).collect())
}

/// Says in words in what `recipe` differs from `base`, but for the seed.
pub fn difference(recipe: &Recipe, base: &Recipe) -> String {
    let mut words = Vec::new();
    let mut differs = |is_other: bool, text: String| {
        if is_other {
            words.push(text);
        }
    };
    differs(recipe.epochs != base.epochs, format!("{} epochs", recipe.epochs));
    differs(recipe.batch_size != base.batch_size, format!("batches of {}", recipe.batch_size));
    differs(recipe.learning_rate != base.learning_rate, format!("rate {}", recipe.learning_rate));
    differs(recipe.optimizer != base.optimizer, format!("{:?}", recipe.optimizer));
    differs(recipe.weight_decay != base.weight_decay, format!("decay {}", recipe.weight_decay));
    differs(recipe.schedule != base.schedule, format!("{:?} rate", recipe.schedule).to_lowercase());
    differs(
        recipe.validation_split != base.validation_split,
        format!("{:.3} for validation", recipe.validation_split),
    );
    let average = if recipe.average_decay > 0.0 {
        format!("weight average {}", recipe.average_decay)
    } else {
        "no weight average".into()
    };
    differs(recipe.average_decay != base.average_decay, average);
    let (ours, theirs) = (recipe.augmentation, base.augmentation);
    differs(ours.flip != theirs.flip, if ours.flip { "flip" } else { "no flip" }.into());
    differs(ours.shift != theirs.shift, format!("shift {}", ours.shift));
    let cutout = match ours.cutout_probability {
        0.0 => "no cutout".into(),
        probability => format!("cutout {probability} of {}", ours.cutout_side),
    };
    let is_other_cutout = ours.cutout_probability != theirs.cutout_probability
        || (ours.cutout_probability > 0.0 && ours.cutout_side != theirs.cutout_side);
    differs(is_other_cutout, cutout);
    let distillation = match &recipe.distillation {
        None => "no distillation".into(),
        Some(from) => {
            format!(
                "distilled from {}, {} at T = {}{}",
                from.teachers.join(" and "),
                from.weight,
                from.temperature,
                from.asking.suffix()
            )
        }
    };
    differs(recipe.distillation != base.distillation, distillation);
    let rounding = match (recipe.quantization, base.quantization) {
        (None, _) => "int8 after training".into(),
        (Some(ours), Some(theirs))
            if (ours.epochs, ours.weight_bits) == (theirs.epochs, theirs.weight_bits) =>
        {
            format!("rounding at rate {}", ours.learning_rate)
        }
        (Some(ours), _) => {
            format!("{} epochs with {}-bit weights at {}", ours.epochs, ours.weight_bits, ours.learning_rate)
        }
    };
    differs(recipe.quantization != base.quantization, rounding);
    words.join(", ")
}

/// Formats the groups as a Markdown table.
pub fn markdown(groups: &[Group]) -> String {
    let mut text = String::from(
        "| network | what differs from its recipe | runs | validation | int8, test |\n|---|---|---|---|---|\n",
    );
    for group in groups {
        let [network, what, runs, validation, test] = group.cells();
        let _ = writeln!(text, "| `{network}` | {what} | {runs} | {validation} | {test} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::QuantizationAware;

    #[test]
    fn a_difference_is_told_in_words() {
        let base = Recipe::default();
        assert_eq!(difference(&base, &base), "");
        assert_eq!(difference(&Recipe { seed: 9, ..base.clone() }, &base), "");
        let other = Recipe { epochs: 40, quantization: None, average_decay: 0.0, ..base.clone() };
        assert_eq!(difference(&other, &base), "40 epochs, no weight average, int8 after training");
        let gentler = QuantizationAware { learning_rate: 1e-4, ..QuantizationAware::DEFAULT };
        let other = Recipe { quantization: Some(gentler), ..base.clone() };
        assert_eq!(difference(&other, &base), "rounding at rate 0.0001");
    }

    #[test]
    fn a_spread_is_the_sample_s() {
        let spread = Spread::of(&[0.92, 0.93, 0.94]);
        assert!((spread.mean - 0.93).abs() < 1e-12 && (spread.deviation - 0.01).abs() < 1e-12);
        assert_eq!((percent(&[0.5]), percent(&[])), ("50.00 %".into(), "–".into()));
    }
}
