//! What is run for the claims.

mod chip;
mod command;
mod models;
mod rest;

use std::collections::HashMap;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stated::Text;
use super::{Claim, Label, Skipped};
use command::{NotHere, own_command, typed};

const README: &str = "README.md";
/// Models whose images of the chip are run.
const CHIP_MODELS: [&str; 7] =
    ["nano", "small", "flagship", "article", "small-robust", "photo", "photo-mini"];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Only what takes little time.
    pub quick: bool,
    /// A cold build, too.
    pub build: bool,
    /// Training beside PyTorch's, too.
    pub training: bool,
}

/// Figures that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Bytes and multiply-accumulates of the models
    Sizes,
    /// Accuracies on all test images
    Accuracies,
    /// A model of Fashion-MNIST on photographs
    Photographs,
    /// Logits and instructions on the emulated chip
    Chip,
    /// Instructions, code and memory of the kernels
    Kernels,
    /// Every emulated board
    Boards,
    /// The link with damaged bytes
    Link,
    /// A few seconds of each fuzz target
    Fuzz,
    /// The page to try models in
    Page,
    /// What others published
    Published,
    /// A cold build
    Build,
    /// Training beside PyTorch
    Training,
}

/// Collects claims.
pub struct Prover<'a> {
    scope: Scope,
    /// Which figures are measured now.
    group: Option<Group>,
    readme: Text,
    rows: HashMap<String, HashMap<String, String>>,
    /// What was measured.
    pub claims: Vec<Claim>,
    /// What was not.
    pub skipped: Vec<Skipped>,
    /// Is told each claim.
    say: &'a mut dyn FnMut(&Claim),
}

impl<'a> Prover<'a> {
    /// Reads what is stated.
    ///
    /// # Errors
    /// Where the README cannot be read.
    pub fn new(scope: Scope, say: &'a mut dyn FnMut(&Claim)) -> Result<Self> {
        let readme = Text::read(README)?;
        let named =
            |row: HashMap<String, String>| Some((row.get("model")?.trim_matches('`').to_owned(), row));
        let rows = readme.rows("models").into_iter().filter_map(named).collect();
        Ok(Self { scope, group: None, readme, rows, claims: Vec::new(), skipped: Vec::new(), say })
    }

    /// Measures some groups of figures, or all.
    ///
    /// # Errors
    /// Where a committed file is damaged; a command that fails is a claim that is not equal.
    pub fn run(&mut self, groups: &[Group]) -> Result<()> {
        for group in
            Group::value_variants().iter().filter(|group| groups.is_empty() || groups.contains(group))
        {
            self.group = Some(*group);
            match group {
                Group::Sizes => self.sizes()?,
                Group::Accuracies => self.accuracies(),
                Group::Photographs => self.photographs(),
                Group::Chip => self.chip(),
                Group::Kernels => self.kernels()?,
                Group::Boards => self.boards()?,
                Group::Link => self.soak(),
                Group::Fuzz if !self.scope.quick => self.fuzz(),
                Group::Fuzz => {
                    self.skip("fuzz targets", "compiles the project anew; left out of a quick run")
                }
                Group::Page => self.page(),
                Group::Published => self.published(),
                Group::Build if self.scope.build || !groups.is_empty() => self.build()?,
                Group::Build => self.skip("minutes of a cold build", "asked for with --build"),
                Group::Training if self.scope.training || !groups.is_empty() => self.training(),
                Group::Training => {
                    self.skip("training time beside PyTorch's", "asked for with --training; needs PyTorch");
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, claim: Claim) {
        (self.say)(&claim);
        self.claims.push(claim);
    }

    fn skip(&mut self, claim: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped { claim: claim.into(), reason: reason.into(), group: self.group });
    }

    /// Data set that a model is judged on: never another in its place.
    fn data_of(&self, model: &str) -> String {
        self.cell(model, "data").unwrap_or_else(|| "auto".into())
    }

    /// Cell of the README's table of models.
    fn cell(&self, model: &str, heading: &str) -> Option<String> {
        self.rows.get(model)?.get(heading).cloned()
    }

    /// Runs one of the program's own commands. Where it fails, that is what was measured; where data or a tool is
    /// missing, nothing was.
    fn ask(&mut self, claim: &str, label: Label, arguments: &[&str]) -> Option<Value> {
        match own_command(arguments) {
            Ok(document) => Some(document),
            Err(error) if error.is::<NotHere>() => {
                self.skip(claim, error.to_string());
                None
            }
            Err(error) => {
                let command = typed(arguments);
                self.add(Claim::new(claim, label, README, None, format!("{error:#}"), command));
                None
            }
        }
    }
}
