//! Float ONNX → plain layers: batch norm folded into the convolution before it, ReLU into its layer.

use std::collections::HashMap;

use firmware::nn::window::Window;

use super::OnnxError;
use super::proto::{self, ModelProto, NodeProto, TensorProto};
use crate::task::Task;

/// What a layer applies to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// max(0, x).
    Relu,
    /// min(6, max(0, x)).
    Relu6,
}

/// A layer with real weights; ONNX's own layouts.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// What it computes.
    pub op: FloatOp,
    /// What it applies afterwards.
    pub activation: Activation,
    /// Name of its output tensor, activation included.
    pub output: String,
}

/// The computation of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// Convolution, group 1 or depthwise.
    Conv {
        /// Where the kernel slides.
        window: Window,
        /// Input channels.
        in_channels: usize,
        /// Output channels.
        out_channels: usize,
        /// Every channel by itself.
        depthwise: bool,
        /// `[out][in / groups][height][width]`.
        weights: Vec<f32>,
        /// `[out]`.
        bias: Vec<f32>,
    },
    /// Maximum pooling.
    MaxPool {
        /// Where the window slides.
        window: Window,
        /// Channels.
        channels: usize,
    },
    /// Average pooling, padding not counted.
    AveragePool {
        /// Where the window slides.
        window: Window,
        /// Channels.
        channels: usize,
    },
    /// Sum of the layer's input and of an earlier layer's output.
    Add {
        /// Shape of all three, `[channels, height, width]`.
        shape: [usize; 3],
        /// Position of the earlier layer.
        other: usize,
    },
    /// Fully connected over the input flattened in channel, height, width order.
    Dense {
        /// Input shape `[channels, height, width]`.
        input: [usize; 3],
        /// Outputs.
        out_features: usize,
        /// `[out][in]`.
        weights: Vec<f32>,
        /// `[out]`.
        bias: Vec<f32>,
    },
}

/// Returns what a float model classifies; see [`proto::task_of`].
///
/// * `layers`: as [`layers`] read them.
///
/// # Errors
/// [`OnnxError::Unsupported`] where graph and metadata do not fit together.
pub fn task(model: &ModelProto, layers: &[FloatLayer], file: &str) -> Result<Task, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    let logits = match layers.last() {
        Some(FloatLayer { op: FloatOp::Dense { out_features, .. }, .. }) => *out_features,
        _ => 0,
    };
    proto::task_of(model, proto::input_of(graph, file)?.1, logits, file)
}

/// Reads a float model as a chain of layers.
///
/// # Errors
/// [`OnnxError::Unsupported`] with the node where the graph is no such chain.
pub fn layers(model: &ModelProto, file: &str) -> Result<Vec<FloatLayer>, OnnxError> {
    let graph =
        model.graph.as_ref().ok_or_else(|| OnnxError::Damaged(file.into(), "it holds no graph".into()))?;
    let (input, shape) = proto::input_of(graph, file)?;
    let constants = graph.initializer.iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let mut reader = Reader {
        file,
        constants,
        current: input.into(),
        shape: [shape.channels, shape.height, shape.width],
        is_flat: false,
        shapes: HashMap::new(),
        layers: Vec::new(),
    };
    for node in &graph.node {
        reader.node(node)?;
    }
    proto::check_output(graph, &reader.current, file)?;
    match reader.layers.last() {
        Some(FloatLayer { op: FloatOp::Dense { .. }, activation: Activation::Linear, .. }) => {
            Ok(reader.layers)
        }
        _ => Err(OnnxError::Unsupported {
            file: file.into(),
            node: "the last".into(),
            problem: "it is no fully connected layer without activation".into(),
        }),
    }
}

struct Reader<'a> {
    file: &'a str,
    constants: HashMap<String, &'a TensorProto>,
    /// The tensor that the chain has come to.
    current: String,
    /// Its shape, `[channels, height, width]`.
    shape: [usize; 3],
    /// Whether pixels have been flattened, so that no layer over planes may follow.
    is_flat: bool,
    /// Position and shape of the layer that each tensor is the output of.
    shapes: HashMap<String, (usize, [usize; 3])>,
    layers: Vec<FloatLayer>,
}

impl<'a> Reader<'a> {
    fn refuse<T>(&self, node: &NodeProto, problem: impl Into<String>) -> Result<T, OnnxError> {
        let name = if node.name.is_empty() { &node.op_type } else { &node.name };
        Err(OnnxError::Unsupported {
            file: self.file.into(),
            node: format!("{name} ({})", node.op_type),
            problem: problem.into(),
        })
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        if !proto::has_standard_domain(node) {
            return self.refuse(node, format!("its domain {} is not ONNX's own", node.domain));
        }
        let on_chain = node.input.contains(&self.current);
        if self.is_flat
            && matches!(
                node.op_type.as_str(),
                "Conv" | "BatchNormalization" | "MaxPool" | "AveragePool" | "GlobalAveragePool"
            )
            && on_chain
        {
            return self.refuse(node, "it follows a reshape; only fully connected layers may");
        }
        match node.op_type.as_str() {
            // The shape arithmetic of a flatten with a symbolic batch.
            "Shape" | "Gather" | "Concat" | "Unsqueeze" | "Constant" => return Ok(()),
            "Reshape" if !on_chain => return self.reshaped_constant(node),
            _ if !on_chain => return self.refuse(node, "it does not continue the chain"),
            "Conv" => self.conv(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "Relu" => self.activate(node, Activation::Relu)?,
            "Clip" => self.clip(node)?,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" => self.pool(node)?,
            // Channel, height, width order is kept; the dense layer behind it knows the shape.
            "Flatten" if proto::int_of(node, "axis").is_some_and(|axis| axis != 1) => {
                return self.refuse(node, "an axis other than 1 is not supported");
            }
            "Flatten" | "Reshape" => self.is_flat = true,
            "Identity" | "Dropout" => {}
            "MatMul" | "Gemm" => self.dense(node)?,
            "Add" if self.is_constant(node) => self.add_bias(node)?,
            "Add" => self.add(node)?,
            other => return self.refuse(node, format!("the operator {other} is not supported")),
        }
        self.current.clone_from(&node.output[0]);
        if let Some(last) = self.layers.last_mut() {
            last.output.clone_from(&node.output[0]);
            // Another name for what a layer yields: the one before it is no output any more.
            let at = self.layers.len() - 1;
            self.shapes.retain(|_, (layer, _)| *layer != at);
            self.shapes.insert(node.output[0].clone(), (at, self.shape));
        }
        Ok(())
    }

    /// A bias reshaped before it is added: the values stay.
    fn reshaped_constant(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        match self.constants.get(&node.input[0]).copied() {
            Some(tensor) => {
                self.constants.insert(node.output[0].clone(), tensor);
                Ok(())
            }
            None => self.refuse(node, "it does not continue the chain"),
        }
    }

    fn floats(&self, node: &NodeProto, index: usize) -> Result<(Vec<usize>, Vec<f32>), OnnxError> {
        let tensor = node.input.get(index).and_then(|name| self.constants.get(name));
        let values = tensor.and_then(|tensor| Some((proto::dims_of(tensor), proto::floats_of(tensor)?)));
        match values {
            Some((_, values)) if values.iter().any(|value| !value.is_finite()) => {
                self.refuse(node, format!("input {index} holds a value that is no finite number"))
            }
            Some(values) => Ok(values),
            None => self.refuse(node, format!("input {index} is no float constant of the right size")),
        }
    }

    fn window(&self, node: &NodeProto, kernel: [usize; 2]) -> Result<Window, OnnxError> {
        if proto::ints_of(node, "dilations").is_some_and(|dilations| dilations.iter().any(|&d| d != 1)) {
            return self.refuse(node, "dilations other than 1 are not supported");
        }
        if node
            .attribute
            .iter()
            .any(|a| a.name == "auto_pad" && !matches!(&a.s[..], b"NOTSET" | b"" | b"VALID"))
        {
            return self.refuse(node, "auto_pad is not supported; export explicit pads");
        }
        if proto::int_of(node, "ceil_mode").unwrap_or(0) != 0 {
            return self.refuse(node, "ceil_mode is not supported");
        }
        let [_, height, width] = self.shape;
        match proto::window_of(node, [height, width], kernel) {
            Some(window) => Ok(window),
            None => self.refuse(node, format!("kernel {kernel:?} does not fit {height}×{width}")),
        }
    }

    fn conv(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let (dims, weights) = self.floats(node, 1)?;
        let &[out_channels, group_channels, height, width] = &dims[..] else {
            return self.refuse(node, "the weights are not four-dimensional");
        };
        let groups = proto::int_of(node, "group").unwrap_or(1);
        let in_channels = self.shape[0];
        let depthwise = groups > 1;
        let is_depthwise =
            groups as usize == in_channels && group_channels == 1 && out_channels == in_channels;
        if (depthwise && !is_depthwise) || (!depthwise && group_channels != in_channels) {
            return self
                .refuse(node, format!("{groups} groups over {in_channels} channels are not supported"));
        }
        let window = self.window(node, [height, width])?;
        let bias = match node.input.len() {
            0..=2 => vec![0.0; out_channels],
            _ => self.floats(node, 2)?.1,
        };
        if bias.len() != out_channels {
            return self.refuse(node, "the bias has another length than the output channels");
        }
        self.shape = [out_channels, window.out_height, window.out_width];
        let op = FloatOp::Conv { window, in_channels, out_channels, depthwise, weights, bias };
        self.layers.push(FloatLayer { op, activation: Activation::Linear, output: String::new() });
        Ok(())
    }

    /// `y = γ (x − μ) / √(σ² + ε) + β`, folded: w' = w · γ/√(σ² + ε), b' = β + (b − μ) · γ/√(σ² + ε).
    fn batch_norm(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let mut parameters = Vec::new();
        for index in 1..=4 {
            parameters.push(self.floats(node, index)?.1);
        }
        let epsilon = f64::from(proto::float_of(node, "epsilon").unwrap_or(1e-5));
        let foldable = match self.layers.last_mut() {
            Some(FloatLayer {
                op: FloatOp::Conv { out_channels, weights, bias, .. },
                activation: Activation::Linear,
                ..
            }) if parameters.iter().all(|values| values.len() == *out_channels) => Some((weights, bias)),
            _ => None,
        };
        let Some((weights, bias)) = foldable else {
            return self.refuse(node, "it does not follow a convolution with as many channels");
        };
        let per_channel = weights.len() / bias.len();
        for (channel, bias) in bias.iter_mut().enumerate() {
            let [gamma, beta, mean, variance] =
                [0, 1, 2, 3].map(|which| f64::from(parameters[which][channel]));
            let factor = gamma / (variance + epsilon).sqrt();
            for weight in &mut weights[channel * per_channel..][..per_channel] {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            *bias = (beta + (f64::from(*bias) - mean) * factor) as f32;
        }
        Ok(())
    }

    /// Gives the activation to the last layer that clamps.
    ///
    /// A maximum keeps order, so that max-pool → activation is activation → max-pool, and the pool itself has no
    /// clamp. In front of the first layer lies an image in 0..=1, which both activations leave as it is.
    fn activate(&mut self, node: &NodeProto, activation: Activation) -> Result<(), OnnxError> {
        let clamping = self.layers.iter().rposition(|layer| !matches!(layer.op, FloatOp::MaxPool { .. }));
        let Some(at) = clamping else { return Ok(()) };
        // Moved in front of a pool, it would change what a sum reads of the layer before the pool.
        if at + 1 < self.layers.len() {
            self.shapes.retain(|_, (layer, _)| *layer != at);
        }
        let layer = &mut self.layers[at];
        layer.activation = match (layer.activation, activation) {
            (Activation::Linear, new) | (Activation::Relu, new) => new,
            (Activation::Relu6, Activation::Relu | Activation::Relu6) => Activation::Relu6,
            (Activation::Relu6, Activation::Linear) => return self.refuse(node, "it is no activation"),
        };
        Ok(())
    }

    fn clip(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let (low, high) = (self.floats(node, 1)?.1, self.floats(node, 2)?.1);
        if (&low[..], &high[..]) != (&[0.0][..], &[6.0][..]) {
            return self.refuse(node, "only Clip(0, 6) is supported");
        }
        self.activate(node, Activation::Relu6)
    }

    fn pool(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let [channels, height, width] = self.shape;
        let is_global = node.op_type == "GlobalAveragePool";
        let kernel = match proto::ints_of(node, "kernel_shape").as_deref() {
            _ if is_global => [height, width],
            Some(&[height, width]) => [height, width],
            _ => return self.refuse(node, "kernel_shape is missing or not two-dimensional"),
        };
        let window = self.window(node, kernel)?;
        let padded = proto::ints_of(node, "pads").is_some_and(|pads| pads.iter().any(|&pad| pad != 0));
        let counts_padding = proto::int_of(node, "count_include_pad").unwrap_or(0) != 0;
        if node.op_type == "AveragePool" && padded && counts_padding {
            return self.refuse(node, "count_include_pad with padding is not supported");
        }
        self.shape = [channels, window.out_height, window.out_width];
        let op = match node.op_type.as_str() {
            "MaxPool" => FloatOp::MaxPool { window, channels },
            _ => FloatOp::AveragePool { window, channels },
        };
        self.layers.push(FloatLayer { op, activation: Activation::Linear, output: String::new() });
        Ok(())
    }

    fn dense(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let (dims, stored) = self.floats(node, 1)?;
        let is_gemm = node.op_type == "Gemm";
        let transposed = is_gemm && proto::int_of(node, "transB").unwrap_or(0) != 0;
        let factor = |name| proto::float_of(node, name).unwrap_or(1.0);
        if is_gemm && (factor("alpha") != 1.0 || factor("beta") != 1.0) {
            return self.refuse(node, "alpha and beta other than 1 are not supported");
        }
        let in_features: usize = self.shape.iter().product();
        let out_features = match (&dims[..], transposed) {
            (&[inputs, outputs], false) | (&[outputs, inputs], true) if inputs == in_features => outputs,
            _ => return self.refuse(node, format!("weights {dims:?} do not fit {in_features} inputs")),
        };
        let weights = if transposed { stored } else { transpose(&stored, in_features, out_features) };
        let bias =
            if is_gemm && node.input.len() > 2 { self.floats(node, 2)?.1 } else { vec![0.0; out_features] };
        if bias.len() != out_features {
            return self.refuse(node, "the bias has another length than the outputs");
        }
        let op = FloatOp::Dense { input: self.shape, out_features, weights, bias };
        self.shape = [out_features, 1, 1];
        self.layers.push(FloatLayer { op, activation: Activation::Linear, output: String::new() });
        Ok(())
    }

    /// Whether one of the inputs is a constant.
    fn is_constant(&self, node: &NodeProto) -> bool {
        node.input.iter().any(|name| self.constants.contains_key(name))
    }

    /// The sum that ends a residual block: both inputs are outputs of layers, of one shape.
    fn add(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let [a, b] = &node.input[..] else { return self.refuse(node, "it has not two inputs") };
        let name = if *a == self.current { b } else { a };
        let Some(other) = self.shapes.get(name).copied() else {
            return self.refuse(node, format!("{name} is no layer's output"));
        };
        let (other, shape) = other;
        if shape != self.shape || self.is_flat || *a == *b {
            return self.refuse(node, format!("it adds {shape:?} to {:?}", self.shape));
        }
        let op = FloatOp::Add { shape, other };
        self.layers.push(FloatLayer { op, activation: Activation::Linear, output: String::new() });
        Ok(())
    }

    fn add_bias(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let which = usize::from(node.input[0] == self.current);
        let (_, addend) = self.floats(node, which)?;
        let bias =
            match self.layers.last_mut() {
                Some(FloatLayer {
                    op: FloatOp::Dense { bias, .. }, activation: Activation::Linear, ..
                }) if bias.len() == addend.len() => bias,
                _ => return self.refuse(node, "it adds no bias to a fully connected layer"),
            };
        bias.iter_mut().zip(addend).for_each(|(bias, addend)| *bias += addend);
        Ok(())
    }
}

/// `[rows][columns]` → `[columns][rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|at| values[(at % rows) * columns + at / rows]).collect()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn transposing_swaps_rows_and_columns() {
        assert_eq!(transpose(&[1., 2., 3., 4., 5., 6.], 2, 3), [1., 4., 2., 5., 3., 6.]);
    }
}
