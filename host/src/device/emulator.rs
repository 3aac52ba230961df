//! An emulator with a board's image: its serial port on a TCP socket, its log on a pipe.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::DeviceError;
use super::board::{Board, Qemu, Script};
use super::log::{self, Line};
use super::monitor::Monitor;
use super::{size, uf2};

/// How long QEMU may take to connect.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Under `-icount shift=0` an instruction takes one virtual nanosecond.
pub const INSTRUCTIONS_PER_SECOND: f64 = 1e9;

/// A running emulator.
pub struct Emulator {
    process: Process,
    /// The UART.
    pub uart: TcpStream,
    /// The board's log.
    pub log: Receiver<Line>,
    /// The emulator's own controls, for a board whose screen it draws.
    pub monitor: Option<Monitor>,
}

/// A process that ends with this value.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns whether the board's emulator is here.
///
/// # Errors
/// [`DeviceError::Missing`] with the command that gets it, or where no emulator has the board.
pub fn find(board: &Board) -> Result<(), DeviceError> {
    let runs = |program: &str| {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let missing = |what: &str| {
        DeviceError::Missing(format!(
            "{what} is not here; get it with `scripts/setup-embedded.sh` or your system's packages"
        ))
    };
    match (&board.qemu, &board.script) {
        (Some(qemu), _) if runs(&qemu.program) => Ok(()),
        (Some(qemu), _) => Err(missing(&qemu.program)),
        (None, Some(script)) => {
            let package = tools().join("node_modules").join(script.package_name());
            match (runs("node"), package.is_dir()) {
                (true, true) => Ok(()),
                (false, _) => Err(missing("node")),
                (true, false) => Err(DeviceError::Missing(format!(
                    "{} is not here; get it with `npm install --prefix target/tools {}`",
                    script.package, script.package
                ))),
            }
        }
        (None, None) => Err(DeviceError::Missing(format!(
            "no emulator has {}; use --port with a flashed board",
            board.name
        ))),
    }
}

/// Folder of tools that are no part of the project.
fn tools() -> PathBuf {
    crate::project_root().join("target/tools")
}

impl Emulator {
    /// Starts the board with an image.
    ///
    /// # Errors
    /// [`DeviceError`] where the emulator is missing, ends at once, or the image is no ELF with a log table.
    pub fn start(board: &Board, elf: &Path) -> Result<Self, DeviceError> {
        Self::start_with(board, elf, &[])
    }

    /// Starts the board with an image and further arguments for the emulator.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_with(board: &Board, elf: &Path, arguments: &[String]) -> Result<Self, DeviceError> {
        find(board)?;
        let bytes = std::fs::read(elf)
            .map_err(|error| DeviceError::Missing(format!("{}: {error}", elf.display())))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(talk)?;
        let port = listener.local_addr().map_err(talk)?.port();
        // Told where to connect, QEMU does so in the order of its options.
        let has_screen = board.qemu.as_ref().is_some_and(|qemu| qemu.has_screen);
        let monitor = has_screen.then(|| TcpListener::bind(("127.0.0.1", 0))).transpose().map_err(talk)?;
        let monitor_port = match &monitor {
            Some(listener) => Some(listener.local_addr().map_err(talk)?.port()),
            None => None,
        };
        let mut command = match (&board.qemu, &board.script) {
            (Some(machine), _) => qemu(machine, elf, port, monitor_port),
            (None, Some(script)) => node(board, script, elf, &bytes, port)?,
            (None, None) => return Err(DeviceError::Missing(format!("no emulator has {}", board.name))),
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let process = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| DeviceError::Missing(format!("{program} does not start: {error}")))?;
        // From here on an early return ends the process.
        let mut process = Process(process);
        let uart = accept(&listener, &mut process.0, &program)?;
        let monitor = match monitor {
            Some(listener) => Some(Monitor::over(accept(&listener, &mut process.0, &program)?)?),
            None => None,
        };
        let output = process.0.stdout.take().expect("the output was piped above");
        let log =
            log::decode(&bytes, output).map_err(|problem| DeviceError::Talk(format!("log: {problem}")))?;
        uart.set_nodelay(true).map_err(talk)?;
        Ok(Self { process, uart, log, monitor })
    }

    /// Splits into UART, log, controls and process, which must be kept as long as the board is needed.
    pub fn into_parts(self) -> (TcpStream, Receiver<Line>, Option<Monitor>, Process) {
        (self.uart, self.log, self.monitor, self.process)
    }
}

fn qemu(qemu: &Qemu, elf: &Path, port: u16, monitor: Option<u16>) -> Command {
    let mut command = Command::new(&qemu.program);
    command.args(["-machine", &qemu.machine, "-display", "none"]).args(&qemu.arguments);
    match monitor {
        Some(port) => command.args(["-qmp", &format!("tcp:127.0.0.1:{port}")]),
        None => command.args(["-monitor", "none"]),
    };
    command
        .args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native"])
        .args(["-serial", &format!("tcp:127.0.0.1:{port}"), "-kernel"])
        .arg(elf);
    command
}

fn node(board: &Board, script: &Script, elf: &Path, bytes: &[u8], port: u16) -> Result<Command, DeviceError> {
    let way = board.uf2.as_ref().ok_or_else(|| DeviceError::Missing(format!("{} has no UF2", board.name)))?;
    let (image, _) = uf2::beside(elf, way.family)?;
    let control_block = size::symbol(bytes, "_SEGGER_RTT")?;
    let mut command = Command::new("node");
    command.arg(crate::project_root().join(&script.path)).arg(&image);
    command.args([port.to_string(), control_block.to_string()]);
    Ok(command)
}

fn talk(error: std::io::Error) -> DeviceError {
    DeviceError::Talk(format!("cannot be reached: {error}"))
}

/// Waits for the emulator's connection, and gives up when it ends or takes too long.
fn accept(listener: &TcpListener, process: &mut Child, program: &str) -> Result<TcpStream, DeviceError> {
    listener.set_nonblocking(true).map_err(talk)?;
    let started = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(talk)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(talk(error)),
            Err(_) => {}
        }
        if let Ok(Some(status)) = process.try_wait() {
            return Err(DeviceError::Talk(format!("did not start: {program} ended with {status}")));
        }
        if started.elapsed() > START_TIMEOUT {
            return Err(DeviceError::Talk(format!("did not start: {program} is silent")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
