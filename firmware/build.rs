//! Finds the generated network that `src/model.rs` includes.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=FIRMWARE_MODEL");
    if std::env::var_os("CARGO_FEATURE_MODEL").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder =
        std::env::var_os("FIRMWARE_MODEL").map_or_else(|| PathBuf::from("models/small"), PathBuf::from);
    let network = root.join(&folder).join("network.rs");
    println!("cargo:rerun-if-changed={}", network.display());
    match network.canonicalize() {
        Ok(path) => println!("cargo:rustc-env=FIRMWARE_NETWORK={}", path.display()),
        Err(error) => println!(
            "cargo::error={}: {error}; make it with `cargo run -p host -- codegen --model {}`",
            network.display(),
            folder.display()
        ),
    }
}
