//! The classifier on the BBC micro:bit v2: nRF52833, Cortex-M4F at 64 MHz.
//!
//! Frames come and answers go over the serial port of the on-board debugger; the 5×5 LEDs show an icon; the log
//! goes to the debugger.
#![no_std]
#![no_main]

mod matrix;

use nrf::Serial;

#[cortex_m_rt::entry]
fn main() -> ! {
    let chip = nrf::start();
    let matrix = matrix::start(
        [chip.P0_21.into(), chip.P0_22.into(), chip.P0_15.into(), chip.P0_24.into(), chip.P0_19.into()],
        [chip.P0_28.into(), chip.P0_11.into(), chip.P0_31.into(), chip.P1_05.into(), chip.P0_30.into()],
    );
    let serial = Serial {
        uarte: chip.UARTE0,
        timer: chip.TIMER1,
        ppi: (chip.PPI_CH0, chip.PPI_CH1, chip.PPI_GROUP0),
        rx: chip.P1_08.into(),
        tx: chip.P0_06.into(),
    };
    nrf::run(env!("CARGO_PKG_NAME"), serial, matrix)
}
