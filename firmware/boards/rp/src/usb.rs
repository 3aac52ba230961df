//! A USB serial port (CDC-ACM): bytes from the host go to the queue, bytes to it through a pipe.

use board_support::queue;
use embassy_executor::{InterruptExecutor, SendSpawner};
use embassy_futures::join::join3;
use embassy_rp::interrupt::{InterruptExt, Priority};
use embassy_rp::peripherals::USB;
use embassy_rp::usb::{Driver, InterruptHandler};
use embassy_rp::{Peri, bind_interrupts, interrupt};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_usb::class::cdc_acm::{CdcAcmClass, Receiver, Sender, State};
use embassy_usb::{Builder, Config};
use static_cell::{ConstStaticCell, StaticCell};

/// Vendor number of Raspberry Pi.
const VENDOR_ID: u16 = 0x2e8a;
/// Most bytes of a packet at full speed.
const PACKET: usize = 64;

type Port = Driver<'static, USB>;

bind_interrupts!(struct Interrupts {
    USBCTRL_IRQ => InterruptHandler<USB>;
});

/// Runs the tasks below in an interrupt that nothing else uses.
static EXECUTOR: InterruptExecutor = InterruptExecutor::new();
/// Bytes on their way to the host.
static OUTGOING: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();

#[interrupt]
unsafe fn SWI_IRQ_1() {
    // SAFETY: this is the executor's interrupt, which only `start` enables.
    unsafe { EXECUTOR.on_interrupt() }
}

/// Starts the port; returns what further tasks are started with.
///
/// * `product`: its name, as the host shows it.
/// * `product_id`: below [`VENDOR_ID`].
pub fn start(usb: Peri<'static, USB>, product: &'static str, product_id: u16) -> SendSpawner {
    interrupt::SWI_IRQ_1.set_priority(Priority::P3);
    let spawner = EXECUTOR.start(interrupt::SWI_IRQ_1);
    spawner.spawn(serve(usb, product, product_id).expect("spawned once"));
    spawner
}

/// Waits for room and sends a byte.
pub fn send(byte: u8) {
    while OUTGOING.try_write(&[byte]).is_err() {
        board_support::wait::for_interrupt();
    }
}

#[embassy_executor::task]
async fn serve(usb: Peri<'static, USB>, product: &'static str, product_id: u16) {
    static CONFIGURATION: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
    static BOS: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static CONTROL: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static STATE: StaticCell<State<'static>> = StaticCell::new();

    let mut config = Config::new(VENDOR_ID, product_id);
    config.manufacturer = Some("garments");
    config.product = Some(product);
    config.max_power = 100;
    config.max_packet_size_0 = PACKET as u8;
    let driver = Driver::new(usb, Interrupts);
    let mut builder = Builder::new(driver, config, CONFIGURATION.take(), BOS.take(), &mut [], CONTROL.take());
    let class = CdcAcmClass::new(&mut builder, STATE.init(State::new()), PACKET as u16);
    let (sender, receiver) = class.split();
    let mut device = builder.build();
    join3(device.run(), transmit(sender), take(receiver)).await;
}

async fn transmit(mut sender: Sender<'static, Port>) -> ! {
    let mut packet = [0; PACKET];
    loop {
        sender.wait_connection().await;
        loop {
            let count = OUTGOING.read(&mut packet).await;
            let sent = sender.write_packet(packet.get(..count).unwrap_or_default()).await;
            // A transfer ends with a packet that is not full.
            let sent = match sent {
                Ok(()) if count == PACKET && OUTGOING.is_empty() => sender.write_packet(&[]).await,
                other => other,
            };
            if sent.is_err() {
                break;
            }
        }
    }
}

async fn take(mut receiver: Receiver<'static, Port>) -> ! {
    let mut packet = [0; PACKET];
    loop {
        receiver.wait_connection().await;
        while let Ok(count) = receiver.read_packet(&mut packet).await {
            let mut bytes = packet.iter().copied().take(count);
            queue::fill(|| bytes.next());
        }
    }
}
