//! Access to the chip's registers by address.

use core::ptr::{read_volatile, write_volatile};

/// Reads a register.
pub fn read(register: usize) -> u32 {
    // SAFETY: every caller passes a constant of this program: a register that the LM3S6965 maps for reading.
    unsafe { read_volatile(register as *const u32) }
}

/// Writes a register.
pub fn write(register: usize, value: u32) {
    // SAFETY: every caller passes a constant of this program: a register that the LM3S6965 maps for writing.
    unsafe { write_volatile(register as *mut u32, value) }
}
