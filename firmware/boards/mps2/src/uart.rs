//! UART 0 of the Cortex-M System Design Kit (CMSDK APB UART): received by interrupt, sent by polling.
//!
//! Source: Arm DDI 0479C, table 4-2.

use core::ptr::{read_volatile, write_volatile};

use board_support::queue;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CONTROL: usize = 0x08;
const INTERRUPT_CLEAR: usize = 0x0c;
const BAUD_DIVIDER: usize = 0x10;

const STATE_TX_FULL: u32 = 1;
const STATE_RX_FULL: u32 = 1 << 1;
/// Transmitter, receiver and receive interrupt enabled.
const CONTROL_ON: u32 = 0b1011;
const INTERRUPT_RX: u32 = 1 << 1;
const BAUD: u32 = 115_200;

/// Where an image has its UART.
pub struct Wiring {
    /// Address of its registers.
    pub base: usize,
    /// Number of its receive interrupt.
    pub rx_interrupt: u16,
}

#[derive(Clone, Copy)]
struct RxInterrupt(u16);

// SAFETY: an image's wiring names an interrupt that it has, and always the same.
unsafe impl InterruptNumber for RxInterrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// The UART, enabled.
pub struct Uart(&'static Wiring);

impl Uart {
    /// Enables the UART at 115,200 baud and its receive interrupt.
    pub fn start(wiring: &'static Wiring, clock_hz: u32) -> Self {
        write(wiring, BAUD_DIVIDER, clock_hz / BAUD);
        write(wiring, CONTROL, CONTROL_ON);
        // SAFETY: no critical section of this program relies on this interrupt being masked.
        unsafe { NVIC::unmask(RxInterrupt(wiring.rx_interrupt)) };
        Self(wiring)
    }

    /// Waits for room and sends a byte.
    pub fn write(&mut self, byte: u8) {
        while read(self.0, STATE) & STATE_TX_FULL != 0 {}
        write(self.0, DATA, u32::from(byte));
    }
}

/// Moves received bytes to the queue.
pub fn on_receive(wiring: &Wiring) {
    write(wiring, INTERRUPT_CLEAR, INTERRUPT_RX);
    queue::fill(|| (read(wiring, STATE) & STATE_RX_FULL != 0).then(|| read(wiring, DATA) as u8));
}

fn read(wiring: &Wiring, register: usize) -> u32 {
    // SAFETY: one of this file's registers of a UART that the image maps for reading.
    unsafe { read_volatile((wiring.base + register) as *const u32) }
}

fn write(wiring: &Wiring, register: usize, value: u32) {
    // SAFETY: one of this file's registers of a UART that the image maps for writing.
    unsafe { write_volatile((wiring.base + register) as *mut u32, value) }
}
