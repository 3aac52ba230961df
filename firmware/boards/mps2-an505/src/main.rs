//! The classifier on Arm's MPS2+ board with the AN505 image: Cortex-M33 with DSP instructions at 20 MHz, in the secure state.
#![no_std]
#![no_main]

use cortex_m_rt::{entry, exception};
use mps2::Wiring;

/// Arm DAI 0505B, secure aliases.
const UART: Wiring = Wiring { base: 0x5020_0000, rx_interrupt: 32 };
/// Frequency of the core, which SysTick counts.
const CLOCK_HZ: u32 = 20_000_000;

#[entry]
fn main() -> ! {
    mps2::run(env!("CARGO_PKG_NAME"), CLOCK_HZ, &UART)
}

/// All interrupts of the board land here; one is enabled.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    mps2::on_interrupt(&UART, interrupt);
}
