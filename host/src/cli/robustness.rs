//! `host robustness`: accuracy on corrupted test images, float and int8.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{DataArgs, print_json, print_line};
use crate::counter::Counter;
use crate::dataset::{Samples, folders, locate};
use crate::evaluate::accuracy_of;
use crate::evaluate::corrupt::{Corruption, Robustness, Row};
use crate::evaluate::photographs;
use crate::model_dir::ModelDir;
use crate::report::table;
use crate::runtime::{integer, tract};

#[derive(Debug, Args)]
#[command(
    after_help = "Corruptions are this project's own and the same in every run. The clean figure stands first.\n\n\
With --photographs: on the validation photographs of clothing-dataset-small (GARMENT_PHOTOS_DIR or --data), of which\n\
hats, shorts and skirts have no class in Fashion-MNIST.\n\n\
Examples:\n  host robustness --model models/nano\n  host robustness --model models/nano --images 1000 --json\n  \
host robustness --model models/small --photographs"
)]
pub(super) struct RobustnessArgs {
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// Only the first so many test images
    #[arg(long, value_name = "COUNT", value_parser = super::image_count)]
    images: Option<usize>,
    /// A model of Fashion-MNIST on real photographs instead of corrupted test images
    #[arg(long, conflicts_with = "images")]
    photographs: bool,
    /// Keep the figures as robustness.json, or photographs.json, in the model's folder
    #[arg(long, conflicts_with = "images")]
    record: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

impl RobustnessArgs {
    fn on_photographs(&self, dir: &ModelDir) -> Result<()> {
        let folder = self.data.data.clone().map_or_else(locate::photos_folder, Ok)?;
        let mut engine = integer::Integer::new(dir.read_firmware()?, false);
        let files = folders::validation_files(&folder)?;
        let figures = photographs::judge(&dir.name(), &mut engine, &dir.task()?, dir.confidence()?, &files)?;
        if self.record {
            let text = serde_json::to_string_pretty(&figures)? + "\n";
            crate::files::write_whole(&dir.photographs(), text.as_bytes())?;
        }
        if self.json {
            return print_json(&figures);
        }
        let [low, high] = figures.accuracy_interval.map(|bound| 100.0 * bound);
        print_line(format_args!(
            "{} on {} photographs: {:.1} % right ({low:.1} to {high:.1} %); {:.1} % answered as sure, {:.1} % of those right",
            figures.model,
            figures.images,
            100.0 * figures.accuracy,
            100.0 * figures.sure_share,
            100.0 * figures.sure_accuracy
        ))?;
        print_line(format_args!(
            "{} photographs of classes it does not know: {:.1} % answered as sure",
            figures.other_images,
            100.0 * figures.other_sure_share
        ))
    }

    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        if self.photographs {
            return self.on_photographs(&dir);
        }
        let mut int8 = integer::Integer::new(dir.read_firmware()?, false);
        let mut float = dir.read_float()?.map(|model| tract::Tract::float(&model)).transpose()?;
        let dataset = self.data.load_for(&dir, &dir.task()?)?;
        let test = dataset.test.take(self.images.unwrap_or(usize::MAX).max(1));
        let mut row = |corruption: &str, strength, amount, samples: &Samples| -> Result<Row> {
            let float = float.as_mut().map(|engine| accuracy_of(engine, samples)).transpose()?;
            let corruption = corruption.to_owned();
            Ok(Row { corruption, strength, amount, float, int8: accuracy_of(&mut int8, samples)? })
        };
        let counter = Counter::new("kinds of corruption", 3 * Corruption::ALL.len());
        let mut rows = vec![row("none", 0, None, &test)?];
        for corruption in Corruption::ALL {
            for strength in 1..=3 {
                let samples = corruption.apply(&test, strength);
                rows.push(row(corruption.name(), strength, Some(corruption.amount(strength)), &samples)?);
                counter.count();
            }
        }
        drop(counter);
        let report = Robustness { model: dir.name(), images: test.len(), rows };
        if self.record {
            let text = serde_json::to_string_pretty(&report)? + "\n";
            crate::files::write_whole(&dir.robustness(), text.as_bytes())?;
        }
        if self.json {
            return print_json(&report);
        }
        let percent = |fraction: f64| format!("{:.2} %", 100.0 * fraction);
        let lines = report.rows.iter().map(|row| {
            vec![
                row.corruption.clone(),
                row.amount.map_or("–".into(), |amount| amount.to_string()),
                row.float.map_or("–".into(), percent),
                percent(row.int8),
            ]
        });
        let lines: Vec<Vec<String>> = lines.collect();
        print_line(table::format(&["corruption", "amount", "float", "int8"], &lines).trim_end())
    }
}
