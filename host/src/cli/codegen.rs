//! `host codegen`: int8 ONNX → the firmware's network.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{print_line, remark, shown};
use crate::codegen::{SOURCE_FILE, WEIGHTS_FILE, generate};
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Options, Profile};
use crate::report::{arena, plans};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  host codegen --model models/nano --profile size\n  host codegen --model models/small --flash 48K --arena arena.svg"
)]
pub(super) struct CodegenArgs {
    /// Model folder with model.int8.onnx
    #[arg(long, value_name = "FOLDER", default_value = "models/small")]
    model: PathBuf,
    /// Where to write network.rs and weights.bin [default: the model folder]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    /// Also say what each step's kernel was chosen over
    #[arg(long)]
    alternatives: bool,
    /// Also draw the arena, step by step, as SVG
    #[arg(long, value_name = "FILE")]
    arena: Option<PathBuf>,
}

/// What the generated network shall be good at.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct PlanArgs {
    /// Kernels to choose
    #[arg(long, value_enum, default_value = "speed")]
    profile: Profile,
    /// Most bytes of constants, such as 64K or 1M, or `any` [default for speed: 64K, or what the network needs]
    #[arg(long, value_name = "BYTES", value_parser = parse_budget)]
    flash: Option<usize>,
}

/// Reads `any`, `65536`, `64K` or `1M`.
fn parse_budget(text: &str) -> Result<usize, String> {
    if text == "any" {
        return Ok(usize::MAX);
    }
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1024),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1024 * 1024)),
    };
    let number = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "give bytes such as 65536, 64K or 1M, or `any`".into())
}

impl PlanArgs {
    pub(super) fn options(self) -> Options {
        Options { profile: self.profile, flash: self.flash }
    }
}

impl CodegenArgs {
    pub(super) fn run(self) -> Result<()> {
        let dir = ModelDir::new(&self.model);
        let out = self.out.unwrap_or_else(|| dir.path().into());
        let plan = NetworkPlan::new(&dir.read_firmware()?, self.plan.options())?;
        remark(plans::account(&plan).trim_end());
        if self.alternatives {
            remark(plans::alternatives(&plan).trim_end());
        }
        for path in write(&plan, &dir, &out)? {
            print_line(shown(&path))?;
        }
        if let Some(path) = self.arena {
            crate::files::write_whole(&path, arena::svg(&plan, &dir.name()).as_bytes())?;
            print_line(shown(&path))?;
        }
        Ok(())
    }
}

/// Writes both generated files into `out`; returns their paths.
pub(super) fn write(plan: &NetworkPlan, dir: &ModelDir, out: &Path) -> Result<[PathBuf; 2]> {
    write_as(plan, dir, out, &dir.name())
}

/// Writes both generated files for a model that will be called `name`.
pub(super) fn write_as(plan: &NetworkPlan, dir: &ModelDir, out: &Path, name: &str) -> Result<[PathBuf; 2]> {
    let generated = generate(plan, name, dir.network_hash()?, dir.confidence()?);
    let paths = [out.join(SOURCE_FILE), out.join(WEIGHTS_FILE)];
    crate::files::write_if_changed(&paths[0], generated.source.as_bytes())?;
    crate::files::write_if_changed(&paths[1], &generated.weights)?;
    Ok(paths)
}
