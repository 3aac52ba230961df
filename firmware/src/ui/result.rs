//! The answer: thumbnail on the left, class and the likeliest as bars on the right.

use core::fmt::Write;

use embedded_graphics::mono_font::iso_8859_1::{FONT_4X6, FONT_5X8, FONT_6X10};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Gray8;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Text};
use shared::image::luma;
use shared::input::InputShape;
use shared::protocol::Verdict;

use super::{DIM, FAINT, SIZE, WHITE, fit};

/// Upper left corner of the thumbnail.
const THUMBNAIL: Point = Point::new(2, 1);
/// Most screen pixels that the thumbnail takes each way.
const THUMBNAIL_SIDE: usize = 56;
/// Left edge of the text and the bars.
const COLUMN: i32 = 61;
/// Top of the first bar's row and distance from row to row.
const ROWS: (i32, i32) = (18, 16);
/// Size of a full bar.
const BAR: Size = Size::new(65, 5);
/// Letters of a bar's name: what `100%` leaves of the bar's width.
const BAR_LETTERS: usize = (BAR.width as usize - 4 * 4 - 2) / 4;

/// What is to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Result<'a> {
    /// Shape of the picture.
    pub input: InputShape,
    /// `[height][width][channels]` bytes, what the network saw.
    pub pixels: &'a [u8],
    /// `[classes]` names.
    pub names: &'a [&'a str],
    /// `[classes]` probabilities in 256ths, from [`confidences`](crate::nn::confidence::confidences).
    pub shares: &'a [u16],
    /// Index of the winner.
    pub class: usize,
    /// Whether the class is named, with a question mark, or not at all.
    pub verdict: Verdict,
    /// What the inference took, by the board's clock.
    pub microseconds: u32,
}

impl Result<'_> {
    /// Name of a class.
    pub(super) fn name(&self, class: usize) -> &str {
        self.names.get(class).copied().unwrap_or("?")
    }

    /// Probability of a class in 256ths.
    pub(super) fn share(&self, class: usize) -> u16 {
        self.shares.get(class).copied().unwrap_or(0)
    }

    /// What the title says, and the mark behind it.
    pub(super) fn title(&self) -> (&str, &'static str) {
        match self.verdict {
            Verdict::Nothing => ("nothing there", ""),
            Verdict::Unsure => (self.name(self.class), "?"),
            Verdict::Sure => (self.name(self.class), ""),
        }
    }

    /// The winner and the two likeliest others; none where nothing is there.
    pub(super) fn ranking(&self) -> impl Iterator<Item = usize> {
        let is_something = self.verdict != Verdict::Nothing;
        top_three(self.class, self.shares).into_iter().flatten().filter(move |_| is_something)
    }

    /// What the inference took, in words: `12.3 ms`, `123 ms`, `12.3 s`.
    pub(super) fn latency(&self) -> heapless::String<12> {
        let mut text = heapless::String::new();
        // The longest is 4294.9 s.
        let _ = match self.microseconds {
            micros @ 0..100_000 => write!(text, "{}.{} ms", micros / 1_000, micros % 1_000 / 100),
            micros @ 100_000..10_000_000 => write!(text, "{} ms", micros / 1_000),
            micros => write!(text, "{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
        };
        text
    }

    /// Red, green and blue of what is shown at a place of a thumbnail of `size` screen pixels.
    fn thumbnail(&self, size: Size, at: Point) -> [u8; 3] {
        let InputShape { height, width, channels } = self.input;
        let pixel =
            |along: i32, side: usize, on_screen: u32| along as usize * side / on_screen.max(1) as usize;
        let at = (pixel(at.y, height, size.height) * width + pixel(at.x, width, size.width)) * channels;
        let byte = |channel: usize| self.pixels.get(at + channel).copied().unwrap_or(0);
        if channels == 3 { [byte(0), byte(1), byte(2)] } else { [byte(0); 3] }
    }

    /// Draws the picture in the middle of a square, enlarged a whole number of times or made smaller.
    ///
    /// * `corner`, `side`: of the square, in screen pixels.
    /// * `colour`: what the target shows at a place of the screen for red, green and blue.
    pub(super) fn draw_thumbnail<D: DrawTarget>(
        &self,
        target: &mut D,
        corner: Point,
        side: usize,
        colour: impl Fn(Point, [u8; 3]) -> D::Color,
    ) -> core::result::Result<(), D::Error> {
        let size = self.thumbnail_size(side);
        let free = |taken: u32| (side as i32 - taken as i32) / 2;
        let corner = corner + Point::new(free(size.width), free(size.height));
        let area = Rectangle::new(corner, size);
        let colours = area.points().map(|point| colour(point, self.thumbnail(size, point - corner)));
        target.fill_contiguous(&area, colours)
    }

    /// Size of a thumbnail that fits a square: enlarged a whole number of times, or made smaller.
    fn thumbnail_size(&self, side: usize) -> Size {
        let InputShape { height, width, .. } = self.input;
        let longest = height.max(width).max(1);
        let zoom = side / longest;
        let on_screen = |length: usize| if zoom > 0 { length * zoom } else { length * side / longest };
        Size::new(on_screen(width) as u32, on_screen(height) as u32)
    }
}

/// A probability in 256ths as a percentage.
pub(super) fn percent(share: u16) -> heapless::String<8> {
    let mut text = heapless::String::<8>::new();
    // Four digits and a sign always fit.
    let _ = write!(text, "{}%", (u32::from(share) * 100 + 128) / 256);
    text
}

/// Replaces zeros by capital letters, for fonts whose zero has a stroke through it.
pub(super) fn round_zeros<const N: usize>(text: &str) -> heapless::String<N> {
    text.chars().map(|letter| if letter == '0' { 'O' } else { letter }).take(N).collect()
}

/// Draws an answer.
///
/// # Errors
/// Whatever the target answers.
pub fn draw<D>(target: &mut D, result: &Result<'_>) -> core::result::Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    target.clear(Gray8::BLACK.into())?;
    result.draw_thumbnail(target, THUMBNAIL, THUMBNAIL_SIDE, |_, [red, green, blue]| {
        Gray8::new(luma(red, green, blue)).into()
    })?;
    let (name, mark) = result.title();
    // The largest letters that fit; the smallest where none do.
    let letters = name.chars().count() + mark.len();
    let room =
        |font: &MonoFont<'_>| (SIZE.width as i32 - COLUMN) as usize / font.character_size.width as usize;
    // A question mark takes a narrower font, so that it stands out from the sure answers.
    let fonts = if mark.is_empty() { &[&FONT_6X10, &FONT_5X8][..] } else { &[&FONT_5X8][..] };
    let font = fonts.iter().copied().find(|font| letters <= room(font)).unwrap_or(&FONT_4X6);
    let title = MonoTextStyle::new(font, WHITE.into());
    let name = fit(name, room(font) - mark.len());
    let end = Text::new(&name, Point::new(COLUMN, 10), title).draw(target)?;
    Text::new(mark, end, title).draw(target)?;
    let latency = MonoTextStyle::new(&FONT_4X6, DIM.into());
    let below = Point::new(THUMBNAIL.x + THUMBNAIL_SIDE as i32 / 2, SIZE.height as i32 - 1);
    let text: heapless::String<12> = round_zeros(&result.latency());
    Text::with_alignment(&text, below, latency, Alignment::Center).draw(target)?;
    for (rank, class) in result.ranking().enumerate() {
        let top = ROWS.0 + ROWS.1 * rank as i32;
        draw_bar(target, top, result.name(class), result.share(class), rank == 0)?;
    }
    Ok(())
}

fn draw_bar<D>(
    target: &mut D,
    top: i32,
    name: &str,
    share: u16,
    wins: bool,
) -> core::result::Result<(), D::Error>
where
    D: DrawTarget,
    D::Color: From<Gray8>,
{
    let shade = if wins { WHITE } else { DIM };
    let style = MonoTextStyle::new(&FONT_4X6, shade.into());
    Text::new(&fit(name, BAR_LETTERS), Point::new(COLUMN, top + 4), style).draw(target)?;
    let percent: heapless::String<8> = round_zeros(&percent(share));
    let right = Point::new(COLUMN + BAR.width as i32, top + 4);
    Text::with_alignment(&percent, right, style, Alignment::Right).draw(target)?;
    let corner = Point::new(COLUMN, top + 7);
    Rectangle::new(corner, BAR).into_styled(PrimitiveStyle::with_fill(FAINT.into())).draw(target)?;
    let filled = Size::new(BAR.width * u32::from(share).min(256) / 256, BAR.height);
    Rectangle::new(corner, filled).into_styled(PrimitiveStyle::with_fill(shade.into())).draw(target)
}

/// Returns the winner and the two likeliest others, by share, the lower number first among equals.
fn top_three(class: usize, shares: &[u16]) -> [Option<usize>; 3] {
    let mut top = [Some(class), None, None];
    for place in 1..top.len() {
        let mut best: Option<(usize, u16)> = None;
        for (other, &share) in shares.iter().enumerate() {
            let is_better = best.is_none_or(|(_, highest)| share > highest);
            if is_better && !top.contains(&Some(other)) {
                best = Some((other, share));
            }
        }
        if let Some(entry) = top.get_mut(place) {
            *entry = best.map(|(other, _)| other);
        }
    }
    top
}

// The layout must fit the smallest screen.
const _: () = assert!(COLUMN as u32 + BAR.width <= SIZE.width);
const _: () = assert!((ROWS.0 + 2 * ROWS.1 + 7) as u32 + BAR.height <= SIZE.height);
const _: () = assert!(THUMBNAIL.y as u32 + THUMBNAIL_SIDE as u32 + 6 <= SIZE.height);

#[cfg(test)]
mod tests {
    use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
    use embedded_graphics::image::GetPixel;
    use embedded_graphics::pixelcolor::BinaryColor;
    use embedded_graphics::pixelcolor::raw::{LittleEndian, RawU1, RawU8};
    use shared::fashion_mnist::{CLASSES, Label, PIXELS, SHAPE};

    use super::*;

    type Screen = Framebuffer<Gray8, RawU8, LittleEndian, 128, 64, { buffer_size::<Gray8>(128, 64) }>;

    const NAMES: [&str; CLASSES] = Label::NAMES;

    fn result<'a>(pixels: &'a [u8], class: usize, shares: &'a [u16]) -> Result<'a> {
        Result {
            input: SHAPE,
            pixels,
            names: &NAMES,
            shares,
            class,
            verdict: Verdict::Sure,
            microseconds: 12_345,
        }
    }

    fn drawn(result: &Result<'_>) -> Screen {
        let mut screen = Screen::new();
        draw(&mut screen, result).unwrap();
        screen
    }

    #[test]
    fn the_three_likeliest_come_in_order_with_low_numbers_first() {
        let mut shares = [0; CLASSES];
        (shares[9], shares[4], shares[2]) = (200, 20, 20);
        assert_eq!(top_three(9, &shares), [Some(9), Some(2), Some(4)]);
        assert_eq!(top_three(0, &[25; 10]), [Some(0), Some(1), Some(2)]);
        assert_eq!(top_three(1, &[128; 2]), [Some(1), Some(0), None]);
    }

    #[test]
    fn the_thumbnail_is_the_image_twice_as_large() {
        let pixels: [u8; PIXELS] = core::array::from_fn(|index| (index % 256) as u8);
        let screen = drawn(&result(&pixels, 8, &[25; 10]));
        for (row, column) in [(0, 0), (5, 9), (27, 27)] {
            let corner = THUMBNAIL + Point::new(2 * column, 2 * row);
            for offset in [Point::new(0, 0), Point::new(1, 1)] {
                let expected = pixels[row as usize * 28 + column as usize];
                assert_eq!(screen.pixel(corner + offset), Some(Gray8::new(expected)));
            }
        }
    }

    #[test]
    fn thumbnails_of_any_shape_stay_in_their_place() {
        for (height, width, channels) in [(40, 24, 3), (1, 256, 1), (256, 1, 3), (64, 64, 3), (3, 5, 1)] {
            let input = InputShape::new(height, width, channels).unwrap();
            let pixels = vec![90; input.len()];
            let screen = drawn(&Result { input, names: &["a", "b"], ..result(&pixels, 0, &[200, 56]) });
            let lit = |x: i32| (0..64).any(|y| screen.pixel(Point::new(x, y)) == Some(Gray8::new(90)));
            let columns: Vec<i32> = (0..128).filter(|&x| lit(x)).collect();
            assert!(columns.iter().all(|x| (2..58).contains(x)), "{input}: {columns:?}");
            assert!(!columns.is_empty() || height == 1 || width == 1, "{input}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_shares() {
        let mut shares = [0; CLASSES];
        (shares[3], shares[0]) = (192, 64);
        let screen = drawn(&result(&[0; PIXELS], 3, &shares));
        let length = |rank: i32, shade: Gray8| {
            let y = ROWS.0 + ROWS.1 * rank + 9;
            (0..BAR.width as i32).filter(|x| screen.pixel(Point::new(COLUMN + x, y)) == Some(shade)).count()
        };
        assert_eq!((length(0, WHITE), length(1, DIM), length(2, DIM)), (48, 16, 0));
    }

    #[test]
    fn an_unsure_answer_has_a_question_mark_within_the_screen_behind_every_class() {
        for (class, name) in NAMES.iter().enumerate() {
            let unsure = Result { verdict: Verdict::Unsure, ..result(&[0; PIXELS], class, &[25; 10]) };
            let screen = drawn(&unsure);
            let lit = |x: i32| (0..14).any(|y| screen.pixel(Point::new(x, y)) == Some(WHITE));
            let behind_name = COLUMN + 5 * name.len() as i32;
            assert!(behind_name + 5 <= SIZE.width as i32, "{name}");
            assert!((behind_name..behind_name + 5).any(lit), "{name}");
        }
    }

    #[test]
    fn where_nothing_is_there_no_class_and_no_bar_is_drawn() {
        let shares = [25; 10];
        let nothing = Result { verdict: Verdict::Nothing, ..result(&[0; PIXELS], 5, &shares) };
        let screen = drawn(&nothing);
        let lit = |x: i32, y: i32| screen.pixel(Point::new(x, y)) != Some(Gray8::BLACK);
        assert!((COLUMN..128).any(|x| lit(x, 8)));
        assert!(!(COLUMN..128).any(|x| (14..64).any(|y| lit(x, y))));
    }

    #[test]
    fn long_names_with_any_letters_stay_on_the_screen() {
        let names =
            ["Ärmel – lang, mit Knöpfen und Kragen", "Über", "毛衣毛衣毛衣毛衣毛衣毛衣毛衣毛衣毛衣毛衣"];
        for (class, verdict) in [(0, Verdict::Sure), (0, Verdict::Unsure), (2, Verdict::Unsure)] {
            let shown = Result { names: &names, verdict, ..result(&[0; PIXELS], class, &[200, 30, 26]) };
            let screen = drawn(&shown);
            assert!((COLUMN..128).any(|x| screen.pixel(Point::new(x, 8)) == Some(WHITE)));
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
        draw(&mut screen, &result(&[200; PIXELS], 4, &[25; 10])).unwrap();
        assert!(screen.data().iter().any(|&byte| byte != 0));
    }
}
