//! A training that is killed at any moment, or cannot write, goes on and ends as one that was left alone.
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host::model_dir::ModelDir;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::program::drawn_data;

/// Trainings that are killed; `KILLS=100 cargo test -p host --test kill` kills more.
fn kills() -> u64 {
    std::env::var("KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

/// Float, then quantization-aware epochs, export, quantization, judgement, code.
fn train(data: &Path, out: &Path, resume: bool) -> Child {
    train_by(Command::new(env!("CARGO_BIN_EXE_garments")), data, out, resume)
}

/// The same by a command that ends with the program.
fn train_by(mut command: Command, data: &Path, out: &Path, resume: bool) -> Child {
    command.args(["--quiet", "train", "--epochs", "6", "--batch-size", "16", "--rounding-epochs", "4"]);
    command.args(["--dataset", "custom", "--data"]).arg(data).arg("--out").arg(out);
    if resume {
        command.arg("--resume");
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ends_well(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Checks that a training fails, with these words.
fn fails(child: Child, words: &[&str]) {
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(words.iter().all(|&word| message.contains(word)) && !message.contains("panicked"), "{message}");
}

/// What a model is: its files, but for burn's own, in which parameters have random numbers.
fn contents(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["model.onnx", "model.int8.onnx", "network.rs", "weights.bin", "grids.json"];
    names.iter().map(|name| ((*name).to_owned(), std::fs::read(out.join(name)).unwrap())).collect()
}

fn are_equal(expected: &[(String, Vec<u8>)], out: &Path, what: &str) {
    for ((name, expected), (_, have)) in expected.iter().zip(contents(out)) {
        assert!(*expected == have, "{what}: {name} is another file");
    }
}

/// Files half written.
fn left(out: &Path) -> Vec<String> {
    let files = std::fs::read_dir(out).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".part")).collect()
}

/// What lies there is whole: a manifest belongs to the files beside it.
fn is_whole(out: &Path) {
    let dir = ModelDir::new(out);
    if dir.manifest_path().exists() {
        dir.manifest().unwrap();
        dir.read_firmware().unwrap();
    }
}

#[test]
fn a_training_killed_at_any_moment_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn_data(16, 4);
    let data = data.path();
    // All in folders of one name: it stands in the generated code.
    let out = |run: u64| folder.path().join(run.to_string()).join("model");
    let begun = Instant::now();
    ends_well(train(data, &out(0), false));
    let whole = begun.elapsed();
    let expected = contents(&out(0));
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut killed, mut late) = (0, 0);
    for run in 1..=kills() {
        let out = out(run);
        // Killed once or twice, at any moment of the whole.
        for attempt in 0..rng.random_range(1..=2) {
            let mut child = train(data, &out, attempt > 0);
            std::thread::sleep(whole.mul_f64(rng.random_range(0.05..1.0)));
            match child.try_wait().unwrap() {
                Some(_) => late += 1,
                None => killed += 1,
            }
            let _ = child.kill();
            let _ = child.wait();
            is_whole(&out);
        }
        ends_well(train(data, &out, true));
        are_equal(&expected, &out, &format!("run {run}"));
        assert_eq!(left(&out), Vec::<String>::new(), "run {run}: left behind");
    }
    println!("{killed} kills, {late} came too late; one training takes {:.1} s", whole.as_secs_f64());
    assert!(killed > 0 && whole > Duration::from_millis(200));
}

#[test]
fn a_training_that_cannot_write_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn_data(16, 4);
    let data = data.path();
    let out = |run: &str| folder.path().join(run).join("model");
    ends_well(train(data, &out("whole"), false));
    let expected = contents(&out("whole"));
    // As on a full disk, any file may be the first that does not fit: none, the largest, the checkpoints, the network.
    for kilobytes in [1, 60, 100, 400] {
        let out = out(&format!("{kilobytes}"));
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * kilobytes), "sh"]);
        limited.arg(env!("CARGO_BIN_EXE_garments"));
        fails(train_by(limited, data, &out, false), &[out.to_str().unwrap(), "File too large"]);
        is_whole(&out);
        assert_eq!(left(&out), Vec::<String>::new(), "{kilobytes} KB");
        ends_well(train(data, &out, true));
        are_equal(&expected, &out, &format!("{kilobytes} KB"));
    }
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn_data(2, 1);
    // A file stands where a folder of the output would: root may write into any folder.
    let file = folder.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let out = file.join("model");
    fails(train(data.path(), &out, false), &["the output folder is not writable", out.to_str().unwrap()]);
    assert_eq!(std::fs::read(&file).unwrap(), b"kept");
}

#[test]
fn two_trainings_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn_data(16, 4);
    let out = folder.path().join("model");
    let mut first = train(data.path(), &out, false);
    while !ModelDir::new(&out).checkpoint().exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first one ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    for resume in [false, true] {
        fails(
            train(data.path(), &out, resume),
            &[out.to_str().unwrap(), "another training writes into it", "--out"],
        );
    }
    ends_well(first);
    ends_well(train(data.path(), &out, true));
}

#[test]
fn a_signal_ends_a_training_and_two_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn_data(16, 4);
    let out = |run: &str| folder.path().join(run).join("model");
    ends_well(train(data.path(), &out("whole"), false));
    let expected = contents(&out("whole"));
    // Ctrl-C is answered, with the second one at once; SIGTERM ends the program.
    for (signal, count, code) in [("-INT", 1, Some(130)), ("-INT", 2, Some(130)), ("-TERM", 2, None)] {
        let out = out(&format!("{signal}{count}"));
        let child = train(data.path(), &out, false);
        while !ModelDir::new(&out).checkpoint().exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..count {
            Command::new("kill")
                .args([signal, &child.id().to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{}", String::from_utf8_lossy(&output.stderr));
        is_whole(&out);
        ends_well(train(data.path(), &out, true));
        are_equal(&expected, &out, &format!("{signal}, {count} times"));
    }
}
