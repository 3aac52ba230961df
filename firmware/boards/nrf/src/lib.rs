//! What boards with Nordic's nRF52 share: the UART of the on-board debugger, the cycle counter, the loop.
#![no_std]

use board_support::clock::Cycles;
use board_support::display::Display;
use board_support::serial;
use board_support::serve::{self, Lent};
use embassy_nrf::buffered_uarte::{BufferedUarte, InterruptHandler};
use embassy_nrf::config::HfclkSource;
use embassy_nrf::gpio::AnyPin;
use embassy_nrf::peripherals::{PPI_CH0, PPI_CH1, PPI_GROUP0, TIMER1, UARTE0};
use embassy_nrf::uarte::{Baudrate, Config};
use embassy_nrf::{Peri, Peripherals, bind_interrupts};
use firmware::app::App;
use firmware::model::Model;
use static_cell::ConstStaticCell;

/// Frequency of the core in hertz.
pub const CLOCK_HZ: u32 = 64_000_000;

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));

bind_interrupts!(struct Interrupts {
    UARTE0 => InterruptHandler<UARTE0>;
});

/// What the UART takes.
pub struct Serial {
    /// The UART.
    pub uarte: Peri<'static, UARTE0>,
    /// Counts received bytes.
    pub timer: Peri<'static, TIMER1>,
    /// Connects UART and counter.
    pub ppi: (Peri<'static, PPI_CH0>, Peri<'static, PPI_CH1>, Peri<'static, PPI_GROUP0>),
    /// Pin on which the board receives.
    pub rx: Peri<'static, AnyPin>,
    /// Pin on which the board sends.
    pub tx: Peri<'static, AnyPin>,
}

/// Starts the chip from its crystal, which a UART needs.
pub fn start() -> Peripherals {
    let mut config = embassy_nrf::config::Config::default();
    config.hfclk_source = HfclkSource::ExternalXtal;
    embassy_nrf::init(config)
}

/// Runs the app for ever; called once, by `main`.
///
/// * `name`: of the board.
pub fn run(name: &str, serial: Serial, display: impl Display) -> ! {
    static RECEIVED: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
    static SENT: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
    let mut config = Config::default();
    config.baudrate = Baudrate::Baud115200;
    let Serial { uarte, timer, ppi, rx, tx } = serial;
    let (received, sent) = (RECEIVED.take(), SENT.take());
    let uart =
        BufferedUarte::new(uarte, timer, ppi.0, ppi.1, ppi.2, rx, tx, Interrupts, config, received, sent);
    let (rx, tx) = uart.split();
    let (receive, send) = (serial::receiver(rx), serial::sender(tx));
    let clock = Cycles::new(CLOCK_HZ);
    serve::serve(APP.take(), Lent { board: name, clock, receive, send, display, camera: None })
}
