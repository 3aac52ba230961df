//! Counters that tell how long an inference took.

/// A free-running counter that counts up and wraps at `mask() + 1`.
pub trait Clock {
    /// Returns the counter.
    fn ticks(&mut self) -> u32;
    /// Returns its highest value.
    fn mask(&self) -> u32 {
        u32::MAX
    }
    /// Returns its frequency in hertz.
    fn hz(&self) -> u32;
}

/// SysTick at the core's clock: 24 bits.
#[cfg(target_arch = "arm")]
pub struct SysTick {
    hz: u32,
}

#[cfg(target_arch = "arm")]
impl SysTick {
    const MASK: u32 = 0x00ff_ffff;

    /// Starts SysTick.
    ///
    /// * `hz`: frequency of the core.
    pub fn new(mut systick: cortex_m::peripheral::SYST, hz: u32) -> Self {
        systick.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        systick.set_reload(Self::MASK);
        systick.clear_current();
        systick.enable_counter();
        Self { hz }
    }
}

#[cfg(target_arch = "arm")]
impl Clock for SysTick {
    fn ticks(&mut self) -> u32 {
        // SysTick counts down.
        Self::MASK - cortex_m::peripheral::SYST::get_current()
    }

    fn mask(&self) -> u32 {
        Self::MASK
    }

    fn hz(&self) -> u32 {
        self.hz
    }
}

/// The core's cycle counter (DWT), which Armv7-M and Armv8-M mainline cores have: 32 bits.
#[cfg(target_arch = "arm")]
pub struct Cycles {
    hz: u32,
}

#[cfg(target_arch = "arm")]
impl Cycles {
    /// Address of `DWT_CTRL`, bit 0 of which starts the counter (Arm DDI 0403, C1.8.7).
    const CONTROL: *mut u32 = 0xe000_1000 as *mut u32;
    /// Address of `DWT_CYCCNT`.
    const COUNTER: *const u32 = 0xe000_1004 as *const u32;
    /// Address of `DEMCR`, bit 24 of which turns the unit on.
    const DEMCR: *mut u32 = 0xe000_edfc as *mut u32;

    /// Starts the counter.
    ///
    /// * `hz`: frequency of the core.
    pub fn new(hz: u32) -> Self {
        // SAFETY: registers of every core this type is used on; nothing else in the image writes them.
        unsafe {
            Self::DEMCR.write_volatile(Self::DEMCR.read_volatile() | 1 << 24);
            Self::CONTROL.write_volatile(Self::CONTROL.read_volatile() | 1);
        }
        Self { hz }
    }
}

#[cfg(target_arch = "arm")]
impl Clock for Cycles {
    fn ticks(&mut self) -> u32 {
        // SAFETY: reading the counter changes nothing.
        unsafe { Self::COUNTER.read_volatile() }
    }

    fn hz(&self) -> u32 {
        self.hz
    }
}

/// A counter of microseconds that a board's library keeps.
pub struct Microseconds<F>(
    /// Returns the count, which wraps at 2³².
    pub F,
);

impl<F: FnMut() -> u32> Clock for Microseconds<F> {
    fn ticks(&mut self) -> u32 {
        (self.0)()
    }

    fn hz(&self) -> u32 {
        1_000_000
    }
}
