//! Pictures that show none of a network's classes: what it must not be sure about.
//!
//! Some are made from a seed, some from the photographs themselves. Training may mix them in with no class
//! (outlier exposure; Hendrycks, Mazeika, Dietterich, 2019); judging counts how many are answered as sure.

use std::convert::Infallible;

use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_10X20};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::fashion_mnist::{Label, SHAPE};
use shared::input::InputShape;
use shared::preprocess::Preprocessing;

use super::augment::sample;
use super::{Samples, drawn};

/// A kind of picture without a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// One colour with a soft gradient.
    Wall,
    /// Random values, in grains of 1 to 8 pixels.
    Noise,
    /// A figure from 0 to 9.
    Digit,
    /// A garment drawn as for the drawn data set.
    Drawn,
    /// A photograph turned by 90°, left or right.
    Turned,
    /// A corner of a photograph, 0.35 to 0.5 of its side.
    Corner,
}

/// Pictures of each kind that a model is judged on.
const JUDGED: usize = 100;
/// Seed of those.
const SEED: u64 = 95;

impl Stranger {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Wall, Self::Noise, Self::Digit, Self::Drawn, Self::Turned, Self::Corner];

    /// The kinds that a network is judged on: none for the garment finder's, which see silhouettes only.
    pub fn of(preprocessing: Preprocessing) -> &'static [Self] {
        match preprocessing {
            Preprocessing::Square => &Self::ALL,
            Preprocessing::Garment => &[],
        }
    }

    /// Name for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wall => "plain walls",
            Self::Noise => "noise",
            Self::Digit => "digits",
            Self::Drawn => "drawn garments",
            Self::Turned => "photographs turned by 90°",
            Self::Corner => "corners of photographs",
        }
    }

    /// Makes one image of `shape`.
    ///
    /// * `photograph`: `[height][width][channels]` of `from`, with the channels of `shape`.
    pub fn image(
        self,
        from: InputShape,
        photograph: &[u8],
        shape: InputShape,
        rng: &mut impl Rng,
    ) -> Vec<u8> {
        match self {
            Self::Wall => wall(shape, rng),
            Self::Noise => noise(shape, rng),
            Self::Digit => stencil(shape, (10, 20), &digit(rng.random_range(0..10)), rng),
            Self::Drawn => {
                let label = Label::ALL[rng.random_range(0..Label::ALL.len())];
                let garment = drawn::garment(label, rng).map(|value| f32::from(value) / 255.0);
                stencil(shape, (SHAPE.width, SHAPE.height), &garment, rng)
            }
            Self::Turned => {
                let is_left = rng.random_bool(0.5);
                mapped(from, photograph, shape, |y, x| if is_left { (x, 1.0 - y) } else { (1.0 - x, y) })
            }
            Self::Corner => {
                let side = rng.random_range(0.35..0.5f32);
                let [top, left] = [rng.random_bool(0.5), rng.random_bool(0.5)]
                    .map(|is_far| if is_far { 1.0 - side } else { 0.0 });
                mapped(from, photograph, shape, |y, x| (top + side * y, left + side * x))
            }
        }
    }

    /// The pictures of this kind that a model is judged on, the same in every run; `photographs` lend theirs in turn.
    pub fn judged(self, photographs: &Samples) -> Samples {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED + self as u64);
        let mut samples = Samples::empty(photographs.shape);
        let shape = photographs.shape;
        // Photographs are spread over the part, in which classes stand one after the other.
        for at in 0..JUDGED.min(photographs.len().max(1)) {
            let photograph = photographs.image(at * photographs.len() / JUDGED.min(photographs.len().max(1)));
            samples.push(&self.image(shape, photograph, shape, &mut rng), 0);
        }
        samples
    }
}

/// A random colour, gray where there is one channel or by chance.
fn color(shape: InputShape, rng: &mut impl Rng) -> Vec<f32> {
    let gray: f32 = rng.random_range(10.0..245.0);
    let is_gray = rng.random_bool(0.4);
    (0..shape.channels).map(|_| if is_gray { gray } else { rng.random_range(10.0..245.0) }).collect()
}

fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

fn wall(shape: InputShape, rng: &mut impl Rng) -> Vec<u8> {
    let color = color(shape, rng);
    let (down, across): (f32, f32) = (rng.random_range(-40.0..40.0), rng.random_range(-40.0..40.0));
    let grain: f32 = rng.random_range(0.0..6.0);
    let mut image = Vec::with_capacity(shape.len());
    for row in 0..shape.height {
        for column in 0..shape.width {
            let slope = down * (row as f32 / shape.height as f32 - 0.5)
                + across * (column as f32 / shape.width as f32 - 0.5);
            let shade = slope + grain * (rng.random::<f32>() - 0.5);
            image.extend(color.iter().map(|value| byte(value + shade)));
        }
    }
    image
}

fn noise(shape: InputShape, rng: &mut impl Rng) -> Vec<u8> {
    let grain = 1 << rng.random_range(0..4);
    let is_gray = rng.random_bool(0.5);
    let (rows, columns) = (shape.height.div_ceil(grain), shape.width.div_ceil(grain));
    let values: Vec<u8> = (0..rows * columns * shape.channels).map(|_| rng.random()).collect();
    let mut image = Vec::with_capacity(shape.len());
    for row in 0..shape.height {
        for column in 0..shape.width {
            let at = (row / grain * columns + column / grain) * shape.channels;
            image.extend((0..shape.channels).map(|channel| values[if is_gray { at } else { at + channel }]));
        }
    }
    image
}

/// A figure of the screen's font, `[20][10]` of 0 or 1.
fn digit(figure: u8) -> Vec<f32> {
    struct Mask(Vec<f32>);
    impl OriginDimensions for Mask {
        fn size(&self) -> Size {
            Size::new(10, 20)
        }
    }
    impl DrawTarget for Mask {
        type Color = BinaryColor;
        type Error = Infallible;
        fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(
            &mut self,
            pixels: I,
        ) -> Result<(), Infallible> {
            for Pixel(at, color) in pixels {
                if color.is_on() && (0..10).contains(&at.x) && (0..20).contains(&at.y) {
                    self.0[(at.y * 10 + at.x) as usize] = 1.0;
                }
            }
            Ok(())
        }
    }
    let mut mask = Mask(vec![0.0; 200]);
    let text = char::from(b'0' + figure % 10).to_string();
    let style = MonoTextStyle::new(&FONT_10X20, BinaryColor::On);
    match Text::with_baseline(&text, Point::zero(), style, Baseline::Top).draw(&mut mask) {
        Ok(_) => mask.0,
        Err(never) => match never {},
    }
}

/// Lays a mask of values 0..=1 in one colour over another, at a random size and place.
fn stencil(shape: InputShape, (width, height): (usize, usize), mask: &[f32], rng: &mut impl Rng) -> Vec<u8> {
    let paper = color(shape, rng);
    let mut ink = color(shape, rng);
    // A figure that nobody could see shows nothing.
    if paper.iter().zip(&ink).all(|(paper, ink)| (paper - ink).abs() < 60.0) {
        ink.iter_mut().for_each(|value| *value = (*value + 128.0) % 256.0);
    }
    let size = rng.random_range(0.6..0.95f32);
    let (top, left) = (rng.random_range(0.0..1.0 - size), rng.random_range(0.0..1.0 - size));
    let aspect = width as f32 / height as f32;
    let mut image = Vec::with_capacity(shape.len());
    for row in 0..shape.height {
        let y = ((row as f32 + 0.5) / shape.height as f32 - top) / size;
        for column in 0..shape.width {
            // The mask keeps its aspect and stands in the middle of its square.
            let x = (((column as f32 + 0.5) / shape.width as f32 - left) / size - 0.5) / aspect + 0.5;
            let is_inside = (0.0..1.0).contains(&x) && (0.0..1.0).contains(&y);
            let at = (y * height as f32) as usize * width + (x * width as f32) as usize;
            let share = if is_inside { mask.get(at).copied().unwrap_or(0.0) } else { 0.0 };
            image.extend(paper.iter().zip(&ink).map(|(paper, ink)| byte(paper + share * (ink - paper))));
        }
    }
    image
}

/// An image whose point (y, x), both 0..1, is the photograph's point `at(y, x)`.
fn mapped(
    from: InputShape,
    photograph: &[u8],
    shape: InputShape,
    at: impl Fn(f32, f32) -> (f32, f32),
) -> Vec<u8> {
    let mut values = Vec::with_capacity(shape.len());
    for row in 0..shape.height {
        for column in 0..shape.width {
            let point =
                ((row as f32 + 0.5) / shape.height as f32, (column as f32 + 0.5) / shape.width as f32);
            let (y, x) = at(point.0, point.1);
            sample(from, photograph, y * from.height as f32 - 0.5, x * from.width as f32 - 0.5, &mut values);
        }
    }
    values.into_iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: InputShape = InputShape { height: 16, width: 12, channels: 3 };

    fn photographs() -> Samples {
        let mut samples = Samples::empty(COLOUR);
        for at in 0..7u8 {
            let image: Vec<u8> = (0..COLOUR.len()).map(|index| (index / 3) as u8 ^ at).collect();
            samples.push(&image, at);
        }
        samples
    }

    #[test]
    fn every_kind_has_the_network_s_shape_and_is_the_same_in_every_run() {
        for kind in Stranger::ALL {
            let samples = kind.judged(&photographs());
            assert_eq!((samples.len(), samples.shape), (7, COLOUR), "{}", kind.name());
            assert_eq!(samples, kind.judged(&photographs()));
            assert_ne!(samples.image(0), samples.image(1), "{}", kind.name());
        }
    }

    #[test]
    fn a_photograph_turned_twice_more_stands_on_its_head() {
        let shape = InputShape { height: 4, width: 4, channels: 1 };
        let photograph: Vec<u8> = (0..16).map(|value| 10 * value).collect();
        let left = mapped(shape, &photograph, shape, |y, x| (x, 1.0 - y));
        assert_eq!(left[..4], [30, 70, 110, 150]);
        let again = mapped(shape, &left, shape, |y, x| (x, 1.0 - y));
        assert!(again.iter().eq(photograph.iter().rev()));
    }

    #[test]
    fn figures_are_seen() {
        let all: Vec<f32> = (0..10).map(|figure| digit(figure).iter().sum()).collect();
        assert!(all.iter().all(|&pixels| (15.0..120.0).contains(&pixels)), "{all:?}");
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..20 {
            let image = stencil(COLOUR, (10, 20), &digit(8), &mut rng);
            assert!(image.iter().zip(&image[3..]).any(|(a, b)| a.abs_diff(*b) > 30));
        }
    }
}
