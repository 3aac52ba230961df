//! Bytes on their way from the link's interrupt to the loop.

use core::cell::RefCell;

use critical_section::Mutex;
use heapless::Deque;

/// Bytes that came while the loop was busy; the host waits for answers, so few ever do.
static RECEIVED: Mutex<RefCell<Deque<u8, 2048>>> = Mutex::new(RefCell::new(Deque::new()));

/// Sleeps until a byte comes.
pub fn next() -> u8 {
    loop {
        let byte = critical_section::with(|section| {
            let byte = RECEIVED.borrow_ref_mut(section).pop_front();
            // A masked interrupt wakes the core from WFI, so none slips between the look and the sleep. On other
            // cores the loop looks again at once.
            #[cfg(target_arch = "arm")]
            if byte.is_none() {
                cortex_m::asm::wfi();
            }
            byte
        });
        if let Some(byte) = byte {
            return byte;
        }
    }
}

/// Takes bytes until `receive` has none; for the interrupt. A byte too many is lost, and its frame's CRC tells.
pub fn fill(mut receive: impl FnMut() -> Option<u8>) {
    critical_section::with(|section| {
        let mut received = RECEIVED.borrow_ref_mut(section);
        while let Some(byte) = receive() {
            let _ = received.push_back(byte);
        }
    });
}
