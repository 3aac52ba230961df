//! The device: building its image, emulating it, talking to it, testing it against the desktop.

pub mod board;
pub mod build;
pub mod client;
pub mod emulator;
pub mod estimate;
pub mod flash;
pub mod hil;
pub mod image;
pub mod log;
pub mod monitor;
pub mod port;
pub mod size;
pub mod soak;
pub mod toolchain;
pub mod uf2;

use thiserror::Error;

/// Why the device cannot be used.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// A tool or a device is not there; the message says how to get it.
    #[error("{0}")]
    Missing(String),
    /// The image could not be built.
    #[error("the firmware for {model} could not be built:\n{output}")]
    Build {
        /// The model's folder.
        model: String,
        /// What cargo said.
        output: String,
    },
    /// The image is larger than the board's memory.
    #[error(
        "{model} does not fit {board}: {region} overflows by {bytes} bytes; `--profile size` makes it smaller, and `host models` lists smaller models"
    )]
    Fit {
        /// The model's name.
        model: String,
        /// The board.
        board: String,
        /// The linker's name of the memory.
        region: String,
        /// Bytes too many.
        bytes: u64,
    },
    /// The network needs more memory than the board has.
    #[error(
        "{model} does not fit {board}: it needs {needed} bytes of {memory}, the board has {limit}; `--profile size` makes it smaller, `host estimate --model {model}` shows the boards that have room"
    )]
    TooLarge {
        /// The model's name.
        model: String,
        /// The board.
        board: String,
        /// `flash` or `RAM`.
        memory: String,
        /// Bytes needed at least.
        needed: u64,
        /// Bytes that the board has.
        limit: u64,
    },
    /// There is no such board.
    #[error("there is no board {name}; there are {known}")]
    UnknownBoard {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A board's description is damaged.
    #[error("{path}: [package.metadata.board]: {problem}; firmware/boards/mps2-an386 shows the fields")]
    Board {
        /// The package's Cargo.toml.
        path: std::path::PathBuf,
        /// The field and what is wrong.
        problem: String,
    },
    /// The board could not be flashed; the message says what to do.
    #[error("{0}")]
    Flash(String),
    /// The device answered something else than the protocol says, or nothing.
    #[error("the device {0}")]
    Talk(String),
}
