//! The program as a user meets it.

use std::process::Output;

use assert_cmd::Command;
use host::dataset::{drawn, idx};

/// The program, kept off the network and away from any real data set.
pub fn host() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_garments"));
    command.env("FASHION_MNIST_OFFLINE", "1").env("FASHION_MNIST_DOWNLOADS", "/nowhere");
    command.env_remove("FASHION_MNIST_DIR").env_remove("CI").env_remove("NO_COLOR");
    command
}

/// A folder with IDX files of drawn garments, named as the official ones.
pub fn drawn_data(train_per_class: usize, test_per_class: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, seed, count) in [("train", 1, train_per_class), ("t10k", 2, test_per_class)] {
        let at = |kind: &str| folder.path().join(format!("{part}-{kind}-ubyte.gz"));
        idx::write(&drawn::samples(seed, count), &at("images-idx3"), &at("labels-idx1")).unwrap();
    }
    folder
}

/// What a program printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs and checks that it ends well.
pub fn succeeds(command: &mut Command) -> Output {
    command.assert().success().get_output().clone()
}

/// Runs and checks the exit code; the message must hold every part and no sign of a panic.
pub fn fails(command: &mut Command, code: i32, parts: &[&str]) -> Output {
    let output = command.output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    output
}
