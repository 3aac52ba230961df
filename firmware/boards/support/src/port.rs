//! What the app needs of a Cortex-M board: SysTick for the time, paint for the stack, a way to send a byte.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use firmware::app::Port;

use crate::stack::Paint;

/// SysTick has 24 bits.
const SYSTICK_MASK: u32 = 0x00ff_ffff;

/// A board whose clock SysTick counts.
pub struct CortexM<S> {
    clock_hz: u32,
    send: S,
    paint: Paint,
}

impl<S: FnMut(u8)> CortexM<S> {
    /// Starts SysTick, which this port keeps.
    ///
    /// * `clock_hz`: frequency of the core.
    /// * `send`: waits for room and sends a byte.
    pub fn new(mut systick: SYST, clock_hz: u32, send: S) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(SYSTICK_MASK);
        systick.clear_current();
        systick.enable_counter();
        Self { clock_hz, send, paint: Paint::new() }
    }
}

impl<S: FnMut(u8)> Port for CortexM<S> {
    fn send(&mut self, byte: u8) {
        (self.send)(byte);
    }

    fn ticks(&mut self) -> u32 {
        // SysTick counts down.
        SYSTICK_MASK - SYST::get_current()
    }

    fn mask(&self) -> u32 {
        SYSTICK_MASK
    }

    fn tick_hz(&self) -> u32 {
        self.clock_hz
    }

    fn paint_stack(&mut self) {
        self.paint.apply();
    }

    fn stack_bytes(&mut self) -> u32 {
        self.paint.used()
    }
}
