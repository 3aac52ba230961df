//! QEMU's machine protocol, for what the board's own screen shows.
//!
//! Source: QEMU, *QEMU Machine Protocol Specification*; pictures come as binary PPM.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::DeviceError;
use crate::dataset::photo::Photo;
use crate::dataset::ppm;

/// How long QEMU may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a running QEMU.
pub struct Monitor {
    stream: BufReader<TcpStream>,
}

fn talk(problem: impl std::fmt::Display) -> DeviceError {
    DeviceError::Talk(format!("has an emulator that does not do as told: {problem}"))
}

impl Monitor {
    /// Greets QEMU.
    ///
    /// # Errors
    /// [`DeviceError::Talk`] where it does not answer.
    pub fn over(stream: TcpStream) -> Result<Self, DeviceError> {
        stream.set_read_timeout(Some(TIMEOUT)).map_err(talk)?;
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.line()?;
        monitor.execute(&serde_json::json!({ "execute": "qmp_capabilities" }))?;
        Ok(monitor)
    }

    /// Takes a picture of the machine's screen.
    ///
    /// # Errors
    /// [`DeviceError::Talk`] where QEMU refuses, or its picture cannot be read.
    pub fn screendump(&mut self) -> Result<Photo, DeviceError> {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("screendump-{}-{}.ppm", std::process::id(), self.port()));
        let arguments = serde_json::json!({ "filename": path });
        let taken = self.execute(&serde_json::json!({ "execute": "screendump", "arguments": arguments }));
        let picture = taken.and_then(|()| read_ppm(&path));
        let _ = std::fs::remove_file(&path);
        picture
    }

    /// Tells emulators apart that one process runs.
    fn port(&self) -> u16 {
        self.stream.get_ref().local_addr().map_or(0, |address| address.port())
    }

    fn line(&mut self) -> Result<serde_json::Value, DeviceError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).map_err(talk)? == 0 {
            return Err(talk("it hung up"));
        }
        serde_json::from_str(&line).map_err(talk)
    }

    /// Sends a command and waits for its return; events are passed over.
    fn execute(&mut self, command: &serde_json::Value) -> Result<(), DeviceError> {
        self.stream.get_mut().write_all(command.to_string().as_bytes()).map_err(talk)?;
        loop {
            let answer = self.line()?;
            if answer.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = answer.get("error") {
                return Err(talk(error));
            }
        }
    }
}

fn read_ppm(path: &Path) -> Result<Photo, DeviceError> {
    let bytes = std::fs::read(path).map_err(talk)?;
    parse_ppm(&bytes).ok_or_else(|| talk("its picture is no PPM"))
}

/// Reads the one picture that the bytes are, and nothing behind it.
fn parse_ppm(mut bytes: &[u8]) -> Option<Photo> {
    let photo = ppm::read(&mut bytes).ok().flatten()?;
    bytes.is_empty().then_some(photo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ppm_gives_its_pixels_and_a_short_one_nothing() {
        let bytes = [&b"P6\n2 1\n255\n"[..], &[1, 2, 3, 4, 5, 6]].concat();
        let photo = parse_ppm(&bytes).unwrap();
        assert_eq!((photo.width, photo.height, &photo.rgb[..]), (2, 1, &[1, 2, 3, 4, 5, 6][..]));
        assert!(parse_ppm(&bytes[..bytes.len() - 1]).is_none());
        assert!(parse_ppm(b"P5 1 1 255 a").is_none());
        assert!(parse_ppm(b"").is_none());
    }
}
