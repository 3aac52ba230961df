//! Waiting without a scheduler.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Sleeps until an interrupt was served; also returns at once where one was served since the last call.
pub fn for_interrupt() {
    // Returning from an interrupt sets the event that WFE waits for, so none slips between a look and the sleep.
    #[cfg(target_arch = "arm")]
    cortex_m::asm::wfe();
    // No event is kept here; the loop looks again at once.
    #[cfg(not(target_arch = "arm"))]
    core::hint::spin_loop();
}

/// Runs a future to its end; the core sleeps while the future waits for an interrupt.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        for_interrupt();
    }
}
