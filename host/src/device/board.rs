//! Boards by name: what each folder under `firmware/boards` says of itself.
//!
//! A board is a package whose `Cargo.toml` has a table `[package.metadata.board]`. Nothing else in the project
//! knows boards: adding one touches its folder and the workspace's list of members.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::DeviceError;

/// A board, as its package describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Name of the package.
    #[serde(skip_deserializing)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu: Option<Qemu>,
    /// Name of the chip in probe-rs, for boards with a debugger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_rs: Option<String>,
}

/// How the host talks to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// A serial port at 115,200 baud.
    Uart,
    /// A USB serial port of the chip itself.
    Usb,
}

/// How QEMU runs a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Program, such as `qemu-system-arm`.
    pub program: String,
    /// Machine.
    pub machine: String,
    /// Whether QEMU draws the board's own screen.
    #[serde(default)]
    pub has_screen: bool,
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

impl Board {
    /// Reads all boards of the project, by name.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] where cargo does not run, [`DeviceError::Board`] with the file where a board's
    /// description is damaged.
    pub fn all() -> Result<Vec<Self>, DeviceError> {
        let missing = |problem: String| DeviceError::Missing(format!("cargo metadata: {problem}"));
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
            .arg(crate::project_root().join("Cargo.toml"))
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

    /// Returns how QEMU runs the board.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] where no emulator has it.
    pub fn qemu(&self) -> Result<&Qemu, DeviceError> {
        self.qemu.as_ref().ok_or_else(|| {
            DeviceError::Missing(format!("no emulator has {}; use --port with a flashed board", self.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_describes_its_board() {
        let boards = Board::all().unwrap();
        let folders = std::fs::read_dir(crate::project_root().join("firmware/boards")).unwrap();
        let mut names: Vec<String> =
            folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(boards.iter().map(|board| board.name.clone()).collect::<Vec<_>>(), names);
        assert!(boards.iter().all(|board| board.qemu.is_some() || board.probe_rs.is_some()), "{boards:?}");
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
