//! The checksum of a generated network: `network.rs` and `weights.bin` belong together, whole.

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
    crc32([first.as_bytes(), rest.as_bytes(), weights].into_iter().flatten().copied())
}

/// CRC-32 as in Ethernet and ZIP, bit by bit.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 };
        }
    }
    !crc
}
