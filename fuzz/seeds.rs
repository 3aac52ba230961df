//! Writes the corpus that fuzzing begins with: `scripts/fuzz.sh` calls it.

use std::path::Path;

use host::dataset::{drawn, idx, table};
use host::onnx::float::{Activation, FloatLayer, FloatOp};
use host::onnx::{int8, write};
use host::task::Task;
use host::train::architecture::{Architecture, LayerSpec};
use prost::Message;
use shared::input::InputShape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), bytes))
    };
    let task = Task::numbered(InputShape::new(6, 6, 1).ok_or("a shape")?, 3);
    let conv = LayerSpec::Conv { out_channels: 4, kernel: 3, stride: 1, padding: 1, batch_norm: false };
    let layers = vec![conv, LayerSpec::MaxPool { size: 2 }, LayerSpec::Logits];
    let network = host::bench::networks::random(&Architecture::new("seed".into(), layers, task.clone())?, 8)?;
    put("onnx", "int8", &int8::write(&network).encode_to_vec())?;
    let dense = FloatOp::Dense { in_features: 36, out_features: 3, weights: vec![0.25; 108], bias: vec![0.5; 3] };
    let float = write::float_model(&[FloatLayer { op: dense, activation: Activation::Linear, output: "t0".into() }], &task, "seeds");
    put("onnx", "float", &float.encode_to_vec())?;
    let scratch = std::env::temp_dir();
    let (images, labels, csv) = (scratch.join("seed-images"), scratch.join("seed-labels"), scratch.join("seed.csv"));
    let samples = drawn::samples(1, 1).take(1);
    idx::write(&samples, &images, &labels)?;
    table::write(&samples, &csv)?;
    put("data", "idx", &[&[0][..], &std::fs::read(images)?, &std::fs::read(labels)?].concat())?;
    put("data", "csv", &[&[1][..], &std::fs::read(csv)?].concat())?;
    let npy = b"\x93NUMPY\x01\x00\x46\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3, 2, 3), }     \n";
    put("data", "npy", &[&[2][..], npy, &[7; 18]].concat())?;
    put("data", "png", &[&[3][..], &host::report::png::encode_rgb(4, 3, &[90; 36])?].concat())?;
    let root = host::project_root().join("models");
    for (kind, name, path) in [(0, "network", "networks/nano.json"), (1, "recipe", "recipes/nano.json"), (2, "manifest", "nano/manifest.json")] {
        put("json", name, &[&[kind][..], &std::fs::read(root.join(path))?].concat())?;
    }
    Ok(())
}
