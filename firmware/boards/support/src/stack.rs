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

/// First word that no static variable takes.
fn limit() -> usize {
    unsafe extern "C" {
        /// End of the static variables: cortex-m-rt and riscv-rt.
        #[cfg(not(feature = "esp"))]
        static __sheap: u32;
        /// End of the stack: esp-hal.
        #[cfg(feature = "esp")]
        #[link_name = "_stack_end"]
        static __sheap: u32;
    }
    ((&raw const __sheap) as usize).next_multiple_of(4)
}
