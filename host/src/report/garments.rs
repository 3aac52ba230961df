//! Grids of labelled garments: samples, predictions, mistakes.

use embedded_graphics::mono_font::ascii::{FONT_6X10, FONT_7X13};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use shared::{Label, PIXELS, SIDE};

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
    /// `[28][28]` gray bytes, row-major.
    pub image: &'a [u8; PIXELS],
    /// What it is.
    pub label: Label,
}

/// A garment with an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The garment.
    pub garment: Garment<'a>,
    /// What it was taken for.
    pub predicted: Label,
    /// How sure the answer was, 0..=1.
    pub confidence: f64,
}

/// Draws garments row by row with their names above them.
pub fn labelled(garments: &[Garment<'_>], columns: usize) -> Canvas {
    const ZOOM: usize = 3;
    let tiles = Tiles { columns, zoom: ZOOM, caption: 14, rows: garments.len().div_ceil(columns.max(1)) };
    let mut canvas = tiles.canvas();
    for (index, garment) in garments.iter().enumerate() {
        let (x, y) = tiles.place(&mut canvas, index, garment.image);
        canvas.centred(garment.label.name(), &FONT_6X10, INK, (x, y));
    }
    canvas
}

/// Draws garments row by row with what they were taken for, and what they are where that is something else.
pub fn answered(answers: &[Answered<'_>], columns: usize) -> Canvas {
    const ZOOM: usize = 4;
    let tiles = Tiles { columns, zoom: ZOOM, caption: 32, rows: answers.len().div_ceil(columns.max(1)) };
    let mut canvas = tiles.canvas();
    for (index, answer) in answers.iter().enumerate() {
        let (x, y) = tiles.place(&mut canvas, index, answer.garment.image);
        let is_right = answer.predicted == answer.garment.label;
        let said = format!("{} {:.0}%", answer.predicted.name(), 100.0 * answer.confidence);
        canvas.centred(&said, &FONT_7X13, if is_right { RIGHT } else { WRONG }, (x, y));
        let truth = if is_right { "right".into() } else { format!("is {}", answer.garment.label.name()) };
        canvas.centred(&truth, &FONT_7X13, INK, (x, y + 15));
    }
    canvas
}

/// Draws an engine's answers to some of the images, five a row.
pub fn answers(samples: &Samples, judgement: &Judgement, indices: &[usize]) -> Canvas {
    let all: Vec<Answered<'_>> = indices
        .iter()
        .map(|&index| Answered {
            garment: Garment { image: samples.image(index), label: samples.label(index) },
            predicted: Label::ALL[judgement.predicted[index]],
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
    /// Height of what stands above a garment.
    caption: usize,
}

impl Tiles {
    /// Space between tiles.
    const GAP: usize = 8;

    fn side(&self) -> usize {
        SIDE * self.zoom
    }

    fn canvas(&self) -> Canvas {
        let width = Self::GAP + self.columns * (self.side() + Self::GAP);
        let height = Self::GAP + self.rows * (self.side() + self.caption + Self::GAP);
        Canvas::new(width, height, PAPER)
    }

    /// Draws a garment; returns the middle of the caption's upper edge.
    fn place(&self, canvas: &mut Canvas, index: usize, image: &[u8; PIXELS]) -> (usize, usize) {
        let left = Self::GAP + index % self.columns * (self.side() + Self::GAP);
        let top = Self::GAP + index / self.columns * (self.side() + self.caption + Self::GAP);
        canvas.gray(image, SIDE, self.zoom, (left, top + self.caption));
        (left + self.side() / 2, top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::drawn;

    #[test]
    fn a_grid_holds_every_garment_and_its_name() {
        let samples = drawn::samples(1, 1);
        let garments: Vec<Garment<'_>> = (0..samples.len())
            .map(|at| Garment { image: samples.image(at), label: samples.label(at) })
            .collect();
        let canvas = labelled(&garments, 5);
        assert_eq!((canvas.width(), canvas.height()), (8 + 5 * 92, 8 + 2 * (84 + 14 + 8)));
        let other = labelled(&[Garment { label: Label::Bag, ..garments[0] }], 5);
        assert_ne!(labelled(&garments[..1], 5), other, "the name is drawn");
    }
}
