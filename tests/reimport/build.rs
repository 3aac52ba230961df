//! Runs burn-import over the committed float ONNX files: one generated reader a model.

use std::path::Path;

use burn_import::onnx::{LoadStrategy, ModelGen};

/// Models whose float file is committed.
const MODELS: [&str; 3] = ["nano", "small", "flagship"];

fn main() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    for name in MODELS {
        let file = models.join(name).join("model.onnx");
        println!("cargo::rerun-if-changed={}", file.display());
        // burn-import names the generated file after its input, and every input is called model.onnx.
        let copy = Path::new(&out).join(format!("{name}.onnx"));
        std::fs::copy(&file, &copy).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        ModelGen::new()
            .input(&copy.to_string_lossy())
            .out_dir("readers/")
            .load_strategy(LoadStrategy::Bytes)
            .run_from_script();
    }
}
