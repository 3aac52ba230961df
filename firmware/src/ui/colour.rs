//! The answer on a colour panel of at least 240×240 pixels, such as an ST7789 or ILI9341.

use embedded_graphics::mono_font::iso_8859_1::{FONT_8X13, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb565, Rgb888};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Text};
use shared::protocol::Verdict;

use super::result::{Result, percent};
use super::{fit, welcome};

/// Distance from the edges and between parts.
const MARGIN: i32 = 8;
/// Most pixels that the thumbnail takes each way.
const THUMBNAIL_SIDE: usize = 112;
/// Left edge of the text beside the thumbnail.
const COLUMN: i32 = MARGIN + THUMBNAIL_SIDE as i32 + MARGIN;
/// Top of the first bar's row and distance from row to row.
const ROWS: (i32, i32) = (132, 36);
/// Height of a bar.
const BAR_HEIGHT: u32 = 10;

const BACKGROUND: Rgb888 = Rgb888::new(12, 14, 18);
const TEXT: Rgb888 = Rgb888::new(240, 240, 240);
const DIM: Rgb888 = Rgb888::new(150, 156, 166);
const FAINT: Rgb888 = Rgb888::new(44, 50, 60);
/// A sure answer.
const SURE: Rgb888 = Rgb888::new(72, 199, 116);
/// An answer that is not sure.
const UNSURE: Rgb888 = Rgb888::new(255, 176, 46);

/// Draws an answer on the target's whole area.
///
/// # Errors
/// Whatever the target answers.
pub fn draw<D>(target: &mut D, result: &Result<'_>) -> core::result::Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb565>,
{
    let width = target.bounding_box().size.width as i32;
    target.clear(BACKGROUND.into())?;
    let corner = Point::new(MARGIN, MARGIN);
    result.draw_thumbnail(target, corner, THUMBNAIL_SIDE, |_, [red, green, blue]| {
        Rgb888::new(red, green, blue).into()
    })?;
    let accent = match result.verdict {
        Verdict::Nothing => DIM,
        Verdict::Unsure => UNSURE,
        Verdict::Sure => SURE,
    };
    let (name, mark) = result.title();
    let room =
        |font: &MonoFont<'_>| (width - COLUMN - 2).max(0) as usize / font.character_size.width as usize;
    let letters = name.chars().count() + mark.len();
    let font = if letters <= room(&FONT_10X20) { &FONT_10X20 } else { &FONT_8X13 };
    let title = MonoTextStyle::new(font, accent.into());
    let name = fit(name, room(font).saturating_sub(mark.len()));
    let end = Text::new(&name, Point::new(COLUMN, 30), title).draw(target)?;
    Text::new(mark, end, title).draw(target)?;
    let small = MonoTextStyle::new(&FONT_8X13, DIM.into());
    let said = match result.verdict {
        Verdict::Nothing => "",
        Verdict::Unsure => "not sure",
        Verdict::Sure => "sure",
    };
    Text::new(said, Point::new(COLUMN, 54), small).draw(target)?;
    let bottom = MARGIN + THUMBNAIL_SIDE as i32 - 4;
    Text::new(&result.latency(), Point::new(COLUMN, bottom), small).draw(target)?;
    for (rank, class) in result.ranking().enumerate() {
        let (text, bar) = if rank == 0 { (TEXT, accent) } else { (DIM, DIM) };
        let top = ROWS.0 + ROWS.1 * rank as i32;
        draw_bar(target, top, result.name(class), result.share(class), (text, bar))?;
    }
    Ok(())
}

/// Draws the network's name and what to do, or that its constants are damaged.
///
/// # Errors
/// Whatever the target answers.
pub fn draw_welcome<D>(target: &mut D, network: &str, is_damaged: bool) -> core::result::Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb565>,
{
    target.clear(BACKGROUND.into())?;
    let size = target.bounding_box().size;
    let [title, below] = welcome::lines(is_damaged);
    let middle = Point::new(size.width as i32 / 2, size.height as i32 / 2);
    let large = MonoTextStyle::new(&FONT_10X20, TEXT.into());
    let small = MonoTextStyle::new(&FONT_8X13, DIM.into());
    Text::with_alignment(title, middle - Point::new(0, 12), large, Alignment::Center).draw(target)?;
    Text::with_alignment(below, middle + Point::new(0, 18), small, Alignment::Center).draw(target)?;
    let network = fit(network, size.width as usize / 8);
    Text::with_alignment(&network, middle + Point::new(0, 36), small, Alignment::Center).draw(target)?;
    Ok(())
}

fn draw_bar<D>(
    target: &mut D,
    top: i32,
    name: &str,
    share: u16,
    (text, bar): (Rgb888, Rgb888),
) -> core::result::Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb565>,
{
    let full = target.bounding_box().size.width.saturating_sub(2 * MARGIN as u32);
    let style = MonoTextStyle::new(&FONT_8X13, text.into());
    // What `100%` leaves.
    let letters = (full as usize / 8).saturating_sub(5);
    Text::new(&fit(name, letters), Point::new(MARGIN, top + 10), style).draw(target)?;
    let right = Point::new(MARGIN + full as i32, top + 10);
    Text::with_alignment(&percent(share), right, style, Alignment::Right).draw(target)?;
    let corner = Point::new(MARGIN, top + 16);
    let whole = Rectangle::new(corner, Size::new(full, BAR_HEIGHT));
    whole.into_styled(PrimitiveStyle::with_fill(FAINT.into())).draw(target)?;
    let filled = Rectangle::new(corner, Size::new(full * u32::from(share).min(256) / 256, BAR_HEIGHT));
    filled.into_styled(PrimitiveStyle::with_fill(bar.into())).draw(target)
}

// The layout must fit the smallest panel.
const _: () = assert!((ROWS.0 + 2 * ROWS.1 + 16) as u32 + BAR_HEIGHT <= 240);
