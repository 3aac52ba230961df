//! Screens over any embedded-graphics target of at least 128×64 pixels.
//!
//! Colours are asked for as grays, which every colour type can be made from: the same code draws on a
//! 16-level OLED, an RGB565 panel and a one-bit display.

pub mod colour;
pub mod icon;
pub mod mono;
pub mod result;
pub mod welcome;

use embedded_graphics::pixelcolor::Gray8;
use embedded_graphics::prelude::*;

/// Most bytes of a shortened name: 32 letters of two bytes.
const SHORT: usize = 64;

/// Shortens a name to so many letters of Latin-1; two dots stand for what is cut off.
///
/// Dashes and quotation marks that Latin-1 lacks become its own; other letters are drawn as a question mark.
fn fit(name: &str, letters: usize) -> heapless::String<SHORT> {
    let letters = letters.min(SHORT / 2);
    let is_cut = name.chars().count() > letters;
    let kept = if is_cut { letters.saturating_sub(2) } else { letters };
    let plain = name.chars().take(kept).map(|letter| match letter {
        '\u{2010}'..='\u{2015}' => '-',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}'..='\u{201e}' => '"',
        '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{ff}' => letter,
        _ => '?',
    });
    let mut short = heapless::String::new();
    // The letters were counted to fit.
    plain.chain(if is_cut { ".." } else { "" }.chars()).for_each(|letter| {
        let _ = short.push(letter);
    });
    short
}

/// Size that the screens are laid out for.
pub const SIZE: Size = Size::new(128, 64);

/// Brightest gray.
const WHITE: Gray8 = Gray8::new(255);
/// For what matters less.
const DIM: Gray8 = Gray8::new(112);
/// Background of the bars.
const FAINT: Gray8 = Gray8::new(48);

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn names_are_shortened_between_letters_and_made_latin() {
        assert_eq!(fit("T-shirt/top", 11), "T-shirt/top");
        assert_eq!(fit("Ärmel – lang", 13), "Ärmel - lang");
        assert_eq!(fit("Ärmel – lang", 8), "Ärmel ..");
        assert_eq!(fit("毛衣\u{1b}[2J", 6), "???[2J");
        assert_eq!(fit("ab", 1), "..");
        assert_eq!(fit(&"ß".repeat(200), 100).chars().count(), 32);
    }
}
