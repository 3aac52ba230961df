//! A bit that flips on disk is noticed by what reads the file, or changes nothing.

use std::path::Path;

use host::codegen::{SOURCE_FILE, WEIGHTS_FILE, checksum};
use host::model_dir::{Kept, Manifest, ModelDir};
use host::train::checkpoint::Checkpoint;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

/// Flips tried of a file; all of them where it has fewer bits. `DAMAGE=100000 cargo test --test damage` tries more.
fn flips() -> usize {
    std::env::var("DAMAGE").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000)
}

/// A copy of `nano` that may be damaged.
fn copy() -> (tempfile::TempDir, ModelDir) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(host::project_root().join("models/nano")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let dir = ModelDir::new(folder.path());
    (folder, dir)
}

/// Flips bits of a file, one at a time, and returns how many were tried, and where nothing was noticed.
fn unnoticed(path: &Path, seed: u64, is_noticed: impl Fn() -> bool) -> (usize, Vec<usize>) {
    let whole = std::fs::read(path).unwrap();
    let bits = 8 * whole.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let chosen: Vec<usize> = match flips() {
        count if count >= bits => (0..bits).collect(),
        count => sample(&mut rng, bits, count).into_vec(),
    };
    let tried = chosen.len();
    let silent = chosen.into_iter().filter(|&bit| {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(path, damaged).unwrap();
        !is_noticed()
    });
    let silent = silent.collect();
    std::fs::write(path, whole).unwrap();
    (tried, silent)
}

/// Fails where a flip was not noticed.
fn all_noticed(path: &Path, is_noticed: impl Fn() -> bool) {
    let (tried, silent) = unnoticed(path, 7, is_noticed);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    println!("{name}: {tried} flips, all noticed");
    assert_eq!(silent, Vec::<usize>::new(), "{name}: bits whose flip nobody noticed");
    assert!(tried > 1_000, "{name}: {tried}");
}

#[test]
fn networks_and_weights_that_are_not_the_manifest_s_are_refused() {
    let (_folder, dir) = copy();
    assert!(dir.read_firmware().is_ok() && dir.read_float().is_ok());
    all_noticed(&dir.int8_onnx(), || dir.read_firmware().is_err());
    all_noticed(&dir.float_onnx(), || dir.read_float().is_err());
    let is_kept = |manifest: &Manifest| manifest.weights_sha256.is_some();
    assert!(is_kept(&dir.manifest().unwrap()));
    let recorded = || dir.check(Kept::Weights);
    assert!(recorded().is_ok());
    all_noticed(&dir.weights(), || recorded().is_err());
}

#[test]
fn a_damaged_manifest_is_refused_or_says_the_same() {
    let (_folder, dir) = copy();
    let whole = dir.manifest().unwrap();
    all_noticed(&dir.manifest_path(), || dir.manifest().map_or(true, |manifest| manifest == whole));
    let message = {
        let text = std::fs::read_to_string(dir.manifest_path()).unwrap();
        std::fs::write(dir.manifest_path(), text.replacen("12345", "12346", 1)).unwrap();
        format!("{:#}", dir.manifest().unwrap_err())
    };
    assert!(message.contains("manifest.json") && message.contains("models --checksums"), "{message}");
    dir.write_checksums().unwrap();
    assert_eq!(dir.manifest().unwrap().seed, 12_346, "an edit that is meant");
}

#[test]
fn generated_code_and_its_constants_belong_together() {
    let (folder, _) = copy();
    let (source, weights) = (folder.path().join(SOURCE_FILE), folder.path().join(WEIGHTS_FILE));
    let is_refused = || {
        // What is no text is none for the compiler either.
        let Ok(source) = std::fs::read_to_string(&source) else { return true };
        checksum::check(&source, &std::fs::read(&weights).unwrap()).is_err()
    };
    assert!(!is_refused());
    let text = std::fs::read_to_string(&source).unwrap();
    let first_lines = text.lines().take(2).map(|line| line.len() + 1).sum::<usize>();
    let (tried, silent) = unnoticed(&source, 8, is_refused);
    println!("{SOURCE_FILE}: {tried} flips");
    // A flip in the mark of the checksum's line leaves a comment that says nothing, and everything else whole.
    let second = text.lines().next().unwrap().len()..first_lines;
    assert!(silent.iter().all(|bit| second.contains(&(bit / 8))), "{silent:?}");
    all_noticed(&weights, is_refused);
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    let out = folder.path().join("model");
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_garments"));
    command
        .args(["train", "--net", "nano", "--dataset", "drawn", "--epochs", "1", "--quiet", "--out"])
        .arg(&out);
    command.assert().success();
    std::fs::copy(ModelDir::new(&out).checkpoint(), &path).unwrap();
    let load = || Checkpoint::load(&path);
    assert!(load().is_ok());
    all_noticed(&path, || load().is_err());
}
