//! The examples of PyTorch, as a user runs them: train, export, import, run on the emulated chip.

mod support;

use std::path::PathBuf;
use std::process::Command;

use host::bench::networks;
use host::model_dir::ModelDir;
use support::program::{host, succeeds, text};
use support::{Need, fashion_mnist, have, run_script, torch_python};

/// Steps of the short training.
const STEPS: &str = "200";

#[test]
fn the_pytorch_example_comes_to_the_chip() {
    let name = "the_pytorch_example_comes_to_the_chip";
    if !have(name, &[Need::Data, Need::Torch, Need::Emulator]) {
        return;
    }
    let data = PathBuf::from(&fashion_mnist().source);
    let folder = tempfile::tempdir().unwrap();
    let (file, model) = (folder.path().join("pytorch.onnx"), folder.path().join("mine"));
    let script = host::project_root().join("examples/pytorch/train.py");
    let output = Command::new(torch_python())
        .arg(script)
        .arg(&file)
        .arg(STEPS)
        .env("FASHION_MNIST_DIR", &data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let import = ["import", "--calibrate", "100", "--out"];
    let out = succeeds(host().args(import).arg(&model).arg(&file).arg("--data").arg(&data));
    assert!(text(&out.stdout).contains("test pictures: float"), "{out:?}");
    succeeds(host().args(["verify", "--images", "500", "--model"]).arg(&model).arg("--data").arg(&data));
    let hil = ["device", "hil", "--emulate", "--images", "50", "--model"];
    let out = succeeds(host().args(hil).arg(&model).arg("--data").arg(&data));
    assert!(text(&out.stdout).contains("0 mismatches of 50"), "{out:?}");
}

#[test]
fn mlperf_tiny_s_classifiers_are_those_of_the_benchmark() {
    let name = "mlperf_tiny_s_classifiers_are_those_of_the_benchmark";
    if !have(name, &[Need::Torch]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    run_script(torch_python(), "examples/pytorch/mlperf_tiny.py", &[&folder.path()]);
    for network in ["resnet-8", "ds-cnn", "mobilenet"] {
        let at = |ending: &str| folder.path().join(format!("{network}.{ending}"));
        let out = folder.path().join(network);
        // Of noise a network with random weights makes answers that are close.
        let import = ["import", "--max-loss", "100", "--calibrate", "20", "--data"];
        succeeds(host().args(import).arg(at("npy")).arg(at("onnx")).arg("--out").arg(&out));
        let macs = |network: host::quantize::network::FirmwareNetwork| network.with_network(|it| it.macs());
        let ours = networks::network(network).unwrap().to_firmware().unwrap();
        let theirs = ModelDir::new(&out).read_firmware().unwrap();
        assert_eq!(macs(theirs), macs(ours), "{network}");
    }
}
