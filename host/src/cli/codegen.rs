//! `host codegen`: int8 ONNX → the firmware's network.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{print_line, shown};
use crate::codegen::{SOURCE_FILE, WEIGHTS_FILE, generate};
use crate::model_dir::ModelDir;

#[derive(Debug, Args)]
pub(super) struct CodegenArgs {
    /// Model folder with model.int8.onnx
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// Where to write network.rs and weights.bin [default: the model folder]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl CodegenArgs {
    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        let out = self.out.unwrap_or_else(|| dir.path().into());
        for path in write(&dir, &out)? {
            print_line(shown(&path))?;
        }
        Ok(())
    }
}

/// Writes both generated files into `out`; returns their paths.
pub(super) fn write(dir: &ModelDir, out: &Path) -> Result<[PathBuf; 2]> {
    let generated = generate(&dir.read_firmware()?, &dir.name(), dir.network_hash()?)?;
    let paths = [out.join(SOURCE_FILE), out.join(WEIGHTS_FILE)];
    crate::files::write_if_changed(&paths[0], generated.source.as_bytes())?;
    crate::files::write_if_changed(&paths[1], &generated.weights)?;
    Ok(paths)
}
