//! The generated network with room for a picture of any size.

use alloc::vec::Vec;

use firmware::app::{Facts, Memory, Network};
use firmware::bytes::signed;
use firmware::model::{self, Model};
use firmware::nn::arena::Arena;
use shared::preprocess::Preprocessing;

/// Steps of an inference.
const STEPS: usize = model::PLAN.steps().len();

/// The board's network; the preprocessing that needs a whole frame gets one as large as the picture.
pub struct PageNetwork {
    model: Model,
    frame: Vec<u8>,
    arena: Arena<{ model::ARENA_WORDS }>,
}

impl PageNetwork {
    /// Makes the memory; none for a frame yet.
    pub const fn new() -> Self {
        Self { model: Model::new(), frame: Vec::new(), arena: Arena::new() }
    }

    /// Makes room for a frame of so many bytes, where the preprocessing keeps one.
    pub fn make_room(&mut self, bytes: usize) {
        if self.facts().preprocessing == Preprocessing::Garment {
            self.frame.resize(bytes, 0);
        }
    }

    /// Runs the first steps on the input, which is pixel − 128 meanwhile, as in [`Network::infer`]; the one place
    /// that the steps are compiled into.
    ///
    /// * `logits`: `[classes]`, written by the last step.
    #[inline(never)]
    fn run_first(&mut self, count: usize, logits: &mut [i32]) {
        let pixels = self.model.pixels().try_into();
        if let (Ok(pixels), Ok(logits)) = (pixels, logits.try_into()) {
            model::run_first(count, signed(pixels), &mut self.arena, logits);
        }
    }

    /// Runs the first steps on the input as it is kept between pictures.
    ///
    /// Returns the arena's words.
    pub fn look_after(&mut self, count: usize) -> &[u32] {
        self.flip_sign_bits();
        self.run_first(count, &mut [0; model::LOGITS]);
        self.flip_sign_bits();
        &self.arena.words
    }

    /// Infers the input so many times.
    pub fn repeat(&mut self, times: u32) {
        self.flip_sign_bits();
        (0..times).for_each(|_| self.run_first(STEPS, &mut [0; model::LOGITS]));
        self.flip_sign_bits();
    }

    /// Pixel − 128, and back.
    fn flip_sign_bits(&mut self) {
        self.model.memory().pixels.iter_mut().for_each(|pixel| *pixel ^= 0x80);
    }
}

impl Network for PageNetwork {
    fn facts(&self) -> Facts<'_> {
        self.model.facts()
    }

    fn is_intact(&self) -> bool {
        self.model.is_intact()
    }

    fn pixels(&self) -> &[u8] {
        self.model.pixels()
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory { frame: &mut self.frame, ..self.model.memory() }
    }

    fn infer(&mut self, logits: &mut [i32]) {
        self.run_first(STEPS, logits);
    }
}
