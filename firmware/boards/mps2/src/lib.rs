//! What the images of Arm's MPS2 board share: UART 0, SysTick, the loop.
//!
//! Frames come and answers go over UART 0; logs go out through semihosting in defmt's encoding.
#![no_std]

mod uart;

use board_support::clock::SysTick;
use board_support::queue;
use board_support::serve::{self, Lent};
use firmware::app::App;
use firmware::camera::{Camera, Painted};
use firmware::model::Model;
use static_cell::ConstStaticCell;
use uart::Uart;

pub use uart::Wiring;

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));

/// Runs the app for ever; called once, by `main`.
///
/// * `name`: of the board.
/// * `clock_hz`: frequency of the core.
pub fn run(name: &str, clock_hz: u32, wiring: &'static Wiring) -> ! {
    let peripherals = cortex_m::Peripherals::take().expect("main runs once");
    let mut uart = Uart::start(wiring, clock_hz);
    let clock = SysTick::new(peripherals.SYST, clock_hz);
    let send = |byte| uart.write(byte);
    let mut camera = Painted::new();
    let camera: Option<&mut dyn Camera> = Some(&mut camera);
    let lent = Lent { board: name, clock, receive: queue::next, send, display: (), camera };
    serve::serve(APP.take(), lent)
}

/// Serves an interrupt; for the image's default handler.
///
/// * `interrupt`: the number that the handler was given.
pub fn on_interrupt(wiring: &Wiring, interrupt: i16) {
    if interrupt == wiring.rx_interrupt as i16 {
        uart::on_receive(wiring);
    }
}
