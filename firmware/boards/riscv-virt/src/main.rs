//! The classifier on QEMU's RISC-V machine `virt`, in code for RV32IMC.
//!
//! Frames come and answers go over the machine's UART, a 16550; logs go out through semihosting in defmt's
//! encoding. Received bytes are polled: QEMU keeps what the UART has no room for.
#![no_std]
#![no_main]

use board_support::clock::Clock;
use board_support::serve::{self, Lent};
use firmware::app::App;
use firmware::model::Model;
use riscv_rt::entry;
use static_cell::ConstStaticCell;

/// Data register of the UART (QEMU, hw/riscv/virt.c; National Semiconductor, PC16550D, table 2).
const DATA: *mut u8 = 0x1000_0000 as *mut u8;
/// Line status: bit 0 a byte came, bit 5 there is room to send.
const STATUS: *const u8 = 0x1000_0005 as *const u8;

static APP: ConstStaticCell<App<Model>> = ConstStaticCell::new(App::new(Model::new()));

/// The core's cycle counter. Under `-icount shift=0` QEMU counts an instruction as a nanosecond.
struct Cycles;

impl Clock for Cycles {
    fn ticks(&mut self) -> u32 {
        riscv::register::mcycle::read() as u32
    }

    fn hz(&self) -> u32 {
        1_000_000_000
    }
}

#[entry]
fn main() -> ! {
    let receive = || {
        // SAFETY: the machine has its UART at these addresses; reading takes a byte.
        unsafe {
            while STATUS.read_volatile() & 1 == 0 {}
            DATA.read_volatile()
        }
    };
    let send = |byte| {
        // SAFETY: as above; writing sends a byte.
        unsafe {
            while STATUS.read_volatile() & 1 << 5 == 0 {}
            DATA.write_volatile(byte);
        }
    };
    let board = env!("CARGO_PKG_NAME");
    serve::serve(APP.take(), Lent { board, clock: Cycles, receive, send, display: (), camera: None })
}
