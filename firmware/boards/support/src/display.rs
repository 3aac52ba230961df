//! What boards show answers on.

use firmware::app::App;
use firmware::model::Model;
use shared::protocol::Verdict;

/// Shows the app's state: before the first picture, and after every answer.
pub trait Display {
    /// Shows it.
    fn show(&mut self, app: &App<Model>);
}

/// No display.
impl Display for () {
    fn show(&mut self, _app: &App<Model>) {}
}

/// Two displays.
impl<A: Display, B: Display> Display for (A, B) {
    fn show(&mut self, app: &App<Model>) {
        self.0.show(app);
        self.1.show(app);
    }
}

/// Light-emitting diodes: one is lit while the answer is sure, several show the class's number.
///
/// The first argument of the function is the diode, from 0; the second whether it is lit. With one diode it is
/// lit while the last answer is sure. With more they show the number of the class plus one in binary, the first
/// diode as the lowest bit, while the answer is sure; otherwise all are dark.
pub struct Leds<F> {
    count: u8,
    set: F,
}

impl<F: FnMut(u8, bool)> Leds<F> {
    /// Makes the diodes dark.
    ///
    /// * `count`: how many there are, 1 to 8.
    pub fn new(count: u8, mut set: F) -> Self {
        (0..count).for_each(|led| set(led, false));
        Self { count, set }
    }
}

impl<F: FnMut(u8, bool)> Display for Leds<F> {
    fn show(&mut self, app: &App<Model>) {
        let sure = app.answer().filter(|answer| answer.verdict == Verdict::Sure);
        let pattern = match (sure, self.count) {
            (None, _) => 0,
            (Some(_), 1) => 1,
            (Some(answer), _) => answer.class.wrapping_add(1),
        };
        (0..self.count).for_each(|led| (self.set)(led, pattern >> led & 1 != 0));
    }
}

#[cfg(feature = "ssd1306")]
pub use oled::Oled;

#[cfg(feature = "ssd1306")]
mod oled {
    use embedded_hal::i2c::I2c;
    use firmware::app::Network;
    use firmware::ui::mono;
    use ssd1306::mode::BufferedGraphicsMode;
    use ssd1306::prelude::*;
    use ssd1306::{I2CDisplayInterface, Ssd1306};

    use super::{App, Display, Model};

    type Panel<I> = Ssd1306<I2CInterface<I>, DisplaySize128x64, BufferedGraphicsMode<DisplaySize128x64>>;

    /// An SSD1306 with 128×64 pixels at I²C address 0x3c, if one is connected.
    pub struct Oled<I: I2c>(Option<Panel<I>>);

    impl<I: I2c> Oled<I> {
        /// Starts the panel; where none answers, nothing is shown.
        pub fn new(i2c: I) -> Self {
            let interface = I2CDisplayInterface::new(i2c);
            let mut panel = Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0)
                .into_buffered_graphics_mode();
            let found = panel.init().is_ok();
            if !found {
                defmt::info!("no OLED answers at I2C address 0x3c");
            }
            Self(found.then_some(panel))
        }
    }

    impl<I: I2c> Display for Oled<I> {
        fn show(&mut self, app: &App<Model>) {
            let Some(panel) = &mut self.0 else { return };
            let drawn = match app.result() {
                Some(result) => mono::draw(panel, &result),
                None => mono::draw_welcome(panel, app.network().facts().name, app.is_damaged()),
            };
            if drawn.is_err() || panel.flush().is_err() {
                defmt::warn!("the OLED stopped answering");
                self.0 = None;
            }
        }
    }
}
