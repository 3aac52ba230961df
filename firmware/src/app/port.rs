//! What an app runs on: a line to the host, a clock, perhaps a camera.

use crate::camera::Camera;

/// What the board lends the app.
pub trait Port {
    /// Sends one byte to the host.
    fn send(&mut self, byte: u8);
    /// Returns a free-running tick counter that counts up and wraps at `mask() + 1`.
    fn ticks(&mut self) -> u32;
    /// Returns the counter's highest value.
    fn mask(&self) -> u32 {
        u32::MAX
    }
    /// Returns the counter's frequency in hertz.
    fn tick_hz(&self) -> u32;
    /// Lends the board's camera, if it has one.
    fn camera(&mut self) -> Option<&mut dyn Camera> {
        None
    }
    /// Paints the free stack below the caller, if the board can.
    fn paint_stack(&mut self) {}
    /// Returns how many bytes of it were used since; 0 where the board cannot say.
    fn stack_bytes(&mut self) -> u32 {
        0
    }
}
