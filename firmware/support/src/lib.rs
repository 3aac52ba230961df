//! What Cortex-M boards share: the app's port, the queue of received bytes, stack painting, the log's lines, the
//! emulator's way out.
//!
//! On a desktop this crate is empty, so that the workspace builds anywhere.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
pub mod port;
#[cfg(target_os = "none")]
pub mod queue;
#[cfg(target_os = "none")]
pub mod stack;

#[cfg(target_os = "none")]
pub use on_chip::{log, log_boot};

#[cfg(target_os = "none")]
mod on_chip {
    use defmt_semihosting as _;
    use firmware::app::{App, Event};
    use firmware::model::{self, Model};
    use firmware::nn::kernel::KERNEL_SET;

    /// Logs what the image holds.
    pub fn log_boot(board: &str) {
        defmt::info!(
            "{=str}: network {=str}, hash {=[u8; 8]:02x}, profile {=str}, kernels {=str}, arena {=usize} bytes",
            board,
            model::NAME,
            model::NETWORK_HASH,
            model::PROFILE,
            KERNEL_SET,
            4 * model::ARENA_WORDS
        );
    }

    /// Logs an event.
    pub fn log(app: &App<Model>, event: Event) {
        match (event, app.answer()) {
            (Event::Classified, Some(answer)) => defmt::info!(
                "{=str} in {=u32} ticks, logits {}",
                app.class_name().unwrap_or("nothing there"),
                answer.ticks,
                &answer.logits[..]
            ),
            (Event::Refused(refusal), _) => defmt::warn!("request refused: {}", refusal),
            _ => defmt::trace!("{}", event),
        }
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        defmt::error!("panic: {}", defmt::Display2Format(info));
        semihosting::process::exit(1)
    }
}
