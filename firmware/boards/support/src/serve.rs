//! The loop of every board.

use firmware::app::{App, Event, Port};
use firmware::model::{self, Model};
use firmware::nn::kernel::KERNEL_SET;

use crate::clock::Clock;
use crate::display::Display;
use crate::stack::Paint;

/// What the app needs of a board.
struct BoardPort<C, S> {
    clock: C,
    send: S,
    paint: Paint,
}

impl<C: Clock, S: FnMut(u8)> Port for BoardPort<C, S> {
    fn send(&mut self, byte: u8) {
        (self.send)(byte);
    }

    fn ticks(&mut self) -> u32 {
        self.clock.ticks()
    }

    fn mask(&self) -> u32 {
        self.clock.mask()
    }

    fn tick_hz(&self) -> u32 {
        self.clock.hz()
    }

    fn paint_stack(&mut self) {
        self.paint.apply();
    }

    fn stack_bytes(&mut self) -> u32 {
        self.paint.used()
    }
}

/// Checks the weights, says what the image holds, and answers the host for ever.
///
/// * `board`: name of the board, for the log.
/// * `app`: a static one; it is too large for the stack.
/// * `receive`: waits for a byte.
/// * `send`: waits for room and sends a byte.
pub fn serve(
    board: &str,
    app: &mut App<Model>,
    clock: impl Clock,
    mut receive: impl FnMut() -> u8,
    send: impl FnMut(u8),
    mut display: impl Display,
) -> ! {
    let mut port = BoardPort { clock, send, paint: Paint::new() };
    defmt::info!(
        "{=str}: network {=str}, hash {=[u8; 8]:02x}, profile {=str}, kernels {=str}, arena {=usize} bytes",
        board,
        model::NAME,
        model::NETWORK_HASH,
        model::PROFILE,
        KERNEL_SET,
        4 * model::ARENA_WORDS
    );
    app.welcome();
    if app.is_damaged() {
        defmt::error!("the weights in flash are damaged: no picture is answered; flash the board again");
    }
    display.show(app);
    loop {
        if let Some(event) = app.receive(receive(), &mut port) {
            log(app, event);
            if event == Event::Classified {
                display.show(app);
            }
        }
    }
}

fn log(app: &App<Model>, event: Event) {
    match (event, app.answer()) {
        (Event::Classified, Some(answer)) => defmt::info!(
            "{=str} in {=u32} ticks, logits {}",
            app.class_name().unwrap_or("nothing there"),
            answer.ticks,
            &answer.logits[..]
        ),
        (Event::Refused(refusal), _) => defmt::warn!("request refused: {}", refusal),
        _ => defmt::trace!("{}", event),
    }
}
