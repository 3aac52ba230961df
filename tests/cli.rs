//! The program as a user meets it: exit codes, messages, files, JSON.

mod support;

use std::path::Path;

use assert_cmd::Command;
use host::dataset::{drawn, idx, table};
use host::model_dir::ModelDir;
use support::program::{drawn_data, fails, host, succeeds, text};
use support::{Need, have};

/// A folder with small IDX files.
fn small_data() -> tempfile::TempDir {
    drawn_data(8, 2)
}

fn custom<'a>(command: &'a mut Command, data: &Path) -> &'a mut Command {
    command.args(["--dataset", "custom", "--data"]).arg(data)
}

#[test]
fn help_names_every_command_and_exit_code() {
    let output = host().arg("--help").assert().success().get_output().clone();
    let help = text(&output.stdout);
    for part in
        ["data", "train", "export", "quantize", "codegen", "verify", "bench", "device", "Exit codes", "130"]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
    fails(host().arg("trian"), 2, &["trian"]);
    fails(host().args(["device", "run"]), 2, &["--emulate"]);
}

#[test]
fn train_goes_the_whole_line_and_says_where_everything_is() {
    let (data, out) = (small_data(), tempfile::tempdir().unwrap());
    let model = out.path().join("tiny");
    let output = custom(
        host().args(["train", "--epochs", "2", "--batch-size", "16", "--val-split", "0.2"]),
        data.path(),
    )
    .arg("--out")
    .arg(&model)
    .assert()
    .success()
    .get_output()
    .clone();
    let (said, progress) = (text(&output.stdout), text(&output.stderr));
    assert!(progress.contains("epoch   2/2") && progress.contains("left"), "{progress}");
    assert!(progress.contains("round trip tract"), "{progress}");
    assert!(said.contains("next:") && said.contains("verify --model"), "{said}");
    let dir = ModelDir::new(&model);
    let manifest = dir.manifest().unwrap();
    let folder = data.path().file_name().unwrap().to_str().unwrap();
    assert_eq!((manifest.name.as_str(), manifest.dataset.name.as_str()), ("tiny", folder));
    assert!(manifest.command.contains("--epochs 2"), "{}", manifest.command);
    let history = std::fs::read_to_string(dir.history()).unwrap();
    // A header, two epochs, and the default one with rounding.
    assert_eq!(history.lines().count(), 4, "{history}");
    for file in [
        "model.onnx",
        "model.int8.onnx",
        "model.bpk",
        "grids.json",
        "network.rs",
        "weights.bin",
        "checkpoint.bin",
        "checkpoint.rounding.bin",
    ] {
        assert!(said.contains(file) && model.join(file).is_file(), "{file}");
    }
    // The steps again, one by one, change nothing.
    let before = std::fs::read(dir.int8_onnx()).unwrap();
    for step in ["export", "quantize"] {
        custom(host().arg(step).arg("--model").arg(&model), data.path()).assert().success();
    }
    host().arg("codegen").arg("--model").arg(&model).assert().success();
    assert_eq!(std::fs::read(dir.int8_onnx()).unwrap(), before);
    // More epochs of another schedule are another training.
    let resume = ["train", "--epochs", "3", "--batch-size", "16", "--val-split", "0.2", "--resume"];
    fails(
        custom(host().args(resume), data.path()).arg("--out").arg(&model),
        1,
        &["checkpoint.bin", "another recipe"],
    );
}

#[test]
fn a_recipe_file_may_name_a_teacher() {
    let (data, out) = (small_data(), tempfile::tempdir().unwrap());
    let committed = host::project_root().join("models/recipes/nano.json");
    let mut recipe: serde_json::Value = serde_json::from_slice(&std::fs::read(committed).unwrap()).unwrap();
    recipe["recipe"]["epochs"] = 1.into();
    recipe["recipe"]["batch_size"] = 16.into();
    recipe["recipe"]["quantization"]["epochs"] = 1.into();
    recipe["recipe"]["distillation"].take();
    let mut train = |name: &str, teacher: Option<&str>| {
        if let Some(teacher) = teacher {
            let part = serde_json::json!({ "teachers": [teacher], "weight": 0.9, "temperature": 3.0 });
            recipe["recipe"]["distillation"] = part;
        }
        let file = out.path().join(format!("{name}.json"));
        std::fs::write(&file, recipe.to_string()).unwrap();
        let mut command = host();
        custom(command.args(["train", "--quiet", "--recipe"]).arg(file), data.path());
        command.arg("--out").arg(out.path().join(name));
        command
    };
    train("alone", None).assert().success();
    train("taught", Some("nano")).assert().success();
    // Losses and accuracies; the last column is time.
    let history = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(out.path().join(name).join("history.csv")).unwrap();
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
    };
    assert_ne!(history("alone"), history("taught"));
    let manifest = ModelDir::new(&out.path().join("taught")).manifest().unwrap();
    assert!(manifest.teachers.is_some_and(|teachers| (0.0..=1.0).contains(&teachers.validation)));
    // The same by options.
    let alone = out.path().join("alone.json");
    let options = ["--teachers", "nano", "--teacher-weight", "0.9", "--temperature", "3"];
    let mut by_options = host();
    custom(by_options.args(["train", "--quiet", "--recipe"]).arg(&alone).args(options), data.path());
    by_options.arg("--out").arg(out.path().join("options")).assert().success();
    assert_eq!(history("taught"), history("options"));
    let command = ModelDir::new(&out.path().join("options")).manifest().unwrap().command;
    assert!(command.contains("--teachers nano --teacher-weight 0.9 --temperature 3"), "{command}");
    // Asked about each shifted image, and about each image as the student sees it.
    for asking in ["shifted", "augmented"] {
        let mut asked = host();
        custom(asked.args(["train", "--quiet", "--recipe"]).arg(&alone).args(options), data.path());
        asked.args(["--ask-teachers", asking, "--out"]).arg(out.path().join(asking)).assert().success();
        assert_ne!(history("taught"), history(asking));
        let command = ModelDir::new(&out.path().join(asking)).manifest().unwrap().command;
        assert!(command.contains(&format!("--temperature 3 --ask-teachers {asking}")), "{command}");
    }
    assert_ne!(history("shifted"), history("augmented"));
    // And without, whatever the file says.
    let taught = out.path().join("taught.json");
    let mut by_labels = host();
    custom(by_labels.args(["train", "--quiet", "--recipe"]).arg(&taught), data.path());
    by_labels.args(["--teachers", "none", "--out"]).arg(out.path().join("labels")).assert().success();
    assert_eq!(history("alone"), history("labels"));
    let command = ModelDir::new(&out.path().join("labels")).manifest().unwrap().command;
    assert!(command.contains("--teachers none --out"), "{command}");
    fails(host().args(["train", "--teacher-weight", "0.5"]), 2, &["--teachers"]);
    fails(host().args(["train", "--ask-teachers", "augmented"]), 2, &["--teachers"]);
    fails(&mut train("lost", Some("nobody")), 3, &["nobody", "manifest.json"]);
}

#[test]
fn a_student_does_not_validate_on_what_its_teachers_learned_from() {
    if !have("a_student_does_not_validate_on_what_its_teachers_learned_from", &[Need::Data]) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let mut other_split = host();
    other_split.env("FASHION_MNIST_DIR", std::env::var_os("FASHION_MNIST_DIR").unwrap_or_default());
    other_split.env_remove("FASHION_MNIST_DOWNLOADS").args(["train", "--dataset", "fashion-mnist"]);
    other_split.args(["--recipe", "nano", "--split-seed", "3", "--teachers", "minivgg", "--out"]);
    fails(other_split.arg(out.path()), 2, &["minivgg", "--split-seed 12345"]);
}

#[test]
fn json_is_one_document_with_the_promised_keys() {
    let (data, out) = (small_data(), tempfile::tempdir().unwrap());
    let model = out.path().join("tiny");
    let output = custom(
        host().args(["train", "--epochs", "1", "--quiet", "--json", "--out"]).arg(&model),
        data.path(),
    )
    .assert()
    .success()
    .get_output()
    .clone();
    assert_eq!(text(&output.stderr), "");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["model", "dataset", "epochs", "seconds_per_epoch", "validation_accuracy", "files"] {
        assert!(!document[key].is_null(), "{key}");
    }
    let output =
        custom(host().args(["verify", "--json", "--model"]).arg(&model), data.path()).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["images"], 20);
    let engines = document["engines"].as_array().unwrap();
    for name in ["tract-float", "tract-int8", "ort-float", "ort-int8", "ort-int8-stock", "integer"] {
        assert!(engines.iter().any(|row| row["engine"] == name), "{name}");
    }
}

#[test]
fn scripts_find_the_keys_that_they_rely_on() {
    let document = |arguments: &[&str]| {
        let output = host().args(arguments).arg("--json").assert().success().get_output().clone();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let has = |value: &serde_json::Value, keys: &[&str]| {
        for key in keys {
            assert!(value.get(key).is_some(), "{key} in {value}");
        }
    };
    let soak = document(&["device", "soak", "--model", "nano", "--frames", "3000", "--noise", "0.001"]);
    has(&soak, &["frames", "answered", "repeated", "wrong", "longest_recovery_frames"]);
    assert!(soak["frames"].as_u64() >= Some(3_000) && soak["repeated"].as_u64() > Some(100), "{soak}");
    assert_eq!(soak["wrong"], 0);
    let list = document(&["device", "list"]);
    has(&list, &["boards", "ports"]);
    let board = [
        "name",
        "core",
        "target",
        "flash_bytes",
        "ram_bytes",
        "clock_hz",
        "flashed_by",
        "emulator",
        "link",
        "screen",
    ];
    has(&list["boards"][0], &board);
    let estimate = document(&["estimate", "--model", "nano"]);
    let row = ["board", "fits", "flash_bytes", "ram_bytes", "stack_bytes", "instructions", "model_ms"];
    has(&estimate["rows"][0], &row);
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let drawn = [
        "evaluate",
        "--model",
        "nano",
        "--dataset",
        "drawn",
        "--images",
        "100",
        "--photos",
        "0",
        "--out",
        folder,
    ];
    let judged = document(&drawn);
    has(&judged, &["accuracy", "report", "macro_f1", "accuracy_interval", "sure_share", "sure_accuracy"]);
}

#[test]
fn drawn_garments_are_announced_and_recorded() {
    let output = host().args(["data", "info"]).assert().success().get_output().clone();
    assert!(text(&output.stderr).contains("DRAWN GARMENTS, not Fashion-MNIST"));
    assert!(text(&output.stdout).contains("drawn from seed"));
    fails(
        host().args(["data", "info", "--dataset", "fashion-mnist"]),
        3,
        &["3aede38d61863908", "train-images-idx3-ubyte.gz", "FASHION_MNIST_DIR", "host data fetch"],
    );
    fails(host().args(["data", "fetch"]), 3, &["FASHION_MNIST_OFFLINE is set"]);
    let mut photos = host();
    photos.args(["data", "fetch", "--dataset", "garment-photos", "--out", "/nowhere/photos"]);
    fails(&mut photos, 3, &["FASHION_MNIST_OFFLINE is set"]);
    let home = tempfile::tempdir().unwrap();
    let mut without_git = host();
    without_git.args(["data", "fetch", "--dataset", "photos", "--out"]).arg(home.path().join("photos"));
    without_git.env_remove("FASHION_MNIST_OFFLINE").env("PATH", "");
    fails(&mut without_git, 3, &["clothing-dataset-small", "git is not installed", "GARMENT_PHOTOS_DIR"]);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing stays behind");
    fails(host().args(["data", "info", "--dataset", "drawn", "--data", "x"]), 3, &["--data x", "seed"]);
}

#[test]
fn head_and_tail_show_rows_and_their_number() {
    let data = small_data();
    let head =
        custom(host().args(["data", "head", "-n", "3"]), data.path()).assert().success().get_output().clone();
    let shown = text(&head.stdout);
    assert!(shown.contains("pixel1") && shown.contains("pixel784"), "{shown}");
    assert!(shown.contains("[3 rows × 785 columns, of 80 rows]"), "{shown}");
    let tail =
        custom(host().args(["data", "tail", "--test"]), data.path()).assert().success().get_output().clone();
    assert!(text(&tail.stdout).contains("\n    19     9"), "{}", text(&tail.stdout));
}

#[test]
fn csv_and_idx_hold_the_same_images() {
    let (idx_data, csv_data) = (small_data(), tempfile::tempdir().unwrap());
    table::write(&drawn::samples(1, 8), &csv_data.path().join("fashion-mnist_train.csv")).unwrap();
    table::write(&drawn::samples(2, 2), &csv_data.path().join("fashion-mnist_test.csv")).unwrap();
    let hash = |data: &Path| {
        let output =
            custom(host().args(["data", "info", "--json"]), data).assert().success().get_output().clone();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["sha256"].clone()
    };
    assert_eq!(hash(idx_data.path()), hash(csv_data.path()));
}

#[test]
fn bad_data_gets_one_clear_error_and_nothing_is_written() {
    let out = tempfile::tempdir().unwrap();
    let damage = |file: &str, change: fn(Vec<u8>) -> Vec<u8>, parts: &[&str]| {
        let data = small_data();
        let path = data.path().join(file);
        std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
        let model = out.path().join("never");
        fails(custom(host().args(["train", "--out"]).arg(&model), data.path()), 1, parts);
        assert!(!model.exists());
    };
    damage(
        "train-images-idx3-ubyte.gz",
        |b| b[..b.len() / 2].to_vec(),
        &["train-images", "gzip stream", "data fetch"],
    );
    damage("train-labels-idx1-ubyte.gz", |_| vec![], &["train-labels", "header", "0 bytes"]);
    damage("t10k-images-idx3-ubyte.gz", |_| vec![0, 0, 8, 1, 0, 0, 0, 0], &["t10k-images", "header"]);
    damage(
        "t10k-labels-idx1-ubyte.gz",
        |_| [&[0, 0, 8, 3][..], &[0; 12]].concat(),
        &["magic number", "0x00000803"],
    );
    damage(
        "t10k-labels-idx1-ubyte.gz",
        |_| vec![0, 0, 8, 1, 0, 0, 0, 1, 3],
        &["count", "1 labels beside 20 images"],
    );
    let csv = tempfile::tempdir().unwrap();
    table::write(&drawn::samples(2, 1), &csv.path().join("fashion-mnist_test.csv")).unwrap();
    let rows = std::fs::read_to_string(csv.path().join("fashion-mnist_test.csv")).unwrap();
    let short = rows.trim_end().rsplit_once(',').unwrap().0.to_owned();
    for (content, part) in [
        (short, "784 columns"),
        (rows.replacen("\n0,", "\nx,", 1), "line 2, label: `x`"),
        (rows.replacen("\n0,0,", "\n0,256,", 1), "line 2, pixel1: `256`"),
        (String::new(), "the file is empty"),
    ] {
        std::fs::write(csv.path().join("fashion-mnist_train.csv"), content).unwrap();
        fails(custom(host().args(["data", "info"]), csv.path()), 1, &["fashion-mnist_train.csv", part]);
    }
}

#[test]
fn mnist_and_strangers_are_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let at = |name: &str| data.path().join(name);
    let mut digits = drawn::samples(1, 2);
    digits.labels[..10].copy_from_slice(&[5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    idx::write(&digits, &at("train-images-idx3-ubyte.gz"), &at("train-labels-idx1-ubyte.gz")).unwrap();
    idx::write(&drawn::samples(2, 1), &at("t10k-images-idx3-ubyte.gz"), &at("t10k-labels-idx1-ubyte.gz"))
        .unwrap();
    fails(host().args(["data", "info", "--data"]).arg(data.path()), 3, &["MNIST's handwritten digits"]);
    let strangers = small_data();
    fails(host().args(["data", "info", "--data"]).arg(strangers.path()), 3, &["--dataset custom"]);
    // Found through the environment, they are refused just so, never silently replaced by drawings.
    let from_environment =
        host().args(["data", "info"]).env("FASHION_MNIST_DIR", strangers.path()).output().unwrap();
    assert_eq!(from_environment.status.code(), Some(3));
}

#[test]
fn unwritable_output_is_said_before_the_training() {
    let (data, out) = (small_data(), tempfile::tempdir().unwrap());
    let file = out.path().join("a-file");
    std::fs::write(&file, b"here first").unwrap();
    let output = fails(
        custom(host().args(["train", "--out"]).arg(file.join("model")), data.path()),
        1,
        &["a-file", "not writable"],
    );
    assert!(!text(&output.stderr).contains("epoch"));
    assert_eq!(std::fs::read(&file).unwrap(), b"here first");
}

#[test]
fn damaged_models_and_checkpoints_are_named() {
    let (data, out) = (small_data(), tempfile::tempdir().unwrap());
    let small = host::project_root().join("models/small");
    let copy = out.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in ["manifest.json", "model.onnx", "model.int8.onnx", "model.bpk"] {
        std::fs::copy(small.join(file), copy.join(file)).unwrap();
    }
    let whole = std::fs::read(copy.join("model.int8.onnx")).unwrap();
    std::fs::write(copy.join("model.int8.onnx"), &whole[..whole.len() / 2]).unwrap();
    fails(host().arg("codegen").arg("--model").arg(&copy), 1, &["model.int8.onnx", "damaged"]);
    assert!(!copy.join("network.rs").exists());
    fails(host().arg("verify").arg("--model").arg(&copy), 1, &["model.int8.onnx"]);
    std::fs::write(copy.join("model.onnx"), b"no protobuf").unwrap();
    fails(
        custom(host().arg("quantize").arg("--model").arg(&copy), data.path()),
        1,
        &["model.onnx", "host export"],
    );
    std::fs::write(copy.join("model.bpk"), b"no weights").unwrap();
    fails(custom(host().arg("export").arg("--model").arg(&copy), data.path()), 1, &["model.bpk"]);
    std::fs::write(copy.join("checkpoint.bin"), b"no checkpoint").unwrap();
    let resume = ["train", "--resume", "--out"];
    fails(custom(host().args(resume).arg(&copy), data.path()), 1, &["checkpoint.bin", "magic number"]);
    fails(host().args(["verify", "--model", "models/nowhere"]), 3, &["models/nowhere"]);
    fails(host().args(["device", "hil", "--port", "/dev/nowhere"]), 5, &["/dev/nowhere"]);
}

#[test]
fn impossible_options_are_usage_errors() {
    let data = small_data();
    fails(host().args(["train", "--recipe", "nosuch"]), 2, &["nosuch.json", "flagship", "nano"]);
    let damaged = data.path().join("damaged.json");
    std::fs::write(&damaged, r#"{"network": "nano", "recipe": {"epochs": "many"}}"#).unwrap();
    fails(host().args(["train", "--recipe"]).arg(&damaged), 2, &["damaged.json", "nano.json", "many"]);
    for options in [["--rounding-lr", "0"], ["--weight-bits", "3"]] {
        fails(custom(host().arg("train").args(options), data.path()), 2, &[options[0]]);
    }
    for options in [["--cutout", "2"], ["--epochs", "0"], ["--lr", "0"], ["--shift", "28"]] {
        fails(custom(host().arg("train").args(options), data.path()), 2, &[options[0]]);
    }
    fails(
        custom(host().args(["train", "--val-split", "1", "--out"]).arg(data.path().join("out")), data.path()),
        1,
        &["--val-split 1"],
    );
    fails(host().args(["train", "--backend", "wgpu"]), 2, &["--features wgpu"]);
    fails(
        custom(host().args(["device", "run", "--emulate", "--image", "99"]), data.path()),
        2,
        &["--image 99"],
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_exits_130() {
    use std::io::BufRead;

    let out = tempfile::tempdir().unwrap();
    let model = out.path().join("interrupted");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_garments"))
        .args(["train", "--net", "nano", "--dataset", "drawn", "--epochs", "50", "--out"])
        .arg(&model)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    // The first epoch has begun some time after this line; the handler stands before it.
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("training nano on drawn")));
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: kill(2) with the identifier of a child that has not been waited for.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::kill(pid, libc::SIGINT) };
    assert_eq!(sent, 0);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("--resume` goes on")), "{rest:?}");
    assert!(model.join("checkpoint.bin").is_file());
    assert!(!model.join("manifest.json").exists());
    // Network and data are the first command's without being named again; more epochs are another recipe.
    let resume = ["train", "--resume", "--epochs", "3", "--out"];
    fails(host().args(resume).arg(&model), 1, &["checkpoint.bin", "another recipe"]);
}

#[test]
fn nothing_to_resume_is_a_new_training_and_a_named_place_without_data_an_error() {
    let (data, out) = (small_data(), tempfile::tempdir().unwrap());
    let model = out.path().join("new");
    let train =
        ["train", "--resume", "--epochs", "1", "--batch-size", "16", "--rounding-epochs", "0", "--out"];
    let output = succeeds(custom(host().args(train).arg(&model), data.path()));
    assert!(text(&output.stderr).contains("no checkpoint to resume; training starts anew"));
    assert!(model.join("manifest.json").is_file());
    // The options are kept: resuming what is done ends at once, without naming the data again.
    let output = succeeds(host().args(["train", "--resume", "--json", "--out"]).arg(&model));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let folder = data.path().file_name().unwrap().to_str().unwrap();
    assert_eq!((&document["epochs"], &document["dataset"]), (&1.into(), &folder.into()));
    let empty = tempfile::tempdir().unwrap();
    fails(host().args(["data", "info"]).env("FASHION_MNIST_DIR", empty.path()), 3, &["FASHION_MNIST_DIR="]);
}

#[test]
fn codegen_says_what_it_chose_and_keeps_the_budget() {
    let out = tempfile::tempdir().unwrap();
    let small = host::project_root().join("models/small");
    let codegen = |options: &[&str]| {
        let mut command = host();
        command.arg("codegen").arg("--model").arg(&small).arg("--out").arg(out.path()).args(options);
        command
    };
    let picture = out.path().join("arena.svg");
    let output = codegen(&["--profile", "size", "--alternatives", "--arena"]).arg(&picture).output().unwrap();
    assert!(output.status.success());
    let account = text(&output.stderr);
    for part in
        ["conv 3×3 16→24 + max-pool", "conv 2×4 + pool", "Winograd F(4×4)", "fewest bytes of constants"]
    {
        assert!(account.contains(part), "{part}: {account}");
    }
    assert!(text(&std::fs::read(&picture).unwrap()).starts_with("<svg"));
    let source = std::fs::read_to_string(out.path().join("network.rs")).unwrap();
    assert!(source.contains("--profile size"));
    fails(&mut codegen(&["--flash", "20K"]), 4, &["need at least", "--flash allows 20480"]);
    fails(&mut codegen(&["--flash", "much"]), 2, &["much", "64K"]);
    let unchanged = std::fs::read_to_string(out.path().join("network.rs")).unwrap();
    assert!(source == unchanged, "a refused budget changed a file");
    fails(host().args(["bench", "kernels", "--emulate", "nowhere"]), 2, &["nowhere", "A, C, D"]);
    // The emulator is the only way to count: --emulate may be left out.
    fails(host().args(["bench", "kernels", "nowhere"]), 2, &["nowhere", "host models"]);
}
