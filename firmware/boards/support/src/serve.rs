//! The loop of every board.

use firmware::app::{App, Event, Port};
use firmware::camera::Camera;
use firmware::model::{self, Model};
use firmware::nn::kernel::KERNEL_SET;

use crate::clock::Clock;
use crate::display::Display;
use crate::stack::Paint;

/// What the app needs of a board.
struct BoardPort<'a, C, S> {
    clock: C,
    camera: Option<&'a mut dyn Camera>,
    send: S,
    paint: Paint,
}

impl<C: Clock, S: FnMut(u8)> Port for BoardPort<'_, C, S> {
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

    fn camera(&mut self) -> Option<&mut dyn Camera> {
        match &mut self.camera {
            Some(camera) => Some(&mut **camera),
            None => None,
        }
    }

    fn paint_stack(&mut self) {
        self.paint.apply();
    }

    fn stack_bytes(&mut self) -> u32 {
        self.paint.used()
    }
}

/// What a board lends the loop.
pub struct Lent<'a, C, R, S, D> {
    /// Name of the board, for the log.
    pub board: &'a str,
    /// Counts how long an inference takes.
    pub clock: C,
    /// Waits for a byte.
    pub receive: R,
    /// Waits for room and sends a byte.
    pub send: S,
    /// What answers are shown on.
    pub display: D,
    /// The camera, if there is one.
    pub camera: Option<&'a mut dyn Camera>,
}

/// Checks the weights, says what the image holds, and answers the host for ever.
///
/// * `app`: a static one; it is too large for the stack.
pub fn serve<C: Clock, R: FnMut() -> u8, S: FnMut(u8), D: Display>(
    app: &mut App<Model>,
    lent: Lent<'_, C, R, S, D>,
) -> ! {
    let Lent { board, clock, mut receive, send, mut display, camera } = lent;
    let mut port = BoardPort { clock, camera, send, paint: Paint::new() };
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
