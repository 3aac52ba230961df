//! The engine alone, in a firmware of one's own: no app, no link, no heap.
//!
//! `cargo run -p firmware --example minimal` runs it on the desktop; `Classifier` is what a board's crate takes over,
//! with `firmware = { path = "…", features = ["model"] }` and the network that `FIRMWARE_MODEL` names at build time.

use firmware::bytes::signed;
use firmware::camera::{Camera, Painted};
use firmware::model::{self, ARENA_WORDS, INPUT_LEN, LOGITS};
use firmware::nn::{arena::Arena, arg_max, confidence::confidences};
use shared::image::Frame;
use shared::preprocess::{Seen, frame_to_input};

/// The memory of the classifier; `const`, so that it can be a `static`.
struct Classifier {
    pixels: [u8; INPUT_LEN],
    arena: Arena<ARENA_WORDS>,
}

impl Classifier {
    const fn new() -> Self {
        Self { pixels: [0; INPUT_LEN], arena: Arena::new() }
    }

    /// Returns the class's name and its probability in 256ths, or nothing for a frame that shows nothing.
    fn classify(&mut self, frame: &Frame<'_>) -> Option<(&'static str, u16)> {
        if frame_to_input(model::PREPROCESSING, model::INPUT, frame, &mut self.pixels) == Seen::Nothing {
            return None;
        }
        // The engine reads pixel − 128.
        self.pixels.iter_mut().for_each(|pixel| *pixel ^= 0x80);
        let (mut logits, mut shares) = ([0; LOGITS], [0; LOGITS]);
        model::infer(signed(&self.pixels), &mut self.arena, &mut logits);
        confidences(&logits, model::CONFIDENCE_MULTIPLIER, &mut shares);
        let class = arg_max(&logits);
        Some((model::CLASS_NAMES[class], shares[class]))
    }
}

fn main() {
    // Stands for a camera's driver.
    let mut camera = Painted::new();
    let ((width, height), mut bytes) = (camera.size(), Vec::new());
    camera.capture(&mut |row| bytes.extend_from_slice(row)).expect("a painted picture is whole");
    let frame = Frame::new(camera.format(), width, height, &bytes).expect("rows of its own size");
    match Classifier::new().classify(&frame) {
        Some((name, share)) => println!("{name}, {} %", u32::from(share) * 100 / 256),
        None => println!("nothing there"),
    }
}
