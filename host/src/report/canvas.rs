//! A colour picture to draw on with embedded-graphics, and its PNG form.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use shared::input::InputShape;

/// Rows of RGB pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    width: usize,
    height: usize,
    /// `[height][width]`.
    pixels: Vec<[u8; 3]>,
}

impl Canvas {
    /// Makes a picture of one colour.
    pub fn new(width: usize, height: usize, color: Rgb888) -> Self {
        Self { width, height, pixels: vec![bytes(color); width * height] }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Draws an image with its corner at (`left`, `top`), every pixel `zoom` times each way.
    ///
    /// * `pixels`: `[height][width][channels]` bytes.
    pub fn image(&mut self, shape: InputShape, pixels: &[u8], zoom: usize, (left, top): (usize, usize)) {
        for (index, values) in pixels.chunks_exact(shape.channels).enumerate() {
            let color = if let &[red, green, blue] = values { [red, green, blue] } else { [values[0]; 3] };
            let (x, y) = (left + index % shape.width * zoom, top + index / shape.width * zoom);
            for row in y..(y + zoom).min(self.height) {
                for column in x..(x + zoom).min(self.width) {
                    self.pixels[row * self.width + column] = color;
                }
            }
        }
    }

    /// Writes text, its top in the middle at (`x`, `y`).
    pub fn centred(&mut self, text: &str, font: &MonoFont<'_>, color: Rgb888, (x, y): (usize, usize)) {
        let style = TextStyleBuilder::new().alignment(Alignment::Center).baseline(Baseline::Top).build();
        let at = Point::new(x as i32, y as i32);
        match Text::with_text_style(text, at, MonoTextStyle::new(font, color), style).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    /// Encodes as PNG.
    ///
    /// # Errors
    /// The encoder's.
    pub fn to_png(&self) -> io::Result<Vec<u8>> {
        super::png::encode_rgb(self.width, self.height, self.pixels.as_flattened())
    }

    /// Writes a PNG file, whole or not at all.
    ///
    /// # Errors
    /// The encoder's or the file system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        crate::files::write_whole(path, &self.to_png()?)
    }
}

fn bytes(color: Rgb888) -> [u8; 3] {
    [color.r(), color.g(), color.b()]
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, drawn: I) -> Result<(), Infallible> {
        for Pixel(at, color) in drawn {
            let (x, y) = (usize::try_from(at.x), usize::try_from(at.y));
            if let (Ok(x), Ok(y)) = (x, y)
                && x < self.width
                && y < self.height
            {
                self.pixels[y * self.width + x] = bytes(color);
            }
        }
        Ok(())
    }
}
