//! `host models`: the figures of all models, from their manifests.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{print_json, print_line, shown};
use crate::model_dir::{Manifest, ModelDir};
use crate::report::models::{Entry, confidence_markdown, markdown, model_dirs};
use crate::report::{ablations, card, curves};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  host models\n  host models --json\n  host models --cards")]
pub(super) struct ModelsArgs {
    /// Folder that holds the model folders
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Calibration of the models, as the table in docs/training.md
    #[arg(long)]
    confidences: bool,
    /// Ablations, runs that differ from a recipe in one thing, as the table in docs/training.md
    #[arg(long)]
    ablations: bool,
    /// Write every model's card, README.md in its folder, and its training curves
    #[arg(long)]
    cards: bool,
    /// Write the checksums of the manifests, also of the ablations', again, after one was edited by hand
    #[arg(long)]
    checksums: bool,
    /// All manifests and device records as one JSON document
    #[arg(long, conflicts_with_all = ["confidences", "ablations", "cards", "checksums"])]
    json: bool,
}

impl ModelsArgs {
    pub(super) fn run(self) -> Result<()> {
        let folder = self.folder.unwrap_or_else(|| crate::project_root().join("models"));
        if self.checksums {
            for dir in model_dirs(&folder)? {
                dir.write_checksums()?;
                print_line(shown(&dir.manifest_path()))?;
            }
            for path in ablations::kept(&folder)? {
                Manifest::read_edited(&path)?.write(&path)?;
                print_line(shown(&path))?;
            }
            return Ok(());
        }
        let entries = Entry::all(&folder).with_context(|| folder.display().to_string())?;
        if self.cards {
            for entry in &entries {
                let path = ModelDir::new(&folder.join(&entry.manifest.name)).card();
                crate::files::write_whole(&path, card::markdown(entry).as_bytes())?;
                print_line(shown(&path))?;
                let dir = ModelDir::new(&folder.join(&entry.manifest.name));
                if let Some(curves) = curves(&dir, entry) {
                    crate::files::write_whole(&dir.curves(), curves.as_bytes())?;
                    print_line(shown(&dir.curves()))?;
                }
            }
            return Ok(());
        }
        if self.json {
            let models = entries.iter().map(|entry| {
                serde_json::json!({ "manifest": entry.manifest, "device": entry.device, "robustness": entry.robustness })
            });
            return print_json(&models.collect::<Vec<_>>());
        }
        if self.ablations {
            return print_line(ablations::markdown(&ablations::groups(&folder)?).trim_end());
        }
        let table = if self.confidences { confidence_markdown(&entries) } else { markdown(&entries) };
        print_line(table.trim_end())
    }
}
