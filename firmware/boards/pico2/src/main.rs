//! The classifier on Raspberry Pi Pico 2: RP2350, Cortex-M33 with DSP instructions at 150 MHz.
//!
//! Frames come and answers go over USB; the log goes to a debugger, where one listens.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    rp::run(env!("CARGO_PKG_NAME"), 0x0009)
}
