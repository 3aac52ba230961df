//! Grids of labelled garments: samples, predictions, mistakes.

use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use shared::input::InputShape;

use super::canvas::Canvas;
use crate::dataset::Samples;
use crate::evaluate::judgement::Judgement;

const PAPER: Rgb888 = Rgb888::WHITE;
const INK: Rgb888 = Rgb888::new(0x22, 0x22, 0x22);
const RIGHT: Rgb888 = Rgb888::new(0x00, 0x6b, 0x3c);
const WRONG: Rgb888 = Rgb888::new(0xb4, 0x1f, 0x1f);

/// One garment of a grid.
#[derive(Debug, Clone, Copy)]
pub struct Garment<'a> {
    /// Shape of the image.
    pub shape: InputShape,
    /// `[height][width][channels]` bytes.
    pub image: &'a [u8],
    /// Name of its class.
    pub label: &'a str,
}

/// A garment with an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The garment.
    pub garment: Garment<'a>,
    /// What it was taken for.
    pub predicted: &'a str,
    /// How sure the answer was, 0..=1.
    pub confidence: f64,
}

/// Draws garments row by row with their names above them.
pub fn labelled(garments: &[Garment<'_>], columns: usize) -> Canvas {
    let tiles = Tiles::new(garments.first().map(|garment| garment.shape), garments.len(), columns, 84, 14);
    let mut canvas = tiles.canvas();
    for (index, garment) in garments.iter().enumerate() {
        let (x, y) = tiles.place(&mut canvas, index, garment);
        canvas.centred(garment.label, &FONT_6X10, INK, (x, y));
    }
    canvas
}

/// Draws garments row by row with what they were taken for, and what they are where that is something else.
pub fn answered(answers: &[Answered<'_>], columns: usize) -> Canvas {
    let shape = answers.first().map(|answer| answer.garment.shape);
    let tiles = Tiles::new(shape, answers.len(), columns, 112, 32);
    let mut canvas = tiles.canvas();
    for (index, answer) in answers.iter().enumerate() {
        let (x, y) = tiles.place(&mut canvas, index, &answer.garment);
        let is_right = answer.predicted == answer.garment.label;
        let said = format!("{} {:.0}%", answer.predicted, 100.0 * answer.confidence);
        canvas.centred(&said, &FONT_7X13, if is_right { RIGHT } else { WRONG }, (x, y));
        let truth = if is_right { "right".into() } else { format!("is {}", answer.garment.label) };
        canvas.centred(&truth, &FONT_7X13, INK, (x, y + 15));
    }
    canvas
}

/// Draws an engine's answers to some of the images, five a row.
pub fn answers(samples: &Samples, judgement: &Judgement, indices: &[usize]) -> Canvas {
    let all: Vec<Answered<'_>> = indices
        .iter()
        .map(|&index| Answered {
            garment: Garment {
                shape: samples.shape,
                image: samples.image(index),
                label: &judgement.classes[samples.label(index)],
            },
            predicted: &judgement.classes[judgement.predicted[index]],
            confidence: judgement.confidence[index],
        })
        .collect();
    answered(&all, 5)
}

/// Places of equal tiles.
struct Tiles {
    columns: usize,
    rows: usize,
    zoom: usize,
    /// Width and height of a tile's image.
    size: (usize, usize),
    /// Height of what stands above a garment.
    caption: usize,
}

impl Tiles {
    /// Space between tiles.
    const GAP: usize = 8;

    /// Lays out tiles whose images are enlarged to about `side` pixels.
    fn new(shape: Option<InputShape>, count: usize, columns: usize, side: usize, caption: usize) -> Self {
        let (height, width) = shape.map_or((1, 1), |shape| (shape.height, shape.width));
        let zoom = (side / height.max(width)).max(1);
        // A caption takes as much room as the widest image would.
        let size = (side.max(width * zoom), height * zoom);
        Self { columns, rows: count.div_ceil(columns.max(1)), zoom, size, caption }
    }

    fn canvas(&self) -> Canvas {
        let width = Self::GAP + self.columns * (self.size.0 + Self::GAP);
        let height = Self::GAP + self.rows * (self.size.1 + self.caption + Self::GAP);
        Canvas::new(width, height, PAPER)
    }

    /// Draws a garment; returns the middle of the caption's upper edge.
    fn place(&self, canvas: &mut Canvas, index: usize, garment: &Garment<'_>) -> (usize, usize) {
        let left = Self::GAP + index % self.columns * (self.size.0 + Self::GAP);
        let top = Self::GAP + index / self.columns * (self.size.1 + self.caption + Self::GAP);
        let indent = (self.size.0 - garment.shape.width * self.zoom) / 2;
        canvas.image(garment.shape, garment.image, self.zoom, (left + indent, top + self.caption));
        (left + self.size.0 / 2, top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn a_grid_holds_every_garment_and_its_name() {
        let (samples, names) = (drawn::samples(1, 1), shared::fashion_mnist::Label::NAMES);
        let garments: Vec<Garment<'_>> = (0..samples.len())
            .map(|at| Garment {
                shape: samples.shape,
                image: samples.image(at),
                label: names[samples.label(at)],
            })
            .collect();
        let canvas = labelled(&garments, 5);
        assert_eq!((canvas.width(), canvas.height()), (8 + 5 * 92, 8 + 2 * (84 + 14 + 8)));
        let other = labelled(&[Garment { label: "Bag", ..garments[0] }], 5);
        assert_ne!(labelled(&garments[..1], 5), other, "the name is drawn");
    }
}
