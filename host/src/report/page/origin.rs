//! How a model came to be.

use maud::{Markup, html};

use super::parts::percent;
use crate::device::hil;
use crate::import::record::Record;
use crate::model_dir::Manifest;
use crate::report::chart;
use crate::report::models::Entry;

/// How a model came to be, with what is recorded of it.
pub enum Origin<'a> {
    /// Trained here.
    Trained(&'a Entry),
    /// Imported from somebody's file.
    Imported {
        /// The folder's name.
        name: &'a str,
        /// What the import kept.
        record: &'a Record,
        /// The last recorded run on a device.
        device: Option<&'a hil::Report>,
    },
}

impl Origin<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Trained(entry) => &entry.manifest.name,
            Self::Imported { name, .. } => name,
        }
    }

    /// Share of right answers of the float network on all test images, where it is known.
    pub(super) fn float_accuracy(&self) -> Option<f64> {
        match self {
            Self::Trained(entry) => Some(entry.manifest.accuracy.float),
            Self::Imported { record, .. } => record.accuracy.map(|[float, _]| float),
        }
    }

    pub(super) fn device(&self) -> Option<&hil::Report> {
        match self {
            Self::Trained(entry) => entry.device.as_ref(),
            Self::Imported { device, .. } => *device,
        }
    }

    pub(super) fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Trained(entry) => Some(entry),
            Self::Imported { .. } => None,
        }
    }
}

/// The recipe of a model that was trained here.
pub(super) fn recipe(entry: &Entry) -> Markup {
    let manifest = &entry.manifest;
    let recipe = &manifest.recipe;
    let augmentation = recipe.augmentation;
    let mut rows = vec![
        vec!["network".into(), manifest.network.clone()],
        vec!["data".into(), format!("{}, sha256 {}", manifest.dataset.name, manifest.dataset.sha256)],
        vec!["seed".into(), manifest.seed.to_string()],
        vec!["epochs, batch".into(), format!("{}, {}", recipe.epochs, recipe.batch_size)],
        vec![
            "optimizer".into(),
            format!(
                "{:?}, rate {}, {:?}, decay {}",
                recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.weight_decay
            ),
        ],
        vec!["weight average".into(), recipe.average_decay.to_string()],
        vec![
            "augmentation".into(),
            format!(
                "{}, shift {}, cutout {} of {}×{}",
                if augmentation.flip { "flip" } else { "no flip" },
                augmentation.shift,
                augmentation.cutout_probability,
                augmentation.cutout_side,
                augmentation.cutout_side
            ),
        ],
        vec!["kept for validation".into(), percent(recipe.validation_split)],
        vec![
            "epoch kept".into(),
            format!(
                "{}, {} on the validation images",
                manifest.best_epoch,
                percent(manifest.accuracy.validation)
            ),
        ],
    ];
    rows.extend(teachers(manifest).map(|words| vec!["teachers".into(), words]));
    rows.push(vec!["quantization".into(), quantization(manifest)]);
    html! {
        p { "The command that makes it again:" }
        pre tabindex="0" { code { (manifest.command) } }
        div.scroll tabindex="0" role="region" aria-label="Recipe" {
            table { tbody { @for row in &rows { tr { th scope="row" { (row[0]) } td.text { (row[1]) } } } } }
        }
    }
}

/// The teachers, how much they weigh, and how right they are; `None` without.
fn teachers(manifest: &Manifest) -> Option<String> {
    let from = manifest.recipe.distillation.as_ref()?;
    let mut words = format!(
        "{}, weight {}, temperature {}{}",
        from.teachers.join(", "),
        from.weight,
        from.temperature,
        from.asking.suffix()
    );
    if let Some(teachers) = manifest.teachers {
        words += &format!(
            "; together {} on validation images, {} on test images",
            percent(teachers.validation),
            percent(teachers.test)
        );
    }
    Some(words)
}

/// How the network became integers.
fn quantization(manifest: &Manifest) -> String {
    match manifest.recipe.quantization {
        Some(rounding) => format!(
            "{} of quantization-aware training with {}-bit weights",
            chart::epochs(rounding.epochs),
            rounding.weight_bits
        ),
        None => format!("int8 after training, ranges from {} training images", manifest.calibration_images),
    }
}

/// The file that a model was imported from.
pub(super) fn imported(record: &Record) -> Markup {
    let judged = match record.accuracy {
        Some([float, int8]) => {
            format!(
                "{} in the file, {} in int8; {} answered alike",
                percent(float),
                percent(int8),
                percent(record.agreement)
            )
        }
        None => format!("no labels of these classes; {} answered alike", percent(record.agreement)),
    };
    let calibrated = match record.calibration_images {
        0 => "the file's own steps".into(),
        count => format!("{count} pictures of {}, sha256 {}", record.dataset, record.data_sha256),
    };
    let rows = [
        ["file", &record.file],
        ["sha256", &record.sha256],
        ["calibrated on", &calibrated],
        ["right at the import", &judged],
    ];
    html! {
        p { "The command that imports it again:" }
        pre tabindex="0" { code { (record.command) } }
        div.scroll tabindex="0" role="region" aria-label="Import" {
            table { tbody { @for [what, value] in &rows { tr { th scope="row" { (what) } td.text { (value) } } } } }
        }
        @if !record.remarks.is_empty() {
            p { "What was folded, dropped or added:" }
            ul { @for remark in &record.remarks { li { (remark) } } }
        }
    }
}
