//! The app with the page's camera, and what the page shows beyond an answer.

use alloc::vec::Vec;

use embedded_graphics::image::GetPixel;
use embedded_graphics::pixelcolor::{BinaryColor, Gray4, Rgb565};
use embedded_graphics::prelude::*;
use firmware::app::{App, Network};
use firmware::ui;
use shared::protocol::{Refusal, Verdict};

use crate::camera::PagePort;
use crate::canvas::Canvas;
use crate::network::PageNetwork;

/// Size of the display in colour.
const PANEL: Size = Size::new(240, 240);

/// App, port and what the exports' pointers lead to.
pub struct Page {
    app: App<PageNetwork>,
    port: PagePort,
    pictures: u32,
    rgba: Vec<u8>,
}

impl Page {
    /// Makes the memory.
    pub const fn new() -> Self {
        Self { app: App::new(PageNetwork::new()), port: PagePort::new(), pictures: 0, rgba: Vec::new() }
    }

    /// See [`crate::start`].
    pub fn start(&mut self) -> u32 {
        self.app.welcome();
        u32::from(!self.app.is_damaged())
    }

    /// See [`crate::input`].
    pub fn input(&mut self) -> &mut [u8] {
        self.app.network_mut().memory().pixels
    }

    /// See [`crate::take`].
    pub fn take(&mut self) -> u32 {
        let taken = self.app.look_at_input(&mut self.port);
        self.verdict(taken)
    }

    /// See [`crate::look`].
    pub fn look(&mut self, width: u32, height: u32) -> u32 {
        let (Ok(width), Ok(height)) = (u16::try_from(width), u16::try_from(height)) else { return 3 };
        let channels = self.app.network().facts().input.channels;
        self.port.announce(width, height, channels);
        self.app.network_mut().make_room(usize::from(width) * usize::from(height));
        self.pictures = self.pictures.wrapping_add(1);
        let looked = self.app.look(self.pictures, &mut self.port);
        self.verdict(looked)
    }

    fn verdict(&self, looked: Result<(), Refusal>) -> u32 {
        match (looked, self.app.answer().map(|answer| answer.verdict)) {
            (Ok(()), Some(Verdict::Nothing)) => 0,
            (Ok(()), Some(Verdict::Unsure)) => 1,
            (Ok(()), Some(Verdict::Sure)) => 2,
            (Err(Refusal::DamagedWeights), _) => 4,
            _ => 3,
        }
    }

    /// See [`crate::class`].
    pub fn class(&self) -> u32 {
        self.app.answer().map_or(0, |answer| answer.class.into())
    }

    /// See [`crate::logits`].
    pub fn logits(&self) -> &[i32] {
        self.app.answer().map_or(&[], |answer| &answer.logits)
    }

    /// See [`crate::shares`].
    pub fn shares(&self) -> &[u16] {
        self.app.result().map_or(&[], |result| result.shares)
    }

    /// See [`crate::screen`].
    pub fn screen(&mut self, kind: u32) -> &[u8] {
        let name = self.app.network().facts().name;
        let (result, is_damaged) = (self.app.result(), self.app.is_damaged());
        let Ok(()) = match (kind, result) {
            (0, _) => {
                let screen = self.app.screen();
                let area = screen.bounding_box();
                let pixels = area.points().map(|at| Pixel(at, screen.pixel(at).unwrap_or(Gray4::BLACK)));
                Canvas::new(&mut self.rgba, ui::SIZE).draw_iter(pixels)
            }
            (1, None) => {
                let mut dots = Canvas::<BinaryColor>::new(&mut self.rgba, ui::SIZE);
                ui::mono::draw_welcome(&mut dots, name, is_damaged)
            }
            (1, Some(result)) => {
                ui::mono::draw(&mut Canvas::<BinaryColor>::new(&mut self.rgba, ui::SIZE), &result)
            }
            (_, None) => {
                let mut panel = Canvas::<Rgb565>::new(&mut self.rgba, PANEL);
                ui::colour::draw_welcome(&mut panel, name, is_damaged)
            }
            (_, Some(result)) => ui::colour::draw(&mut Canvas::<Rgb565>::new(&mut self.rgba, PANEL), &result),
        };
        &self.rgba
    }

    /// See [`crate::repeat`].
    pub fn repeat(&mut self, times: u32) {
        self.app.network_mut().repeat(times);
    }

    /// See [`crate::steps`].
    pub fn steps(&mut self, count: u32) -> &[u32] {
        self.app.network_mut().look_after(count as usize)
    }
}
