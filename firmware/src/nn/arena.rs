//! Memory for the activations and scratch of one inference.
//!
//! Where what lies in it is a [plan](super::plan)'s business.

/// Static memory of so many words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arena<const WORDS: usize> {
    /// Contents between inferences mean nothing.
    pub words: [u32; WORDS],
}

impl<const WORDS: usize> Arena<WORDS> {
    /// Makes a zeroed arena, for a `static`.
    pub const fn new() -> Self {
        Self { words: [0; WORDS] }
    }
}

impl<const WORDS: usize> Default for Arena<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}
