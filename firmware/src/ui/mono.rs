//! The answer on a display of 128×64 dots that are lit or not, such as an SSD1306: the thumbnail is dithered.

use embedded_graphics::mono_font::iso_8859_1::{FONT_4X6, FONT_5X8, FONT_6X10};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Text};
use shared::image::luma;

use super::result::{Result, percent, round_zeros};
use super::{SIZE, fit, welcome};

/// Upper left corner of the thumbnail's place.
const THUMBNAIL: Point = Point::new(0, 0);
/// Most dots that the thumbnail takes each way.
const THUMBNAIL_SIDE: usize = 57;
/// Left edge of the text and the bars.
const COLUMN: i32 = 61;
/// Top of the first bar's row and distance from row to row.
const ROWS: (i32, i32) = (18, 16);
/// Size of a full bar with its frame.
const BAR: Size = Size::new(66, 6);
/// Letters of a bar's name: what `100%` leaves of the bar's width.
const BAR_LETTERS: usize = (BAR.width as usize - 4 * 4 - 2) / 4;
/// Thresholds of ordered dithering, in 16ths of white (Bayer, 1973).
const BAYER: [[u8; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

/// Draws an answer.
///
/// # Errors
/// Whatever the target answers.
pub fn draw<D>(target: &mut D, result: &Result<'_>) -> core::result::Result<(), D::Error>
where
    D: DrawTarget<Color = BinaryColor>,
{
    target.clear(BinaryColor::Off)?;
    result.draw_thumbnail(target, THUMBNAIL, THUMBNAIL_SIDE, dithered)?;
    let (name, mark) = result.title();
    let letters = name.chars().count() + mark.len();
    let room =
        |font: &MonoFont<'_>| (SIZE.width as i32 - COLUMN) as usize / font.character_size.width as usize;
    let fonts = [&FONT_6X10, &FONT_5X8];
    let font = fonts.into_iter().find(|font| letters <= room(font)).unwrap_or(&FONT_4X6);
    let title = MonoTextStyle::new(font, BinaryColor::On);
    let name = fit(name, room(font).saturating_sub(mark.len()));
    let end = Text::new(&name, Point::new(COLUMN, 9), title).draw(target)?;
    Text::new(mark, end, title).draw(target)?;
    let small = MonoTextStyle::new(&FONT_4X6, BinaryColor::On);
    let below = Point::new(THUMBNAIL.x + THUMBNAIL_SIDE as i32 / 2, SIZE.height as i32 - 1);
    let latency: heapless::String<12> = round_zeros(&result.latency());
    Text::with_alignment(&latency, below, small, Alignment::Center).draw(target)?;
    for (rank, class) in result.ranking().enumerate() {
        draw_bar(target, ROWS.0 + ROWS.1 * rank as i32, result.name(class), result.share(class))?;
    }
    Ok(())
}

/// Draws the network's name and what to do, or that its constants are damaged.
///
/// # Errors
/// Whatever the target answers.
pub fn draw_welcome<D>(target: &mut D, network: &str, is_damaged: bool) -> core::result::Result<(), D::Error>
where
    D: DrawTarget<Color = BinaryColor>,
{
    target.clear(BinaryColor::Off)?;
    let [title, below] = welcome::lines(is_damaged);
    let middle = SIZE.width as i32 / 2;
    let large = MonoTextStyle::new(&FONT_6X10, BinaryColor::On);
    let small = MonoTextStyle::new(&FONT_5X8, BinaryColor::On);
    Text::with_alignment(title, Point::new(middle, 26), large, Alignment::Center).draw(target)?;
    Text::with_alignment(below, Point::new(middle, 44), small, Alignment::Center).draw(target)?;
    let network = fit(network, SIZE.width as usize / 5);
    Text::with_alignment(&network, Point::new(middle, 54), small, Alignment::Center).draw(target)?;
    Ok(())
}

/// Whether a dot is lit for a colour: ordered dithering.
fn dithered(dot: Point, [red, green, blue]: [u8; 3]) -> BinaryColor {
    let row = BAYER.get(dot.y as usize % 4);
    let threshold = row.and_then(|row| row.get(dot.x as usize % 4)).copied().unwrap_or(0);
    (luma(red, green, blue) > threshold * 16 + 8).into()
}

fn draw_bar<D>(target: &mut D, top: i32, name: &str, share: u16) -> core::result::Result<(), D::Error>
where
    D: DrawTarget<Color = BinaryColor>,
{
    let style = MonoTextStyle::new(&FONT_4X6, BinaryColor::On);
    Text::new(&fit(name, BAR_LETTERS), Point::new(COLUMN, top + 4), style).draw(target)?;
    let right = Point::new(COLUMN + BAR.width as i32, top + 4);
    let percent: heapless::String<8> = round_zeros(&percent(share));
    Text::with_alignment(&percent, right, style, Alignment::Right).draw(target)?;
    let corner = Point::new(COLUMN, top + 7);
    Rectangle::new(corner, BAR).into_styled(PrimitiveStyle::with_stroke(BinaryColor::On, 1)).draw(target)?;
    let filled = Size::new(BAR.width * u32::from(share).min(256) / 256, BAR.height);
    Rectangle::new(corner, filled).into_styled(PrimitiveStyle::with_fill(BinaryColor::On)).draw(target)
}

// The layout must fit the display.
const _: () = assert!(COLUMN as u32 + BAR.width <= SIZE.width);
const _: () = assert!((ROWS.0 + 2 * ROWS.1 + 7) as u32 + BAR.height <= SIZE.height);
const _: () = assert!(THUMBNAIL.y as u32 + THUMBNAIL_SIDE as u32 + 6 <= SIZE.height);
