//! `host export`: burn's weights → float ONNX, with the round trip through three readers.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;

use super::{DataArgs, Failure, print_line, remark, shown};
use crate::dataset::Samples;
use crate::dataset::identity::sha256_hex;
use crate::evaluate::roundtrip::{self, TOLERANCE};
use crate::model_dir::{Kept, ModelDir};
use crate::train::TrainedNet;

/// Test images that the readers are compared on.
const IMAGES: usize = 256;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  host export --model models/nano")]
pub(super) struct ExportArgs {
    /// Model folder with model.bpk
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

impl ExportArgs {
    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        let manifest = dir.manifest()?;
        if !dir.weights().exists() {
            return Err(anyhow!(
                "{}: burn's weights are not kept for this model; `{}` makes them",
                dir.weights().display(),
                manifest.command
            ));
        }
        dir.check(Kept::Weights)?;
        let net = TrainedNet::load(&manifest.architecture()?, &dir.weights()).map_err(anyhow::Error::msg)?;
        let sha256 = write_and_check(&net, &dir, &self.data.load_for(&dir, &manifest.task)?.test)?;
        if sha256 != manifest.onnx_sha256 {
            return Err(Failure::Gate(format!(
                "{}: sha256 {sha256} is not the manifest's {}",
                dir.float_onnx().display(),
                manifest.onnx_sha256
            ))
            .into());
        }
        print_line(shown(&dir.float_onnx()))
    }
}

/// Writes `model.onnx` and compares every reader with burn; returns the file's sha256.
///
/// # Errors
/// A gate failure where a reader is further than the tolerance from burn.
pub(super) fn write_and_check(net: &TrainedNet, dir: &ModelDir, samples: &Samples) -> Result<String> {
    let bytes = net.to_onnx();
    crate::files::write_whole(&dir.float_onnx(), &bytes)?;
    let rows = roundtrip::check(net, &dir.float_onnx(), &samples.take(IMAGES))?;
    for row in &rows {
        match &row.max_delta {
            Ok(delta) => remark(format_args!("round trip {:<12} max |Δlogit| {delta:.1e}", row.reader)),
            Err(absent) => remark(format_args!("round trip {:<12} skipped: {absent}", row.reader)),
        }
    }
    if let Some(row) = rows.iter().find(|row| !row.passes()) {
        let delta = row.max_delta.as_ref().copied().unwrap_or(f32::NAN);
        return Err(Failure::Gate(format!(
            "{} reads {} as another network: max |Δlogit| {delta:.1e}, {TOLERANCE:.0e} is admitted",
            row.reader,
            dir.float_onnx().display()
        ))
        .into());
    }
    Ok(sha256_hex(&bytes))
}
