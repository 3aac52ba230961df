//! Flashing: a file on the boot loader's drive, probe-rs, or espflash.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::DeviceError;
use super::board::{Board, Uf2};
use super::uf2;

/// File that a UF2 boot loader keeps on its drive.
const INFO: &str = "INFO_UF2.TXT";
/// Where systems mount drives, `*` standing for one folder.
const MOUNTS: [&str; 4] = ["/media/*/*", "/run/media/*/*", "/media/*", "/Volumes/*"];

/// How an image gets onto a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// A UF2 file copied to the boot loader's drive; no debugger
    Uf2,
    /// A debugger, through probe-rs
    ProbeRs,
    /// The chip's own USB or UART, through espflash
    Espflash,
}

/// What a person chose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// How; the board's first way otherwise.
    pub method: Option<Method>,
    /// Folder of the mounted drive, for UF2.
    pub drive: Option<PathBuf>,
    /// Which debugger: `vendor:product:serial`, for probe-rs.
    pub probe: Option<String>,
    /// Serial port, for espflash.
    pub port: Option<String>,
    /// How long a drive is waited for.
    pub patience: Duration,
}

impl Choice {
    /// Returns how a board is flashed: as asked, or the way that needs least.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] where the board cannot be flashed, or not that way.
    pub fn method(&self, board: &Board) -> Result<Method, DeviceError> {
        let possible = Method::ways(board);
        match (self.method, &possible[..]) {
            (_, []) => Err(DeviceError::Missing(format!(
                "{} is no board that one can buy: use --emulate with `device run` or `device hil`",
                board.name
            ))),
            (Some(asked), possible) if !possible.contains(&asked) => {
                let names: Vec<&str> = possible.iter().map(|method| method.name()).collect();
                Err(DeviceError::Missing(format!(
                    "{} is not flashed by {}, but by {}",
                    board.name,
                    asked.name(),
                    names.join(" or ")
                )))
            }
            (Some(asked), _) => Ok(asked),
            (None, [first, ..]) => Ok(*first),
        }
    }
}

impl Method {
    /// Returns the ways to flash a board, the one that needs least first.
    pub fn ways(board: &Board) -> Vec<Self> {
        let ways = [
            (Self::Uf2, board.uf2.is_some()),
            (Self::Espflash, board.espflash.is_some()),
            (Self::ProbeRs, board.probe_rs.is_some()),
        ];
        ways.into_iter().filter(|way| way.1).map(|way| way.0).collect()
    }

    /// Returns its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uf2 => "uf2",
            Self::ProbeRs => "probe-rs",
            Self::Espflash => "espflash",
        }
    }
}

/// Puts an image onto a board.
///
/// * `say`: is told, line by line, what is done and what a person is to do.
///
/// # Errors
/// [`DeviceError::Missing`] where a tool, a debugger or a drive is missing, with what to do;
/// [`DeviceError::Flash`] where flashing failed.
pub fn flash(
    board: &Board,
    elf: &Path,
    choice: &Choice,
    mut say: impl FnMut(&str),
) -> Result<(), DeviceError> {
    match (choice.method(board)?, &board.uf2, &board.probe_rs, &board.espflash) {
        (Method::Uf2, Some(way), ..) => onto_drive(board, way, elf, choice, say),
        (Method::ProbeRs, _, Some(chip), _) => by_probe(board, chip, elf, choice, &mut say),
        (Method::Espflash, _, _, Some(chip)) => by_espflash(board, chip, elf, choice, &mut say),
        // `method` gives no way that the board lacks.
        _ => Err(DeviceError::Missing(format!("{} cannot be flashed", board.name))),
    }
}

fn onto_drive(
    board: &Board,
    way: &Uf2,
    elf: &Path,
    choice: &Choice,
    mut say: impl FnMut(&str),
) -> Result<(), DeviceError> {
    let (kept, file) = uf2::beside(elf, way.family)?;
    say(&format!("made {} ({} bytes)", kept.display(), file.len()));
    let drive = find_drive(board, way, choice, &mut say)?;
    let target = drive.join("garments.uf2");
    say(&format!("copying it to {}", target.display()));
    copy(board, &file, &target)?;
    say("copied; the board restarts");
    Ok(())
}

/// Finds the drive, and waits for it where it is not there yet.
fn find_drive(
    board: &Board,
    way: &Uf2,
    choice: &Choice,
    say: &mut impl FnMut(&str),
) -> Result<PathBuf, DeviceError> {
    let started = Instant::now();
    let mut has_asked = false;
    loop {
        let mut wrong = None;
        for drive in drives(choice) {
            match info(&drive) {
                Some(info) if info.contains(&format!("Board-ID: {}", way.drive)) => return Ok(drive),
                Some(info) => wrong = Some((drive, info)),
                None => {}
            }
        }
        if let Some((drive, info)) = wrong {
            let id = info.lines().find_map(|line| line.strip_prefix("Board-ID: ")).unwrap_or("another board");
            return Err(DeviceError::Flash(format!(
                "the drive at {} is the boot loader of {}, not of {} ({}); choose another --board, or unplug it",
                drive.display(),
                id.trim(),
                board.name,
                way.drive
            )));
        }
        if started.elapsed() >= choice.patience {
            let place = match &choice.drive {
                Some(folder) => format!("{} holds no {INFO}", folder.display()),
                None => format!("no drive {} is mounted", way.drive),
            };
            return Err(DeviceError::Missing(format!(
                "{place}: {}, and mount the drive if your system does not; --drive FOLDER names it",
                way.enter
            )));
        }
        if !has_asked {
            has_asked = true;
            say(&format!("waiting for the drive {}: {}", way.drive, way.enter));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn drives(choice: &Choice) -> Vec<PathBuf> {
    match &choice.drive {
        Some(folder) => vec![folder.clone()],
        None => MOUNTS.iter().flat_map(|pattern| folders(pattern)).collect(),
    }
}

/// Folders that a pattern such as `/media/*/*` names.
fn folders(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part {
            "*" => {
                let entries = found.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
                entries.flat_map(|entries| entries.flatten().map(|entry| entry.path())).collect()
            }
            name => found.into_iter().map(|folder| folder.join(name)).collect(),
        };
    }
    found
}

fn info(drive: &Path) -> Option<String> {
    let bytes = std::fs::read(drive.join(INFO)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn copy(board: &Board, bytes: &[u8], target: &Path) -> Result<(), DeviceError> {
    let failed = |error: &std::io::Error, written: usize| {
        let problem = match error.kind() {
            std::io::ErrorKind::StorageFull => {
                "the drive is full: it is no boot loader's, or the board is not in it".into()
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "you may not write there: mount the drive for yourself".into()
            }
            _ => format!("{error}; the board left its boot loader after {written} bytes: {}", again(board)),
        };
        DeviceError::Flash(format!("{}: {problem}", target.display()))
    };
    let mut file = std::fs::File::create(target).map_err(|error| failed(&error, 0))?;
    // Block by block, as the boot loader takes them, so that it is known how far it came.
    let mut written = 0;
    for block in bytes.chunks(128 * uf2::BLOCK) {
        file.write_all(block).map_err(|error| failed(&error, written))?;
        written += block.len();
    }
    match file.sync_all() {
        Ok(()) => Ok(()),
        // The board restarts when it has the last block, and takes the drive with it.
        Err(_) if !target.exists() => Ok(()),
        Err(error) => Err(failed(&error, written)),
    }
}

fn again(board: &Board) -> String {
    board.uf2.as_ref().map_or_else(String::new, |way| format!("{} and try again", way.enter))
}

fn by_probe(
    board: &Board,
    chip: &str,
    elf: &Path,
    choice: &Choice,
    say: &mut impl FnMut(&str),
) -> Result<(), DeviceError> {
    let mut download = vec!["download", "--non-interactive", "--chip", chip];
    let mut reset = vec!["reset", "--non-interactive", "--chip", chip];
    if let Some(probe) = &choice.probe {
        download.extend(["--probe", probe]);
        reset.extend(["--probe", probe]);
    }
    let path = elf.to_string_lossy();
    download.push(&path);
    for arguments in [download, reset] {
        say(&format!("probe-rs {}", arguments.join(" ")));
        run("probe-rs", "cargo install probe-rs-tools --locked", &arguments)
            .map_err(|error| explain_probe(error, board, choice))?;
    }
    Ok(())
}

/// Adds what a person can do to what probe-rs says.
fn explain_probe(error: DeviceError, board: &Board, choice: &Choice) -> DeviceError {
    let DeviceError::Flash(said) = &error else { return error };
    let lower = said.to_lowercase();
    let remedy = if lower.contains("no connected probes")
        || lower.contains("no debug probes")
        || lower.contains("probe was not found")
    {
        "no debugger is connected: plug the board in with a data cable; on Linux a user also needs probe-rs's udev rules (https://probe.rs/docs/getting-started/probe-setup/)".to_owned()
    } else if choice.probe.is_none()
        && (lower.contains("probes were found") || lower.contains("multiple") || lower.contains("--probe"))
    {
        "several debuggers are connected: choose one with --probe VENDOR:PRODUCT:SERIAL; `probe-rs list` shows them".to_owned()
    } else if lower.contains("permission") || lower.contains("access denied") {
        "you may not use the debugger: install probe-rs's udev rules (https://probe.rs/docs/getting-started/probe-setup/)".to_owned()
    } else {
        format!("is the board {}? Another chip needs another --board", board.about)
    };
    DeviceError::Flash(format!("{remedy}\n{said}"))
}

fn by_espflash(
    board: &Board,
    chip: &str,
    elf: &Path,
    choice: &Choice,
    say: &mut impl FnMut(&str),
) -> Result<(), DeviceError> {
    let port = match &choice.port {
        Some(port) => port.clone(),
        None => super::port::only_of_board(board)?,
    };
    let path = elf.to_string_lossy();
    let arguments = ["flash", "--non-interactive", "--chip", chip, "--port", &port, &path];
    say(&format!("espflash {}", arguments.join(" ")));
    run("espflash", "cargo install espflash --locked", &arguments).map_err(|error| match error {
        DeviceError::Flash(said) => DeviceError::Flash(format!(
            "hold BOOT, press RESET and try again; another chip needs another --board\n{said}"
        )),
        other => other,
    })
}

/// Runs a tool to its end; what it printed is kept for the error.
fn run(program: &str, install: &str, arguments: &[&str]) -> Result<(), DeviceError> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        DeviceError::Missing(format!("{program} does not run ({error}); get it with `{install}`"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stderr[..], &output.stdout[..]].map(String::from_utf8_lossy).join("\n");
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n");
    Err(DeviceError::Flash(format!("{program} ended with {}:\n{last}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_needs_least_is_the_default_and_another_is_refused() {
        let choice = Choice::default();
        let named = |name| Board::named(name).unwrap();
        assert_eq!(choice.method(&named("pico")).unwrap(), Method::Uf2);
        assert_eq!(choice.method(&named("nrf52840-dk")).unwrap(), Method::ProbeRs);
        assert_eq!(choice.method(&named("esp32-c3")).unwrap(), Method::Espflash);
        let by_probe = Choice { method: Some(Method::ProbeRs), ..Choice::default() };
        assert_eq!(by_probe.method(&named("pico")).unwrap(), Method::ProbeRs);
        let wrong = Choice { method: Some(Method::Uf2), ..Choice::default() };
        let message = wrong.method(&named("nucleo-f446re")).unwrap_err().to_string();
        assert!(message.contains("nucleo-f446re") && message.contains("probe-rs"), "{message}");
        let emulated = choice.method(&named("mps2-an386")).unwrap_err().to_string();
        assert!(emulated.contains("--emulate"), "{emulated}");
    }

    #[test]
    fn patterns_name_folders() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/RPI-RP2")).unwrap();
        let pattern = format!("{}/*/*", root.path().display());
        assert_eq!(folders(&pattern), [root.path().join("a/RPI-RP2")]);
    }
}
