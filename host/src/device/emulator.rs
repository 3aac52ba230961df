//! QEMU with a board's image: its UART on a TCP socket, its log on a pipe.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::DeviceError;
use super::build::Board;
use super::log::{self, Line};

/// Program name of the emulator.
const QEMU: &str = "qemu-system-arm";
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
}

/// A process that ends with this value.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns whether QEMU is on the path.
///
/// # Errors
/// [`DeviceError::Missing`] with the command that gets it.
pub fn find() -> Result<(), DeviceError> {
    let found = Command::new(QEMU).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(DeviceError::Missing(format!(
            "{QEMU} is not here; get it with `scripts/setup-embedded.sh` or your system's packages (qemu-system-arm)"
        ))),
    }
}

impl Emulator {
    /// Starts the board with an image.
    ///
    /// # Errors
    /// [`DeviceError`] where QEMU is missing, ends at once, or the image is no ELF with a log table.
    pub fn start(board: Board, elf: &Path) -> Result<Self, DeviceError> {
        Self::start_with(board, elf, &[])
    }

    /// Starts the board with an image and further arguments for QEMU.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_with(board: Board, elf: &Path, arguments: &[String]) -> Result<Self, DeviceError> {
        find()?;
        let talk = |error: std::io::Error| DeviceError::Talk(format!("cannot be reached: {error}"));
        let bytes = std::fs::read(elf)
            .map_err(|error| DeviceError::Missing(format!("{}: {error}", elf.display())))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(talk)?;
        let port = listener.local_addr().map_err(talk)?.port();
        let (machine, core) = match board {
            Board::Mps2An386 => ("mps2-an386", "cortex-m4"),
        };
        let process = Command::new(QEMU)
            .args(["-machine", machine, "-cpu", core, "-display", "none", "-monitor", "none"])
            .args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &format!("tcp:127.0.0.1:{port}"), "-kernel"])
            .arg(elf)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| DeviceError::Missing(format!("{QEMU} does not start: {error}")))?;
        // From here on an early return ends the process.
        let mut process = Process(process);
        let uart = accept(&listener, &mut process.0)?;
        let output = process.0.stdout.take().expect("the output was piped above");
        let log =
            log::decode(&bytes, output).map_err(|problem| DeviceError::Talk(format!("log: {problem}")))?;
        uart.set_nodelay(true).map_err(talk)?;
        Ok(Self { process, uart, log })
    }

    /// Splits into UART, log and process; the process must be kept as long as the board is needed.
    pub fn into_parts(self) -> (TcpStream, Receiver<Line>, Process) {
        (self.uart, self.log, self.process)
    }
}

/// Waits for QEMU's connection, and gives up when it ends or takes too long.
fn accept(listener: &TcpListener, process: &mut Child) -> Result<TcpStream, DeviceError> {
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
            return Err(DeviceError::Talk(format!("did not start: {QEMU} ended with {status}")));
        }
        if started.elapsed() > START_TIMEOUT {
            return Err(DeviceError::Talk(format!("did not start: {QEMU} is silent")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
