//! The state machine: bytes in, prediction, screen and answer out. It knows no board.

use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::image::GetPixel;
use embedded_graphics::pixelcolor::Gray4;
use embedded_graphics::pixelcolor::raw::{LittleEndian, RawU4};
use embedded_graphics::prelude::*;
use shared::image::{Frame, PixelFormat};
use shared::preprocess::{frame_to_pixels, quantize_pixels};
use shared::protocol::{About, Answer, Decoder, ErrorCode, Header, Kind, emit};
use shared::{CLASSES, Label};

use crate::model;
use crate::nn::arena::Arena;
use crate::nn::confidence::confidences;
use crate::nn::{arg_max, kernel};
use crate::ui;

/// Longest payload accepted: a 64×64 gray frame, its format and its size.
pub const MAX_PAYLOAD: usize = 5 + 64 * 64;
/// Screen width in pixels.
pub const SCREEN_WIDTH: usize = ui::SIZE.width as usize;
/// Screen height in pixels.
pub const SCREEN_HEIGHT: usize = ui::SIZE.height as usize;

/// What a board shows: 16 grays, two pixels a byte, as SSD0323 and SSD1327 controllers take them.
pub type Screen = Framebuffer<
    Gray4,
    RawU4,
    LittleEndian,
    SCREEN_WIDTH,
    SCREEN_HEIGHT,
    { buffer_size::<Gray4>(SCREEN_WIDTH, SCREEN_HEIGHT) },
>;

/// What a byte brought about, for the board to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// The host asked who is there.
    Greeted,
    /// A picture was classified; the screen changed.
    Classified(Label, Answer),
    /// The host fetched the screen.
    ScreenSent,
    /// A frame was refused and the host was told.
    Refused(ErrorCode),
}

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
    /// Paints the free stack below the caller, if the board can.
    fn paint_stack(&mut self) {}
    /// Returns how many bytes of it were used since; 0 where the board cannot say.
    fn stack_bytes(&mut self) -> u32 {
        0
    }
}

/// Link, network and screen of one board. Everything is inside: no heap, about 60 KB at most.
pub struct App {
    decoder: Decoder<MAX_PAYLOAD>,
    arena: Arena<{ model::ARENA_WORDS }>,
    screen: Screen,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// Makes an app with a blank screen; `const`, so that it can be a `static`.
    pub const fn new() -> Self {
        Self { decoder: Decoder::new(), arena: Arena::new(), screen: Screen::new() }
    }

    /// Returns the screen, for boards with a display to copy it to.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Draws the first screen.
    pub fn welcome(&mut self) {
        let Ok(()) = ui::welcome::draw(&mut self.screen, model::NAME);
    }

    /// Takes one byte from the host; answers through `port` where a frame ended with it.
    pub fn receive(&mut self, byte: u8, port: &mut impl Port) -> Option<Event> {
        let event = match self.decoder.push(byte)? {
            Ok(Header { kind: Kind::Hello, sequence }) => self.greet(sequence, port),
            Ok(Header { kind: Kind::Classify, sequence }) => self.classify(sequence, port),
            Ok(Header { kind: Kind::Screen, sequence }) => self.send_screen(sequence, port),
            Ok(Header { sequence, .. }) => refuse(ErrorCode::BadKind, sequence, port),
            Err(code) => refuse(code, 0, port),
        };
        Some(event)
    }

    fn greet(&mut self, sequence: u8, port: &mut impl Port) -> Event {
        let about = About {
            model: model::NAME,
            network_hash: model::NETWORK_HASH,
            kernels: kernel::KERNEL_SET,
            arena_bytes: 4 * model::ARENA_WORDS as u32,
            tick_hz: port.tick_hz(),
        };
        emit(Kind::About, sequence, &about.to_bytes(), |byte| port.send(byte));
        Event::Greeted
    }

    fn classify(&mut self, sequence: u8, port: &mut impl Port) -> Event {
        let Some(frame) = parse_frame(self.decoder.payload()) else {
            return refuse(ErrorCode::BadPayload, sequence, port);
        };
        let pixels = frame_to_pixels(&frame);
        let mut logits = [0; CLASSES];
        let input = quantize_pixels(&pixels);
        port.paint_stack();
        let started = port.ticks();
        model::infer(&input, &mut self.arena, &mut logits);
        let ticks = port.ticks().wrapping_sub(started) & port.mask();
        let stack_bytes = port.stack_bytes();
        let class = arg_max(&logits);
        let answer = Answer { class: class as u8, logits, ticks, stack_bytes };
        emit(Kind::Answer, sequence, &answer.to_bytes(), |byte| port.send(byte));
        // arg_max is below CLASSES; the fall-back is never taken.
        let label = Label::from_index(class).unwrap_or(Label::TShirt);
        let shares = confidences(&logits, model::CONFIDENCE_MULTIPLIER);
        let is_sure = shares.get(class).is_some_and(|&share| share >= model::UNSURE_BELOW);
        let Ok(()) = ui::result::draw(&mut self.screen, &pixels, label, &shares, is_sure);
        Event::Classified(label, answer)
    }

    fn send_screen(&mut self, sequence: u8, port: &mut impl Port) -> Event {
        let mut payload = [0; 6 + SCREEN_WIDTH];
        payload[..2].copy_from_slice(&(SCREEN_WIDTH as u16).to_le_bytes());
        payload[2..4].copy_from_slice(&(SCREEN_HEIGHT as u16).to_le_bytes());
        for row in 0..SCREEN_HEIGHT {
            payload[4..6].copy_from_slice(&(row as u16).to_le_bytes());
            for (column, gray) in payload[6..].iter_mut().enumerate() {
                let level =
                    self.screen.pixel(Point::new(column as i32, row as i32)).map_or(0, |level| level.luma());
                *gray = level * 17;
            }
            emit(Kind::ScreenRow, sequence, &payload, |byte| port.send(byte));
        }
        Event::ScreenSent
    }
}

fn refuse(code: ErrorCode, sequence: u8, port: &mut impl Port) -> Event {
    emit(Kind::Error, sequence, &[code as u8], |byte| port.send(byte));
    Event::Refused(code)
}

/// Reads a [`Kind::Classify`] payload: format u8, width u16, height u16, pixels.
fn parse_frame(payload: &[u8]) -> Option<Frame<'_>> {
    let (head, pixels) = payload.split_first_chunk::<5>()?;
    let [format, w0, w1, h0, h1] = *head;
    let format = PixelFormat::from_code(format)?;
    Frame::new(format, u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]), pixels).ok()
}

#[cfg(test)]
mod tests {
    use shared::PIXELS;

    use super::*;

    #[derive(Default)]
    struct Wire {
        sent: Vec<u8>,
        clock: u32,
    }

    impl Port for Wire {
        fn send(&mut self, byte: u8) {
            self.sent.push(byte);
        }
        fn ticks(&mut self) -> u32 {
            self.clock += 7;
            self.clock
        }
        fn tick_hz(&self) -> u32 {
            1_000
        }
    }

    /// Sends a frame to a fresh app; returns the events and what came back.
    fn exchange(app: &mut App, kind: Kind, payload: &[u8]) -> (Vec<Event>, Vec<(Header, Vec<u8>)>) {
        let (mut wire, mut events) = (Wire::default(), vec![]);
        emit(kind, 42, payload, |byte| events.extend(app.receive(byte, &mut wire)));
        let mut decoder = Decoder::<256>::new();
        let mut replies = vec![];
        for byte in wire.sent {
            if let Some(header) = decoder.push(byte) {
                replies.push((header.unwrap(), decoder.payload().to_vec()));
            }
        }
        (events, replies)
    }

    fn gray_frame(pixels: &[u8; PIXELS]) -> Vec<u8> {
        [&[0, 28, 0, 28, 0][..], pixels].concat()
    }

    #[test]
    fn a_greeting_tells_the_network_in_the_image() {
        let (events, replies) = exchange(&mut App::new(), Kind::Hello, &[]);
        assert_eq!(events, [Event::Greeted]);
        let about = About::from_bytes(&replies[0].1).unwrap();
        assert_eq!((about.model, about.network_hash), (model::NAME, model::NETWORK_HASH));
        assert_eq!(replies[0].0.sequence, 42);
    }

    #[test]
    fn a_picture_is_answered_with_the_logits_of_the_interpreter() {
        let pixels: [u8; PIXELS] =
            core::array::from_fn(|index| (index * 7 % 200) as u8 * u8::from(index % 28 > 5));
        let mut app = App::new();
        let (events, replies) = exchange(&mut app, Kind::Classify, &gray_frame(&pixels));
        let answer = Answer::from_bytes(&replies[0].1).unwrap();
        let mut arena = Arena::<{ model::ARENA_WORDS }>::new();
        let mut logits = [0; CLASSES];
        let frame = Frame::new(PixelFormat::Gray8, 28, 28, &pixels).unwrap();
        let input = quantize_pixels(&frame_to_pixels(&frame));
        model::PLAN.infer(&input, &mut arena.words, &mut logits).unwrap();
        assert_eq!(answer.logits, logits);
        assert_eq!(answer.ticks, 7);
        assert!(matches!(events[..], [Event::Classified(label, _)] if label.index() == arg_max(&logits)));
        let (_, rows) = exchange(&mut app, Kind::Screen, &[]);
        assert_eq!(rows.len(), SCREEN_HEIGHT);
        assert!(rows.iter().any(|(_, row)| row[6..].contains(&255)));
    }

    #[test]
    fn what_is_no_frame_is_refused_and_the_next_one_works() {
        let mut app = App::new();
        for bad in
            [&[][..], &[0, 28, 0, 28], &[9, 1, 0, 1, 0, 5], &[0, 2, 0, 2, 0, 1, 2, 3], &[0, 0, 0, 0, 0]]
        {
            let (events, replies) = exchange(&mut app, Kind::Classify, bad);
            assert_eq!(events, [Event::Refused(ErrorCode::BadPayload)], "{bad:?}");
            assert_eq!(replies[0].1, [ErrorCode::BadPayload as u8]);
        }
        let (events, _) = exchange(&mut app, Kind::About, &[]);
        assert_eq!(events, [Event::Refused(ErrorCode::BadKind)]);
        let (events, _) = exchange(&mut app, Kind::Classify, &[0; MAX_PAYLOAD + 1]);
        assert_eq!(events[0], Event::Refused(ErrorCode::TooLong));
        let (events, _) = exchange(&mut app, Kind::Classify, &gray_frame(&[0; PIXELS]));
        assert!(matches!(events[..], [Event::Classified(..)]));
    }
}
