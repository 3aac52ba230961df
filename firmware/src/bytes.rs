//! Weights from files: the one reinterpretation of bytes that the crate needs.
#![allow(unsafe_code)]

/// Views bytes as signed bytes; for weight files included at compile time.
///
/// ```
/// assert_eq!(firmware::bytes::as_i8(&[0, 127, 128, 255]), [0, 127, -128, -1]);
/// ```
pub const fn as_i8(bytes: &[u8]) -> &[i8] {
    // SAFETY: u8 and i8 have the same size and alignment, every bit pattern is a value of both, and the
    // result borrows what `bytes` borrows, for as long.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast::<i8>(), bytes.len()) }
}

/// Returns `run[start..start + len]`; in a `const`, a range outside the run is a compile error.
pub const fn part(run: &[i8], start: usize, len: usize) -> &[i8] {
    run.split_at(start).1.split_at(len).0
}
