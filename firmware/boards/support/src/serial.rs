//! Single bytes over a UART whose driver waits in futures.

use embedded_io_async::{Read, Write};

use crate::wait::block_on;

/// Returns what waits for a byte. Bytes that came while the driver's buffer was full are lost, and their frame's CRC
/// tells.
pub fn receiver(mut rx: impl Read) -> impl FnMut() -> u8 {
    move || {
        let mut byte = [0];
        while !matches!(block_on(rx.read(&mut byte)), Ok(1)) {}
        byte[0]
    }
}

/// Returns what waits for room and sends a byte.
pub fn sender(mut tx: impl Write) -> impl FnMut(u8) {
    move |byte| while !matches!(block_on(tx.write(&[byte])), Ok(1)) {}
}
