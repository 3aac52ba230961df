//! The page's picture as a camera, its clock as a timer.

use alloc::vec::Vec;

use firmware::app::Port;
use firmware::camera::{Camera, NoPicture};
use shared::image::{PixelFormat, luma, over_white};

mod imports {
    #[link(wasm_import_module = "page")]
    unsafe extern "C" {
        /// Writes row `y` of the picture to `to`: `[width][4]` red, green, blue, alpha.
        pub fn row(y: u32, to: *mut u8);
        /// Microseconds of a clock that counts up and wraps.
        pub safe fn now() -> u32;
    }
}

/// What the page lends the app.
pub struct PagePort {
    camera: PageCamera,
}

impl PagePort {
    /// Makes a port whose camera has no picture yet.
    pub const fn new() -> Self {
        Self { camera: PageCamera { format: PixelFormat::Rgb888, width: 0, height: 0 } }
    }

    /// Announces the picture that is looked at next.
    ///
    /// * `channels`: of the network's input; gray is made before anything else, as on the desktop.
    pub fn announce(&mut self, width: u16, height: u16, channels: usize) {
        let format = if channels == 1 { PixelFormat::Gray8 } else { PixelFormat::Rgb888 };
        self.camera = PageCamera { format, width, height };
    }
}

impl Port for PagePort {
    /// Nobody listens.
    fn send(&mut self, _byte: u8) {}

    fn ticks(&mut self) -> u32 {
        imports::now()
    }

    fn tick_hz(&self) -> u32 {
        1_000_000
    }

    fn camera(&mut self) -> Option<&mut dyn Camera> {
        Some(&mut self.camera)
    }
}

struct PageCamera {
    format: PixelFormat,
    width: u16,
    height: u16,
}

impl Camera for PageCamera {
    fn format(&self) -> PixelFormat {
        self.format
    }

    fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    fn capture(&mut self, row: &mut dyn FnMut(&[u8])) -> Result<(), NoPicture> {
        let mut rgba = alloc::vec![0; 4 * usize::from(self.width)];
        let mut pixels = Vec::with_capacity(usize::from(self.width) * self.format.bytes_per_pixel());
        for y in 0..u32::from(self.height) {
            // SAFETY: the page writes `width` pixels of four bytes, which there are.
            unsafe { imports::row(y, rgba.as_mut_ptr()) };
            pixels.clear();
            let colours = rgba.as_chunks().0.iter().map(|&pixel| over_white(pixel));
            match self.format {
                PixelFormat::Gray8 => pixels.extend(colours.map(|[red, green, blue]| luma(red, green, blue))),
                _ => pixels.extend(colours.flatten()),
            }
            row(&pixels);
        }
        Ok(())
    }
}
