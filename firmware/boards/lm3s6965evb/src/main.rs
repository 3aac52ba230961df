//! The classifier on the LM3S6965 evaluation board: Cortex-M3 at 50 MHz, emulated by QEMU's `lm3s6965evb`.
//!
//! Frames come and answers go over UART 0; the OLED shows what the network saw; logs go out through semihosting
//! in defmt's encoding.
#![no_std]
#![no_main]

mod board;
