//! How deep the stack went: paint below it, look later how much is left.

/// Most bytes painted; deeper use is reported as this much.
const DEPTH: usize = 4096;
/// The paint.
const PATTERN: u32 = 0x5afe_57ac;

/// The painted part of the stack.
pub struct Paint {
    /// Stack pointer when it was painted.
    top: usize,
    /// Lowest address painted.
    bottom: usize,
}

impl Paint {
    /// Nothing painted yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self { top: 0, bottom: 0 }
    }

    /// Paints what lies below the stack pointer now, down to the end of the static variables.
    #[inline(always)]
    pub fn apply(&mut self) {
        self.top = stack_pointer();
        self.bottom = (self.top - DEPTH).max(limit());
        for address in (self.bottom..self.top).step_by(4) {
            // SAFETY: below the stack pointer and above the static variables nothing lives: this function
            // keeps its state in registers, interrupts push below it and are done before the next word.
            unsafe { (address as *mut u32).write_volatile(PATTERN) };
        }
    }

    /// Returns the bytes used since, counted from where the painting began.
    #[inline(always)]
    pub fn used(&self) -> u32 {
        let mut address = self.bottom;
        // SAFETY: reads of the same words, aligned and in RAM.
        while address < self.top && unsafe { (address as *const u32).read_volatile() } == PATTERN {
            address += 4;
        }
        (self.top - address) as u32
    }
}

/// The stack pointer in use.
#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: copies a register.
    unsafe {
        #[cfg(target_arch = "arm")]
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        core::arch::asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer & !3
}

/// Lowest address of the stack: the end of the static variables, or the begin of the RAM where flip-link put the
/// variables above the stack.
fn limit() -> usize {
    unsafe extern "C" {
        /// cortex-m-rt, esp-hal, flip-link.
        #[cfg(any(target_arch = "arm", feature = "esp"))]
        static _stack_end: u32;
        /// riscv-rt, whose stack ends where a heap would begin.
        #[cfg(not(any(target_arch = "arm", feature = "esp")))]
        #[link_name = "__sheap"]
        static _stack_end: u32;
    }
    ((&raw const _stack_end) as usize).next_multiple_of(4)
}
