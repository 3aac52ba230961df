//! `host report`: everything about a model on one page.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::evaluate::{Answers, EngineName};
use super::serve::{self, PageArgs};
use super::{DataArgs, Failure, print_line, shown};
use crate::evaluate::compose;

#[derive(Debug, Args)]
#[command(
    after_help = "One HTML file that loads nothing: recipe, curves, per-class table, heat map, predictions, mistakes,\n\
photos, robustness, layers and memory on the chip, the other models, ablations.\n\n\
With --try the page is one to try the models in: the firmware's own engine as WebAssembly, for photographs, camera\n\
and drawings. It opens from disk and sends nothing; `host serve` serves the same page.\n\n\
Examples:\n  host report --model models/flagship --out flagship.html\n  host report --try --model models/small --model models/photo-mini"
)]
pub(super) struct ReportArgs {
    /// Model folder; with --try several [default: models/small; with --try models/photo, models/small]
    #[arg(long, value_name = "FOLDER")]
    model: Vec<PathBuf>,
    /// A page to try models in, instead of a report on one
    #[arg(long = "try")]
    is_try: bool,
    /// The page [default: target/report/MODEL.html, with --try target/report/try-MODEL.html]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Only the first images of the test part
    #[arg(long, value_name = "COUNT", value_parser = super::image_count, conflicts_with = "is_try")]
    images: Option<usize>,
    /// Photograph-like pictures made of the first test images; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = compose::DEFAULT_COUNT, conflicts_with = "is_try")]
    photos: usize,
    /// Seed of the 25 images shown with their predictions
    #[arg(long, default_value_t = 12_345, conflicts_with = "is_try")]
    seed: u64,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    data: DataArgs,
}

impl ReportArgs {
    pub(super) fn run(self) -> Result<()> {
        if self.is_try {
            let out = self.out.unwrap_or_else(|| serve::default_path(&self.model));
            let html = self.page.html(&self.model, &self.data)?;
            crate::files::write_whole(&out, html.as_bytes())?;
            return print_line(shown(&out));
        }
        let model = match &self.model[..] {
            [] => PathBuf::from("models/small"),
            [one] => one.clone(),
            _ => {
                return Err(Failure::Usage(
                    "a report is about one model; with --try several are shown".into(),
                )
                .into());
            }
        };
        let answers = Answers::collect(&model, EngineName::Integer, &self.data, self.images, self.photos)?;
        let html = answers.html(self.seed)?;
        let name = format!("{}.html", answers.dir.name());
        let out = self.out.unwrap_or_else(|| crate::project_root().join("target/report").join(name));
        crate::files::write_whole(&out, html.as_bytes())?;
        print_line(shown(&out))
    }
}
