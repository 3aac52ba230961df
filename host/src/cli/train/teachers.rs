//! Asks a student's teachers.

use anyhow::{Context, Result};

use super::super::{Failure, remark};
use crate::dataset::Dataset;
use crate::model_dir::{ModelDir, TeacherAccuracies};
use crate::train::Recipe;
use crate::train::recipe::Asking;
use crate::train::teacher::{SoftLabels, Teacher, Teaching};

/// What the recipe's teachers say of the training images, and how good they are; computed once, kept under
/// `target/`.
pub(super) fn ask(recipe: &Recipe, dataset: &Dataset) -> Result<Option<(Teaching, TeacherAccuracies)>> {
    let Some(distillation) = &recipe.distillation else { return Ok(None) };
    let folder = crate::project_root().join("target/teachers");
    let mut teachers = Vec::new();
    for name in &distillation.teachers {
        if name.ends_with(".onnx") {
            remark(format_args!(
                "the teacher {name} is read as `host import` reads it, its input pixel / 255; whether it has learned from images that this training validates on is not known here"
            ));
            teachers.push(Teacher { architecture: None, file: name.into() });
            continue;
        }
        let dir = ModelDir::new(&crate::project_root().join("models").join(name));
        let manifest = dir.manifest().with_context(|| format!("the teacher {name}"))?;
        let theirs = &manifest.recipe;
        if !recipe.splits_as(theirs) && manifest.dataset.sha256 == dataset.sha256 {
            let remedy = format!(
                "the teacher {name} has learned from images that this training validates on; keep its split: --split-seed {} --val-split {}",
                theirs.split_seed.unwrap_or(theirs.seed),
                theirs.validation_split
            );
            return Err(Failure::Usage(remedy).into());
        }
        let architecture = manifest.architecture().with_context(|| format!("the teacher {name}"))?;
        teachers.push(Teacher { architecture: Some(architecture), file: dir.int8_onnx() });
    }
    remark(format_args!("computing teacher predictions: {}", distillation.teachers.join(", ")));
    let classes = dataset.task.classes.len();
    let is_live = recipe.augmentation.photo.is_some() || distillation.asking == Asking::Augmented;
    let reach = match distillation.asking {
        Asking::Shifted if !is_live => recipe.augmentation.shift,
        _ => 0,
    };
    let labels = SoftLabels::of(&teachers, &dataset.train, classes, reach, &folder)?;
    let kept = recipe.split(dataset)?.validation;
    let on_test = SoftLabels::of(&teachers, &dataset.test, classes, 0, &folder)?;
    let all: Vec<usize> = (0..dataset.test.len()).collect();
    let accuracies = TeacherAccuracies {
        validation: labels.accuracy(&kept, &dataset.train.labels),
        test: on_test.accuracy(&all, &dataset.test.labels),
    };
    remark(format_args!(
        "together they are right on {:.2} % of the validation images",
        100.0 * accuracies.validation
    ));
    if is_live {
        // The teachers look at what the student sees.
        let nets = teachers.iter().map(|teacher| teacher.load(&dataset.task)).collect::<Result<_, _>>()?;
        return Ok(Some((Teaching::Live(nets), accuracies)));
    }
    Ok(Some((Teaching::Kept(labels), accuracies)))
}
