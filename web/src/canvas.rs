//! What embedded-graphics draws on, as a page's canvas takes it.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::marker::PhantomData;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;

/// A display in a page: red, green, blue and alpha bytes.
pub struct Canvas<'a, C> {
    rgba: &'a mut Vec<u8>,
    size: Size,
    color: PhantomData<C>,
}

impl<'a, C> Canvas<'a, C> {
    /// Makes a black display in `rgba`.
    pub fn new(rgba: &'a mut Vec<u8>, size: Size) -> Self {
        rgba.clear();
        rgba.resize((4 * size.width * size.height) as usize, 0);
        Self { rgba, size, color: PhantomData }
    }
}

impl<C> OriginDimensions for Canvas<'_, C> {
    fn size(&self) -> Size {
        self.size
    }
}

impl<C: PixelColor + Into<Rgb888>> DrawTarget for Canvas<'_, C> {
    type Color = C;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<C>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let area = self.bounding_box();
        for Pixel(point, color) in pixels.into_iter().filter(|pixel| area.contains(pixel.0)) {
            let color: Rgb888 = color.into();
            let start = 4 * (point.y as usize * self.size.width as usize + point.x as usize);
            if let Some(bytes) = self.rgba.get_mut(start..start + 4) {
                bytes.copy_from_slice(&[color.r(), color.g(), color.b(), 255]);
            }
        }
        Ok(())
    }
}
