//! Flashing, with a made-up boot loader's drive and stand-ins for probe-rs and espflash: what is called with
//! which arguments, and what a person reads when it goes wrong.
#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use host::device::board::Board;
use host::device::build::build;
use host::device::{size, uf2};
use host::model_dir::ModelDir;
use host::plan::Options;
use support::{Need, have};

/// A folder for a drive and for programs that stand in for tools.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        Self { folder }
    }

    /// Puts a shell script on the path in place of a tool; it notes its arguments.
    fn stand_in(&self, tool: &str, script: &str) {
        let path = self.folder.path().join("bin").join(tool);
        let calls = self.folder.path().join("calls");
        let text = format!("#!/bin/sh\necho \"{tool} $*\" >> '{}'\n{script}\n", calls.display());
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }

    /// A drive as the boot loader of a board makes it.
    fn drive(&self, board_id: &str) -> PathBuf {
        let drive = self.folder.path().join(board_id);
        std::fs::create_dir_all(&drive).unwrap();
        let info = format!("UF2 Bootloader v3.0\r\nModel: Raspberry Pi\r\nBoard-ID: {board_id}\r\n");
        std::fs::write(drive.join("INFO_UF2.TXT"), info).unwrap();
        drive
    }

    fn flash(&self, arguments: &[&str]) -> Output {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        Command::new(env!("CARGO_BIN_EXE_garments"))
            .current_dir(host::project_root())
            .args(["device", "flash", "--model", "models/nano", "--no-greeting"])
            .args(arguments)
            .env("PATH", path)
            .output()
            .unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn nano(board: &str) -> (Board, Vec<u8>) {
    let board = Board::named(board).unwrap();
    let dir = ModelDir::new(&host::project_root().join("models/nano"));
    let elf = std::fs::read(build(&board, &dir, Options::default()).unwrap()).unwrap();
    (board, elf)
}

/// Reads a UF2 file back: the flash that it describes, and the family of its blocks.
fn read_uf2(bytes: &[u8]) -> (std::collections::BTreeMap<u32, Vec<u8>>, u32) {
    let word = |block: &[u8], at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
    let count = bytes.len() / uf2::BLOCK;
    let mut flash = std::collections::BTreeMap::new();
    let mut family = None;
    for (number, block) in bytes.chunks(uf2::BLOCK).enumerate() {
        assert_eq!(
            [word(block, 0), word(block, 4), word(block, 508)],
            [0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30]
        );
        assert_eq!([word(block, 8), word(block, 16)], [0x2000, 256]);
        assert_eq!([word(block, 20), word(block, 24)], [number as u32, count as u32]);
        assert_eq!(*family.get_or_insert(word(block, 28)), word(block, 28));
        flash.insert(word(block, 12), block[32..288].to_vec());
    }
    (flash, family.unwrap())
}

#[test]
fn an_image_is_copied_onto_the_boot_loader_s_drive() {
    if !have("an_image_is_copied_onto_the_boot_loader_s_drive", &[Need::Emulator]) {
        return;
    }
    for (name, board_id, family, first) in
        [("pico", "RPI-RP2", 0xe48b_ff56, 0x1000_0000u32), ("pico2", "RP2350", 0xe48b_ff59, 0x1000_0000)]
    {
        let bench = Bench::new();
        let drive = bench.drive(board_id);
        let output = bench.flash(&["--board", name, "--drive", drive.to_str().unwrap()]);
        assert!(output.status.success(), "{}", told(&output));
        let copied = std::fs::read(drive.join("garments.uf2")).unwrap();
        let (flash, found) = read_uf2(&copied);
        assert_eq!((found, *flash.keys().next().unwrap()), (family, first), "{name}");
        let (board, elf) = nano(name);
        assert_eq!(copied, uf2::from_elf(&elf, board.uf2.unwrap().family).unwrap());
        let stored: u64 = flash.values().map(|page| page.len() as u64).sum();
        let size = size::of(&elf).unwrap().flash_bytes;
        assert!(stored >= size && stored < size + 2048, "{name}: {stored} for {size}");
        if name == "pico2" {
            // The boot ROM wants the image's description in the first 4 KB (RP2350 datasheet, 5.9.1).
            let start: Vec<u8> = flash.range(first..first + 4096).flat_map(|page| page.1.clone()).collect();
            assert!(start.windows(4).any(|word| word == 0xffff_ded3u32.to_le_bytes()), "no image definition");
        }
    }
}

#[test]
fn what_is_wrong_with_a_drive_is_said_with_what_to_do() {
    if !have("what_is_wrong_with_a_drive_is_said_with_what_to_do", &[Need::Emulator]) {
        return;
    }
    let bench = Bench::new();
    let empty = bench.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let output = bench.flash(&["--board", "pico", "--drive", empty.to_str().unwrap(), "--wait", "0"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(told(&output).contains("hold BOOTSEL while you plug the board in"), "{}", told(&output));
    let other = bench.drive("RP2350");
    let output = bench.flash(&["--board", "pico", "--drive", other.to_str().unwrap(), "--wait", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("boot loader of RP2350, not of pico"), "{}", told(&output));
    // A link to a device that is always full stands for a full drive.
    let full = bench.drive("RPI-RP2");
    std::os::unix::fs::symlink("/dev/full", full.join("garments.uf2")).unwrap();
    let output = bench.flash(&["--board", "pico", "--drive", full.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("the drive is full"), "{}", told(&output));
    // A folder in the file's place: nothing can be written there.
    std::fs::remove_file(full.join("garments.uf2")).unwrap();
    std::fs::create_dir(full.join("garments.uf2")).unwrap();
    let output = bench.flash(&["--board", "pico", "--drive", full.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("hold BOOTSEL") && told(&output).contains("try again"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_drive_that_one_may_not_write_is_said_to_be_so() {
    if !have("a_drive_that_one_may_not_write_is_said_to_be_so", &[Need::Emulator]) {
        return;
    }
    let bench = Bench::new();
    let drive = bench.drive("RPI-RP2");
    std::fs::set_permissions(&drive, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Nothing is forbidden to the super-user.
    let is_forbidden = std::fs::write(drive.join("probe"), "").is_err();
    let output = bench.flash(&["--board", "pico", "--drive", drive.to_str().unwrap()]);
    if is_forbidden {
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains("you may not write there"), "{}", told(&output));
    }
    std::fs::set_permissions(&drive, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn probe_rs_is_called_with_chip_image_and_probe() {
    if !have("probe_rs_is_called_with_chip_image_and_probe", &[Need::Emulator]) {
        return;
    }
    for (board, chip) in [
        ("nrf52840-dk", "nRF52840_xxAA"),
        ("microbit-v2", "nRF52833_xxAA"),
        ("nucleo-f446re", "STM32F446RETx"),
    ] {
        let bench = Bench::new();
        bench.stand_in("probe-rs", "");
        let output = bench.flash(&["--board", board, "--probe", "1366:1051:0001"]);
        assert!(output.status.success(), "{}", told(&output));
        let calls = bench.calls();
        let lines: Vec<&str> = calls.lines().collect();
        let download = format!("probe-rs download --non-interactive --chip {chip} --probe 1366:1051:0001 ");
        assert!(lines[0].starts_with(&download) && lines[0].ends_with(&format!("{board}.elf")), "{calls}");
        assert_eq!(
            lines[1],
            format!("probe-rs reset --non-interactive --chip {chip} --probe 1366:1051:0001")
        );
    }
}

#[test]
fn what_probe_rs_says_is_told_with_what_to_do() {
    if !have("what_probe_rs_says_is_told_with_what_to_do", &[Need::Emulator]) {
        return;
    }
    for (said, remedy) in [
        ("Error: No connected probes were found.", "plug the board in"),
        ("Error: 2 probes were found: 1366:1051 and 0d28:0204", "choose one with --probe"),
        ("Error: Permission denied (os error 13)", "udev rules"),
        ("Error: Connecting to the chip was unsuccessful.", "is the board Nordic nRF52840 DK"),
    ] {
        let bench = Bench::new();
        bench.stand_in("probe-rs", &format!("echo '{said}' >&2; exit 1"));
        let output = bench.flash(&["--board", "nrf52840-dk"]);
        assert_eq!(output.status.code(), Some(1));
        let told = told(&output);
        assert!(told.contains(remedy) && told.contains(said), "{told}");
    }
    // No such program at all.
    let bench = Bench::new();
    let output = Command::new(env!("CARGO_BIN_EXE_garments"))
        .current_dir(host::project_root())
        .args(["device", "monitor", "--board", "nrf52840-dk", "--elf", "Cargo.toml"])
        .env("PATH", format!("{}:{}", bench.folder.path().display(), cargo_folder().display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(told(&output).contains("cargo install probe-rs-tools"), "{}", told(&output));
}

/// Where cargo is, which finds the boards.
fn cargo_folder() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).find(|folder| folder.join("cargo").is_file());
    found.unwrap_or_else(|| Path::new("/usr/bin").into())
}

#[test]
fn espflash_is_called_with_chip_port_and_image() {
    if !have("espflash_is_called_with_chip_port_and_image", &[Need::Emulator]) {
        return;
    }
    let bench = Bench::new();
    bench.stand_in("espflash", "");
    let output = bench.flash(&["--board", "esp32-c3", "--port", "/dev/ttyACM7"]);
    assert!(output.status.success(), "{}", told(&output));
    let calls = bench.calls();
    let expected = "espflash flash --non-interactive --chip esp32c3 --port /dev/ttyACM7 ";
    assert!(calls.starts_with(expected) && calls.trim_end().ends_with("esp32-c3.elf"), "{calls}");
    bench.stand_in("espflash", "echo 'Error: the port vanished' >&2; exit 1");
    let output = bench.flash(&["--board", "esp32-c3", "--port", "/dev/ttyACM7"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("hold BOOT") && told(&output).contains("vanished"), "{}", told(&output));
    let output = bench.flash(&["--board", "esp32-c3"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(told(&output).contains("303a:1001"), "{}", told(&output));
}

#[test]
fn an_emulator_s_image_is_offered_to_no_board() {
    let bench = Bench::new();
    for board in ["mps2-an386", "lm3s6965evb", "riscv-virt"] {
        let output = bench.flash(&["--board", board]);
        assert_eq!(output.status.code(), Some(5));
        assert!(told(&output).contains("--emulate"), "{}", told(&output));
    }
    assert_eq!(bench.calls(), "");
}
