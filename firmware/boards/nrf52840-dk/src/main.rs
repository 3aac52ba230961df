//! The classifier on Nordic's nRF52840 DK: Cortex-M4F at 64 MHz.
//!
//! Frames come and answers go over the serial port of the on-board debugger; four LEDs show the class's number
//! in binary while the answer is sure; the log goes to the debugger.
#![no_std]
#![no_main]

use board_support::display::Leds;
use embassy_nrf::Peri;
use embassy_nrf::gpio::{AnyPin, Level, Output, OutputDrive};
use nrf::Serial;

#[cortex_m_rt::entry]
fn main() -> ! {
    let chip = nrf::start();
    // Lit when low.
    let output = |pin: Peri<'static, AnyPin>| Output::new(pin, Level::High, OutputDrive::Standard);
    let mut leds = [
        output(chip.P0_13.into()),
        output(chip.P0_14.into()),
        output(chip.P0_15.into()),
        output(chip.P0_16.into()),
    ];
    let display = Leds::new(4, |led, is_lit: bool| {
        if let Some(pin) = leds.get_mut(usize::from(led)) {
            pin.set_level((!is_lit).into());
        }
    });
    let serial = Serial {
        uarte: chip.UARTE0,
        timer: chip.TIMER1,
        ppi: (chip.PPI_CH0, chip.PPI_CH1, chip.PPI_GROUP0),
        rx: chip.P0_08.into(),
        tx: chip.P0_06.into(),
    };
    nrf::run(env!("CARGO_PKG_NAME"), serial, display)
}
