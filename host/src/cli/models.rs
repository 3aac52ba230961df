//! `host models`: the figures of all models, from their manifests.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use crate::report::models::{Entry, markdown};

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// Folder that holds the model folders
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl ModelsArgs {
    pub(super) fn run(self) -> Result<()> {
        let folder = self.folder.unwrap_or_else(|| crate::project_root().join("models"));
        let entries = Entry::all(&folder).with_context(|| folder.display().to_string())?;
        print_line(markdown(&entries).trim_end())
    }
}
