//! Writes the files that fuzzing begins with: `cargo run -p fuzz --features seeds`. Those of `link` and `frame` are
//! written by hand; `onnx/qdq` and `onnx/qoperator` are `onnx/residual` after `tests/quantize.py`.

use std::path::Path;

use host::onnx::{int8, proto};
use host::task::Task;
use host::train::architecture::{Architecture, LayerSpec};
use prost::Message;
use shared::input::InputShape;

#[allow(dead_code)]
#[path = "../tests/support/graphs.rs"]
mod graphs;

use graphs::{Net, pads, pool};

/// Layers of every kind that joins two branches, after a batch norm.
fn residual() -> proto::ModelProto {
    let scale = |net: Net, name: &str, value: f32| net.floats(name, &[4], &[value; 4]);
    let net = Net::reading(&[1, 6, 6]).weights("w1", &[4, 1, 3, 3]).weights("w2", &[4, 4, 1, 1]);
    let net = [("gamma", 1.5), ("beta", 0.25), ("mean", 0.1), ("variance", 0.8)]
        .into_iter()
        .fold(net, |net, (name, value)| scale(net, name, value));
    net.node("Conv", &["image", "w1"], "conv", vec![pads([1; 4])])
        .node("BatchNormalization", &["conv", "gamma", "beta", "mean", "variance"], "norm", vec![])
        .node("Relu", &["norm"], "relu", vec![])
        .node("Conv", &["relu", "w2"], "inner", vec![])
        .node("Add", &["inner", "relu"], "sum", vec![])
        .node("MaxPool", &["sum"], "pooled", pool(2, 2))
        .ended("pooled", 36, "out")
        .model()
}

/// A pool over everything, a function and a list of axes.
fn pooled() -> proto::ModelProto {
    Net::reading(&[3, 5, 5])
        .weights("w1", &[4, 3, 3, 3])
        .ints("axes", &[2, 3])
        .node("Conv", &["image", "w1"], "conv", vec![pads([0, 1, 0, 1]), proto::ints("strides", &[2, 2])])
        .node("HardSwish", &["conv"], "swish", vec![])
        .node("Concat", &["conv", "swish"], "joined", vec![proto::int("axis", 1)])
        .node("ReduceMean", &["joined", "axes"], "mean", vec![proto::int("keepdims", 1)])
        .ended("mean", 8, "out")
        .model()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), bytes))
    };
    let task = Task::numbered(InputShape::new(6, 6, 1).ok_or("a shape")?, 3);
    let conv = LayerSpec::Conv { out_channels: 4, kernel: 3, stride: 1, padding: 1, batch_norm: false };
    let layers = vec![conv, LayerSpec::MaxPool { size: 2 }, LayerSpec::Logits];
    let network = host::bench::networks::random(&Architecture::new("seed".into(), layers, task)?, 8)?;
    put("onnx", "int8", &int8::write(&network).encode_to_vec())?;
    put("onnx", "residual", &residual().encode_to_vec())?;
    put("onnx", "pooled", &proto::ModelProto { opset_import: opset(18), ..pooled() }.encode_to_vec())?;

    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 1, 0];
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2][..], &[50; 12]].concat();
    put("data", "idx", &[&[0, labels.len() as u8][..], &labels, &images].concat())?;
    put("data", "csv", b"\x01label,pixel1,pixel2,pixel3,pixel4\n3,0,10,200,255\n0,1,1,1,1\n")?;
    let npy =
        b"\x93NUMPY\x01\x00\x46\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3, 2, 3), }     \n";
    put("data", "npy", &[&[2][..], npy, &[7; 18]].concat())?;
    put("data", "png", &[&[3][..], &host::report::png::encode_rgb(4, 3, &[90; 36])?].concat())?;

    put("folder", "classes", &[9, 3, 9, 5])?;
    put("folder", "parts", &[10, 0, 3, 10, 0, 5, 10, 1, 3, 10, 1, 5, 10, 2, 3, 10, 2, 5])?;

    let root = host::project_root().join("models");
    let files = [
        ("network", "networks/nano.json"),
        ("recipe", "recipes/nano.json"),
        ("manifest", "nano/manifest.json"),
    ];
    for (kind, (name, path)) in files.into_iter().enumerate() {
        put("json", name, &[&[kind as u8][..], &std::fs::read(root.join(path))?].concat())?;
    }
    Ok(())
}

/// The operator set of this version.
fn opset(version: i64) -> Vec<proto::OperatorSetIdProto> {
    vec![proto::OperatorSetIdProto { domain: String::new(), version }]
}
