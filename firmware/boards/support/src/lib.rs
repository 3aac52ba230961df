//! What boards share.
//!
//! * [`serve`](serve::serve): the loop of every board; a board lends it a [`Clock`](clock::Clock), a way to
//!   receive and to send a byte, and a [`Display`](display::Display).
//! * [`queue`]: bytes on their way from an interrupt to the loop.
//! * [`stack`]: how deep the stack went.
//!
//! Features choose where the log goes and what a panic does: `semihosting` in emulators, `rtt` and `probe` on
//! boards with a debugger.
#![no_std]

pub mod clock;
pub mod display;
pub mod queue;
#[cfg(feature = "serial")]
pub mod serial;
pub mod serve;
pub mod stack;
pub mod wait;

#[cfg(feature = "rtt")]
use defmt_rtt as _;
#[cfg(feature = "semihosting")]
use defmt_semihosting as _;
#[cfg(feature = "probe")]
use panic_probe as _;

/// In an emulator a panic is logged and ends the emulator.
#[cfg(feature = "semihosting")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    defmt::error!("panic: {}", defmt::Display2Format(info));
    semihosting::process::exit(1)
}
