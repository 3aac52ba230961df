//! Somebody's ONNX files: read exactly or refused with the node and the reason, and never a panic.

mod support;

use std::path::Path;

use host::dataset::{Samples, drawn};
use host::evaluate::verify::largest_layer_step;
use host::import::compare::compare;
use host::import::{Imported, InputRange, Options, import};
use host::onnx::proto::{self, AttributeProto, AttributeType, ModelProto, NodeProto};
use host::onnx::write::float_model;
use host::onnx::{OnnxError, float, int8};
use host::quantize::observe::observe;
use host::quantize::quantize_on;
use host::runtime::Engine;
use host::runtime::integer::Integer;
use host::runtime::tract::Tract;
use host::task::Task;
use prost::Message;
use support::graphs::{Net, pads, pool, whole};
use support::program::{fails, host, succeeds, text};

fn options() -> Options {
    Options { range: InputRange::Unit, input: None, output: None }
}

fn task_of(imported: &Imported) -> Task {
    Task { input: imported.input, ..Task::fashion_mnist() }
}

/// Imports, and proves: float as the file itself answers, int8 within a step a layer of tract, classes alike.
fn assert_exact(what: &str, model: &ModelProto, options: &Options) -> Imported {
    let imported = import(model, what, options).unwrap_or_else(|error| panic!("{what}: {error}"));
    let samples = drawn::samples(5, 4);
    let task = task_of(&imported);
    let written = float_model(&imported.layers, &task, "test");
    let difference = compare(model, &imported, &written, &samples).unwrap();
    assert!(difference.is_rounding(), "{what}: {difference:?}");
    // What was written is read back as the very same layers.
    let layers = float::layers(&written, what).unwrap();
    let without_names = |layers: &[float::FloatLayer]| -> Vec<_> {
        layers.iter().map(|layer| (layer.op.clone(), layer.activation)).collect()
    };
    assert_eq!(without_names(&layers), without_names(&imported.layers), "{what}");

    let ranges = observe(&written, &layers, &samples).unwrap();
    let quantized =
        quantize_on(&task, &layers, &ranges, &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
    let network = quantized.to_firmware().unwrap_or_else(|error| panic!("{what}: {error}"));
    let steps = largest_layer_step(&int8::write(&quantized), &network, &samples).unwrap();
    assert!(steps <= 1, "{what}: {steps} steps from tract");
    let ours = Integer::new(network, false).logits(&samples).unwrap();
    let float = Tract::float(&written).unwrap().logits(&samples).unwrap();
    let span = float.concat().iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (ours, float) in ours.concat().iter().zip(float.concat()) {
        assert!((ours - float).abs() <= 0.12 * span, "{what}: int8 {ours}, float {float}");
    }
    imported
}

fn refusal(model: &ModelProto, options: &Options) -> String {
    match import(model, "mine.onnx", options) {
        Err(error @ (OnnxError::Unreadable { .. } | OnnxError::Damaged(..))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ends_of_every_kind_are_logits() {
    let plain = Net::new().begun().ended("pooled", 1568, "out").model();
    let imported = assert_exact("plain", &plain, &options());
    assert!(imported.remarks.is_empty(), "{:?}", imported.remarks);
    for head in ["Softmax", "LogSoftmax", "Sigmoid"] {
        let net = Net::new().begun().ended("pooled", 1568, "z").node(head, &["z"], "out", vec![]);
        let imported = assert_exact(head, &net.model(), &options());
        assert!(imported.remarks.iter().any(|line| line.contains("dropped")), "{:?}", imported.remarks);
    }
    let mut permuted = Net::new().begun().ended("pooled", 1568, "z");
    permuted.graph.initializer.push(whole("order", &[10], &[3, 1, 2, 0, 4, 9, 8, 7, 6, 5]));
    let permuted = permuted.node("Gather", &["z", "order"], "out", vec![proto::int("axis", 1)]);
    assert_exact("classes in another order", &permuted.model(), &options());
    let conv = Net::new()
        .begun()
        .weights("w2", &[10, 8, 1, 1])
        .node("Conv", &["pooled", "w2"], "c2", vec![])
        .node("GlobalAveragePool", &["c2"], "g", vec![])
        .node("Flatten", &["g"], "out", vec![]);
    assert_exact("a convolution is the last layer", &conv.model(), &options());
}

#[test]
fn several_outputs_are_told_apart_by_name() {
    let mut net = Net::new().begun().ended("pooled", 1568, "z").node("Softmax", &["z"], "out", vec![]);
    net.graph.output.push(proto::value_info("z", proto::FLOAT, None));
    let model = net.model();
    assert!(refusal(&model, &options()).contains("--output NAME"));
    for name in ["out", "z"] {
        assert_exact(name, &model, &Options { output: Some(name.into()), ..options() });
    }
    let wrong = refusal(&model, &Options { output: Some("y".into()), ..options() });
    assert!(wrong.contains("there is no y; there are out, z"), "{wrong}");
}

#[test]
fn normalization_is_folded_or_kept_exactly() {
    let normalized = |padding: usize| {
        let size = if padding == 1 { 28 } else { 26 };
        Net::new()
            .floats("mean", &[], &[0.286])
            .floats("deviation", &[1], &[0.353])
            .node("Sub", &["image", "mean"], "centred", vec![])
            .node("Div", &["centred", "deviation"], "scaled", vec![])
            .weights("w1", &[8, 1, 3, 3])
            .node("Conv", &["scaled", "w1"], "conv", vec![pads([padding; 4])])
            .node("Relu", &["conv"], "relu", vec![])
            .node("MaxPool", &["relu"], "pooled", pool(2, 2))
            .ended("pooled", 8 * (size / 2) * (size / 2), "out")
            .model()
    };
    assert_eq!(assert_exact("in front of padding", &normalized(1), &options()).layers.len(), 4);
    assert_eq!(assert_exact("in front of no padding", &normalized(0), &options()).layers.len(), 3);

    let norm = |net: Net| {
        net.floats("gamma", &[8], &[0.5, 1.0, 2.0, -1.0, 0.1, 1.5, 0.7, 0.9])
            .weights("beta", &[8])
            .weights("mu", &[8])
            .floats("variance", &[8], &[0.5, 1.0, 2.0, 1.0, 0.3, 0.4, 1.5, 0.9])
    };
    let parameters = ["gamma", "beta", "mu", "variance"];
    let behind = |name| [&[name], &parameters[..]].concat();
    let net = norm(Net::new().weights("w1", &[8, 1, 3, 3]))
        .node("Conv", &["image", "w1"], "conv", vec![pads([1; 4])])
        .node("BatchNormalization", &behind("conv"), "norm", vec![])
        .node("Relu", &["norm"], "relu", vec![])
        .node("MaxPool", &["relu"], "pooled", pool(2, 2))
        .ended("pooled", 1568, "out");
    assert_eq!(assert_exact("behind a convolution", &net.model(), &options()).layers.len(), 3);
    let net = norm(Net::new().begun())
        .node("BatchNormalization", &behind("pooled"), "norm", vec![])
        .ended("norm", 1568, "out");
    assert_eq!(assert_exact("into a dense layer", &net.model(), &options()).layers.len(), 3);
    // Pre-activation: the sum reads what stands before the norm.
    let net = norm(Net::new().begun())
        .weights("w2", &[8, 8, 3, 3])
        .node("BatchNormalization", &behind("pooled"), "norm", vec![])
        .node("Relu", &["norm"], "relu2", vec![])
        .node("Conv", &["relu2", "w2"], "conv2", vec![pads([1; 4])])
        .node("Add", &["conv2", "pooled"], "sum", vec![])
        .ended("sum", 1568, "out");
    assert_exact("a residual block with the norm first", &net.model(), &options());
}

#[test]
fn the_inputs_range_is_folded() {
    let model = Net::new().begun().ended("pooled", 1568, "out").model();
    for range in [
        InputRange::Bytes,
        InputRange::Normalized { mean: vec![0.5], deviation: vec![0.5] },
        InputRange::Normalized { mean: vec![0.286], deviation: vec![0.353] },
    ] {
        assert_exact(&format!("{range:?}"), &model, &Options { range, ..options() });
    }
    let three = InputRange::Normalized { mean: vec![0.5; 3], deviation: vec![0.5; 3] };
    assert!(refusal(&model, &Options { range: three, ..options() }).contains("number of channels"));
}

#[test]
fn activations_and_clips_are_exact() {
    let clipped = |bounds: [f32; 2]| {
        Net::new()
            .weights("w1", &[8, 1, 3, 3])
            .node("Conv", &["image", "w1"], "conv", vec![pads([1; 4])])
            .floats("low", &[], &bounds[..1])
            .floats("high", &[], &bounds[1..])
            .node("Clip", &["conv", "low", "high"], "relu", vec![])
            .node("MaxPool", &["relu"], "pooled", pool(2, 2))
            .ended("pooled", 1568, "out")
            .model()
    };
    for bounds in [[0.0, 6.0], [0.0, 1.0], [-1.0, 1.0], [0.0, f32::MAX], [0.25, 0.75]] {
        assert_exact(&format!("clip to {bounds:?}"), &clipped(bounds), &options());
    }
    assert!(refusal(&clipped([1.0, 0.0]), &options()).contains("clipping to 1..0"));
    let net = Net::new()
        .weights("w1", &[8, 1, 3, 3])
        .node("Conv", &["image", "w1"], "conv", vec![pads([1; 4])])
        .node("HardSigmoid", &["conv"], "relu", vec![proto::float("alpha", 0.3)])
        .node("MaxPool", &["relu"], "pooled", pool(2, 2))
        .ended("pooled", 1568, "out");
    assert_exact("hard sigmoid", &net.model(), &options());
    // The clamp of a ReLU behind a pool with padding was once lost.
    let net = Net::new()
        .weights("w1", &[8, 1, 3, 3])
        .node("Conv", &["image", "w1"], "conv", vec![pads([1; 4])])
        .node("MaxPool", &["conv"], "max", [pool(3, 2), vec![pads([1; 4])]].concat())
        .node("Relu", &["max"], "pooled", vec![])
        .ended("pooled", 1568, "out");
    assert_exact("a ReLU behind a padded maximum", &net.model(), &options());
}

#[test]
fn convolutions_of_every_kind_are_exact() {
    let second = |what: &str, weights: &[usize], attributes: Vec<AttributeProto>, count: usize| {
        let net = Net::new()
            .begun()
            .weights("w2", weights)
            .node("Conv", &["pooled", "w2"], "conv2", attributes)
            .node("Relu", &["conv2"], "relu2", vec![])
            .ended("relu2", count, "out");
        assert_exact(what, &net.model(), &options());
    };
    let text = |name: &str, value: &str| AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.into(),
        ..AttributeProto::default()
    };
    let two = proto::ints("strides", &[2, 2]);
    second("dilation", &[8, 8, 3, 3], vec![proto::ints("dilations", &[2, 2]), pads([2; 4])], 1568);
    second("two groups", &[8, 4, 3, 3], vec![proto::int("group", 2), pads([1; 4])], 1568);
    second("depthwise", &[8, 1, 3, 3], vec![proto::int("group", 8), pads([1; 4])], 1568);
    second("depthwise, twice the channels", &[16, 1, 3, 3], vec![proto::int("group", 8), pads([1; 4])], 3136);
    second("asymmetric pads", &[8, 8, 3, 3], vec![two.clone(), pads([0, 0, 1, 1])], 392);
    second("SAME_UPPER", &[8, 8, 3, 3], vec![two.clone(), text("auto_pad", "SAME_UPPER")], 392);
    second("SAME_LOWER", &[8, 8, 3, 3], vec![two, text("auto_pad", "SAME_LOWER")], 392);
    second("one row", &[8, 8, 1, 5], vec![pads([0, 2, 0, 2])], 1568);
    let padded = Net::new()
        .begun()
        .ints("sides", &[0, 0, 0, 1, 0, 0, 2, 0])
        .weights("w2", &[8, 8, 3, 3])
        .node("Pad", &["pooled", "sides"], "padded", vec![])
        .node("Conv", &["padded", "w2"], "conv2", vec![])
        .ended("conv2", 8 * 14 * 13, "out");
    assert_exact("Pad in front", &padded.model(), &options());
}

#[test]
fn pools_of_every_kind_are_exact() {
    let second = |what: &str, op: &str, attributes: Vec<AttributeProto>, count: usize| {
        let net = Net::new().begun().node(op, &["pooled"], "p2", attributes).ended("p2", count, "out");
        assert_exact(what, &net.model(), &options());
    };
    let ceil = proto::int("ceil_mode", 1);
    let counted = proto::int("count_include_pad", 1);
    second("ceil_mode", "MaxPool", [pool(3, 2), vec![ceil.clone()]].concat(), 8 * 49);
    second("a mean with ceil_mode", "AveragePool", [pool(3, 2), vec![ceil]].concat(), 8 * 49);
    second(
        "a mean that counts padding",
        "AveragePool",
        [pool(3, 2), vec![counted, pads([1; 4])]].concat(),
        392,
    );
    second("a global maximum", "GlobalMaxPool", vec![], 8);
    second("a global mean", "GlobalAveragePool", vec![], 8);
    let axes = vec![proto::ints("axes", &[2, 3]), proto::int("keepdims", 0)];
    let net = Net::new().begun().weights("wd", &[10, 8]).node("ReduceMean", &["pooled"], "mean", axes).node(
        "Gemm",
        &["mean", "wd"],
        "out",
        vec![proto::int("transB", 1)],
    );
    assert_exact("ReduceMean", &net.model(), &options());
}

#[test]
fn what_only_moves_elements_costs_nothing() {
    let nhwc = Net::reading(&[28, 28, 1])
        .node("Transpose", &["image"], "planes", vec![proto::ints("perm", &[0, 3, 1, 2])])
        .weights("w1", &[8, 1, 3, 3])
        .weights("b1", &[1, 8, 1, 1])
        .node("Conv", &["planes", "w1"], "c", vec![pads([1; 4])])
        .node("Add", &["c", "b1"], "conv", vec![])
        .node("Relu", &["conv"], "relu", vec![])
        .node("MaxPool", &["relu"], "pooled", pool(2, 2))
        .node("Transpose", &["pooled"], "back", vec![proto::ints("perm", &[0, 2, 3, 1])])
        .ints("shape", &[-1, 1568])
        .node("Reshape", &["back", "shape"], "flat", vec![])
        .weights("wd", &[1568, 10])
        .weights("bd", &[10])
        .node("MatMul", &["flat", "wd"], "product", vec![])
        .node("Add", &["product", "bd"], "z", vec![])
        .node("Softmax", &["z"], "out", vec![]);
    assert_eq!(assert_exact("as Keras exports", &nhwc.model(), &options()).layers.len(), 3);
    let mut shape = Net::new().begun().ints("end", &[-1]).ints("axes", &[0]);
    shape.graph.initializer.push(whole("zero", &[], &[0]));
    let shape = shape
        .node("Shape", &["pooled"], "dims", vec![])
        .node("Gather", &["dims", "zero"], "batch", vec![])
        .node("Unsqueeze", &["batch", "axes"], "batches", vec![])
        .node("Concat", &["batches", "end"], "shape", vec![proto::int("axis", 0)])
        .node("Reshape", &["pooled", "shape"], "flat", vec![])
        .weights("wd", &[10, 1568])
        .node("Gemm", &["flat", "wd"], "out", vec![proto::int("transB", 1), proto::float("alpha", 0.5)]);
    assert_eq!(assert_exact("view(x.size(0), -1)", &shape.model(), &options()).layers.len(), 3);
    let rows = Net::reading(&[784])
        .weights("wa", &[32, 784])
        .node("Gemm", &["image", "wa"], "h", vec![proto::int("transB", 1)])
        .node("Relu", &["h"], "hr", vec![])
        .weights("wd", &[10, 32])
        .node("Gemm", &["hr", "wd"], "out", vec![proto::int("transB", 1)]);
    assert_exact("rows of 784 pixels", &rows.model(), &options());
}

#[test]
fn weights_of_sixteen_bits_are_read_exactly() {
    let mut model = Net::new().begun().ended("pooled", 1568, "out").model();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        // bfloat16 is the upper half.
        let upper = tensor.raw_data.chunks_exact(4).flat_map(|word| [word[2], word[3]]).collect();
        (tensor.data_type, tensor.raw_data) = (16, upper);
    }
    assert_exact("bfloat16", &model, &options());
}

#[test]
fn what_cannot_be_computed_is_refused_with_its_node() {
    let between = |op: &str, inputs: &[&str], attributes: Vec<AttributeProto>| {
        Net::new().begun().node(op, inputs, "odd", attributes).ended("odd", 1568, "out")
    };
    let reshaped = Net::new()
        .begun()
        .ints("shape", &[-1, 8, 7, 28])
        .weights("w2", &[8, 8, 3, 3])
        .node("Reshape", &["pooled", "shape"], "other", vec![])
        .node("Conv", &["other", "w2"], "c2", vec![pads([1; 4])])
        .ended("c2", 1568, "out");
    let mut foreign = between("Relu", &["pooled"], vec![]);
    foreign.graph.node[3].domain = "mine".into();
    let mut old = Net::new().begun().ended("pooled", 1568, "out");
    old.opset = 3;
    let mut twice = Net::new().begun().ended("pooled", 1568, "out");
    twice.graph.node[1].output[0] = "conv".into();
    let huge = between("Conv", &["pooled", "w2"], vec![proto::int("group", 8), pads([4_000; 4])])
        .weights("w2", &[8, 1, 1, 1]);
    let missing = between("Conv", &["pooled", "nothing"], vec![]);
    let mut dynamic = Net::new()
        .begun()
        .node("DynamicQuantizeLinear", &["pooled"], "codes", vec![])
        .node("Mul", &["codes", "scale"], "odd", vec![])
        .ended("odd", 1568, "out");
    dynamic.graph.node[3].output.extend(["scale".into(), "zero".into()]);
    let cases = [
        (dynamic, "DynamicQuantizeLinear is not supported"),
        (
            between("InstanceNormalization", &["pooled", "b1", "b1"], vec![]),
            "my InstanceNormalization (InstanceNormalization): the operator InstanceNormalization is not supported; use batch",
        ),
        (between("QuantizeLinear", &["pooled"], vec![]), "import the float file"),
        (between("Relu", &["pooled"], vec![proto::int("odd", 1)]), "its attribute odd is not known"),
        (reshaped, "[1, 8, 7, 28]"),
        (foreign, "its domain mine is not ONNX's own"),
        (old, "the operator set: it is 3; export with opset 7 to 25"),
        (twice, "another tensor's name"),
        (huge, "are more than"),
        (missing, "its input nothing is no constant"),
        (Net::reading(&[2, 28, 28]).begun().ended("pooled", 1568, "out"), "its shape is [?, 2, 28, 28]"),
    ];
    for (net, message) in cases {
        let refused = refusal(&net.model(), &options());
        assert!(refused.starts_with("mine.onnx: ") && refused.contains(message), "{refused}");
    }
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    let model = Net::new().begun().ended("pooled", 1568, "out").model();
    let bytes = model.encode_to_vec();
    // Structure, not weights: those bytes lie at the front and behind the last constant.
    let mut imported = 0;
    let mut random = 12_345u32;
    // A longer run: MUTATIONS=100000 cargo test -p host --test import damaged
    let count = std::env::var("MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000);
    for _ in 0..count {
        let mut damaged = bytes.clone();
        for _ in 0..3 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let span = if random & 4 == 0 { damaged.len() } else { 700 };
            let at = (random >> 8) as usize % span.min(damaged.len());
            damaged[at] ^= 1 << (random & 7);
        }
        if let Ok(model) = proto::decode(&damaged, "damaged") {
            imported += usize::from(import(&model, "damaged", &options()).is_ok());
        }
    }
    assert!(imported > 0, "flips of weights alone are no damage that shows");
}

/// Samples of the drawn garments are what every file is compared on.
#[test]
fn a_file_that_answers_otherwise_is_noticed() {
    let model = Net::new().begun().ended("pooled", 1568, "out").model();
    let mut imported = import(&model, "mine", &options()).unwrap();
    if let float::FloatOp::Dense { bias, .. } = &mut imported.layers[2].op {
        bias[3] += 0.5;
    }
    let samples: Samples = drawn::samples(5, 1);
    let written = float_model(&imported.layers, &task_of(&imported), "test");
    assert!(!compare(&model, &imported, &written, &samples).unwrap().is_rounding());
}

fn arguments<'a>(file: &'a Path, out: &'a Path) -> [&'a str; 8] {
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
    ["import", file, "--out", out, "--dataset", "drawn", "--calibrate", "50"]
}

#[test]
fn a_file_becomes_a_model_folder_that_every_command_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("Meine Wäsche.onnx"), folder.path().join("mine"));
    // A network that classifies: nano, between a normalization and a softmax of its own.
    let mut model = proto::read(&host::project_root().join("models/nano/model.onnx")).unwrap();
    model.metadata_props.clear();
    let graph = model.graph.as_mut().unwrap();
    graph.node.push(NodeProto {
        op_type: "Softmax".into(),
        input: vec![proto::OUTPUT_NAME.into()],
        output: vec!["shares".into()],
        ..NodeProto::default()
    });
    graph.output[0].name = "shares".into();
    std::fs::write(&file, model.encode_to_vec()).unwrap();

    let done = succeeds(host().args(arguments(&file, &out)));
    let (said, remarks) = (text(&done.stdout), text(&done.stderr));
    assert!(said.contains("% answered alike") && remarks.contains("read exactly"), "{said}{remarks}");
    for name in ["model.onnx", "model.int8.onnx", "network.rs", "weights.bin", "import.json"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert!(!folder.path().join("mine.importing").exists());
    let network = std::fs::read_to_string(out.join("network.rs")).unwrap();
    assert!(network.contains("pub const NAME: &str = \"mine\";"));
    let written = ["--model", out.to_str().unwrap(), "--dataset", "drawn"];
    succeeds(host().arg("codegen").args(&written[..2]));
    let evaluated = succeeds(host().arg("evaluate").args(written));
    assert!(text(&evaluated.stdout).contains("accuracy"), "{}", text(&evaluated.stdout));

    let page = folder.path().join("mine.html");
    succeeds(host().arg("report").args(written).args(["--images", "50", "--out", page.to_str().unwrap()]));
    let page = std::fs::read_to_string(page).unwrap();
    for told in ["Where it comes from", "Meine Wäsche.onnx", "calibrated on", "--calibrate 50", "Softmax"] {
        assert!(page.contains(told), "{told}");
    }

    // A bit that flips is noticed, as with a model that was trained here.
    for name in ["model.int8.onnx", "model.onnx"] {
        let whole = std::fs::read(out.join(name)).unwrap();
        let mut damaged = whole.clone();
        // In the weights, so that the file still reads.
        damaged[whole.len() / 2] ^= 1;
        std::fs::write(out.join(name), damaged).unwrap();
        fails(host().arg("evaluate").args(written), 1, &[name, "damaged", "host -- import"]);
        std::fs::write(out.join(name), whole).unwrap();
    }
    succeeds(host().arg("evaluate").args(written));

    // Again into the same folder: yes. Into another's: no.
    succeeds(host().args(arguments(&file, &out)));
    fails(host().args(arguments(&file, folder.path())), 2, &["there is something else in it", "--out"]);
    let wrong = ["--labels", "shirt,shoe"];
    fails(host().args(arguments(&file, &out)).args(wrong), 2, &["2 names for 10 logits"]);
}

#[test]
fn a_refused_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("theirs.onnx"), folder.path().join("mine"));
    fails(host().args(arguments(&file, &out)), 1, &["theirs.onnx"]);
    for bytes in [&b""[..], b"no network", &[0; 100]] {
        std::fs::write(&file, bytes).unwrap();
        fails(host().args(arguments(&file, &out)), 1, &["theirs.onnx"]);
    }
    let odd = Net::new().begun().node("Tan", &["pooled"], "t", vec![]).ended("t", 1568, "out").model();
    std::fs::write(&file, odd.encode_to_vec()).unwrap();
    fails(host().args(arguments(&file, &out)), 1, &["my Tan (Tan)", "not supported"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
