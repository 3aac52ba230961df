//! The classifier on ST's Nucleo-F446RE: Cortex-M4F at 180 MHz.
//!
//! Frames come and answers go over the serial port of the ST-LINK; the green LED is lit while the answer is
//! sure; an OLED on I²C (D15 and D14) shows it; the log goes to the debugger.
#![no_std]
#![no_main]

use board_support::clock::Cycles;
use board_support::display::{Leds, Oled};
use board_support::serial;
use board_support::serve::{self, Lent};
use embassy_stm32::bind_interrupts;
use embassy_stm32::gpio::{Level, Output, Speed};
use embassy_stm32::i2c::{self, I2c};
use embassy_stm32::peripherals::USART2;
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk,
};
use embassy_stm32::time::Hertz;
use embassy_stm32::usart::{BufferedInterruptHandler, BufferedUart, Config};
use firmware::app::App;
use firmware::model::Model;
use static_cell::ConstStaticCell;

/// Frequency of the core in hertz: 8 MHz from the ST-LINK / 4 × 180 / 2.
const CLOCK_HZ: u32 = 180_000_000;

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));
static RECEIVED: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
static SENT: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);

bind_interrupts!(struct Interrupts {
    USART2 => BufferedInterruptHandler<USART2>;
});

#[cortex_m_rt::entry]
fn main() -> ! {
    let chip = embassy_stm32::init(clocks());
    let mut led = Output::new(chip.PA5, Level::Low, Speed::Low);
    let leds = Leds::new(1, |_, is_lit: bool| led.set_level(is_lit.into()));
    let oled = Oled::new(I2c::new_blocking(chip.I2C1, chip.PB8, chip.PB9, i2c::Config::default()));
    let (sent, received) = (SENT.take(), RECEIVED.take());
    // 115,200 baud, 8 bits, no parity.
    let uart =
        BufferedUart::new(chip.USART2, chip.PA3, chip.PA2, sent, received, Interrupts, Config::default())
            .expect("the UART can do 115,200 baud");
    let (tx, rx) = uart.split();
    let (receive, send) = (serial::receiver(rx), serial::sender(tx));
    let clock = Cycles::new(CLOCK_HZ);
    let (board, display) = (env!("CARGO_PKG_NAME"), (leds, oled));
    serve::serve(APP.take(), Lent { board, clock, receive, send, display, camera: None })
}

/// The core at 180 MHz, its buses at most at what the data sheet allows (45 and 90 MHz).
fn clocks() -> embassy_stm32::Config {
    let mut config = embassy_stm32::Config::default();
    config.rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::Bypass });
    config.rcc.pll_src = PllSource::HSE;
    config.rcc.pll = Some(Pll {
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL180,
        divp: Some(PllPDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.sys = Sysclk::PLL1_P;
    config
}
