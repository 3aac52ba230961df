//! ONNX file → burn network again, through burn-import, to prove that the file says what was trained.
//!
//! burn-import generates source code. The code for each named network is compiled in; at run time burn-import
//! converts the file at hand, its code is compared with the compiled one, and the weights it extracted are
//! loaded into that. So what runs is exactly what burn-import makes of the file.

macro_rules! compiled {
    ($($module:ident for $name:ident),+) => {
        $(#[rustfmt::skip]
        #[allow(missing_docs, unused_qualifications, clippy::all)]
        mod $module;)+

        /// Returns the source compiled in for a network.
        fn compiled_source(name: NetName) -> &'static str {
            match name {
                $(NetName::$name => include_str!(concat!(stringify!($module), ".rs")),)+
            }
        }

        /// Runs the code compiled in for a network with these weights.
        fn run(name: NetName, weights: Bytes, samples: &Samples) -> Vec<[f32; CLASSES]> {
            let device = device::cpu();
            match name {
                $(NetName::$name => {
                    let model = $module::Model::from_bytes(weights, &device);
                    logits_of(samples, &device, |images| model.forward(images))
                })+
            }
        }
    };
}

compiled!(article for Article, nano for Nano, small for Small, flagship for Flagship, minivgg for Minivgg,
    teacher for Teacher,
    nano_mean for NanoMean);

use std::path::Path;

use burn::tensor::Bytes;
use burn_import::onnx::{LoadStrategy, ModelGen};
use shared::CLASSES;

use super::architecture::NetName;
use super::{device, logits_of};
use crate::dataset::Samples;

/// Imports `onnx` and returns the logits of all `samples`.
///
/// # Errors
/// A message where burn-import refuses the file or its code is not the one compiled in.
pub fn logits(name: NetName, onnx: &Path, samples: &Samples) -> Result<Vec<[f32; CLASSES]>, String> {
    let (source, weights) = import(onnx)?;
    if body(&source) != body(compiled_source(name)) {
        return Err(format!(
            "{}: burn-import makes other code of it than of an untrained {} network; export it again",
            onnx.display(),
            name.name()
        ));
    }
    Ok(run(name, Bytes::from_bytes_vec(weights), samples))
}

/// Runs burn-import; returns the generated source and the burnpack weights.
fn import(onnx: &Path) -> Result<(String, Vec<u8>), String> {
    let folder = std::env::temp_dir().join(format!(
        "reimport-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let imported = import_into(onnx, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    imported
}

fn import_into(onnx: &Path, folder: &Path) -> Result<(String, Vec<u8>), String> {
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    let copy = folder.join("network.onnx");
    std::fs::copy(onnx, &copy).map_err(|error| named(onnx, error))?;
    // burn-import reports on standard output and panics on what it does not like.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let converted = std::panic::catch_unwind(|| {
        let mut generator = ModelGen::new();
        log::set_max_level(log::LevelFilter::Off);
        let (input, output) = (copy.to_string_lossy(), folder.to_string_lossy());
        generator.input(&input).out_dir(&output).load_strategy(LoadStrategy::Bytes).run_from_cli();
    });
    std::panic::set_hook(hook);
    converted.map_err(|_| format!("{}: burn-import cannot convert it", onnx.display()))?;
    let (source, weights) = (folder.join("network.rs"), folder.join("network.bpk"));
    let source_text = std::fs::read_to_string(&source).map_err(|error| named(&source, error))?;
    let weight_bytes = std::fs::read(&weights).map_err(|error| named(&weights, error))?;
    Ok((source_text, weight_bytes))
}

/// The code without its leading comments, which name files.
fn body(source: &str) -> &str {
    source.find("extern crate").map_or(source, |at| &source[at..])
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::super::TrainedNet;
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn reimported_networks_answer_as_the_exported_ones() {
        let samples = drawn::samples(5, 2);
        for &name in NetName::value_variants() {
            let net = TrainedNet::untrained(name, 7);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("network.onnx");
            std::fs::write(&path, net.to_onnx().unwrap()).unwrap();
            let (source, _) = import(&path).unwrap();
            if body(&source) != body(compiled_source(name)) {
                let fresh = crate::project_root().join(format!("target/reimport/{}.rs", name.name()));
                crate::files::write_whole(&fresh, source.as_bytes()).unwrap();
                panic!("host/src/train/reimport/{}.rs is out of date; see {}", name.name(), fresh.display());
            }
            let (ours, theirs) = (net.logits(&samples), logits(name, &path, &samples).unwrap());
            for (index, (a, b)) in ours.iter().zip(&theirs).enumerate() {
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() <= 1e-5, "{name:?}, image {index}: {a} against {b}");
                }
            }
        }
    }

    #[test]
    fn what_burn_import_cannot_read_is_an_error_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.onnx");
        std::fs::write(&path, b"not onnx").unwrap();
        let message = logits(NetName::Small, &path, &drawn::samples(1, 1)).unwrap_err();
        assert!(message.contains("broken.onnx"), "{message}");
    }
}
