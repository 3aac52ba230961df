//! The committed models: files against manifests, generated code against its source, engines against
//! each other, accuracies against the floors.

mod support;

use firmware::model;
use firmware::nn::arena::Arena;
use host::codegen;
use host::dataset::drawn;
use host::dataset::identity::sha256_hex;
use host::evaluate::verify::verify;
use host::evaluate::{accuracy_of, roundtrip};
use host::model_dir::{Manifest, ModelDir};
use host::onnx::int8;
use host::plan::{NetworkPlan, Options, Profile};
use host::quantize::quantized;
use host::report::models::{Entry, confidence_markdown, markdown};
use host::report::{self, ablations, arena, card, kernels};
use host::runtime::tract;
use host::train::TrainedNet;
use host::train::recipe::RecipeFile;
use support::{Need, fashion_mnist, have};

/// The committed models, with the accuracy that none may fall below, and its bounds in bytes of weights and
/// tables, multiply-accumulates and bytes of activations.
const MODELS: [(&str, f64, [usize; 3]); 5] = [
    ("nano", 0.93, [16 * 1024, 1_000_000, 4 * 1024]),
    ("small", 0.935, [32 * 1024, 2_000_000, 8 * 1024]),
    ("small-robust", 0.933, [32 * 1024, 2_000_000, 8 * 1024]),
    ("flagship", 0.94, [64 * 1024, 4_000_000, 8 * 1024]),
    ("article", 0.91, [usize::MAX; 3]),
];

/// Models for the desktop: to teach, and to be compared with.
const DESKTOP: [(&str, f64, [usize; 3]); 2] =
    [("minivgg", 0.94, [usize::MAX; 3]), ("teacher", 0.94, [usize::MAX; 3])];

fn committed(name: &str) -> ModelDir {
    ModelDir::new(&host::project_root().join("models").join(name))
}

#[test]
fn manifests_describe_the_files_beside_them() {
    for (name, floor, bounds) in MODELS.into_iter().chain(DESKTOP) {
        let dir = committed(name);
        let manifest = dir.manifest().unwrap();
        assert_eq!(manifest.name, name);
        assert!(manifest.accuracy.int8 >= floor, "{name}: {:?}", manifest.accuracy);
        let sizes = [manifest.weight_bytes, manifest.macs, manifest.activation_bytes];
        assert!(sizes.iter().zip(bounds).all(|(&size, bound)| size <= bound), "{name}: {sizes:?}");
        let int8 = std::fs::read(dir.int8_onnx()).unwrap();
        assert_eq!(sha256_hex(&int8), manifest.int8_sha256, "{name}");
        if let Ok(float) = std::fs::read(dir.float_onnx()) {
            assert_eq!(sha256_hex(&float), manifest.onnx_sha256, "{name}");
        }
        let network = dir.read_firmware().unwrap();
        let smallest = NetworkPlan::new(&network, Profile::Size).unwrap();
        assert_eq!(smallest.constant_bytes(), manifest.weight_bytes, "{name}");
        assert_eq!(smallest.arena_bytes(), manifest.activation_bytes, "{name}");
        assert_eq!(network.with_network(|network| network.macs()), manifest.macs, "{name}");
    }
}

#[test]
fn a_model_s_recipe_is_the_one_it_was_made_by() {
    for (name, ..) in MODELS.into_iter().chain(DESKTOP) {
        let manifest = committed(name).manifest().unwrap();
        let file = RecipeFile::named(name).unwrap();
        assert_eq!((manifest.network, &manifest.recipe), (file.network, &file.recipe), "{name}");
        let command = format!("cargo run -p host -- train --recipe {name} --out models/{name}");
        assert_eq!(manifest.command, command);
    }
}

#[test]
fn every_run_kept_for_comparison_can_be_repeated_from_what_is_committed() {
    let folder = host::project_root().join("models/ablations");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let run: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let start = format!("cargo run -p host -- train --recipe {} ", run.network);
        let end = format!(" --ablation {}", path.file_stem().unwrap().to_string_lossy());
        let command = &run.command;
        assert!(command.starts_with(&start) && command.ends_with(&end), "{}: {command}", path.display());
    }
}

#[test]
fn models_with_four_bit_weights_are_stored_in_half_the_bytes() {
    for (name, ..) in &MODELS[..3] {
        let network = committed(name).read_firmware().unwrap();
        let smallest = NetworkPlan::new(&network, Profile::Size).unwrap();
        let kernels: Vec<_> = smallest.decisions().iter().map(|decision| decision.kernel).collect();
        let nibbles = kernels.iter().filter(|kernel| kernel.contains("nibble")).count();
        assert_eq!(nibbles, 4, "{name}: {kernels:?}");
    }
}

#[test]
fn the_generated_network_is_what_codegen_makes_of_the_int8_file() {
    let dir = committed("small");
    let plan = NetworkPlan::new(&dir.read_firmware().unwrap(), Options::default()).unwrap();
    let generated = codegen::generate(&plan, "small", dir.network_hash().unwrap(), dir.confidence().unwrap());
    let source = std::fs::read_to_string(dir.path().join(codegen::SOURCE_FILE)).unwrap();
    let weights = std::fs::read(dir.path().join(codegen::WEIGHTS_FILE)).unwrap();
    assert!(source == generated.source && weights == generated.weights, "run `cargo run -p host -- codegen`");
}

#[test]
fn reading_an_int8_file_gives_the_network_that_was_written() {
    for (name, ..) in MODELS.into_iter().chain(DESKTOP) {
        let (model, network) = committed(name).read_int8().unwrap();
        assert_eq!(int8::write(&network), model, "{name}");
    }
}

#[test]
fn specialised_interpreted_and_file_network_give_the_same_logits() {
    let from_file = committed("small").read_firmware().unwrap();
    let samples = drawn::samples(9, 10);
    let mut arena = Arena::<{ model::ARENA_WORDS }>::new();
    for index in 0..samples.len() {
        let input = quantized(samples.image(index));
        let (mut specialised, mut interpreted) = ([0; 10], [0; 10]);
        // The arena is left dirty from image to image: its contents must not matter.
        model::infer(input[..].try_into().unwrap(), &mut arena, &mut specialised);
        model::PLAN.infer(&input, &mut arena.words, &mut interpreted).unwrap();
        assert_eq!(specialised, interpreted, "image {index}");
        assert_eq!(specialised[..], from_file.logits(&input), "image {index}");
    }
}

#[test]
fn tract_agrees_with_the_integer_engine_on_drawn_garments() {
    for (name, ..) in MODELS {
        let report = verify(&committed(name), "drawn", &drawn::samples(3, 20)).unwrap();
        let row = report.engines.iter().find(|row| row.engine == "tract-int8").unwrap();
        assert!(row.max_lsb.unwrap() <= 1, "{name}: {row:?}");
        assert!(row.class_agreement.unwrap() >= 0.99, "{name}: {row:?}");
    }
}

#[test]
fn the_float_file_says_what_burn_says() {
    for name in ["nano", "small", "flagship"] {
        let dir = committed(name);
        let net = TrainedNet::load(&dir.manifest().unwrap().architecture().unwrap(), &dir.weights()).unwrap();
        for row in roundtrip::check(&net, &dir.float_onnx(), &drawn::samples(4, 5)).unwrap() {
            assert!(row.passes(), "{name}: {row:?}");
        }
        let committed = std::fs::read(dir.float_onnx()).unwrap();
        assert!(net.to_onnx() == committed, "{name}: exporting again gives other bytes");
    }
}

#[test]
fn small_reaches_its_accuracy_through_tract_on_the_test_images() {
    if !have("small_reaches_its_accuracy_through_tract_on_the_test_images", &[Need::Data]) {
        return;
    }
    let (dir, test) = (committed("small"), &fashion_mnist().test);
    let mut engine = tract::Tract::float(&dir.read_float().unwrap().unwrap()).unwrap();
    let float = accuracy_of(&mut engine, test).unwrap();
    assert!(float >= 0.935, "{float}");
    assert!((float - dir.manifest().unwrap().accuracy.float).abs() < 5e-4, "{float} is not the manifest's");
}

#[test]
fn every_gate_of_verify_holds_on_the_test_images() {
    if !have("every_gate_of_verify_holds_on_the_test_images", &[Need::Data]) {
        return;
    }
    for (name, floor, _) in MODELS {
        let dir = committed(name);
        let report = verify(&dir, "fashion-mnist", &fashion_mnist().test).unwrap();
        assert_eq!(report.failures, Vec::<String>::new(), "{name}");
        let accuracy = dir.manifest().unwrap().accuracy;
        assert!((accuracy.float - accuracy.int8).abs() <= 0.002, "{name}: {accuracy:?}");
        let integer = report.engines.iter().find(|row| row.engine == "integer").unwrap().accuracy.unwrap();
        assert!(integer >= floor, "{name}: {integer}");
        assert_eq!(integer, dir.manifest().unwrap().accuracy.int8, "{name}: not the manifest's");
    }
}

#[test]
fn the_desktop_s_models_keep_their_accuracy_in_integers_and_do_not_fit_a_small_chip() {
    let test = "the_desktop_s_models_keep_their_accuracy_in_integers_and_do_not_fit_a_small_chip";
    for (name, ..) in DESKTOP {
        let network = committed(name).read_firmware().unwrap();
        let small_chip = Options { profile: Profile::Size, flash: Some(256 * 1024) };
        let refused = NetworkPlan::new(&network, small_chip).unwrap_err().to_string();
        assert!(refused.contains("--flash allows 262144"), "{name}: {refused}");
        if have(test, &[Need::Data]) {
            let report = verify(&committed(name), "fashion-mnist", &fashion_mnist().test.take(200)).unwrap();
            assert_eq!(report.failures, Vec::<String>::new(), "{name}");
            let integer = report.engines.iter().find(|row| row.engine == "integer").unwrap();
            assert!(integer.accuracy.unwrap() >= 0.9, "{name}: {integer:?}");
        }
    }
}

#[test]
fn onnx_runtime_agrees_too() {
    if !have("onnx_runtime_agrees_too", &[Need::Ort]) {
        return;
    }
    let report = verify(&committed("small"), "drawn", &drawn::samples(6, 20)).unwrap();
    for engine in ["ort-float", "ort-int8", "ort-int8-stock"] {
        let row = report.engines.iter().find(|row| row.engine == engine).unwrap();
        assert!(row.accuracy.is_some(), "{row:?}");
        assert!(row.max_lsb.unwrap_or(0) <= 1 && row.class_agreement.unwrap_or(1.0) >= 0.99, "{row:?}");
    }
}

/// The table between a comment that begins with `<!-- NAME` and `<!-- NAME end -->`.
fn table_of(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(host::project_root().join(file)).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- {name}")).unwrap();
    let (_, rest) = rest.split_once("-->\n").unwrap();
    rest.split_once(&format!("<!-- {name} end -->")).unwrap().0.to_owned()
}

#[test]
fn readme_and_docs_show_the_models_as_they_are() {
    let root = host::project_root();
    let record = serde_json::from_slice(&std::fs::read(kernels::record_path()).unwrap()).unwrap();
    let paste = |command: &str, file: &str| {
        format!("paste the output of `cargo run -p host -- {command}` into {file}")
    };
    let ours = kernels::markdown(&record);
    assert_eq!(table_of("docs/kernels.md", "kernels"), ours, "{}", paste("bench table", "docs/kernels.md"));
    // Only the committed models: a user's own lie beside them.
    let mut entries = Entry::all(&root.join("models")).unwrap();
    let photos = ["photo", "photo-mini", "photo-teacher"];
    let all: Vec<&str> = MODELS.iter().chain(&DESKTOP).map(|(name, ..)| *name).chain(photos).collect();
    entries.retain(|entry| all.contains(&entry.manifest.name.as_str()));
    assert_eq!(table_of("README.md", "models"), markdown(&entries), "{}", paste("models", "README.md"));
    let confidences = table_of("docs/training.md", "confidences");
    let remedy = paste("models --confidences", "docs/training.md");
    assert_eq!(confidences, confidence_markdown(&entries), "{remedy}");
    let groups = ablations::groups(&root.join("models")).unwrap();
    let remedy = paste("models --ablations", "docs/training.md");
    assert_eq!(table_of("docs/training.md", "ablations"), ablations::markdown(&groups), "{remedy}");
    for entry in &entries {
        let card = std::fs::read_to_string(committed(&entry.manifest.name).card()).unwrap();
        assert!(card == card::markdown(entry), "run `cargo run -p host -- models --cards`");
        let dir = committed(&entry.manifest.name);
        let curves = std::fs::read_to_string(dir.curves()).unwrap();
        assert!(curves == report::curves(&dir, entry).unwrap(), "run `cargo run -p host -- models --cards`");
    }
}

#[test]
fn the_arena_s_picture_is_of_the_plan() {
    let plan = NetworkPlan::new(&committed("small").read_firmware().unwrap(), Profile::Size).unwrap();
    let committed = std::fs::read_to_string(host::project_root().join("docs/arena-small.svg")).unwrap();
    let remedy = "cargo run -p host -- codegen --profile size --out target/size --arena docs/arena-small.svg";
    assert!(committed == arena::svg(&plan, "small"), "run `{remedy}`");
}
