//! A push button between GP17 and ground: pressed, the board looks through its camera.
//!
//! The task writes the very request that a host would send, so that the loop knows one way to take a picture. The
//! answer goes to the screen and, unasked for, to the host, which passes it over.

use board_support::queue;
use embassy_rp::gpio::Input;
use embassy_time::Timer;
use shared::protocol::{MAX_REQUEST, Request, emit};

/// Sequence number that no host's request has.
const UNASKED: u32 = 0;

/// Waits for the button, for ever.
#[embassy_executor::task]
pub async fn watch(mut button: Input<'static>) -> ! {
    loop {
        button.wait_for_falling_edge().await;
        // Contacts bounce for a few milliseconds.
        Timer::after_millis(30).await;
        if button.is_low() {
            emit::<MAX_REQUEST>(UNASKED, &Request::Look, |byte| {
                let mut one = Some(byte);
                queue::fill(|| one.take());
            });
        }
    }
}
