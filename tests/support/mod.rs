//! What a test needs beyond Rust, and how a test without it says so.
#![allow(dead_code)]

pub mod browser;
pub mod graphs;
pub mod program;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::OnceLock;

use host::dataset::locate::{load_official_offline, photos_folder};
use host::dataset::{Dataset, Samples};
use host::device::board::Board;
use host::device::{build, emulator};
use host::runtime::ort;
use shared::input::InputShape;

/// Something that a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The official Fashion-MNIST files.
    Data,
    /// The emulators of all boards and compilers for them.
    Emulator,
    /// ONNX Runtime's shared library.
    Ort,
    /// Chromium and ChromeDriver.
    Browser,
    /// scikit-learn, in the project's `.venv` or the system's Python.
    Sklearn,
    /// The garment photographs.
    Photos,
    /// ONNX Runtime's quantizer, beside scikit-learn.
    Quantizer,
    /// PyTorch with its exporter, in the Python that `TORCH_PYTHON` names.
    Torch,
}

impl Need {
    /// All there are.
    pub const ALL: [Need; 8] = [
        Need::Data,
        Need::Emulator,
        Need::Ort,
        Need::Browser,
        Need::Sklearn,
        Need::Photos,
        Need::Quantizer,
        Need::Torch,
    ];
}

/// The Python that has PyTorch.
pub fn torch_python() -> PathBuf {
    std::env::var_os("TORCH_PYTHON").map_or_else(python, PathBuf::from)
}

/// The Python that has what tests need: the project's own environment's, else the system's.
pub fn python() -> PathBuf {
    let own = host::project_root().join(".venv/bin/python");
    if own.is_file() { own } else { "python3".into() }
}

/// Runs a script of this project, which must end well.
///
/// * `script`: from the project's folder.
pub fn run_script(python: PathBuf, script: &str, arguments: &[&dyn AsRef<OsStr>]) {
    let mut command = std::process::Command::new(python);
    command.arg(host::project_root().join(script)).args(arguments.iter().map(|argument| argument.as_ref()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a program runs and ends well.
fn runs(program: &std::path::Path, arguments: &[&str]) -> Result<(), String> {
    let output = std::process::Command::new(program).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{}: {error}", program.display())),
    }
}

impl Need {
    /// Its name in `REQUIRE`.
    pub fn name(self) -> &'static str {
        match self {
            Need::Data => "data",
            Need::Emulator => "emulator",
            Need::Ort => "ort",
            Need::Browser => "browser",
            Need::Sklearn => "sklearn",
            Need::Photos => "photos",
            Need::Quantizer => "quantizer",
            Need::Torch => "torch",
        }
    }

    /// The command that gets it.
    pub fn remedy(self) -> &'static str {
        match self {
            Need::Data => "cargo run -p host -- data fetch    (or set FASHION_MNIST_DIR)",
            Need::Emulator => "scripts/setup-embedded.sh",
            Need::Ort => ort::HOW_TO_GET,
            Need::Browser => "apt-get install chromium chromium-driver    (or your system's packages)",
            Need::Photos => {
                "put clothing-dataset-small into data/garment-photos    (or set GARMENT_PHOTOS_DIR)"
            }
            Need::Sklearn => "python3 -m venv .venv && .venv/bin/pip install scikit-learn",
            Need::Quantizer => "python3 -m venv .venv && .venv/bin/pip install onnxruntime onnx sympy",
            Need::Torch => {
                "python3 -m venv torch && torch/bin/pip install torch torchao onnx onnxscript && export TORCH_PYTHON=$PWD/torch/bin/python"
            }
        }
    }

    fn missing(self) -> Option<String> {
        match self {
            Need::Data => official().as_ref().err().cloned(),
            Need::Emulator => {
                let usable = |board: &Board| emulator::find(board).and_then(|()| build::can_build(board));
                let found = Board::all().and_then(|boards| {
                    boards.iter().filter(|board| board.emulator().is_some()).try_for_each(usable)
                });
                found.err().map(|error| error.to_string())
            }
            Need::Ort => ort::library().err(),
            Need::Browser => runs("chromedriver".as_ref(), &["--version"]).err(),
            Need::Photos => photos_folder().err().map(|error| error.to_string()),
            Need::Sklearn => runs(&python(), &["-c", "import sklearn"]).err(),
            Need::Quantizer => runs(&python(), &["-c", "import onnx, sympy, onnxruntime.quantization"]).err(),
            Need::Torch => runs(&torch_python(), &["-c", "import torch, torchao, onnx, onnxscript"]).err(),
        }
    }
}

/// Fashion-MNIST, read once a test program.
fn official() -> &'static Result<Dataset, String> {
    static DATASET: OnceLock<Result<Dataset, String>> = OnceLock::new();
    DATASET.get_or_init(|| load_official_offline().map_err(|error| error.to_string()))
}

/// Returns Fashion-MNIST; only after [`have`] said that it is there.
pub fn fashion_mnist() -> &'static Dataset {
    official().as_ref().expect("asked for after have(Need::Data)")
}

/// Folder of the records of skipped tests.
pub fn skip_folder() -> PathBuf {
    host::project_root().join("target/skipped-tests")
}

/// Whether the machine has all `needs`; else records `test` as skipped, or fails where `REQUIRE` asks for it.
pub fn have(test: &str, needs: &[Need]) -> bool {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    for need in needs {
        let Some(problem) = need.missing() else { continue };
        assert!(
            !required.split(',').any(|name| name.trim() == need.name()),
            "{test} needs {}, and REQUIRE={required} forbids skipping it: {problem}",
            need.name()
        );
        eprintln!("skipped: {test} needs {}; get it with: {}", need.name(), need.remedy());
        let folder = skip_folder();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(test), need.name()).unwrap();
        return false;
    }
    true
}

/// Pictures of random pixels.
pub fn noise(shape: InputShape, count: usize, mut seed: u32) -> Samples {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let pixels = (0..count * shape.len()).map(|_| next()).collect();
    Samples { shape, pixels, labels: vec![0; count] }
}
