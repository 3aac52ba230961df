//! The models of real photographs: their bounds, their accuracy, and the chip's logits.

mod support;

use std::sync::atomic::AtomicUsize;

use host::dataset::drawn;
use host::dataset::identity::sha256_hex;
use host::dataset::locate::{Choice, Pictures, load};
use host::device::board::Board;
use host::device::build::build;
use host::device::client::Client;
use host::device::emulator::Emulator;
use host::device::hil;
use host::evaluate::{accuracy_of, compose};
use host::model_dir::ModelDir;
use host::plan::{NetworkPlan, Options, Profile};
use host::report::kernels;
use host::runtime::integer::Integer;
use host::train::recipe::RecipeFile;
use support::program::{fails, host, succeeds};
use support::{Need, have};

/// Name, most bytes of weights and tables, of arena and input together, and the least validation accuracy.
const MODELS: [(&str, usize, usize, f64); 2] =
    [("photo", 64 * 1024, 48 * 1024, 0.85), ("photo-mini", 24 * 1024, 24 * 1024, 0.78)];

fn committed(name: &str) -> ModelDir {
    ModelDir::new(&::host::project_root().join("models").join(name))
}

#[test]
fn models_of_photographs_stay_within_their_bounds_and_match_their_manifests() {
    for (name, weights, memory, floor) in MODELS {
        let dir = committed(name);
        let manifest = dir.manifest().unwrap();
        let plan = NetworkPlan::new(&dir.read_firmware().unwrap(), Profile::Size).unwrap();
        assert!(plan.constant_bytes() <= weights, "{name}: {}", plan.constant_bytes());
        let memory_bytes = plan.arena_bytes() + manifest.task.input.len();
        assert!(memory_bytes <= memory, "{name}: {memory_bytes}");
        assert!(manifest.accuracy.int8 >= floor, "{name}: {:?}", manifest.accuracy);
        let calibration = manifest.calibration.unwrap();
        assert!(
            calibration.answered_accuracy >= 0.95 && calibration.coverage > 0.0,
            "{name}: {calibration:?}"
        );
        let strangers = calibration.strangers.unwrap();
        assert!(strangers <= 0.10, "{name}: {strangers} of the strangers are answered as sure");
        assert_eq!(sha256_hex(&std::fs::read(dir.int8_onnx()).unwrap()), manifest.int8_sha256);
        let file = RecipeFile::named(name).unwrap();
        assert_eq!((manifest.network, &manifest.recipe), (file.network, &file.recipe), "{name}");
        assert_eq!((Some(manifest.task), file.dataset), (file.task, Some(Choice::Photos)), "{name}");
        assert_eq!(
            manifest.command,
            format!("cargo run -p host -- train --recipe {name} --out models/{name}")
        );
    }
}

#[test]
fn photo_takes_at_most_one_instruction_a_multiply_accumulate() {
    let record = kernels::Record::read().unwrap().unwrap();
    let counted = |entry: &&kernels::Entry| entry.name == "photo" && entry.profile == "speed";
    let entry = record.networks.iter().find(counted).unwrap();
    let macs = committed("photo").manifest().unwrap().macs as u64;
    assert!(macs >= entry.instructions, "{macs} multiply-accumulates in {} instructions", entry.instructions);
}

#[test]
fn photographs_are_classified_as_the_manifests_say_and_on_the_chip_alike() {
    let needs = [Need::Photos, Need::Emulator];
    if !have("photographs_are_classified_as_the_manifests_say_and_on_the_chip_alike", &needs) {
        return;
    }
    for (name, ..) in MODELS {
        let (dir, manifest) = (committed(name), committed(name).manifest().unwrap());
        let pictures = Pictures { shape: Some(manifest.task.input), for_training: false };
        let dataset = load(Choice::Photos, None, pictures, |_| ()).unwrap();
        assert_eq!((&dataset.task, &dataset.sha256), (&manifest.task, &manifest.dataset.sha256), "{name}");
        let network = dir.read_firmware().unwrap();
        let accuracy = accuracy_of(&mut Integer::new(network.clone(), false), &dataset.test).unwrap();
        assert_eq!(accuracy, manifest.accuracy.int8, "{name}");

        let board = Board::named("mps2-an386").unwrap();
        let emulator = Emulator::start(&board, &build(&board, &dir, Options::default()).unwrap()).unwrap();
        let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
        assert_eq!(client.hello().unwrap().task, manifest.task);
        let some = dataset.test.take(20);
        let answers = hil::collect(&mut client, &some, 0..some.len(), &AtomicUsize::new(0)).unwrap();
        let report = hil::compare(name.into(), &network, &some, &answers);
        assert_eq!(report.first_mismatch, None, "{name}");
    }
}

#[test]
fn a_photograph_of_one_s_own_is_classified_on_the_chip_as_on_the_desktop() {
    if !have("a_photograph_of_one_s_own_is_classified_on_the_chip_as_on_the_desktop", &[Need::Emulator]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mein Hemd.png");
    compose::photo(drawn::samples(5, 1).image(6), 0, 1).write(&path).unwrap();
    for model in ["models/photo", "models/nano"] {
        let run = ["device", "run", "--emulate", "--json", "--model", model, "--photo"];
        let output = succeeds(host().args(run).arg(&path));
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&document["mismatches"], &document["label"]),
            (&0.into(), &serde_json::Value::Null),
            "{model}"
        );
        assert!(document["photo"].as_str().unwrap().ends_with("mein Hemd.png"));
    }
    let run = ["device", "run", "--emulate", "--photo", "nowhere.jpg"];
    fails(host().args(run), 1, &["nowhere.jpg"]);
}
