//! Networks as data: lists of layers in `models/networks/NAME.json`, and what they become for a task.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::input::InputShape;
use thiserror::Error;

use super::recipe::Recipe;
use crate::task::Task;

/// One layer; its input shape follows from the layers before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerSpec {
    /// 2-D convolution, square kernel, optional batch norm, then ReLU.
    Conv {
        /// Output channels.
        out_channels: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
        /// Rows and columns of zeros on every side.
        padding: usize,
        /// Batch norm in place of a bias.
        batch_norm: bool,
    },
    /// Depthwise 3×3 convolution, padded by 1, batch norm, ReLU.
    Depthwise {
        /// Step in both directions.
        stride: usize,
    },
    /// 3×3 convolution with as many channels as its input, batch norm, ReLU, added to its input.
    Residual,
    /// Maximum over non-overlapping squares.
    MaxPool {
        /// Side and step of the window.
        size: usize,
    },
    /// Mean over square windows.
    AveragePool {
        /// Side of the window.
        size: usize,
        /// Step of the window.
        stride: usize,
    },
    /// Mean over the whole plane.
    GlobalAveragePool,
    /// Dropout while training, nothing afterwards.
    Dropout {
        /// Probability of a zero.
        probability: f64,
    },
    /// Fully connected layer over the flattened input.
    Dense {
        /// Outputs.
        out_features: usize,
        /// ReLU behind it.
        relu: bool,
    },
    /// The last layer: fully connected, one output a class.
    Logits,
}

/// A network as a file: what it is, its layers, and how it is trained unless told otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// One sentence for people.
    pub about: String,
    /// Input that it is made for; 28×28 gray where nothing is said. It takes others, too, if its layers fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputShape>,
    /// The layers in order; the last one is [`LayerSpec::Logits`].
    pub layers: Vec<LayerSpec>,
    /// How it is trained; [`Recipe::default`] where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

/// Why there is no such network.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// There is no such file.
    #[error("{path} cannot be read; this project's networks are {known}")]
    Missing {
        /// The file.
        path: String,
        /// What the file system said.
        source: std::io::Error,
        /// Names that exist.
        known: String,
    },
    /// The file is no network.
    #[error("{path}: not a network; models/networks/nano.json shows the fields")]
    Damaged {
        /// The file.
        path: String,
        /// The field and its place.
        source: serde_json::Error,
    },
    /// A layer does not fit what comes before it.
    #[error("network {network}: layer {layer} ({what}): {problem}")]
    Layer {
        /// The network.
        network: String,
        /// Position, from 1.
        layer: usize,
        /// Kind of layer.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Returns the folder of this project's networks.
fn folder() -> PathBuf {
    crate::project_root().join("models/networks")
}

/// Returns the names of this project's networks, sorted.
pub fn known() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).into_iter().flatten().flatten();
    let mut known: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    known.sort();
    known
}

impl NetworkFile {
    /// Reads `models/networks/NAME.json`, or the file at a path that ends in `.json`.
    ///
    /// # Errors
    /// [`NetworkError`] with the path and, for a wrong name, the ones that exist.
    pub fn named(name: &str) -> Result<Self, NetworkError> {
        let path = match name.ends_with(".json") {
            true => PathBuf::from(name),
            false => folder().join(format!("{name}.json")),
        };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|source| NetworkError::Missing {
            path: shown.clone(),
            source,
            known: known().join(", "),
        })?;
        serde_json::from_str(&text).map_err(|source| NetworkError::Damaged { path: shown, source })
    }
}

/// Returns a network's name: the name itself, or a file's without folder and ending.
pub fn name_of(name_or_file: &str) -> String {
    match name_or_file.ends_with(".json") {
        true => Path::new(name_or_file).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        false => name_or_file.to_owned(),
    }
}

/// A network for a task: every shape is known, and every layer fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Name of the network.
    pub network: String,
    /// What it classifies.
    pub task: Task,
    /// The layers; [`LayerSpec::Logits`] is the last and nowhere else.
    pub layers: Vec<LayerSpec>,
}

/// Most channels, features and pixels of a side, kernel or stride.
const LARGEST: usize = 4_096;

impl Architecture {
    /// Reads a network by name or file for a task.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn named(network: &str, task: Task) -> Result<Self, NetworkError> {
        Self::new(name_of(network), NetworkFile::named(network)?.layers, task)
    }

    /// Checks that the layers fit each other and the task.
    ///
    /// # Errors
    /// [`NetworkError::Layer`] with the first that does not.
    pub fn new(network: String, layers: Vec<LayerSpec>, task: Task) -> Result<Self, NetworkError> {
        let refuse = |at: usize, what, problem: String| NetworkError::Layer {
            network: network.clone(),
            layer: at + 1,
            what,
            problem,
        };
        let mut shape = [task.input.channels, task.input.height, task.input.width];
        let mut is_flat = false;
        for (at, layer) in layers.iter().enumerate() {
            let problem = layer.problem(shape, is_flat, at + 1 == layers.len());
            if let Some(problem) = problem {
                return Err(refuse(at, layer.name(), problem));
            }
            shape = layer.output_shape(shape, task.classes.len());
            is_flat |= matches!(layer, LayerSpec::Dense { .. });
        }
        match layers.last() {
            Some(LayerSpec::Logits) => Ok(Self { network, task, layers }),
            Some(last) => Err(refuse(layers.len() - 1, last.name(), "the last layer is \"logits\"".into())),
            None => Err(refuse(0, "none", "there are no layers".into())),
        }
    }

    /// Returns the shape of an image: channels, height, width.
    pub fn input_shape(&self) -> Shape {
        [self.task.input.channels, self.task.input.height, self.task.input.width]
    }

    /// Returns every layer with the shape it reads.
    pub fn shaped(&self) -> impl Iterator<Item = (LayerSpec, Shape)> + '_ {
        let classes = self.task.classes.len();
        self.layers.iter().scan(self.input_shape(), move |shape, layer| {
            let read = *shape;
            *shape = layer.output_shape(read, classes);
            Some((*layer, read))
        })
    }

    /// Says why training on interleaved images ([`super::lanes`]) does not know the network, if so.
    pub fn without_lanes(&self) -> Option<String> {
        let odd = self.shaped().enumerate().find(|(_, (layer, shape))| !layer.has_lanes(*shape))?;
        Some(format!("layer {} ({})", odd.0 + 1, odd.1.0.name()))
    }
}

/// Shape of an activation: channels, height, width; dense outputs are `[n, 1, 1]`.
pub type Shape = [usize; 3];

impl LayerSpec {
    /// Returns the name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::Depthwise { .. } => "depthwise",
            Self::Residual => "residual",
            Self::MaxPool { .. } => "max-pool",
            Self::AveragePool { .. } => "average-pool",
            Self::GlobalAveragePool => "global-average-pool",
            Self::Dropout { .. } => "dropout",
            Self::Dense { .. } => "dense",
            Self::Logits => "logits",
        }
    }

    /// Whether training on interleaved images ([`super::lanes`]) knows the layer for an input shape.
    fn has_lanes(&self, [_, height, width]: Shape) -> bool {
        match *self {
            Self::Conv { stride, .. } => stride == 1,
            Self::MaxPool { size } => size == 2,
            Self::GlobalAveragePool => height == width,
            Self::Depthwise { .. } => false,
            _ => true,
        }
    }

    /// Says what is wrong with the layer behind an activation of a shape.
    fn problem(&self, [_, height, width]: Shape, is_flat: bool, is_last: bool) -> Option<String> {
        let is_spatial = !matches!(self, Self::Dense { .. } | Self::Logits | Self::Dropout { .. });
        if is_flat && is_spatial {
            return Some("it stands behind a dense layer".into());
        }
        let (size, stride, padding) = match *self {
            Self::Conv { kernel, stride, padding, .. } => (kernel, stride, padding),
            Self::Depthwise { stride } => (3, stride, 1),
            Self::MaxPool { size } => (size, size, 0),
            Self::AveragePool { size, stride } => (size, stride, 0),
            _ => (1, 1, 0),
        };
        let outputs = match *self {
            Self::Conv { out_channels, .. } => out_channels,
            Self::Dense { out_features, .. } => out_features,
            _ => 1,
        };
        if !(1..=LARGEST).contains(&outputs) {
            return Some(format!("{outputs} outputs; there are 1 to {LARGEST}"));
        }
        if !(1..=LARGEST).contains(&size) || !(1..=LARGEST).contains(&stride) || padding >= size {
            return Some(format!("a window of {size} with stride {stride} and padding {padding}"));
        }
        if size > height.min(width) + 2 * padding {
            return Some(format!("a window of {size}×{size} is larger than its input of {height}×{width}"));
        }
        if let Self::Dropout { probability } = *self
            && !(0.0..1.0).contains(&probability)
        {
            return Some(format!("a probability of {probability}"));
        }
        (*self == Self::Logits && !is_last).then(|| "it is the last layer and no other".into())
    }

    /// Returns the output shape for an input shape and a number of classes.
    pub fn output_shape(&self, [channels, height, width]: Shape, classes: usize) -> Shape {
        let window = |size: usize, stride: usize, padding: usize| {
            let out = |side: usize| (side + 2 * padding - size) / stride + 1;
            (out(height), out(width))
        };
        match *self {
            LayerSpec::Conv { out_channels, kernel, stride, padding, .. } => {
                let (height, width) = window(kernel, stride, padding);
                [out_channels, height, width]
            }
            LayerSpec::Depthwise { stride } => {
                let (height, width) = window(3, stride, 1);
                [channels, height, width]
            }
            LayerSpec::MaxPool { size } => {
                let (height, width) = window(size, size, 0);
                [channels, height, width]
            }
            LayerSpec::AveragePool { size, stride } => {
                let (height, width) = window(size, stride, 0);
                [channels, height, width]
            }
            LayerSpec::GlobalAveragePool => [channels, 1, 1],
            LayerSpec::Residual | LayerSpec::Dropout { .. } => [channels, height, width],
            LayerSpec::Dense { out_features, .. } => [out_features, 1, 1],
            LayerSpec::Logits => [classes, 1, 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::preprocess::Preprocessing;

    use super::*;

    #[test]
    fn every_network_of_the_project_fits_the_input_it_is_made_for() {
        assert!(known().len() >= 9, "{:?}", known());
        for network in known() {
            let plain = Task::fashion_mnist();
            let task = match NetworkFile::named(&network).unwrap().input {
                Some(input) => Task { input, preprocessing: Preprocessing::Square, ..plain },
                None => plain,
            };
            Architecture::named(&network, task).unwrap();
        }
    }

    #[test]
    fn a_network_takes_other_inputs_and_classes() {
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let input = InputShape::new(40, 24, 3).unwrap();
        let task = Task { input, classes, preprocessing: Preprocessing::Square };
        let nano = Architecture::named("nano", task).unwrap();
        let shapes: Vec<Shape> = nano.shaped().map(|(_, shape)| shape).collect();
        assert_eq!((shapes[0], shapes[2], shapes[7]), ([3, 40, 24], [8, 20, 12], [28, 6, 2]));
        assert_eq!(nano.without_lanes(), None);
    }

    #[test]
    fn the_article_flattens_to_10816_features() {
        let article = Architecture::named("article", Task::fashion_mnist()).unwrap();
        assert_eq!(article.shaped().nth(3).unwrap().1, [64, 13, 13]);
    }

    #[test]
    fn layers_that_do_not_fit_are_named() {
        let conv = |kernel, padding| LayerSpec::Conv {
            out_channels: 4,
            kernel,
            stride: 1,
            padding,
            batch_norm: true,
        };
        let dense = LayerSpec::Dense { out_features: 5, relu: true };
        for (layers, expected) in [
            (vec![], "no layers"),
            (vec![conv(3, 1)], "layer 1 (conv): the last layer is"),
            (vec![conv(29, 0), LayerSpec::Logits], "29×29 is larger than its input of 28×28"),
            (vec![conv(3, 3), LayerSpec::Logits], "padding 3"),
            (vec![conv(0, 0), LayerSpec::Logits], "a window of 0"),
            (vec![dense, LayerSpec::MaxPool { size: 2 }, LayerSpec::Logits], "behind a dense layer"),
            (vec![LayerSpec::Logits, LayerSpec::Logits], "layer 1 (logits)"),
            (vec![LayerSpec::Dropout { probability: 1.0 }, LayerSpec::Logits], "probability of 1"),
        ] {
            let refused = Architecture::new("x".into(), layers, Task::fashion_mnist()).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
        let unknown = NetworkFile::named("nanno").unwrap_err().to_string();
        assert!(unknown.contains("nanno.json") && unknown.contains("nano, nano-mean"), "{unknown}");
    }
}
