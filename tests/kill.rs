//! A training that is killed at any moment goes on and ends as one that was left alone.
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_garments"));
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

/// What a model is: its files, but for burn's own, in which parameters have random numbers.
fn contents(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["model.onnx", "model.int8.onnx", "network.rs", "weights.bin", "grids.json"];
    names.iter().map(|name| ((*name).to_owned(), std::fs::read(out.join(name)).unwrap())).collect()
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
            // What lies there is whole: a manifest belongs to the files beside it.
            let dir = ModelDir::new(&out);
            if dir.manifest_path().exists() {
                dir.manifest().unwrap();
                dir.read_firmware().unwrap();
            }
        }
        ends_well(train(data, &out, true));
        for ((name, expected), (_, have)) in expected.iter().zip(contents(&out)) {
            assert!(*expected == have, "run {run}: {name} is another file");
        }
        let left: Vec<String> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains(".part") || name.starts_with(".probe"))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "run {run}: left behind");
    }
    println!("{killed} kills, {late} came too late; one training takes {:.1} s", whole.as_secs_f64());
    assert!(killed > 0 && whole > Duration::from_millis(200));
}
