//! Memory seen as another integer: the few reinterpretations that the crate needs.
#![allow(unsafe_code)]

/// A file's bytes on a word boundary, as `include_bytes!` alone does not promise.
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Aligned<const BYTES: usize>(pub [u8; BYTES]);

impl<const BYTES: usize> Aligned<BYTES> {
    /// Views the file as little-endian words; a rest of less than a word is left out.
    ///
    /// ```
    /// static FILE: firmware::bytes::Aligned<8> = firmware::bytes::Aligned([1, 0, 0, 0, 0, 1, 0, 0]);
    /// assert_eq!(FILE.words(), [1, 256]);
    /// ```
    pub const fn words(&self) -> &[u32] {
        const { assert!(cfg!(target_endian = "little"), "weight files are little-endian") };
        // SAFETY: the type has a word's alignment, the words lie inside the array and borrow it, and every
        // bit pattern is a u32.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast::<u32>(), BYTES / 4) }
    }
}

/// Views bytes as signed ones.
pub const fn signed<const N: usize>(bytes: &[u8; N]) -> &[i8; N] {
    // SAFETY: u8 and i8 have the same size and alignment and take every bit pattern; the result borrows what
    // `bytes` borrows.
    unsafe { &*bytes.as_ptr().cast::<[i8; N]>() }
}

/// Views words as signed bytes, the lowest of each first.
pub const fn of_words(words: &[u32]) -> &[i8] {
    // SAFETY: i8 has no alignment and takes every bit pattern; the result borrows what `words` borrows.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<i8>(), 4 * words.len()) }
}

/// Views words as signed bytes to write.
pub const fn of_words_mut(words: &mut [u32]) -> &mut [i8] {
    // SAFETY: as in `of_words`; the borrow is exclusive, and bytes written make valid words.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<i8>(), 4 * words.len()) }
}

/// Views words as signed ones to write.
pub const fn words_as_i32(words: &mut [u32]) -> &mut [i32] {
    // SAFETY: u32 and i32 have the same size and alignment and take every bit pattern; the borrow is
    // exclusive.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<i32>(), words.len()) }
}

/// Returns `run[start..start + len]`; in a `const`, a range outside the run is a compile error.
pub const fn part<T>(run: &[T], start: usize, len: usize) -> &[T] {
    run.split_at(start).1.split_at(len).0
}

/// Returns the CRC-32 of words as they lie in memory now.
pub fn crc(words: &[u32]) -> u32 {
    // The compiler must not answer for the flash.
    shared::protocol::crc_of_words(core::hint::black_box(words).iter().copied())
}
