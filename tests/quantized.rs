//! Files that other tools quantized: moved to the engine's arithmetic without calibrating again.

mod support;

use std::path::Path;

use host::dataset::Samples;
use host::evaluate::{agreement, arg_max_f32};
use host::import::compare::Original;
use host::import::{self, InputRange};
use host::onnx::proto::{self, ModelProto};
use host::onnx::{OnnxError, int8};
use host::plan::{NetworkPlan, Profile};
use host::quantize::quantized;
use host::runtime::Engine;
use host::runtime::integer::Integer;
use host::runtime::scaled;
use prost::Message;
use support::{Need, fashion_mnist, have, python, run_script, torch_python};

/// Pictures on which answers are compared.
const PICTURES: usize = 1_000;

/// Runs ONNX Runtime's static quantization.
fn quantize(model: &Path, images: &Path, options: &[&str; 5], out: &Path) -> ModelProto {
    let [form, activations, weights, scales, symmetry] = options;
    run_script(
        python(),
        "tests/quantize.py",
        &[&model, &images, form, activations, weights, scales, symmetry, &out],
    );
    proto::read(out).unwrap()
}

/// Writes pictures as 32-bit floats in 0..1.
fn write_floats(pictures: &Samples, path: &Path) {
    let floats = pictures.images().flat_map(|image| scaled(pictures.shape, image));
    std::fs::write(path, floats.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
}

/// Share of pictures that the file, in ONNX Runtime without optimizations, and the integer engine answer alike.
fn agree(what: &str, model: &ModelProto, pictures: &Samples) -> f64 {
    let foreign =
        int8::read_foreign(model, what, &InputRange::Unit).unwrap_or_else(|error| panic!("{error}"));
    let network = foreign.network.to_firmware().unwrap();
    let original = Original::quantized(model, pictures.shape, &InputRange::Unit).unwrap();
    assert!(original.engine().contains("ONNX Runtime"));
    let theirs = original.classes(pictures.shape, pictures).unwrap();
    let ours = Integer::new(network.clone(), false).logits(pictures).unwrap();
    let ours: Vec<usize> = ours.iter().map(|row| arg_max_f32(row)).collect();
    // The packed plan gives the engine's very logits.
    let plan = NetworkPlan::new(&network, Profile::Speed).unwrap();
    for image in pictures.take(20).images() {
        assert_eq!(plan.logits(&quantized(image)), network.logits(&quantized(image)), "{what}");
    }
    // What is written of it is read back as it is.
    let written = int8::write(&foreign.network);
    assert_eq!(int8::read(&written, what).unwrap().layers.len(), foreign.network.layers.len());
    agreement(&theirs, &ours)
}

#[test]
fn files_of_onnx_runtime_s_quantizer_answer_as_they_do_there() {
    let name = "files_of_onnx_runtime_s_quantizer_answer_as_they_do_there";
    if !have(name, &[Need::Data, Need::Ort, Need::Quantizer]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("images.f32"), folder.path().join("quantized.onnx"));
    let dataset = fashion_mnist();
    let pictures = dataset.train.take(100);
    write_floats(&pictures, &images);
    let model = host::project_root().join("models/nano/model.onnx");
    let ways = [
        ["QDQ", "QInt8", "QInt8", "per-channel", "asymmetric"],
        ["QDQ", "QInt8", "QInt8", "per-channel", "symmetric"],
        ["QDQ", "QUInt8", "QInt8", "per-channel", "asymmetric"],
        ["QDQ", "QUInt8", "QInt8", "per-tensor", "asymmetric"],
        ["QDQ", "QUInt8", "QUInt8", "per-tensor", "asymmetric"],
        ["QOperator", "QUInt8", "QInt8", "per-channel", "asymmetric"],
        ["QOperator", "QInt8", "QInt8", "per-tensor", "asymmetric"],
    ];
    let test = dataset.test.take(PICTURES);
    for way in &ways {
        let what = way.join(" ");
        let share = agree(&what, &quantize(&model, &images, way, &out), &test);
        // Weights around a zero point reach beyond ±127 steps and are rounded once more.
        let least = if way[2] == "QUInt8" { 0.995 } else { 0.999 };
        assert!(share >= least, "{what}: {share}");
    }
}

#[test]
fn files_that_pytorch_quantized_answer_as_they_do_there() {
    let name = "files_that_pytorch_quantized_answer_as_they_do_there";
    if !have(name, &[Need::Data, Need::Ort, Need::Torch]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("images.f32"), folder.path().join("quantized.onnx"));
    let dataset = fashion_mnist();
    write_floats(&dataset.train.take(100), &images);
    let test = dataset.test.take(PICTURES);
    for way in ["eager", "fx", "pt2e"] {
        run_script(torch_python(), "tests/quantize_torch.py", &[&images, &way, &out]);
        // Its weights reach -128.
        let share = agree(way, &import::read(&out).unwrap(), &test);
        assert!(share >= 0.999, "{way}: {share}");
    }
}

/// A quantized file of this project, changed.
fn changed(work: impl FnOnce(&mut proto::GraphProto)) -> Result<int8::Foreign, OnnxError> {
    let path = host::project_root().join("models/nano/model.int8.onnx");
    let mut model = proto::read(&path).unwrap();
    work(model.graph.as_mut().unwrap());
    int8::read_foreign(&model, "theirs.onnx", &InputRange::Unit)
}

#[test]
fn what_is_not_quantized_is_refused_with_its_node() {
    let refused = |work: &dyn Fn(&mut proto::GraphProto), part: &str| {
        let message = changed(work).unwrap_err().to_string();
        assert!(message.starts_with("theirs.onnx: ") && message.contains(part), "{message}");
    };
    let position =
        |graph: &proto::GraphProto, op: &str| graph.node.iter().position(|node| node.op_type == op).unwrap();
    refused(&|graph| graph.node[0].op_type = "Relu".into(), "Relu");
    refused(
        &|graph| {
            let conv = position(graph, "Conv");
            graph.node[conv].input[1] = "layer0_weight".into();
        },
        "its weights are not quantized",
    );
    refused(
        &|graph| {
            let conv = position(graph, "Conv");
            graph.node[conv].op_type = "ConvTranspose".into();
        },
        "ConvTranspose",
    );
    // In the middle a softmax is no name for the logits.
    refused(
        &|graph| {
            let relu = position(graph, "Relu");
            graph.node[relu].op_type = "Softmax".into();
        },
        "Softmax",
    );
    refused(
        &|graph| {
            let conv = position(graph, "Conv");
            graph.node[conv].attribute.push(proto::int("odd", 1));
        },
        "its attribute odd is not known",
    );
    refused(&|graph| graph.output[0].name = "nowhere".into(), "nowhere does not depend on the input");
    refused(&|graph| graph.node[1].input[1] = "layer0_scale".into(), "is not that of its QuantizeLinear");
}

#[test]
fn a_range_of_another_number_of_channels_is_refused() {
    let path = host::project_root().join("models/nano/model.int8.onnx");
    let model = proto::read(&path).unwrap();
    let range = InputRange::Normalized { mean: vec![0.5; 3], deviation: vec![0.5; 3] };
    let message = int8::read_foreign(&model, "theirs.onnx", &range).unwrap_err().to_string();
    assert!(message.contains("--input-range has another number of channels"), "{message}");
}

#[test]
fn damaged_quantized_files_are_refused_and_never_panic() {
    let path = host::project_root().join("models/nano/model.int8.onnx");
    let bytes = proto::read(&path).unwrap().encode_to_vec();
    let mut seed = 1u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    let count = std::env::var("MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    for _ in 0..count {
        let mut damaged = bytes.clone();
        for _ in 0..1 + next(3) {
            // Names, shapes and attributes stand in the first part and the last one, weights between.
            let at = if next(2) == 0 { next(bytes.len().min(6_000)) } else { next(bytes.len()) };
            damaged[at] ^= 1 << next(8);
        }
        if let Ok(model) = proto::decode(&damaged, "damaged")
            && let Ok(foreign) = int8::read_foreign(&model, "damaged", &InputRange::Unit)
        {
            let _ = foreign.network.to_firmware();
        }
    }
}
