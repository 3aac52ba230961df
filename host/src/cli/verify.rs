//! `host verify`: every engine over the test images.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{DataArgs, Failure, print_json, print_line, remark};
use crate::evaluate::verify::{Report, Row, verify};
use crate::model_dir::ModelDir;
use crate::report::table;
use crate::runtime::ort;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host verify --model models/nano\n  host verify --model models/nano --images 500 --json"
)]
pub(super) struct VerifyArgs {
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// Only the first images of the test part
    #[arg(long, value_name = "COUNT", value_parser = super::image_count)]
    images: Option<usize>,
    #[command(flatten)]
    data: DataArgs,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        // A missing model is said before the data are read.
        let task = dir.task()?;
        let dataset = self.data.load_for(&dir, &task)?;
        if let Ok(manifest) = dir.manifest()
            && manifest.dataset.sha256 != dataset.sha256
        {
            remark(format_args!(
                "remark: {} learned {}, not these images",
                dir.name(),
                manifest.dataset.name
            ));
        }
        let test = dataset.test.take(self.images.unwrap_or(usize::MAX).max(1));
        let report = verify(&dir, &dataset.name(), &test)?;
        if self.json {
            print_json(&report)?
        } else {
            print_report(&report)?
        }
        // A float file that is not kept is no failure; a missing library in CI is.
        if let Err(absent) = ort::library()
            && std::env::var_os("CI").is_some()
        {
            return Err(
                Failure::Gate(format!("ONNX Runtime did not run, and in CI it must: {absent}")).into()
            );
        }
        if !report.failures.is_empty() {
            return Err(Failure::Gate(report.failures.join("; ")).into());
        }
        Ok(())
    }
}

fn print_report(report: &Report) -> Result<()> {
    print_line(format_args!("{} on {} test images of {}", report.model, report.images, report.dataset))?;
    let header =
        ["engine", "accuracy", "classes as ours", "max LSB a layer", "end to end", "differing", "images/s"];
    let rows: Vec<Vec<String>> = report.engines.iter().map(cells).collect();
    print_line(table::format(&header, &rows))?;
    for row in &report.engines {
        if let Some(why) = &row.absent {
            print_line(format_args!("{}: {why}", row.engine))?;
        }
    }
    Ok(())
}

fn cells(row: &Row) -> Vec<String> {
    let percent = |value: Option<f64>| value.map_or("–".into(), |value| format!("{:.2} %", 100.0 * value));
    vec![
        row.engine.into(),
        percent(row.accuracy),
        percent(row.class_agreement),
        row.max_lsb.map_or("–".into(), |steps| steps.to_string()),
        row.max_lsb_end_to_end.map_or("–".into(), |steps| steps.to_string()),
        row.differing.map_or("–".into(), |fraction| format!("{:.4} %", 100.0 * fraction)),
        row.images_per_second.map_or("absent".into(), |speed| format!("{speed:.0}")),
    ]
}
