//! Start-up and the loop.

mod uart;

use board_support::port::CortexM;
use board_support::queue;
use cortex_m_rt::{entry, exception};
use firmware::app::App;
use firmware::model::Model;

use uart::Uart;

/// Frequency of the AN386 image's processor clock, which SysTick counts.
const CLOCK_HZ: u32 = 25_000_000;

#[entry]
fn main() -> ! {
    let peripherals = cortex_m::Peripherals::take().expect("main runs once");
    let mut uart = Uart::take();
    let mut port = CortexM::new(peripherals.SYST, CLOCK_HZ, |byte| uart.write(byte));
    board_support::log_boot(env!("CARGO_PKG_NAME"));
    let app = cortex_m::singleton!(: App<Model> = App::new(Model::new())).expect("main runs once");
    app.welcome();
    loop {
        let byte = queue::next();
        if let Some(event) = app.receive(byte, &mut port) {
            board_support::log(app, event);
        }
    }
}

/// All interrupts of the board land here; one is enabled.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    if interrupt == uart::RX_INTERRUPT as i16 {
        uart::on_receive();
    }
}
