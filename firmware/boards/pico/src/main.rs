//! The classifier on Raspberry Pi Pico: RP2040, Cortex-M0+ at 125 MHz.
//!
//! Frames come and answers go over USB; the log goes to a debugger, where one listens.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    rp::run(env!("CARGO_PKG_NAME"), 0x000a)
}
