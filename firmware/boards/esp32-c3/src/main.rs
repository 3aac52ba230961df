//! The classifier on an ESP32-C3 DevKit: RV32IMC at 160 MHz.
//!
//! Frames come and answers go over the chip's own USB serial port; an OLED on I²C (GPIO 5 and 6) shows the
//! answer; the log goes to a debugger (RTT), which the same USB cable can be.
#![no_std]
#![no_main]

use core::cell::RefCell;

use board_support::clock::Microseconds;
use board_support::display::Oled;
use board_support::queue;
use board_support::serve::{self, Lent};
use critical_section::Mutex;
use esp_hal::clock::CpuClock;
use esp_hal::i2c::master::{self, I2c};
use esp_hal::time::Instant;
use esp_hal::usb::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx};
use esp_hal::{Blocking, Config, handler};
use firmware::app::App;
use firmware::model::Model;
use static_cell::ConstStaticCell;

esp_bootloader_esp_idf::esp_app_desc!();

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));
/// The receiving half of the port, for its interrupt.
static RECEIVER: Mutex<RefCell<Option<UsbSerialJtagRx<'static, Blocking>>>> = Mutex::new(RefCell::new(None));

#[esp_hal::main]
fn main() -> ! {
    let chip = esp_hal::init(Config::default().with_cpu_clock(CpuClock::max()));
    let oled = Oled::new(
        I2c::new(chip.I2C0, master::Config::default())
            .expect("100 kHz can be made")
            .with_sda(chip.GPIO5)
            .with_scl(chip.GPIO6),
    );
    let mut port = UsbSerialJtag::new(chip.USB_DEVICE);
    port.set_interrupt_handler(on_receive);
    port.listen_rx_packet_recv_interrupt();
    let (rx, mut tx) = port.split();
    critical_section::with(|section| RECEIVER.borrow_ref_mut(section).replace(rx));
    let send = move |byte| {
        // A zero ends a frame: what waits for a full packet is sent off.
        let sent = tx.write(&[byte]);
        if sent.is_err() || (byte == 0 && tx.flush_tx().is_err()) {
            defmt::warn!("the host took no byte");
        }
    };
    let clock = Microseconds(|| Instant::now().duration_since_epoch().as_micros() as u32);
    let board = env!("CARGO_PKG_NAME");
    serve::serve(APP.take(), Lent { board, clock, receive: queue::next, send, display: oled, camera: None })
}

#[handler]
fn on_receive() {
    critical_section::with(|section| {
        if let Some(receiver) = RECEIVER.borrow_ref_mut(section).as_mut() {
            queue::fill(|| receiver.read_byte().ok());
            receiver.reset_rx_packet_recv_interrupt();
        }
    });
}

/// A panic is logged, where a debugger listens, and stops the core.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    defmt::error!("panic: {}", defmt::Display2Format(info));
    loop {
        core::hint::spin_loop();
    }
}
