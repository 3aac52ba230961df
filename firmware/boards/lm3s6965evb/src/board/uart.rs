//! UART 0 (Arm PrimeCell PL011): received by interrupt, sent by polling.
//!
//! Source: LM3S6965 datasheet, chapter 13, and table 2-9 for the interrupt number.

use board_support::queue;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

use super::registers::{read, write};

const BASE: usize = 0x4000_c000;
const DATA: usize = BASE;
const FLAGS: usize = BASE + 0x18;
const BAUD_INTEGER: usize = BASE + 0x24;
const BAUD_FRACTION: usize = BASE + 0x28;
const LINE_CONTROL: usize = BASE + 0x2c;
const CONTROL: usize = BASE + 0x30;
const INTERRUPT_MASK: usize = BASE + 0x38;
const INTERRUPT_CLEAR: usize = BASE + 0x44;
/// Port A: alternate functions, and digital pins.
const PORT_A_ALTERNATE: usize = 0x4000_4420;
const PORT_A_DIGITAL: usize = 0x4000_451c;

const RX_EMPTY: u32 = 1 << 4;
const TX_FULL: u32 = 1 << 5;
/// Received, and received some time ago.
const RX_INTERRUPTS: u32 = 1 << 4 | 1 << 6;
/// 50 MHz / (16 · 115,200) = 27 + 8/64.
const DIVIDER: (u32, u32) = (27, 8);
/// Number of the UART's interrupt.
pub const RX_INTERRUPT: u16 = 5;

#[derive(Clone, Copy)]
struct RxInterrupt;

// SAFETY: the number is a constant below the chip's interrupts.
unsafe impl InterruptNumber for RxInterrupt {
    fn number(self) -> u16 {
        RX_INTERRUPT
    }
}

/// The UART, enabled.
pub struct Uart(());

impl Uart {
    /// Enables the UART at 115,200 baud, 8 bits, and its receive interrupt.
    pub fn take() -> Self {
        write(PORT_A_ALTERNATE, read(PORT_A_ALTERNATE) | 0b11);
        write(PORT_A_DIGITAL, read(PORT_A_DIGITAL) | 0b11);
        write(CONTROL, 0);
        write(BAUD_INTEGER, DIVIDER.0);
        write(BAUD_FRACTION, DIVIDER.1);
        // 8 bits, FIFOs on.
        write(LINE_CONTROL, 0x70);
        write(INTERRUPT_MASK, RX_INTERRUPTS);
        // UART, transmitter and receiver enabled.
        write(CONTROL, 0x301);
        // SAFETY: no critical section of this program relies on this interrupt being masked.
        unsafe { NVIC::unmask(RxInterrupt) };
        Self(())
    }

    /// Waits for room and sends a byte.
    pub fn write(&mut self, byte: u8) {
        while read(FLAGS) & TX_FULL != 0 {}
        write(DATA, u32::from(byte));
    }
}

/// Moves received bytes to the queue; called by the interrupt.
pub fn on_receive() {
    write(INTERRUPT_CLEAR, RX_INTERRUPTS);
    queue::fill(|| (read(FLAGS) & RX_EMPTY == 0).then(|| read(DATA) as u8));
}
