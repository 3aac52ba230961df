//! Serial ports: which belong to a board, and opening one.

use std::time::{Duration, Instant};

use serialport::{ErrorKind, SerialPort, SerialPortType};

use super::DeviceError;
use super::board::Board;

/// Speed of a serial port, in baud.
pub const BAUD: u32 = 115_200;
/// How long one read may block.
const TICK: Duration = Duration::from_millis(20);
/// How long bytes of an earlier talk are waited for.
const DRAIN: Duration = Duration::from_millis(300);

/// Returns the ports whose USB device is one of the board's.
pub fn of_board(board: &Board) -> Vec<String> {
    let ports = serialport::available_ports().unwrap_or_default();
    let belongs = ports.into_iter().filter(|port| match &port.port_type {
        SerialPortType::UsbPort(usb) => board.usb_ids.contains(&format!("{:04x}:{:04x}", usb.vid, usb.pid)),
        _ => false,
    });
    let mut names: Vec<String> = belongs.map(|port| port.port_name).collect();
    names.sort();
    names
}

/// Returns the only port of a board.
///
/// # Errors
/// [`DeviceError::Missing`] where there is none, or more than one.
pub fn only_of_board(board: &Board) -> Result<String, DeviceError> {
    let ports = of_board(board);
    match &ports[..] {
        [port] => Ok(port.clone()),
        [] => Err(DeviceError::Missing(format!(
            "no port of {} is connected (USB {}); plug it in with a data cable, or name its port by --port",
            board.name,
            board.usb_ids.join(" or ")
        ))),
        several => Err(DeviceError::Missing(format!(
            "{} ports could be {}: {}; name one by --port",
            several.len(),
            board.name,
            several.join(", ")
        ))),
    }
}

/// Waits until a port of the board appears.
///
/// A board that restarts may come back under another name, so what was there before is not asked.
///
/// # Errors
/// [`DeviceError::Missing`] where none comes in time.
pub fn wait_for(board: &Board, patience: Duration) -> Result<String, DeviceError> {
    let started = Instant::now();
    loop {
        match only_of_board(board) {
            Ok(port) => return Ok(port),
            Err(error) if started.elapsed() >= patience => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Opens a port at [`BAUD`] and throws away what an earlier talk left in it.
///
/// # Errors
/// [`DeviceError::Missing`] where there is no such port, it is another program's or another user's.
pub fn open(name: &str) -> Result<Box<dyn SerialPort>, DeviceError> {
    let mut port = serialport::new(name, BAUD).timeout(TICK).open().map_err(|error| refused(name, &error))?;
    let deadline = Instant::now() + DRAIN;
    let mut stale = [0; 256];
    // Silence for one read's time, or a board that chatters.
    while Instant::now() < deadline && matches!(std::io::Read::read(&mut port, &mut stale), Ok(1..)) {}
    Ok(port)
}

/// Why a port could not be opened, and what to do.
fn refused(name: &str, error: &serialport::Error) -> DeviceError {
    // The library folds several causes into one kind; the system's own answer tells them apart.
    let cause = std::fs::OpenOptions::new().read(true).write(true).open(name).err();
    let remedy = match (cause.as_ref().map(std::io::Error::kind), error.kind()) {
        (Some(std::io::ErrorKind::PermissionDenied), _) => {
            "you may not use it: join the group `dialout` (sudo usermod -aG dialout $USER) and log in again"
                .into()
        }
        (Some(std::io::ErrorKind::ResourceBusy), _) | (None, ErrorKind::NoDevice) => {
            "another program holds it: close the other terminal or monitor".into()
        }
        _ => known_ports(),
    };
    DeviceError::Missing(format!("serial port {name}: {error}; {remedy}"))
}

fn known_ports() -> String {
    let names = serialport::available_ports().unwrap_or_default();
    let names: Vec<String> = names.into_iter().map(|port| port.port_name).collect();
    if names.is_empty() { "no port is known here".into() } else { format!("there are {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_there_is_named_with_what_there_is() {
        let message = open("/dev/no-such-port").err().unwrap().to_string();
        assert!(
            message.contains("/dev/no-such-port")
                && message.contains("there are") | message.contains("no port")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_port_that_another_program_holds_is_said_to_be_so() {
        // A pseudo terminal is a port; opened once it is exclusive.
        let (_controller, mut terminal) = serialport::TTYPort::pair().unwrap();
        terminal.set_exclusive(true).unwrap();
        let name = terminal.name().unwrap();
        // The super-user is let in all the same.
        if let Err(error) = open(&name) {
            assert!(error.to_string().contains("another program holds it"), "{error}");
        }
    }
}
