//! The checksum of a generated network: `network.rs` and `weights.bin` belong together, whole.

use crc::{CRC_32_ISO_HDLC, Crc};

/// Begins the line that holds the checksum, the source's second.
const MARK: &str = "// CRC-32 of the other lines and of weights.bin: ";

/// Writes the checksum's line behind the first one.
pub fn sealed(source: &str, weights: &[u8]) -> String {
    let (first, rest) = source.split_once('\n').unwrap_or((source, ""));
    format!("{first}\n{MARK}{:#010x}\n{rest}", crc_of(first, rest, weights))
}

/// Compares a source with its checksum; one without is not compared.
///
/// # Errors
/// What is wrong.
pub fn check(source: &str, weights: &[u8]) -> Result<(), String> {
    let (first, rest) = source.split_once('\n').unwrap_or((source, ""));
    let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let Some(recorded) = line.strip_prefix(MARK) else { return Ok(()) };
    let have = format!("{:#010x}", crc_of(first, rest, weights));
    if have == recorded {
        return Ok(());
    }
    Err(format!("the checksum of network.rs and weights.bin is {have}, not {recorded}: damaged or edited"))
}

fn crc_of(first: &str, rest: &str, weights: &[u8]) -> u32 {
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let mut digest = crc.digest();
    [first.as_bytes(), rest.as_bytes(), weights].into_iter().for_each(|part| digest.update(part));
    digest.finalize()
}
