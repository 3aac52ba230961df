//! What a network classifies: its input, its classes, and how a frame becomes the input.
//!
//! Every model says this of itself, in its recipe, its manifest and both ONNX files; whoever needs a size or a
//! name asks here. Only Fashion-MNIST's own values are known beforehand.

use serde::{Deserialize, Serialize};
use shared::MAX_CLASSES;
use shared::fashion_mnist::{Label, SHAPE};
use shared::input::InputShape;
use shared::preprocess::Preprocessing;
use thiserror::Error;

/// Longest class name in bytes, which is what the link sends whole.
const MAX_NAME: usize = shared::protocol::MAX_NAME;

/// Input, classes and preprocessing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Shape of the input.
    pub input: InputShape,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// How a frame becomes the input.
    pub preprocessing: Preprocessing,
}

/// Why there is no such task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TaskError {
    /// A number is out of its range.
    #[error(
        "an input of {height}×{width} with {channels} channels; height and width are 1 to 256, channels 1 or 3"
    )]
    Input {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels.
        channels: usize,
    },
    /// There are too few classes or too many.
    #[error("{0} classes; a classifier has 2 to {MAX_CLASSES}")]
    ClassCount(usize),
    /// A name is empty, too long, has control characters, or stands there twice.
    #[error("class {index} is called {name:?}, which is {problem}")]
    Name {
        /// Position.
        index: usize,
        /// The name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The preprocessing yields no such input.
    #[error("preprocessing `{}` yields square gray inputs, not {input}; use `square`", rule.name())]
    Preprocessing {
        /// The rule.
        rule: Preprocessing,
        /// The input.
        input: InputShape,
    },
}

impl Task {
    /// Returns Fashion-MNIST's task.
    pub fn fashion_mnist() -> Self {
        Self {
            input: SHAPE,
            classes: Label::NAMES.map(str::to_owned).to_vec(),
            preprocessing: Preprocessing::Garment,
        }
    }

    /// Returns a task whose classes have numbers for names, of frames of any shape.
    pub fn numbered(input: InputShape, classes: usize) -> Self {
        Self {
            input,
            classes: (0..classes).map(|class| format!("class {class}")).collect(),
            preprocessing: Preprocessing::Square,
        }
    }

    /// Checks every number and name; called where a task comes from a file or the command line.
    ///
    /// # Errors
    /// [`TaskError`] with the first fault.
    pub fn check(&self) -> Result<(), TaskError> {
        let InputShape { height, width, channels } = self.input;
        if !self.input.is_valid() {
            return Err(TaskError::Input { height, width, channels });
        }
        if !(2..=MAX_CLASSES).contains(&self.classes.len()) {
            return Err(TaskError::ClassCount(self.classes.len()));
        }
        for (index, name) in self.classes.iter().enumerate() {
            let problem = if name.trim().is_empty() {
                "empty"
            } else if name.len() > MAX_NAME {
                "longer than 128 bytes"
            } else if name.chars().any(is_invisible) {
                "not printable"
            } else if self.classes[..index].contains(name) {
                "another class's name, too"
            } else {
                continue;
            };
            return Err(TaskError::Name { index, name: name.clone(), problem });
        }
        if !self.preprocessing.fits(self.input) {
            return Err(TaskError::Preprocessing { rule: self.preprocessing, input: self.input });
        }
        Ok(())
    }

    /// Returns the name of a class, or `?` beyond the last.
    pub fn name(&self, class: usize) -> &str {
        self.classes.get(class).map_or("?", String::as_str)
    }

    /// Says in a few words what `other` has that this has not; `None` where inputs and classes are the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.input != other.input {
            return Some(format!("inputs of {} instead of {}", other.input, self.input));
        }
        let shown = |task: &Self| match task.classes.len() {
            ..=6 => task.classes.join(", "),
            count => format!("{}, … ({count})", task.classes[..5].join(", ")),
        };
        (self.classes != other.classes)
            .then(|| format!("the classes {} instead of {}", shown(other), shown(self)))
    }
}

/// Control characters and those that change the direction of what follows.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes letters that cannot be seen, or would move what follows, as escapes such as `\u{1b}`.
///
/// For names of files and folders wherever they are shown: on a terminal, in generated code, on a page.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_invisible(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible("Ärmel – lang"), "Ärmel – lang");
        assert_eq!(visible("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\u{a}\\u{202e}c");
    }

    fn task(classes: &[&str]) -> Task {
        let input = InputShape { height: 40, width: 24, channels: 3 };
        let classes = classes.iter().map(|&name| name.into()).collect();
        Task { input, classes, preprocessing: Preprocessing::Square }
    }

    #[test]
    fn ordinary_tasks_pass() {
        Task::fashion_mnist().check().unwrap();
        task(&["Ärmel – lang", "毛衣", "{\"quoted\"}"]).check().unwrap();
        let json = serde_json::to_string(&task(&["a", "b"])).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task(&["a", "b"]));
    }

    #[test]
    fn faults_are_named() {
        let long = "x".repeat(129);
        let cases: [(&[&str], &str); 6] = [
            (&["only"], "1 classes"),
            (&["a", " "], "empty"),
            (&["a", &long], "longer"),
            (&["a", "b\u{1b}[2J"], "not printable"),
            (&["a", "b\u{202e}c"], "not printable"),
            (&["a", "b", "a"], "class 2 is called \"a\""),
        ];
        for (classes, expected) in cases {
            let message = task(classes).check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let mut wide = task(&["a", "b"]);
        wide.input.width = 257;
        assert!(wide.check().unwrap_err().to_string().contains("40×257"));
        wide = Task { preprocessing: Preprocessing::Garment, ..task(&["a", "b"]) };
        assert!(wide.check().unwrap_err().to_string().contains("40×24 RGB"));
    }

    #[test]
    fn differences_are_told() {
        let (a, b) = (task(&["a", "b"]), task(&["a", "c"]));
        assert_eq!(a.difference(&a), None);
        assert!(a.difference(&b).unwrap().contains("a, c instead of a, b"));
        assert!(a.difference(&Task::fashion_mnist()).unwrap().contains("28×28 gray instead of 40×24 RGB"));
    }
}
