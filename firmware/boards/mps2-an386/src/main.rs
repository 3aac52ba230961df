//! The classifier on MPS2 AN386: Cortex-M4F at 25 MHz, emulated by QEMU's `mps2-an386`.
//!
//! Frames come and answers go over UART 0; logs go out through semihosting in defmt's encoding.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "this is a firmware image; build it with `cargo run -p host -- device build --board mps2-an386`"
    );
}
