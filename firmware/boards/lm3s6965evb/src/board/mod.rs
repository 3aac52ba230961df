//! Start-up and the loop.

mod oled;
mod registers;
mod uart;

use board_support::stack::Paint;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use firmware::app::{App, Event, Port};
use firmware::model::Model;

use oled::Oled;
use registers::{read, write};
use uart::Uart;

/// Frequency of the core, which SysTick counts: the PLL's 200 MHz divided by four.
const CLOCK_HZ: u32 = 50_000_000;
/// SysTick has 24 bits.
const SYSTICK_MASK: u32 = 0x00ff_ffff;

/// Raw interrupt status, with the PLL's lock in bit 6.
const RIS: usize = 0x400f_e050;
/// Run-mode clock configuration.
const RCC: usize = 0x400f_e060;
/// Clock gates of UART 0 (bit 0) and SSI 0 (bit 4).
const RCGC1: usize = 0x400f_e104;
/// Clock gates of the ports A (bit 0), C (bit 2) and D (bit 3).
const RCGC2: usize = 0x400f_e108;

/// What the app needs of this board.
struct Board {
    uart: Uart,
    systick: SYST,
    paint: Paint,
}

impl Port for Board {
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

/// Runs the core from the PLL: 8 MHz crystal, 200 MHz divided by four (datasheet, section 6.1.4).
fn start_clock() {
    const BYPASS: u32 = 1 << 11;
    const POWER_DOWN: u32 = 1 << 13;
    const USE_DIVIDER: u32 = 1 << 22;
    const CRYSTAL_8_MHZ: u32 = 0xe << 6;
    const DIVIDE_BY_4: u32 = 3 << 23;
    let kept = read(RCC) & !(USE_DIVIDER | 0xf << 23 | 0xf << 6 | 3 << 4 | 1);
    write(RCC, kept | BYPASS);
    let chosen = kept & !POWER_DOWN | BYPASS | CRYSTAL_8_MHZ | DIVIDE_BY_4 | USE_DIVIDER;
    write(RCC, chosen);
    while read(RIS) & 1 << 6 == 0 {}
    write(RCC, chosen & !BYPASS);
    write(RCGC1, 1 | 1 << 4);
    write(RCGC2, 1 | 1 << 2 | 1 << 3);
    // A peripheral may be used three cycles after its clock was enabled.
    cortex_m::asm::delay(3);
}

#[entry]
fn main() -> ! {
    let peripherals = cortex_m::Peripherals::take().expect("main runs once");
    start_clock();
    let mut systick = peripherals.SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(SYSTICK_MASK);
    systick.clear_current();
    systick.enable_counter();
    let mut port = Board { uart: Uart::take(), systick, paint: Paint::new() };
    let mut oled = Oled::take();
    board_support::log_boot(env!("CARGO_PKG_NAME"));
    let app = cortex_m::singleton!(: App<Model> = App::new(Model::new())).expect("main runs once");
    app.welcome();
    oled.show(app.screen());
    loop {
        let byte = port.uart.read();
        if let Some(event) = app.receive(byte, &mut port) {
            board_support::log(app, event);
            if event == Event::Classified {
                oled.show(app.screen());
            }
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
