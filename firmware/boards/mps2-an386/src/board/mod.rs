//! Start-up and the loop.

mod uart;

use board_support::stack::Paint;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use firmware::app::{App, Port};
use firmware::model::Model;

use uart::Uart;

/// Frequency of the AN386 image's processor clock, which SysTick counts.
const CLOCK_HZ: u32 = 25_000_000;
/// SysTick has 24 bits.
const SYSTICK_MASK: u32 = 0x00ff_ffff;

/// What the app needs of this board.
struct Mps2 {
    uart: Uart,
    systick: SYST,
    paint: Paint,
}

impl Port for Mps2 {
    fn send(&mut self, byte: u8) {
        self.uart.write(byte);
    }

    fn ticks(&mut self) -> u32 {
        let _ = &self.systick;
        // SysTick counts down.
        SYSTICK_MASK - SYST::get_current()
    }

    fn mask(&self) -> u32 {
        SYSTICK_MASK
    }

    fn tick_hz(&self) -> u32 {
        CLOCK_HZ
    }

    fn paint_stack(&mut self) {
        self.paint.apply();
    }

    fn stack_bytes(&mut self) -> u32 {
        self.paint.used()
    }
}

#[entry]
fn main() -> ! {
    let peripherals = cortex_m::Peripherals::take().expect("main runs once");
    let mut systick = peripherals.SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(SYSTICK_MASK);
    systick.clear_current();
    systick.enable_counter();
    let mut port = Mps2 { uart: Uart::take(), systick, paint: Paint::new() };
    board_support::log_boot(env!("CARGO_PKG_NAME"));
    let app = cortex_m::singleton!(: App<Model> = App::new(Model::new())).expect("main runs once");
    app.welcome();
    loop {
        let byte = port.uart.read();
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
