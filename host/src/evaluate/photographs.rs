//! What a model of Fashion-MNIST is worth on photographs that people took of their clothes.
//!
//! The folders of clothing-dataset-small that have a class there are judged; hats, shorts and skirts have none, and
//! a sure answer to them is a mistake whatever it says.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use shared::fashion_mnist::Label;
use shared::preprocess::Seen;

use super::arg_max_f32;
use super::calibration::{Confidence, softmax};
use super::classification::interval;
use crate::dataset::folders::Named;
use crate::dataset::photo::Photo;
use crate::runtime::Engine;
use crate::task::Task;

/// A model's figures on photographs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Photographs {
    /// The model's name.
    pub model: String,
    /// Photographs of classes that Fashion-MNIST has.
    pub images: usize,
    /// Fraction of those that are right, 0..=1.
    pub accuracy: f64,
    /// Wilson's 95 % interval of it.
    pub accuracy_interval: [f64; 2],
    /// Fraction of those answered as sure.
    pub sure_share: f64,
    /// Fraction of the sure answers that are right.
    pub sure_accuracy: f64,
    /// Photographs of other classes.
    pub other_images: usize,
    /// Fraction of those answered as sure.
    pub other_sure_share: f64,
}

/// Classes of Fashion-MNIST that a folder's photographs may rightly get; none for a folder it does not know.
fn meanings(folder: &str) -> &'static [Label] {
    match folder {
        "dress" => &[Label::Dress],
        "longsleeve" => &[Label::Pullover],
        "outwear" => &[Label::Coat],
        "pants" => &[Label::Trouser],
        "shirt" => &[Label::Shirt],
        "t-shirt" => &[Label::TShirt],
        "shoes" => &[Label::Sandal, Label::Sneaker, Label::AnkleBoot],
        _ => &[],
    }
}

/// Asks an engine about photographs, each made what the chip would make of it.
///
/// # Errors
/// Where the model is none of Fashion-MNIST, a photograph cannot be read, or the engine fails.
pub fn judge(
    model: &str,
    engine: &mut dyn Engine,
    task: &Task,
    confidence: Confidence,
    photographs: &[Named],
) -> Result<Photographs> {
    if task.classes != Task::fashion_mnist().classes {
        bail!("{model}: its classes are not Fashion-MNIST's; `host evaluate` judges it on its own data");
    }
    let (mut known, mut right, mut sure, mut sure_right) = (0, 0, 0, 0);
    let (mut others, mut sure_others) = (0, 0);
    for Named { path, class } in photographs {
        let Some((pixels, seen)) = Photo::read(path)?.to_input(task) else {
            bail!("{}: no size", path.display());
        };
        let logits = engine.answer(&pixels)?.logits;
        let answer = arg_max_f32(&logits);
        let share = softmax(&logits, confidence.temperature)[answer];
        let is_sure = seen != Seen::Nothing && share >= confidence.sure_from();
        let meanings = meanings(class);
        if meanings.is_empty() {
            others += 1;
            sure_others += usize::from(is_sure);
            continue;
        }
        let is_right = meanings.iter().any(|&label| label as usize == answer);
        known += 1;
        right += usize::from(is_right);
        sure += usize::from(is_sure);
        sure_right += usize::from(is_sure && is_right);
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    Ok(Photographs {
        model: model.into(),
        images: known,
        accuracy: share(right, known),
        accuracy_interval: interval(right, known),
        sure_share: share(sure, known),
        sure_accuracy: share(sure_right, sure),
        other_images: others,
        other_sure_share: share(sure_others, others),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Answer;

    /// Says what class of Fashion-MNIST everything is.
    struct Stubborn(Label);

    impl Engine for Stubborn {
        fn name(&self) -> &'static str {
            "stubborn"
        }
        fn answer(&mut self, _image: &[u8]) -> Result<Answer> {
            let mut logits = vec![0.0; 10];
            logits[self.0 as usize] = 9.0;
            Ok(Answer { logits, activations: Vec::new() })
        }
    }

    #[test]
    fn every_kind_of_shoe_is_right_for_shoes_and_a_hat_never_is() {
        let folder = tempfile::tempdir().unwrap();
        let photographs: Vec<Named> = ["shoes", "pants", "hat"]
            .iter()
            .map(|class| {
                let path = folder.path().join(format!("{class}.png"));
                let rgb =
                    (0..30 * 30).flat_map(|at| if at % 30 > 15 { [20, 30, 40] } else { [250; 3] }).collect();
                Photo { width: 30, height: 30, rgb }.write(&path).unwrap();
                Named { path, class: (*class).into() }
            })
            .collect();
        let ask = |label| {
            let task = Task::fashion_mnist();
            judge("x", &mut Stubborn(label), &task, Confidence::default(), &photographs).unwrap()
        };
        let shoes = ask(Label::Sneaker);
        assert_eq!((shoes.images, shoes.accuracy, shoes.sure_accuracy), (2, 0.5, 0.5));
        assert_eq!((shoes.other_images, shoes.other_sure_share), (1, 1.0));
        assert_eq!(ask(Label::Bag).accuracy, 0.0);
    }
}
