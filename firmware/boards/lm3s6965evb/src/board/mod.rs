//! Start-up and the loop.

mod oled;
mod registers;
mod uart;

use board_support::clock::SysTick;
use board_support::queue;
use board_support::serve::{self, Lent};
use cortex_m_rt::{entry, exception};
use firmware::app::App;
use firmware::model::Model;
use static_cell::ConstStaticCell;

use oled::Oled;
use registers::{read, write};
use uart::Uart;

/// Frequency of the core, which SysTick counts: the PLL's 200 MHz divided by four.
const CLOCK_HZ: u32 = 50_000_000;

/// Raw interrupt status, with the PLL's lock in bit 6.
const RIS: usize = 0x400f_e050;
/// Run-mode clock configuration.
const RCC: usize = 0x400f_e060;
/// Clock gates of UART 0 (bit 0) and SSI 0 (bit 4).
const RCGC1: usize = 0x400f_e104;
/// Clock gates of the ports A (bit 0), C (bit 2) and D (bit 3).
const RCGC2: usize = 0x400f_e108;

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

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));

#[entry]
fn main() -> ! {
    let peripherals = cortex_m::Peripherals::take().expect("main runs once");
    start_clock();
    let mut uart = Uart::take();
    let clock = SysTick::new(peripherals.SYST, CLOCK_HZ);
    let (send, display) = (|byte| uart.write(byte), Oled::take());
    let board = env!("CARGO_PKG_NAME");
    serve::serve(APP.take(), Lent { board, clock, receive: queue::next, send, display, camera: None })
}

/// All interrupts of the board land here; one is enabled.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    if interrupt == uart::RX_INTERRUPT as i16 {
        uart::on_receive();
    }
}
