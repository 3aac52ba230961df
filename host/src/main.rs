//! Entry point: arguments in, exit code out. Everything else is the library's.

use std::process::ExitCode;

/// Training frees and takes large blocks every step; this allocator keeps them mapped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(host::cli::run())
}
