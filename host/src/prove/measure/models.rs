//! Sizes and accuracies of the committed models.

use anyhow::Result;

use super::command::{percent, typed};
use super::{CHIP_MODELS, Prover, README};
use crate::model_dir::ModelDir;
use crate::plan::{NetworkPlan, Profile};
use crate::prove::{Claim, Label};

impl Prover<'_> {
    /// Bytes and multiply-accumulates, of the committed files.
    pub(super) fn sizes(&mut self) -> Result<()> {
        let names: Vec<String> = self.rows.keys().cloned().collect();
        let mut names = names;
        names.sort();
        for name in names {
            let dir = ModelDir::new(&crate::project_root().join("models").join(&name));
            let plan = NetworkPlan::new(&dir.read_firmware()?, Profile::Size)?;
            let macs: usize = plan.decisions().iter().map(|decision| decision.macs).sum();
            let command = format!("host codegen --model {name} --profile size");
            for (heading, measured) in [
                ("weights + tables", format!("{} B", plan.constant_bytes())),
                ("activations", format!("{} B", plan.arena_bytes())),
                ("MACs", format!("{:.3}M", macs as f64 / 1e6)),
            ] {
                let stated = self.cell(&name, heading);
                self.add(Claim::new(
                    format!("{name}: {heading}"),
                    Label::Measured,
                    README,
                    stated,
                    measured,
                    &command,
                ));
            }
        }
        for (name, most) in [("nano", 16), ("small", 32), ("flagship", 64)] {
            let bytes = self.claims.iter().find(|claim| claim.claim == format!("{name}: weights + tables"));
            let bytes: u64 = bytes
                .and_then(|claim| claim.measured.as_ref()?.strip_suffix(" B")?.parse().ok())
                .unwrap_or(u64::MAX);
            let stated = self.readme.figure("in at most {}.");
            let claim = format!("{name}: fits {most} KiB");
            let held = Claim::new(
                claim,
                Label::Measured,
                README,
                stated,
                format!("{bytes} B"),
                format!("host codegen --model {name} --profile size"),
            );
            self.add(held.with_equal(bytes <= most * 1024));
        }
        Ok(())
    }

    /// Accuracies on all test images: int8 by the firmware's integers, float in tract where the file is kept.
    pub(super) fn accuracies(&mut self) {
        let out = std::env::temp_dir().join(format!("prove-{}", std::process::id()));
        let out_text = out.display().to_string();
        let others = ["minivgg", "teacher", "photo-teacher"];
        for name in CHIP_MODELS.into_iter().chain(others) {
            if self.scope.quick && others.contains(&name) {
                self.skip(format!("{name}: accuracy"), "left out by --quick");
                continue;
            }
            self.accuracies_of(name, &out_text);
        }
        let _ = std::fs::remove_dir_all(out);
    }

    /// Evaluates both files of a model; what `evaluate` writes goes into `out`.
    fn accuracies_of(&mut self, name: &str, out: &str) {
        let has_float =
            ModelDir::new(&crate::project_root().join("models").join(name)).float_onnx().is_file();
        let data = self.data_of(name);
        for (heading, engine) in [("int8", "integer"), ("float", "tract")] {
            let claim = format!("{name}: {heading} accuracy");
            if engine == "tract" && (!has_float || self.scope.quick) {
                let reason = match has_float {
                    true => "left out by --quick",
                    false => "its float file is not kept; its manifest's command makes it",
                };
                self.skip(claim, reason);
                continue;
            }
            let command = ["evaluate", "--model", name, "--engine", engine, "--dataset", &data];
            let arguments = [&command[..], &["--photos", "0", "--json", "--out", out]].concat();
            let Some(document) = self.ask(&claim, Label::Measured, &arguments) else { continue };
            let measured = percent(&document["accuracy"], 2);
            let mut places = vec![(claim, self.cell(name, heading))];
            if (name, heading) == ("article", "int8") {
                let figure = self.readme.figure("the first line: {} as int8");
                places.push(("article's accuracy in the notebook's table".into(), figure));
            }
            for (claim, figure) in places {
                let again = typed(&command);
                self.add(Claim::new(claim, Label::Measured, README, figure, measured.clone(), again));
            }
        }
    }

    /// What a model of Fashion-MNIST is worth on photographs.
    pub(super) fn photographs(&mut self) {
        let arguments = ["robustness", "--photographs", "--model", "small", "--json"];
        let claim = "small: right on photographs";
        let Some(document) = self.ask(claim, Label::Measured, &arguments) else { return };
        let stated = self.readme.figure("`small` on {} of 290 photographs");
        let measured = percent(&document["accuracy"], 1);
        self.add(Claim::new(claim, Label::Measured, README, stated, measured, typed(&arguments)));
        let stated = self.readme.figure("(`small` on 41.4 % of {} photographs");
        self.add(Claim::new(
            "photographs judged",
            Label::Measured,
            README,
            stated,
            document["images"].to_string(),
            typed(&arguments),
        ));
    }
}
