//! The classifier on Arm's MPS2 board with the AN385 image, in code for Armv6-M: what a Cortex-M0+ executes, on a core that also has more.
#![no_std]
#![no_main]

use cortex_m_rt::{entry, exception};
use mps2::Wiring;

/// Arm DAI 0385D.
const UART: Wiring = Wiring { base: 0x4000_4000, rx_interrupt: 0 };
/// Frequency of the core, which SysTick counts.
const CLOCK_HZ: u32 = 25_000_000;

#[entry]
fn main() -> ! {
    mps2::run(env!("CARGO_PKG_NAME"), CLOCK_HZ, &UART)
}

/// All interrupts of the board land here; one is enabled.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    mps2::on_interrupt(&UART, interrupt);
}
