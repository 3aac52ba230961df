//! The answer: thumbnail on the left, class and the three likeliest as bars on the right.

use core::fmt::Write;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_4X6, FONT_5X8, FONT_6X10};
use embedded_graphics::pixelcolor::Gray8;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Text};
use shared::{CLASSES, Label, PIXELS, SIDE};

use super::{DIM, FAINT, SIZE, WHITE};

/// Screen pixels a thumbnail pixel takes, each way.
const ZOOM: u32 = 2;
/// Upper left corner of the thumbnail.
const THUMBNAIL: Point = Point::new(2, 4);
/// Left edge of the text and the bars.
const COLUMN: i32 = 61;
/// Top of the first bar's row and distance from row to row.
const ROWS: (i32, i32) = (18, 16);
/// Size of a full bar.
const BAR: Size = Size::new(65, 5);

/// Draws an answer.
///
/// * `pixels`: `[28][28]` gray bytes, what the network saw.
/// * `class`: the winner.
/// * `shares`: `[10]` confidences in 256ths, from [`confidences`](crate::nn::confidence::confidences).
/// * `is_sure`: whether the class is named without a question mark.
///
/// # Errors
/// Whatever the target answers.
pub fn draw<D>(
    target: &mut D,
    pixels: &[u8; PIXELS],
    class: Label,
    shares: &[u16; CLASSES],
    is_sure: bool,
) -> Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    target.clear(Gray8::BLACK.into())?;
    draw_thumbnail(target, pixels)?;
    // The longest name fills the column, so that a question mark takes a narrower font.
    let font = if is_sure { &FONT_6X10 } else { &FONT_5X8 };
    let title = MonoTextStyle::new(font, WHITE.into());
    let end = Text::new(class.name(), Point::new(COLUMN, 10), title).draw(target)?;
    if !is_sure {
        Text::new("?", end, title).draw(target)?;
    }
    for (rank, label) in top_three(class, shares).into_iter().enumerate() {
        let top = ROWS.0 + ROWS.1 * rank as i32;
        draw_bar(target, top, label, shares[label.index()], rank == 0)?;
    }
    Ok(())
}

fn draw_thumbnail<D>(target: &mut D, pixels: &[u8; PIXELS]) -> Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    let area = Rectangle::new(THUMBNAIL, Size::new_equal(SIDE as u32 * ZOOM));
    let colours = area.points().map(|point| {
        let offset = point - THUMBNAIL;
        let (row, column) = (offset.y as usize / ZOOM as usize, offset.x as usize / ZOOM as usize);
        Gray8::new(pixels.get(row * SIDE + column).copied().unwrap_or(0)).into()
    });
    target.fill_contiguous(&area, colours)
}

fn draw_bar<D>(target: &mut D, top: i32, label: Label, share: u16, wins: bool) -> Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    let shade = if wins { WHITE } else { DIM };
    let style = MonoTextStyle::new(&FONT_4X6, shade.into());
    Text::new(label.name(), Point::new(COLUMN, top + 4), style).draw(target)?;
    let mut percent = heapless::String::<8>::new();
    // Four digits and a sign always fit.
    let _ = write!(percent, "{}%", (u32::from(share) * 100 + 128) / 256);
    let right = Point::new(COLUMN + BAR.width as i32, top + 4);
    Text::with_alignment(&percent, right, style, Alignment::Right).draw(target)?;
    let corner = Point::new(COLUMN, top + 7);
    Rectangle::new(corner, BAR).into_styled(PrimitiveStyle::with_fill(FAINT.into())).draw(target)?;
    let filled = Size::new(BAR.width * u32::from(share).min(256) / 256, BAR.height);
    Rectangle::new(corner, filled).into_styled(PrimitiveStyle::with_fill(shade.into())).draw(target)
}

/// Returns the winner and the two likeliest others, by share, the lower number first among equals.
fn top_three(class: Label, shares: &[u16; CLASSES]) -> [Label; 3] {
    let mut top = [class; 3];
    for place in 1..top.len() {
        let others = Label::ALL.into_iter().filter(|label| !top[..place].contains(label));
        // max_by_key takes the last of equals; going backwards makes that the lowest number.
        top[place] = others.rev().max_by_key(|label| shares[label.index()]).unwrap_or(class);
    }
    top
}

// The layout must fit the smallest screen.
const _: () = assert!(COLUMN as u32 + BAR.width <= SIZE.width);
const _: () = assert!((ROWS.0 + 2 * ROWS.1 + 7) as u32 + BAR.height <= SIZE.height);
const _: () = assert!(THUMBNAIL.y as u32 + SIDE as u32 * ZOOM <= SIZE.height);

#[cfg(test)]
mod tests {
    use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
    use embedded_graphics::image::GetPixel;
    use embedded_graphics::pixelcolor::BinaryColor;
    use embedded_graphics::pixelcolor::raw::{LittleEndian, RawU1, RawU8};

    use super::*;

    type Screen = Framebuffer<Gray8, RawU8, LittleEndian, 128, 64, { buffer_size::<Gray8>(128, 64) }>;

    #[test]
    fn the_three_likeliest_come_in_order_with_low_numbers_first() {
        let mut shares = [0; CLASSES];
        (shares[9], shares[4], shares[2]) = (200, 20, 20);
        assert_eq!(top_three(Label::AnkleBoot, &shares), [Label::AnkleBoot, Label::Pullover, Label::Coat]);
        assert_eq!(top_three(Label::TShirt, &[25; 10]), [Label::TShirt, Label::Trouser, Label::Pullover]);
    }

    #[test]
    fn the_thumbnail_is_the_image_twice_as_large() {
        let pixels: [u8; PIXELS] = core::array::from_fn(|index| (index % 256) as u8);
        let mut screen = Screen::new();
        draw(&mut screen, &pixels, Label::Bag, &[25; 10], true).unwrap();
        for (row, column) in [(0, 0), (5, 9), (27, 27)] {
            let corner = THUMBNAIL + Point::new(2 * column, 2 * row);
            for offset in [Point::new(0, 0), Point::new(1, 1)] {
                let expected = pixels[row as usize * SIDE + column as usize];
                assert_eq!(screen.pixel(corner + offset), Some(Gray8::new(expected)));
            }
        }
    }

    #[test]
    fn bars_are_as_long_as_their_shares() {
        let mut shares = [0; CLASSES];
        (shares[3], shares[0]) = (192, 64);
        let mut screen = Screen::new();
        draw(&mut screen, &[0; PIXELS], Label::Dress, &shares, true).unwrap();
        let length = |rank: i32, shade: Gray8| {
            let y = ROWS.0 + ROWS.1 * rank + 9;
            (0..BAR.width as i32).filter(|x| screen.pixel(Point::new(COLUMN + x, y)) == Some(shade)).count()
        };
        assert_eq!((length(0, WHITE), length(1, DIM), length(2, DIM)), (48, 16, 0));
    }

    #[test]
    fn an_unsure_answer_has_a_question_mark_within_the_screen_behind_every_class() {
        for class in Label::ALL {
            let mut screen = Screen::new();
            draw(&mut screen, &[0; PIXELS], class, &[25; 10], false).unwrap();
            let lit = |x: i32| (0..14).any(|y| screen.pixel(Point::new(x, y)) == Some(WHITE));
            let behind_name = COLUMN + 5 * class.name().len() as i32;
            assert!(behind_name + 5 <= SIZE.width as i32, "{class:?}");
            assert!((behind_name..behind_name + 5).any(lit), "{class:?}");
        }
    }

    #[test]
    fn a_one_bit_display_works_too() {
        let mut screen = Framebuffer::<
            BinaryColor,
            RawU1,
            LittleEndian,
            128,
            64,
            { buffer_size::<BinaryColor>(128, 64) },
        >::new();
        draw(&mut screen, &[200; PIXELS], Label::Coat, &[25; 10], true).unwrap();
        assert!(screen.data().iter().any(|&byte| byte != 0));
    }
}
