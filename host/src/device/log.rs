//! Decodes the board's defmt log with the table in its ELF file.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};

use defmt_decoder::{DecodeError, Table};

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `INFO`, `WARN`, …; empty for output that is no log.
    pub level: String,
    /// The message.
    pub text: String,
}

/// Decodes `source` on a thread until it ends; lines arrive on the receiver.
///
/// # Errors
/// A message where the ELF file holds no defmt table.
pub fn decode(elf: &[u8], mut source: impl Read + Send + 'static) -> Result<Receiver<Line>, String> {
    let table = Table::parse(elf).map_err(|error| error.to_string())?;
    let table = table.ok_or_else(|| "the image holds no defmt table".to_owned())?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut decoder = table.new_stream_decoder();
        let mut buffer = [0; 4096];
        while let Ok(count) = source.read(&mut buffer) {
            if count == 0 {
                return;
            }
            decoder.received(&buffer[..count]);
            loop {
                let line = match decoder.decode() {
                    Ok(frame) => {
                        let level = frame.level().map_or("", |level| level.as_str()).to_uppercase();
                        Line { level, text: frame.display_message().to_string() }
                    }
                    Err(DecodeError::UnexpectedEof) => break,
                    Err(DecodeError::Malformed) if table.encoding().can_recover() => continue,
                    Err(DecodeError::Malformed) => {
                        Line { level: "WARN".into(), text: "the log is damaged from here on".into() }
                    }
                };
                let is_end = line.text.starts_with("the log is damaged");
                if sender.send(line).is_err() || is_end {
                    return;
                }
            }
        }
    });
    Ok(receiver)
}
