//! `host serve` and `host report --try`: the classifier in a browser.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::codegen::PlanArgs;
use super::{DataArgs, print_line, remark};
use crate::model_dir::ModelDir;
use crate::web::build;
use crate::web::page::{self, Pictures};
use crate::web::server::PageServer;

/// Models in the page unless told otherwise.
const DEFAULT_MODELS: [&str; 2] = ["models/photo", "models/small"];

/// What a page is made of.
#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// Test pictures of each data set in the page; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pictures: usize,
    #[command(flatten)]
    plan: PlanArgs,
}

impl PageArgs {
    /// Compiles the models and writes the page.
    ///
    /// * `models`: folders; where there are none, the default ones.
    pub(super) fn html(&self, models: &[PathBuf], data: &DataArgs) -> Result<String> {
        let folders = match models {
            [] => DEFAULT_MODELS.map(|path| crate::project_root().join(path)).to_vec(),
            named => named.to_vec(),
        };
        let (mut modules, mut pictures) = (Vec::new(), Vec::new());
        for folder in folders {
            let dir = ModelDir::new(&folder);
            remark(format_args!("compiling {} for the browser", dir.name()));
            modules.push(build::build(&dir, self.plan.options())?);
            self.add_pictures(&dir, data, &mut pictures)?;
        }
        Ok(page::html(&modules, &pictures))
    }

    /// Adds a model's test pictures, where its data is there and an earlier model's do not suit it.
    fn add_pictures(&self, dir: &ModelDir, data: &DataArgs, pictures: &mut Vec<Pictures>) -> Result<()> {
        let task = dir.task()?;
        if self.pictures == 0 || pictures.iter().any(|set| set.suit(&task)) {
            return Ok(());
        }
        match data.load_for(dir, &task) {
            Ok(dataset) => pictures.extend(Pictures::new(&dataset, self.pictures)),
            // What was named must be right; what was not is a welcome addition only.
            Err(error) if data.is_named() => return Err(error),
            Err(error) => remark(format_args!("{}: no test pictures in the page: {error:#}", dir.name())),
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "The firmware's own engine as WebAssembly, in a page that sends and loads nothing: photographs, camera,\n\
drawing, test pictures, activations of each layer. `host report --try` writes the same page as a file.\n\n\
Examples:\n  host serve\n  host serve --model models/photo-mini --model models/nano --port 8080"
)]
pub(super) struct ServeArgs {
    /// Model folder; may be given several times [default: models/photo, models/small]
    #[arg(long, value_name = "FOLDER")]
    model: Vec<PathBuf>,
    /// Port on 127.0.0.1; 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    data: DataArgs,
}

impl ServeArgs {
    pub(super) fn run(self) -> Result<()> {
        let page = self.page.html(&self.model, &self.data)?;
        let server = Arc::new(PageServer::open(self.port, page)?);
        let stopped = Arc::clone(&server);
        ctrlc::set_handler(move || stopped.stop())?;
        print_line(server.url())?;
        remark("open this address in a browser; Ctrl-C ends the server");
        server.run();
        Ok(())
    }
}

/// Where a page is written unless told otherwise.
pub(super) fn default_path(models: &[PathBuf]) -> PathBuf {
    let name = |path: &PathBuf| ModelDir::new(Path::new(path)).name();
    let names: Vec<String> = models.iter().map(name).collect();
    let names = if names.is_empty() { String::new() } else { format!("-{}", names.join("-")) };
    crate::project_root().join("target/report").join(format!("try{names}.html"))
}
