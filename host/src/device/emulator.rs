//! QEMU with a board's image: its UART on a TCP socket, its log on a pipe.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::DeviceError;
use super::board::Board;
use super::log::{self, Line};
use super::monitor::Monitor;

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

/// Returns whether the board's emulator is on the path.
///
/// # Errors
/// [`DeviceError::Missing`] with the command that gets it.
pub fn find(board: &Board) -> Result<(), DeviceError> {
    let program = &board.qemu()?.program;
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(DeviceError::Missing(format!(
            "{program} is not here; get it with `scripts/setup-embedded.sh` or your system's packages"
        ))),
    }
}

impl Emulator {
    /// Starts the board with an image.
    ///
    /// # Errors
    /// [`DeviceError`] where QEMU is missing, ends at once, or the image is no ELF with a log table.
    pub fn start(board: &Board, elf: &Path) -> Result<Self, DeviceError> {
        Self::start_with(board, elf, &[])
    }

    /// Starts the board with an image and further arguments for QEMU.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_with(board: &Board, elf: &Path, arguments: &[String]) -> Result<Self, DeviceError> {
        find(board)?;
        let qemu = board.qemu()?;
        let talk = |error: std::io::Error| DeviceError::Talk(format!("cannot be reached: {error}"));
        let bytes = std::fs::read(elf)
            .map_err(|error| DeviceError::Missing(format!("{}: {error}", elf.display())))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(talk)?;
        let port = listener.local_addr().map_err(talk)?.port();
        // Told where to connect, QEMU does so in the order of its options.
        let monitor =
            qemu.has_screen.then(|| TcpListener::bind(("127.0.0.1", 0))).transpose().map_err(talk)?;
        let monitor_option = match &monitor {
            Some(listener) => {
                let port = listener.local_addr().map_err(talk)?.port();
                ["-qmp".to_owned(), format!("tcp:127.0.0.1:{port}")]
            }
            None => ["-monitor".to_owned(), "none".to_owned()],
        };
        let process = Command::new(&qemu.program)
            .args(["-machine", &qemu.machine, "-display", "none"])
            .args(&qemu.arguments)
            .args(monitor_option)
            .args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &format!("tcp:127.0.0.1:{port}"), "-kernel"])
            .arg(elf)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| DeviceError::Missing(format!("{} does not start: {error}", qemu.program)))?;
        // From here on an early return ends the process.
        let mut process = Process(process);
        let uart = accept(&listener, &mut process.0, &qemu.program)?;
        let monitor = match monitor {
            Some(listener) => Some(Monitor::over(accept(&listener, &mut process.0, &qemu.program)?)?),
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

/// Waits for QEMU's connection, and gives up when it ends or takes too long.
fn accept(listener: &TcpListener, process: &mut Child, program: &str) -> Result<TcpStream, DeviceError> {
    let talk = |error: std::io::Error| DeviceError::Talk(format!("cannot be reached: {error}"));
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
