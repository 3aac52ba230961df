//! How deep the stack went: paint below it, look later how much is left.

/// Bytes painted; deeper use is reported as this much.
const DEPTH: usize = 4096;
/// The paint.
const PATTERN: u32 = 0x5afe_57ac;

/// The painted part of the stack.
pub struct Paint {
    /// Stack pointer when it was painted.
    top: usize,
}

impl Paint {
    /// Nothing painted yet.
    pub const fn new() -> Self {
        Self { top: 0 }
    }

    /// Paints what lies below the stack pointer now.
    #[inline(always)]
    pub fn apply(&mut self) {
        self.top = cortex_m::register::msp::read() as usize;
        for address in ((self.top - DEPTH)..self.top).step_by(4) {
            // SAFETY: below the stack pointer nothing lives: this function keeps its state in registers,
            // interrupts push below it and are done before the next word, and the stack has megabytes.
            unsafe { (address as *mut u32).write_volatile(PATTERN) };
        }
    }

    /// Returns the bytes used since, counted from where the painting began.
    #[inline(always)]
    pub fn used(&self) -> u32 {
        let mut address = self.top - DEPTH;
        // SAFETY: reads of the same words, aligned and in RAM.
        while address < self.top && unsafe { (address as *const u32).read_volatile() } == PATTERN {
            address += 4;
        }
        (self.top - address) as u32
    }
}
