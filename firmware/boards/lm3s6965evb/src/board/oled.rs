//! The OLED: an SSD0323 with 128×64 pixels of 16 grays behind SSI 0 (Arm PrimeCell PL022).
//!
//! Sources: LM3S6965 datasheet, chapter 14; Solomon Systech, SSD0323 rev. 1.2, tables 2 and 8; the board's
//! schematic for the pins: D/C is C7, the panel's 15 V converter D7.

use board_support::display::Display;
use embedded_graphics::image::GetPixel;
use embedded_graphics::prelude::*;
use firmware::app::{App, SCREEN_HEIGHT, SCREEN_WIDTH};
use firmware::model::Model;

use super::registers::{read, write};

const SSI: usize = 0x4000_8000;
const CONTROL_0: usize = SSI;
const CONTROL_1: usize = SSI + 0x04;
const DATA: usize = SSI + 0x08;
const STATUS: usize = SSI + 0x0c;
const PRESCALER: usize = SSI + 0x10;
const PORT_A_ALTERNATE: usize = 0x4000_4420;
const PORT_A_DIGITAL: usize = 0x4000_451c;
const PORT_C: usize = 0x4000_6000;
const PORT_D: usize = 0x4000_7000;
/// Offsets in a port; the data register's address says which pins a write touches.
const DIRECTION: usize = 0x400;
const DIGITAL: usize = 0x51c;
/// Data or command on C7, panel power on D7.
const PIN_7: u32 = 1 << 7;

const RX_NOT_EMPTY: u32 = 1 << 2;
const TX_NOT_FULL: u32 = 1 << 1;
const BUSY: u32 = 1 << 4;

/// The panel, on and blank.
pub struct Oled(());

impl Oled {
    /// Starts the bus and the panel.
    pub fn take() -> Self {
        for port in [PORT_C, PORT_D] {
            write(port + DIRECTION, read(port + DIRECTION) | PIN_7);
            write(port + DIGITAL, read(port + DIGITAL) | PIN_7);
        }
        write(PORT_A_ALTERNATE, read(PORT_A_ALTERNATE) | 0b11_1100);
        write(PORT_A_DIGITAL, read(PORT_A_DIGITAL) | 0b11_1100);
        write(CONTROL_1, 0);
        // 50 MHz / 50 = 1 MHz; 8 bits, clock high when idle, sampled on the second edge.
        write(PRESCALER, 50);
        write(CONTROL_0, 0xc7);
        write(CONTROL_1, 1 << 1);
        set_pin_7(PORT_D, true);
        let mut oled = Self(());
        // Sleep mode off; contrast; horizontal increment, COM split; display on.
        for command in [&[0xae][..], &[0x81, 0x5b], &[0xa0, 0x52], &[0xa8, 0x3f], &[0xa4], &[0xaf]] {
            oled.command(command);
        }
        oled
    }

    fn command(&mut self, bytes: &[u8]) {
        set_pin_7(PORT_C, false);
        bytes.iter().for_each(|&byte| send(byte));
    }
}

impl Display for Oled {
    /// Copies the app's screen to the panel.
    fn show(&mut self, app: &App<Model>) {
        let screen = app.screen();
        self.command(&[0x15, 0, (SCREEN_WIDTH / 2 - 1) as u8]);
        self.command(&[0x75, 0, (SCREEN_HEIGHT - 1) as u8]);
        set_pin_7(PORT_C, true);
        for row in 0..SCREEN_HEIGHT as i32 {
            for column in (0..SCREEN_WIDTH as i32).step_by(2) {
                let level = |x: i32| screen.pixel(Point::new(x, row)).map_or(0, |gray| gray.luma());
                send(level(column) << 4 | level(column + 1));
            }
        }
    }
}

/// Writes pin 7 of a port and no other.
fn set_pin_7(port: usize, is_high: bool) {
    // Pins must not change before the last byte is out.
    while read(STATUS) & BUSY != 0 {}
    write(port + ((PIN_7 as usize) << 2), if is_high { PIN_7 } else { 0 });
}

/// Sends a byte; what comes back means nothing.
fn send(byte: u8) {
    while read(STATUS) & TX_NOT_FULL == 0 {}
    write(DATA, u32::from(byte));
    while read(STATUS) & RX_NOT_EMPTY != 0 {
        let _ = read(DATA);
    }
}
