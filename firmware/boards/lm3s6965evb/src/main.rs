//! The classifier on the LM3S6965 evaluation board: Cortex-M3 at 50 MHz, emulated by QEMU's `lm3s6965evb`.
//!
//! Frames come and answers go over UART 0; the OLED shows what the network saw; logs go out through semihosting
//! in defmt's encoding.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "this is a firmware image; build it with `cargo run -p host -- device build --board lm3s6965evb`"
    );
}
