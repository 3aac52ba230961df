//! What the screen shows before the first picture.

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::{FONT_4X6, FONT_6X10};
use embedded_graphics::pixelcolor::Gray8;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Text};

use super::{DIM, SIZE, WHITE, fit};

/// Draws the network's name and what to do.
///
/// # Errors
/// Whatever the target answers.
///
/// ```
/// use embedded_graphics::{mock_display::MockDisplay, pixelcolor::Gray8};
/// # use embedded_graphics::{framebuffer::{Framebuffer, buffer_size}, pixelcolor::raw::{LittleEndian, RawU8}};
/// # let mut screen = Framebuffer::<Gray8, RawU8, LittleEndian, 128, 64, { buffer_size::<Gray8>(128, 64) }>::new();
/// firmware::ui::welcome::draw(&mut screen, "small").unwrap();
/// assert!(screen.data().iter().any(|&pixel| pixel != 0));
/// ```
pub fn draw<D>(target: &mut D, network: &str) -> Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    draw_lines(target, lines(false), network)
}

/// Draws that the network's constants in flash are damaged, and what to do.
///
/// # Errors
/// Whatever the target answers.
pub fn draw_damaged<D>(target: &mut D, network: &str) -> Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    draw_lines(target, lines(true), network)
}

/// What stands above the network's name: a title and a line below it.
pub(super) fn lines(is_damaged: bool) -> [&'static str; 2] {
    match is_damaged {
        false => ["Show me a garment", "network"],
        true => ["Weights damaged", "flash the board again"],
    }
}

fn draw_lines<D>(target: &mut D, [title, below]: [&str; 2], network: &str) -> Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    target.clear(Gray8::BLACK.into())?;
    let middle = SIZE.width as i32 / 2;
    let large = MonoTextStyle::new(&FONT_6X10, WHITE.into());
    let small = MonoTextStyle::new(&FONT_4X6, DIM.into());
    Text::with_alignment(title, Point::new(middle, 30), large, Alignment::Center).draw(target)?;
    Text::with_alignment(below, Point::new(middle, 46), small, Alignment::Center).draw(target)?;
    let network = fit(network, SIZE.width as usize / 4);
    Text::with_alignment(&network, Point::new(middle, 54), small, Alignment::Center).draw(target)?;
    Ok(())
}
