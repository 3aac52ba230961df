//! Entry point: arguments in, exit code out. Everything else is the library's.

use std::process::ExitCode;

/// Training frees and takes large blocks every step; this allocator keeps them mapped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, versions 2 and 3: milliseconds until freed memory goes back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Not before the program ends.
const NEVER: std::ffi::c_long = -1;

fn main() -> ExitCode {
    // SAFETY: mimalloc is this program's allocator, and an option may be set at any time, by its number in the header.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER);
    }
    ExitCode::from(host::cli::run())
}
