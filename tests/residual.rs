//! Residual blocks from training to the chip: exported, quantized, planned, and equal everywhere.

mod support;

use host::dataset::{Samples, drawn};
use host::device::board::Board;
use host::device::build::build_plan;
use host::device::client::Client;
use host::device::emulator::Emulator;
use host::evaluate::calibration::Confidence;
use host::evaluate::verify::largest_layer_step;
use host::onnx::branch::Join;
use host::onnx::{float, int8, proto};
use host::plan::{NetworkPlan, Options, Profile};
use host::quantize::network::{Computation, QuantizedNetwork};
use host::quantize::observe::observe;
use host::quantize::{quantize_on, quantized};
use host::runtime::Engine;
use host::runtime::tract::Tract;
use host::task::Task;
use host::train::architecture::LayerSpec;
use host::train::phases::Phases;
use host::train::recipe::QuantizationAware;
use host::train::{Architecture, Interrupt, Recipe, device};
use support::{Need, have};

fn architecture() -> Architecture {
    let conv =
        |out_channels| LayerSpec::Conv { out_channels, kernel: 3, stride: 1, padding: 1, batch_norm: true };
    let layers = vec![
        conv(8),
        LayerSpec::MaxPool { size: 2 },
        LayerSpec::Residual,
        conv(12),
        LayerSpec::Residual,
        LayerSpec::Residual,
        LayerSpec::MaxPool { size: 2 },
        LayerSpec::Logits,
    ];
    Architecture::new("residual".into(), layers, Task::fashion_mnist()).unwrap()
}

/// Trained for an epoch, with quantization-aware training for another where `rounding`.
fn trained(rounding: bool) -> (QuantizedNetwork, proto::ModelProto, Samples) {
    let folder = tempfile::tempdir().unwrap();
    let dataset = drawn::dataset(3, 40, 2);
    let aware = QuantizationAware { epochs: 1, learning_rate: 1e-3, weight_bits: 4 };
    let recipe =
        Recipe { epochs: 1, batch_size: 16, quantization: rounding.then_some(aware), ..Recipe::default() };
    let checkpoints = [folder.path().join("float.bin"), folder.path().join("aware.bin")];
    let architecture = architecture();
    assert_eq!(architecture.without_lanes(), None);
    let phases = Phases {
        architecture: &architecture,
        recipe: &recipe,
        dataset: &dataset,
        device: device::cpu(),
        checkpoints: [&checkpoints[0], &checkpoints[1]],
        resume: false,
        teacher: None,
        calibration_images: 50,
    };
    let trained = phases.run(&Interrupt::new(false), &mut ()).unwrap().unwrap();
    let model = proto::decode(&trained.net.to_onnx(), "trained").unwrap();
    let theirs = Tract::float(&model).unwrap().logits(&dataset.test).unwrap();
    for (ours, theirs) in trained.net.logits(&dataset.test).concat().iter().zip(theirs.concat()) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} and {theirs}");
    }
    let layers = float::layers(&model, "trained").unwrap();
    let ranges = observe(&model, &layers, &dataset.train.take(50)).unwrap();
    let network = quantize_on(&dataset.task, &layers, &ranges, &trained.grids).unwrap();
    assert_eq!(trained.grids.len(), if rounding { layers.len() } else { 0 });
    let is_sum = |layer: &&host::quantize::network::QuantizedLayer| {
        matches!(layer.computation, Computation::Branch { join: Join::Add { .. }, .. })
    };
    assert_eq!(network.layers.iter().filter(is_sum).count(), 3);
    (network, model, dataset.test)
}

#[test]
fn sums_survive_the_int8_file_and_are_within_a_step_of_tract() {
    for rounding in [false, true] {
        let (mut network, _, test) = trained(rounding);
        let written = int8::write(&network);
        let read = int8::read(&written, "written").unwrap();
        // What the last layer's output would be quantized with says nothing.
        network.layers.last_mut().unwrap().output = read.layers.last().unwrap().output;
        assert_eq!(read, network);
        let firmware = network.to_firmware().unwrap();
        assert!(largest_layer_step(&written, &firmware, &test).unwrap() <= 1);
    }
}

#[test]
fn plans_with_sums_give_the_reference_s_logits_and_the_chip_does_too() {
    let (network, _, test) = trained(true);
    let network = network.to_firmware().unwrap();
    let profiles = [Options::FASTEST, Options::default(), Profile::Size.into(), Profile::Scalar.into()];
    for options in profiles {
        let plan = NetworkPlan::new(&network, options).unwrap();
        let kernels: Vec<&str> = plan.decisions().iter().map(|decision| decision.kernel).collect();
        let count = |name: &str| kernels.iter().filter(|kernel| **kernel == name).count();
        assert_eq!((count("keep"), count("add")), (3, 3), "{kernels:?}");
        for image in test.images() {
            assert_eq!(plan.logits(&quantized(image)), network.logits(&quantized(image)), "{options}");
        }
    }
    if !have("plans_with_sums_give_the_reference_s_logits_and_the_chip_does_too", &[Need::Emulator]) {
        return;
    }
    for name in ["mps2-an386", "lm3s6965evb"] {
        let board = Board::named(name).unwrap();
        let plan = NetworkPlan::new(&network, Profile::Size).unwrap();
        let elf = build_plan(&board, &plan, "test-residual", [2; 8], Confidence::default()).unwrap();
        let emulator = Emulator::start(&board, &elf).unwrap();
        let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
        client.hello().unwrap();
        for image in test.images() {
            let answer = client.classify(test.shape, image).unwrap();
            assert_eq!(answer.logits[..], network.logits(&quantized(image)), "{name}");
        }
    }
}

#[test]
fn a_sum_of_something_else_is_refused() {
    let (_, mut model, _) = trained(false);
    let nodes = &mut model.graph.as_mut().unwrap().node;
    let add = nodes.iter().position(|node| node.op_type == "Add").unwrap();
    let first = nodes[0].output[0].clone();
    for name in [first, "nowhere".into()] {
        let mut other = model.clone();
        other.graph.as_mut().unwrap().node[add].input[1] = name.clone();
        let message = float::layers(&other, "x.onnx").unwrap_err().to_string();
        assert!(message.contains("(Add)"), "{name}: {message}");
    }
}
