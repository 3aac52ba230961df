//! ONNX graphs as somebody's exporter may write them.

use host::onnx::proto::{
    self, AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
};

/// A graph under construction; `image` is `[batch][1][28][28]`, `out` the output.
pub struct Net {
    pub graph: GraphProto,
    pub opset: i64,
    pub seed: u32,
}

impl Net {
    /// Gray images of 28×28.
    pub fn new() -> Self {
        Self::reading(&[1, 28, 28])
    }

    /// Images `[channels, height, width]`.
    pub fn reading(sizes: &[i64]) -> Self {
        let mut graph = GraphProto { name: "somebody's".into(), ..GraphProto::default() };
        graph.input.push(proto::value_info("image", proto::FLOAT, Some(sizes)));
        graph.output.push(proto::value_info("out", proto::FLOAT, None));
        Self { graph, opset: 17, seed: 1 }
    }

    /// Numbers in -1..1, the same ones in every run.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// A constant of random numbers, smaller the more of them meet in a sum.
    pub fn weights(mut self, name: &str, dims: &[usize]) -> Self {
        let inner: usize = dims[1..].iter().product::<usize>().max(1);
        let scale = (3.0 / inner as f32).sqrt();
        let values: Vec<f32> =
            self.numbers(dims.iter().product()).iter().map(|value| value * scale).collect();
        self.graph.initializer.push(proto::float_tensor(name, dims, &values));
        self
    }

    /// A constant.
    pub fn floats(mut self, name: &str, dims: &[usize], values: &[f32]) -> Self {
        self.graph.initializer.push(proto::float_tensor(name, dims, values));
        self
    }

    /// A list of whole numbers.
    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(whole(name, &[values.len()], values));
        self
    }

    /// A node with one output.
    pub fn node(mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> Self {
        self.graph.node.push(NodeProto {
            op_type: op.into(),
            name: format!("my {op}"),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    /// Convolution 3×3 of 8 channels over `image`, ReLU, maximum 2×2: `pooled`, 8×14×14.
    pub fn begun(self) -> Self {
        self.weights("w1", &[8, 1, 3, 3])
            .weights("b1", &[8])
            .node("Conv", &["image", "w1", "b1"], "conv", vec![pads([1; 4])])
            .node("Relu", &["conv"], "relu", vec![])
            .node("MaxPool", &["relu"], "pooled", pool(2, 2))
    }

    /// Flatten and dense layer over `from` with so many values: `to`.
    pub fn ended(self, from: &str, count: usize, to: &str) -> Self {
        self.weights("wd", &[10, count]).weights("bd", &[10]).node("Flatten", &[from], "flat", vec![]).node(
            "Gemm",
            &["flat", "wd", "bd"],
            to,
            vec![proto::int("transB", 1)],
        )
    }

    /// The model.
    pub fn model(self) -> ModelProto {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.opset }],
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }
}

/// A constant of whole numbers.
pub fn whole(name: &str, dims: &[usize], values: &[i64]) -> TensorProto {
    proto::tensor(name, proto::INT64, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// The attribute pads.
pub fn pads(pads: [usize; 4]) -> AttributeProto {
    proto::ints("pads", &pads)
}

/// Attributes of a pool.
pub fn pool(kernel: usize, stride: usize) -> Vec<AttributeProto> {
    vec![proto::ints("kernel_shape", &[kernel; 2]), proto::ints("strides", &[stride; 2])]
}
