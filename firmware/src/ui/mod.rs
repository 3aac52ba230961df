//! Screens over any embedded-graphics target of at least 128×64 pixels.
//!
//! Colours are asked for as grays, which every colour type can be made from: the same code draws on a
//! 16-level OLED, an RGB565 panel and a one-bit display.

pub mod result;
pub mod welcome;

use embedded_graphics::pixelcolor::Gray8;
use embedded_graphics::prelude::*;

/// Size that the screens are laid out for.
pub const SIZE: Size = Size::new(128, 64);

/// Brightest gray.
const WHITE: Gray8 = Gray8::new(255);
/// For what matters less.
const DIM: Gray8 = Gray8::new(112);
/// Background of the bars.
const FAINT: Gray8 = Gray8::new(48);
