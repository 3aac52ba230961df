//! What Raspberry Pi's Pico boards share: frames over a USB serial port, the LED, an OLED on I²C, a camera,
//! a button that takes a picture.
//!
//! The USB port is served by an interrupt of higher priority than the loop, so that the host's requests are
//! answered while an inference runs.
#![no_std]

mod button;
mod ov7670;
mod usb;

#[cfg(feature = "rp235x")]
use board_support::clock::Cycles;
#[cfg(feature = "rp2040")]
use board_support::clock::Microseconds;
use board_support::display::{Leds, Oled};
use board_support::queue;
use board_support::serve::{self, Lent};
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::i2c::{self, I2c};
use firmware::app::App;
use firmware::camera::Camera;
use firmware::model::Model;
use ov7670::{Ov7670, Wiring};
use static_cell::ConstStaticCell;

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));

/// Runs the app for ever; called once, by `main`.
///
/// * `name`: of the board.
/// * `product_id`: of its USB port, below Raspberry Pi's vendor number.
pub fn run(name: &'static str, product_id: u16) -> ! {
    let peripherals = embassy_rp::init(embassy_rp::config::Config::default());
    let mut led = Output::new(peripherals.PIN_25, Level::Low);
    let leds = Leds::new(1, |_, is_lit| led.set_level(is_lit.into()));
    let i2c =
        I2c::new_blocking(peripherals.I2C0, peripherals.PIN_5, peripherals.PIN_4, i2c::Config::default());
    let oled = Oled::new(i2c);
    let spawner = usb::start(peripherals.USB, name, product_id);
    let button = Input::new(peripherals.PIN_17, Pull::Up);
    spawner.spawn(button::watch(button).expect("spawned once"));
    // The Cortex-M0+ has no cycle counter.
    #[cfg(feature = "rp2040")]
    let clock = Microseconds(|| embassy_time::Instant::now().as_micros() as u32);
    #[cfg(feature = "rp235x")]
    let clock = Cycles::new(embassy_rp::clocks::clk_sys_freq());
    let display = (leds, oled);
    let mut camera = Ov7670::new(Wiring {
        pio: peripherals.PIO0,
        dma: peripherals.DMA_CH0,
        i2c: peripherals.I2C1,
        bus: (peripherals.PIN_27, peripherals.PIN_26),
        pwm: peripherals.PWM_SLICE3,
        clock: peripherals.PIN_22,
        vsync: peripherals.PIN_16,
        timing: (peripherals.PIN_14, peripherals.PIN_15),
        data: (
            peripherals.PIN_6,
            peripherals.PIN_7,
            peripherals.PIN_8,
            peripherals.PIN_9,
            peripherals.PIN_10,
            peripherals.PIN_11,
            peripherals.PIN_12,
            peripherals.PIN_13,
        ),
    });
    let camera = camera.as_mut().map(|camera| camera as &mut dyn Camera);
    let lent = Lent { board: name, clock, receive: queue::next, send: usb::send, display, camera };
    serve::serve(APP.take(), lent)
}
