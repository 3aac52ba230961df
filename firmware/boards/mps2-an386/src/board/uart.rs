//! UART 0 of the Cortex-M System Design Kit (CMSDK APB UART): received by interrupt, sent by polling.
//!
//! Source: Arm DDI 0479C, table 4-2, and Arm DAI 0386C for the interrupt number.

use core::ptr::{read_volatile, write_volatile};

use board_support::queue;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

const BASE: usize = 0x4000_4000;
const DATA: usize = BASE;
const STATE: usize = BASE + 0x04;
const CONTROL: usize = BASE + 0x08;
const INTERRUPT_CLEAR: usize = BASE + 0x0c;
const BAUD_DIVIDER: usize = BASE + 0x10;

const STATE_TX_FULL: u32 = 1;
const STATE_RX_FULL: u32 = 1 << 1;
/// Transmitter, receiver and receive interrupt enabled.
const CONTROL_ON: u32 = 0b1011;
const INTERRUPT_RX: u32 = 1 << 1;
/// 25 MHz / 217 = 115,207 baud.
const DIVIDER: u32 = 217;
/// Number of the receive interrupt.
pub const RX_INTERRUPT: u16 = 0;

#[derive(Clone, Copy)]
struct RxInterrupt;

// SAFETY: the number is a constant below the 32 interrupts of AN386.
unsafe impl InterruptNumber for RxInterrupt {
    fn number(self) -> u16 {
        RX_INTERRUPT
    }
}

/// The UART, enabled.
pub struct Uart(());

impl Uart {
    /// Enables the UART at 115,200 baud and its receive interrupt.
    pub fn take() -> Self {
        write(BAUD_DIVIDER, DIVIDER);
        write(CONTROL, CONTROL_ON);
        // SAFETY: no critical section of this program relies on this interrupt being masked.
        unsafe { NVIC::unmask(RxInterrupt) };
        Self(())
    }

    /// Waits for room and sends a byte.
    pub fn write(&mut self, byte: u8) {
        while read(STATE) & STATE_TX_FULL != 0 {}
        write(DATA, u32::from(byte));
    }
}

/// Moves received bytes to the queue; called by the interrupt.
pub fn on_receive() {
    write(INTERRUPT_CLEAR, INTERRUPT_RX);
    queue::fill(|| (read(STATE) & STATE_RX_FULL != 0).then(|| read(DATA) as u8));
}

fn read(register: usize) -> u32 {
    // SAFETY: every caller passes one of this file's register addresses, which AN386 maps for reading.
    unsafe { read_volatile(register as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: every caller passes one of this file's register addresses, which AN386 maps for writing.
    unsafe { write_volatile(register as *mut u32, value) }
}
