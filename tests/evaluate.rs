//! What people look at: `data show` and `grid`, `evaluate`, `report`, `predict`, `doctor`, `completions`.

mod support;

use std::path::Path;

use assert_cmd::Command;
use host::dataset::drawn;
use host::dataset::photo::Photo;
use host::evaluate::compose;
use shared::fashion_mnist::Label;
use support::program::{fails, host, succeeds, text};
use support::{Need, have};

fn png_size(path: &Path) -> (u32, u32) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    reader.info().size()
}

#[test]
fn an_image_is_shown_in_characters_and_as_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("one.png");
    let show = ["data", "show", "--dataset", "drawn", "--index", "3", "--out"];
    let shown = text(&succeeds(host().args(show).arg(&out)).stdout);
    assert!(shown.starts_with("training image 3: "), "{shown}");
    assert!(shown.lines().count() == 29 && !shown.contains('\x1b'), "{shown}");
    assert_eq!(png_size(&out), (280, 280));
    let random = ["data", "show", "--dataset", "drawn", "--random", "--seed", "4", "--test"];
    assert_eq!(succeeds(host().args(random)).stdout, succeeds(host().args(random)).stdout);
    fails(host().args(["data", "show", "--dataset", "drawn", "--index", "999999"]), 2, &["0 to 11999"]);
    fails(host().args(["data", "show"]), 2, &["--random"]);
}

#[test]
fn a_grid_has_the_rows_and_columns_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("grid.png");
    let grid = ["data", "grid", "--dataset", "drawn", "--rows", "2", "--cols", "3", "--out"];
    succeeds(host().args(grid).arg(&out));
    assert_eq!(png_size(&out), (8 + 3 * 92, 8 + 2 * 106));
    let first = std::fs::read(&out).unwrap();
    succeeds(host().args(grid).arg(&out));
    assert!(std::fs::read(&out).unwrap() == first, "the same seed gives the same picture");
    fails(host().args(["data", "grid", "--rows", "0"]), 2, &["1..=100"]);
}

#[test]
fn evaluate_writes_what_it_says_and_its_json_holds_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let evaluate = ["evaluate", "--dataset", "drawn", "--images", "150", "--photos", "20", "--out"];
    let output = succeeds(host().args(evaluate).arg(folder.path()).arg("--json"));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["images"], 150);
    let report = document["report"].as_object().unwrap();
    assert_eq!(report.len(), 10);
    let supports = report.values().map(|scores| scores["support"].as_u64().unwrap());
    assert_eq!(supports.sum::<u64>(), 150);
    assert!(report["Bag"]["f1"].is_f64() && document["macro_avg"]["recall"].is_f64(), "{report:?}");
    for name in [
        "report.txt",
        "predictions.csv",
        "confusion.svg",
        "confusion.csv",
        "predictions.png",
        "mistakes.png",
        "flips.csv",
        "photos.csv",
        "report.html",
    ] {
        let listed =
            document["files"].as_array().unwrap().iter().any(|file| file.as_str().unwrap().ends_with(name));
        assert!(listed && folder.path().join(name).is_file(), "{name}");
    }
    let predictions = std::fs::read_to_string(folder.path().join("predictions.csv")).unwrap();
    let mut lines = predictions.lines();
    assert_eq!(lines.next(), Some("index,label,predicted,confidence"));
    let right = lines.filter(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        cells[1] == cells[2]
    });
    assert_eq!(right.count() as f64 / 150.0, document["accuracy"].as_f64().unwrap());
}

#[test]
fn every_engine_evaluates_or_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let run_of = |model: &str, engine: &str| {
        let mut command = host();
        command.args(["evaluate", "--model", model, "--dataset", "drawn", "--images", "60"]);
        command.args(["--photos", "0", "--json", "--engine", engine, "--out"]).arg(folder.path());
        command
    };
    let run = |engine: &str| run_of("models/nano", engine);
    let accuracy = |engine: &str| {
        let document: serde_json::Value = serde_json::from_slice(&succeeds(&mut run(engine)).stdout).unwrap();
        document["accuracy"].as_f64().unwrap()
    };
    let burn = accuracy("burn");
    assert_eq!(burn, accuracy("tract"));
    assert!((burn - accuracy("integer")).abs() < 0.1 && (burn - accuracy("tract-int8")).abs() < 0.1);
    fails(run("ort").env_remove("ORT_DYLIB_PATH"), 5, &["ORT_DYLIB_PATH", "pip install onnxruntime"]);
    if have("every_engine_evaluates_or_says_what_is_missing", &[Need::Ort]) {
        assert_eq!(burn, accuracy("ort"));
    }
    fails(&mut run_of("/nowhere", "integer"), 3, &["/nowhere"]);
}

#[test]
fn the_report_is_scikit_learn_s_to_the_printed_digit() {
    if !have("the_report_is_scikit_learn_s_to_the_printed_digit", &[Need::Sklearn]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Drawn garments are strange to these models, so that every class has mistakes.
    let cases = [("models/nano", "drawn", "2"), ("models/small", "drawn", "4"), ("models/nano", "auto", "3")];
    for (model, dataset, digits) in cases {
        let mut command = host();
        if dataset == "auto" {
            if !have("the_report_is_scikit_learn_s_to_the_printed_digit", &[Need::Data]) {
                continue;
            }
            command.env("FASHION_MNIST_DIR", std::env::var_os("FASHION_MNIST_DIR").unwrap_or_default());
            command.env_remove("FASHION_MNIST_DOWNLOADS");
        }
        let arguments =
            ["evaluate", "--photos", "0", "--model", model, "--dataset", dataset, "--digits", digits];
        succeeds(command.args(arguments).arg("--out").arg(folder.path()));
        let script = host::project_root().join("tests/classification_report.py");
        let mut python = Command::new(support::python());
        python.arg(script).arg(folder.path().join("predictions.csv")).arg(digits);
        let theirs = text(&succeeds(python.args(Label::ALL.map(Label::name))).stdout);
        let ours = std::fs::read_to_string(folder.path().join("report.txt")).unwrap();
        assert_eq!(ours, theirs, "{model} on {dataset}");
    }
}

#[test]
fn photos_are_answered_one_by_one_and_a_folder_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let compose = ["data", "compose", "--dataset", "drawn", "--images", "10", "--out"];
    succeeds(host().args(compose).arg(folder.path()));
    let output = succeeds(host().args(["predict", "--model", "small"]).arg(folder.path()));
    let csv = text(&output.stdout);
    assert_eq!(csv.lines().count(), 11, "{csv}");
    assert!(csv.starts_with("file,class,confidence,second,"), "{csv}");
    let first = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let output = succeeds(host().args(["predict", "--model", "small"]).arg(&first).arg("--json"));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let top = document["predictions"][0]["top"].as_array().unwrap();
    let confidences: Vec<f64> =
        top.iter().map(|candidate| candidate["confidence"].as_f64().unwrap()).collect();
    assert!(confidences.len() == 3 && confidences.is_sorted_by(|a, b| a >= b), "{confidences:?}");
    let kept = tempfile::tempdir().unwrap();
    let shown = text(
        &succeeds(
            host()
                .args(["predict", "--model", "small"])
                .arg(&first)
                .arg("--show")
                .arg("--keep")
                .arg(kept.path()),
        )
        .stdout,
    );
    assert_eq!(shown.lines().count(), 29, "{shown}");
    let name = first.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(png_size(&kept.path().join(format!("{name}.28x28.png"))), (28, 28));
    // A file of the same name from another folder does not take its place.
    let other = kept.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(&first, other.join(&name)).unwrap();
    let both = [first.clone(), other.join(&name)];
    succeeds(host().args(["predict", "--model", "small"]).args(&both).arg("--keep").arg(kept.path()));
    assert_eq!(png_size(&kept.path().join(format!("{name}.2.28x28.png"))), (28, 28));
}

#[test]
fn a_picture_of_nothing_is_answered_with_nothing_there() {
    let folder = tempfile::tempdir().unwrap();
    let white = folder.path().join("white.png");
    Photo { width: 300, height: 200, rgb: vec![255; 3 * 300 * 200] }.write(&white).unwrap();
    let said = text(&succeeds(host().arg("predict").arg(&white)).stdout);
    assert!(said.contains("nothing there") && !said.contains("Sandal"), "{said}");
    let document = succeeds(host().arg("predict").arg(&white).arg("--json")).stdout;
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["predictions"][0]["nothing"], true);
}

#[test]
fn what_is_no_photo_is_told_and_the_others_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("a.png"), folder.path().join("b.jpg"));
    compose::photo(drawn::samples(1, 1).image(4), 0, 1).write(&good).unwrap();
    std::fs::write(&bad, b"\xff\xd8 cut off").unwrap();
    let output = host().arg("predict").args([&good, &bad]).output().unwrap();
    let (said, message) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("a.png: ") && message.contains("b.jpg") && message.contains("1 of 2"), "{message}");
    fails(host().arg("predict").arg(folder.path().join("none.png")), 1, &["none.png"]);
    let empty = tempfile::tempdir().unwrap();
    fails(host().arg("predict").arg(empty.path()), 2, &["no PNG, JPEG, BMP, WebP, GIF or TIFF"]);
    fails(host().arg("predict"), 2, &["<FILE>"]);
}

/// The bar of the preprocessing: at least 95 of 100 photos get their original's class.
#[test]
fn composed_photos_are_answered_as_their_originals() {
    if !have("composed_photos_are_answered_as_their_originals", &[Need::Data]) {
        return;
    }
    let samples = support::fashion_mnist().test.take(compose::DEFAULT_COUNT);
    for model in ["nano", "small", "flagship", "article"] {
        let dir = host::model_dir::ModelDir::new(&host::project_root().join("models").join(model));
        let mut engine = host::runtime::integer::Integer::new(dir.read_firmware().unwrap(), false);
        let composed =
            compose::judge(&mut engine, &samples, &host::task::Task::fashion_mnist(), compose::DEFAULT_SEED)
                .unwrap();
        assert!(composed.as_original >= 0.95, "{model}: {}", composed.as_original);
        let missed = composed.misses.len() as f64 / composed.photos as f64;
        assert!((missed - (1.0 - composed.as_original)).abs() < 1e-9);
    }
}

#[test]
fn quiet_leaves_data_and_errors() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("one.png");
    let show = ["data", "show", "--dataset", "drawn", "--index", "0", "--out"];
    assert!(text(&succeeds(host().args(show).arg(&out)).stderr).contains("written: "));
    let output = succeeds(host().arg("--quiet").args(show).arg(&out));
    // The banner is a warning.
    assert!(!text(&output.stderr).contains("written: ") && text(&output.stderr).contains("DRAWN"));
    assert!(!output.stdout.is_empty());
    fails(host().args(["predict", "/nowhere.png", "-q"]), 1, &["/nowhere.png"]);
}

#[test]
fn the_doctor_names_a_remedy_for_what_is_missing() {
    let mut command = host();
    command.args(["doctor", "--json"]).env_remove("ORT_DYLIB_PATH");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "no data and no ONNX Runtime are known to this process");
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |what: &str| findings.iter().find(|finding| finding["what"] == what).unwrap();
    assert_eq!(of("Rust")["found"], true);
    assert_eq!(of("ONNX Runtime")["found"], false);
    assert!(of("ONNX Runtime")["remedy"].as_str().unwrap().contains("pip install"));
    assert!(findings.iter().all(|finding| finding["found"] == true || finding["remedy"].is_string()));
    assert!(text(&output.stderr).contains("ONNX Runtime"));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = text(&succeeds(host().args(["completions", shell])).stdout);
        for word in ["train", "evaluate", "predict", "doctor"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_readme_s_pictures_are_what_its_commands_make() {
    if !have("the_readme_s_pictures_are_what_its_commands_make", &[Need::Data]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_garments"));
        succeeds(command.args(arguments).arg("--out").arg(folder.path().join(out)));
    };
    run(&["data", "grid", "--rows", "15", "--cols", "15"], "grid.png");
    run(&["data", "show", "--random", "--seed", "7"], "garment.png");
    run(&["evaluate", "--model", "models/article", "--photos", "0"], "");
    for name in ["grid.png", "garment.png", "predictions.png", "confusion.svg"] {
        let committed = std::fs::read(host::project_root().join("docs").join(name)).unwrap();
        assert!(committed == std::fs::read(folder.path().join(name)).unwrap(), "docs/{name} is out of date");
    }
}
