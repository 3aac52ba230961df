//! Boards by name: what each folder under `firmware/boards` says of itself.
//!
//! A board is a package whose `Cargo.toml` has a table `[package.metadata.board]`. Nothing else in the project
//! knows boards: adding one touches its folder and the list of members in `firmware/boards/Cargo.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

use super::DeviceError;

/// A board, as its package describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Board {
    /// Name of the package.
    #[serde(skip)]
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// Rust target.
    pub target: String,
    /// Core, such as `Cortex-M4F`.
    pub core: String,
    /// Features of the package that its firmware is built with.
    #[serde(default)]
    pub features: Vec<String>,
    /// Bytes of flash for the program.
    pub flash_bytes: u64,
    /// Bytes of RAM.
    pub ram_bytes: u64,
    /// Frequency of the core in hertz.
    pub clock_hz: u32,
    /// How the host talks to it.
    pub link: Link,
    /// What it shows answers on.
    pub screen: String,
    /// The emulator that has it, where one does.
    #[serde(default)]
    pub qemu: Option<Qemu>,
    /// The emulator in JavaScript that has it, where one does.
    #[serde(default)]
    pub script: Option<Script>,
    /// Name of the chip in probe-rs, for boards with a debugger.
    #[serde(default)]
    pub probe_rs: Option<String>,
    /// Name of the chip in espflash, for boards of Espressif.
    #[serde(default)]
    pub espflash: Option<String>,
    /// How the board takes an image as a file on a drive, where it does.
    #[serde(default)]
    pub uf2: Option<Uf2>,
    /// `vendor:product` of the USB device that its port belongs to, four hexadecimal digits each.
    #[serde(default)]
    pub usb_ids: Vec<String>,
    /// Flags of the compiler, such as `-C target-cpu=cortex-m33`.
    #[serde(default)]
    pub rustflags: Vec<String>,
}

/// How an emulator in JavaScript runs a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What `node` runs, in the project's folder: `SCRIPT IMAGE.uf2 PORT RTT_ADDRESS`.
    pub path: String,
    /// The npm package that it needs below `target/tools`, with its version.
    pub package: String,
}

impl Script {
    /// Returns the package's name without its version.
    pub fn package_name(&self) -> &str {
        self.package.split('@').next().unwrap_or(&self.package)
    }
}

/// A board whose boot loader shows itself as a drive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uf2 {
    /// Family of the chip, as [`uf2`](super::uf2) knows it.
    pub family: super::uf2::Family,
    /// Label of the drive.
    pub drive: String,
    /// What a person does so that the drive appears.
    pub enter: String,
}

/// How the host talks to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// A serial port at 115,200 baud.
    Uart,
    /// A USB serial port of the chip itself.
    Usb,
}

/// How QEMU runs a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Program, such as `qemu-system-arm`.
    pub program: String,
    /// Machine.
    pub machine: String,
    /// Whether QEMU draws the board's own screen.
    #[serde(default)]
    pub has_screen: bool,
    /// Further arguments of the machine.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// The part of `cargo metadata` that is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    metadata: Option<serde_json::Value>,
}

/// Folder of the boards, a workspace of its own.
pub fn workspace() -> PathBuf {
    crate::project_root().join("firmware/boards")
}

impl Board {
    /// Returns all boards of the project, by name; they are read once a process.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] where cargo does not run, [`DeviceError::Board`] with the file where a board's
    /// description is damaged.
    pub fn all() -> Result<Vec<Self>, DeviceError> {
        static BOARDS: OnceLock<Vec<Board>> = OnceLock::new();
        if let Some(boards) = BOARDS.get() {
            return Ok(boards.clone());
        }
        let boards = Self::read_all()?;
        Ok(BOARDS.get_or_init(|| boards).clone())
    }

    fn read_all() -> Result<Vec<Self>, DeviceError> {
        let missing = |problem: String| DeviceError::Missing(format!("cargo metadata: {problem}"));
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
            .arg(workspace().join("Cargo.toml"))
            .output()
            .map_err(|error| missing(error.to_string()))?;
        if !output.status.success() {
            return Err(missing(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).map_err(|error| missing(error.to_string()))?;
        let mut boards = Vec::new();
        for package in metadata.packages {
            let Some(described) = package.metadata.as_ref().and_then(|metadata| metadata.get("board")) else {
                continue;
            };
            boards.push(Self::described(package.name, &package.manifest_path, described)?);
        }
        boards.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(boards)
    }

    fn described(name: String, file: &str, value: &serde_json::Value) -> Result<Self, DeviceError> {
        let board: Self = serde_json::from_value(value.clone()).map_err(|error| DeviceError::Board {
            path: Path::new(file).into(),
            problem: error.to_string(),
        })?;
        Ok(Self { name, ..board })
    }

    /// Finds a board by name.
    ///
    /// # Errors
    /// Those of [`Board::all`], and [`DeviceError::UnknownBoard`] with the names there are.
    pub fn named(name: &str) -> Result<Self, DeviceError> {
        let all = Self::all()?;
        let known: Vec<String> = all.iter().map(|board| board.name.clone()).collect();
        let found = all.into_iter().find(|board| board.name == name);
        found.ok_or_else(|| DeviceError::UnknownBoard { name: name.into(), known: known.join(", ") })
    }

    /// Returns the emulator's program and machine, where one has the board.
    pub fn emulator(&self) -> Option<String> {
        match (&self.qemu, &self.script) {
            (Some(qemu), _) => Some(format!("{} ({})", qemu.program, qemu.machine)),
            (None, script) => script.as_ref().map(|script| script.package_name().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_describes_its_board() {
        let boards = Board::all().unwrap();
        let folders = std::fs::read_dir(workspace()).unwrap().map(|entry| entry.unwrap().path());
        // A folder with a program is a board's, the others hold what boards share.
        let mut names: Vec<String> = folders
            .filter(|path| path.join("src/main.rs").is_file())
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(boards.iter().map(|board| board.name.clone()).collect::<Vec<_>>(), names);
        for board in &boards {
            let way = (&board.qemu, &board.probe_rs, &board.espflash, &board.uf2);
            assert_ne!(way, (&None, &None, &None, &None), "{}: no way to run it", board.name);
            let has_usb = board.qemu.is_some() || !board.usb_ids.is_empty();
            assert!(has_usb, "{}: its port cannot be found", board.name);
        }
        let unknown = Board::named("mps3").unwrap_err().to_string();
        assert!(unknown.contains("mps3") && unknown.contains("mps2-an386"), "{unknown}");
    }

    #[test]
    fn a_damaged_description_names_file_and_field() {
        let value = serde_json::json!({ "about": "x", "target": "y" });
        let message = Board::described("x".into(), "boards/x/Cargo.toml", &value).unwrap_err().to_string();
        assert!(message.contains("boards/x/Cargo.toml") && message.contains("core"), "{message}");
    }
}
