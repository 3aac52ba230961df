//! `host report`: everything about a model on one page.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::evaluate::{Answers, EngineName};
use super::{DataArgs, print_line, shown};
use crate::evaluate::compose;

#[derive(Debug, Args)]
#[command(
    after_help = "One HTML file that loads nothing: recipe, curves, per-class table, heat map, predictions, mistakes,\n\
photos, robustness, layers and memory on the chip, the other models, ablations.\n\n\
Example:\n  host report --model models/flagship --out flagship.html"
)]
pub(super) struct ReportArgs {
    /// Model folder
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// The page [default: target/report/MODEL.html]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Only the first images of the test part
    #[arg(long, value_name = "COUNT", value_parser = super::image_count)]
    images: Option<usize>,
    /// Photograph-like pictures made of the first test images; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = compose::DEFAULT_COUNT)]
    photos: usize,
    /// Seed of the 25 images shown with their predictions
    #[arg(long, default_value_t = 12_345)]
    seed: u64,
    #[command(flatten)]
    data: DataArgs,
}

impl ReportArgs {
    pub(super) fn run(self) -> Result<()> {
        let answers =
            Answers::collect(&self.model, EngineName::Integer, &self.data, self.images, self.photos)?;
        let html = answers.html(self.seed)?.with_context(|| {
            let manifest = answers.dir.manifest_path();
            format!(
                "{}: no manifest to report on; models that `host train` made have one",
                manifest.display()
            )
        })?;
        let name = format!("{}.html", answers.dir.name());
        let out = self.out.unwrap_or_else(|| crate::project_root().join("target/report").join(name));
        crate::files::write_whole(&out, html.as_bytes())?;
        print_line(shown(&out))
    }
}
