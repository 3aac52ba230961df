//! The state machine: bytes in, prediction, screen and answer out. It knows no board.

mod network;
mod picture;
mod port;
#[cfg(all(test, feature = "model"))]
mod tests;

use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::image::GetPixel;
use embedded_graphics::pixelcolor::Gray4;
use embedded_graphics::pixelcolor::raw::{LittleEndian, RawU4};
use embedded_graphics::prelude::*;
use serde::Serialize;
use shared::image::Frame;
use shared::preprocess::{Seen, frame_to_input, seen};
use shared::protocol::{
    About, Answer, Content, MAX_REPLY, MAX_REQUEST, Piece, Receiver, Refusal, Reply, Request, VERSION,
    Verdict, cut_name, emit, max_encoded,
};

use crate::nn::confidence::confidences;
use crate::nn::{MAX_CLASSES, arg_max, kernel};
use crate::ui;
pub use network::{Facts, Memory, Network, cells, frame_bytes};
pub use port::Port;

use picture::{Picture, Progress, Slot, take};

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
    /// The host asked for a class name.
    Named,
    /// A piece of a picture arrived; there are more to come.
    Taken,
    /// A picture was classified; the screen changed. [`App::answer`] has the answer.
    Classified,
    /// The host fetched a row of the screen.
    ScreenSent,
    /// A request was refused and the host was told.
    Refused(Refusal),
}

/// Link, network and screen of one board. Everything is inside: no heap.
pub struct App<N> {
    network: N,
    receiver: Receiver<{ max_encoded(MAX_REQUEST) }>,
    picture: Slot<Picture>,
    answer: Slot<Answer>,
    shares: [u16; MAX_CLASSES],
    is_damaged: bool,
    /// What the last inference took.
    microseconds: u32,
    screen: Screen,
}

impl<N> App<N> {
    /// Makes an app with a blank screen; `const`, so that it can be a `static`.
    pub const fn new(network: N) -> Self {
        Self {
            network,
            receiver: Receiver::new(),
            picture: Slot::Empty,
            answer: Slot::Empty,
            shares: [0; MAX_CLASSES],
            is_damaged: false,
            microseconds: 0,
            screen: Screen::new(),
        }
    }

    /// Returns the screen, for boards with a display to copy it to.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Returns the last answer.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.get()
    }
}

impl<N: Network> App<N> {
    /// Returns the network.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// Lends the network, for boards that fill its input in their own way; see [`App::look_at_input`].
    pub fn network_mut(&mut self) -> &mut N {
        &mut self.network
    }

    /// Returns the name of the last answer's class, if there was an answer and the picture showed something.
    pub fn class_name(&self) -> Option<&str> {
        let answer = self.answer.get().filter(|answer| answer.verdict != Verdict::Nothing)?;
        self.network.facts().class_names.get(usize::from(answer.class)).copied()
    }

    /// Checks the network's constants and draws the first screen.
    ///
    /// With damaged constants every picture is refused from here on.
    pub fn welcome(&mut self) {
        self.is_damaged = !self.network.is_intact();
        let name = self.network.facts().name;
        let Ok(()) = match self.is_damaged {
            false => ui::welcome::draw(&mut self.screen, name),
            true => ui::welcome::draw_damaged(&mut self.screen, name),
        };
    }

    /// Returns whether the network's constants were found damaged.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Returns what the last answer's screen shows, for boards that draw it their own way.
    pub fn result(&self) -> Option<ui::result::Result<'_>> {
        Some(shown(&self.network, self.answer.get()?, &self.shares, self.microseconds))
    }

    /// Takes one byte from the host; answers through `port` where a frame ended with it.
    pub fn receive(&mut self, byte: u8, port: &mut impl Port) -> Option<Event> {
        if !self.receiver.push(byte) {
            return None;
        }
        let event = match self.receiver.message() {
            Some((sequence, Request::Hello)) => {
                // Whoever greets begins anew: no picture of an earlier talk is gone on with.
                self.picture = Slot::Empty;
                greet(&self.network.facts(), sequence, port)
            }
            Some((sequence, Request::ClassName { index })) => {
                match self.network.facts().class_names.get(usize::from(index)) {
                    Some(name) => reply(sequence, &Reply::ClassName(cut_name(name)), Event::Named, port),
                    None => refuse(Refusal::NoSuchIndex, sequence, port),
                }
            }
            Some((sequence, Request::Picture(_))) if self.is_damaged => {
                refuse(Refusal::DamagedWeights, sequence, port)
            }
            Some((sequence, Request::Picture(piece))) => {
                match take(&piece, &mut self.picture, &mut self.network) {
                    Err(refusal) => refuse(refusal, sequence, port),
                    Ok(Progress::Repeated) => self.confirm(sequence, port),
                    Ok(Progress::Advanced) => {
                        self.classify_if_complete(port);
                        self.confirm(sequence, port)
                    }
                }
            }
            Some((sequence, Request::Look)) => match self.look(sequence, port) {
                Ok(()) => self.confirm(sequence, port),
                Err(refusal) => refuse(refusal, sequence, port),
            },
            Some((sequence, Request::ScreenRow { row })) => self.send_row(sequence, row, port),
            None => refuse(Refusal::Damaged, 0, port),
        };
        Some(event)
    }

    /// Takes a picture with the board's camera and classifies it; its rows are taken as pieces that came over
    /// the link would be, and none is kept longer.
    ///
    /// Also for boards that look when a button is pressed: [`App::answer`] then has the answer.
    ///
    /// * `number`: another one than the last picture's.
    ///
    /// # Errors
    /// [`Refusal::DamagedWeights`] where the network's constants were found damaged, [`Refusal::NoPicture`] without
    /// a camera or a whole picture, [`Refusal::TooLarge`] for a preprocessing that wants smaller frames.
    pub fn look(&mut self, number: u32, port: &mut impl Port) -> Result<(), Refusal> {
        if self.is_damaged {
            return Err(Refusal::DamagedWeights);
        }
        let camera = port.camera().ok_or(Refusal::NoPicture)?;
        let (content, (width, height)) = (Content::Frame(camera.format()), camera.size());
        let (picture, mut offset, mut problem) = (number, 0, None);
        let (current, network) = (&mut self.picture, &mut self.network);
        *current = Slot::Empty;
        let captured = camera.capture(&mut |row| {
            let piece = Piece { picture, content, width, height, offset, bytes: row };
            if problem.is_none() {
                problem = take(&piece, current, network).err();
                offset += row.len() as u32;
            }
        });
        let is_whole = self.picture.get().is_some_and(|picture| picture.have == picture.need);
        match (problem, captured) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(())) if is_whole => {
                self.classify_if_complete(port);
                Ok(())
            }
            _ => Err(Refusal::NoPicture),
        }
    }

    /// Classifies the network's input as it is: the bytes at [`Memory::pixels`].
    ///
    /// # Errors
    /// [`Refusal::DamagedWeights`] where the network's constants were found damaged.
    pub fn look_at_input(&mut self, port: &mut impl Port) -> Result<(), Refusal> {
        if self.is_damaged {
            return Err(Refusal::DamagedWeights);
        }
        let seen = seen(self.network.pixels());
        self.picture = Slot::Empty;
        self.classify(seen, port);
        Ok(())
    }

    /// Tells how far the picture is, or its answer.
    fn confirm(&mut self, sequence: u32, port: &mut impl Port) -> Event {
        let Some(picture) = self.picture.get() else { return refuse(Refusal::OutOfOrder, sequence, port) };
        match self.answer.get() {
            Some(answer) if picture.have == picture.need => {
                reply(sequence, &Reply::Answer(answer.clone()), Event::Classified, port)
            }
            _ => reply(sequence, &Reply::Taken { bytes: picture.have }, Event::Taken, port),
        }
    }

    fn classify_if_complete(&mut self, port: &mut impl Port) {
        let Some(picture) = self.picture.get().copied() else { return };
        if picture.have != picture.need {
            return;
        }
        let seen = self.seen(&picture);
        self.classify(seen, port);
    }

    /// Classifies the network's input and draws the answer.
    fn classify(&mut self, seen: Seen, port: &mut impl Port) {
        let classes = self.network.facts().class_names.len().min(MAX_CLASSES);
        let mut room = [0; MAX_CLASSES];
        let (Some(logits), Some(shares)) = (room.get_mut(..classes), self.shares.get_mut(..classes)) else {
            return;
        };
        flip_sign_bits(self.network.memory().pixels);
        port.paint_stack();
        let started = port.ticks();
        self.network.infer(logits);
        let ticks = port.ticks().wrapping_sub(started) & port.mask();
        let stack_bytes = port.stack_bytes();
        let microseconds = u64::from(ticks) * 1_000_000 / u64::from(port.tick_hz().max(1));
        self.microseconds = u32::try_from(microseconds).unwrap_or(u32::MAX);
        flip_sign_bits(self.network.memory().pixels);
        let facts = self.network.facts();
        confidences(logits, facts.confidence_multiplier, shares);
        let class = arg_max(logits);
        let is_sure = shares.get(class).is_some_and(|&share| share >= facts.unsure_below);
        let verdict = Verdict::of(seen, is_sure);
        let mut all = heapless::Vec::new();
        // There are at most MAX_CLASSES.
        let _ = all.extend_from_slice(logits);
        self.answer = Slot::Full(Answer { class: class as u8, verdict, logits: all, ticks, stack_bytes });
        self.draw();
    }

    /// Whether a complete picture shows anything; makes the input where a frame was kept.
    fn seen(&mut self, picture: &Picture) -> Seen {
        let (rule, input) = (self.network.facts().preprocessing, self.network.facts().input);
        let memory = self.network.memory();
        match (picture.content, picture.square) {
            (Content::Frame(format), None) => {
                let bytes = memory.frame.get(..picture.need as usize).unwrap_or_default();
                let frame = Frame::new(format, picture.width, picture.height, bytes);
                frame.map_or(Seen::Nothing, |frame| frame_to_input(rule, input, &frame, memory.pixels))
            }
            _ => seen(memory.pixels),
        }
    }

    fn draw(&mut self) {
        if let Some(answer) = self.answer.get() {
            let Ok(()) = ui::result::draw(
                &mut self.screen,
                &shown(&self.network, answer, &self.shares, self.microseconds),
            );
        }
    }

    fn send_row(&self, sequence: u32, row: u16, port: &mut impl Port) -> Event {
        if usize::from(row) >= SCREEN_HEIGHT {
            return refuse(Refusal::NoSuchIndex, sequence, port);
        }
        let mut grays = [0; SCREEN_WIDTH];
        for (column, gray) in grays.iter_mut().enumerate() {
            let place = Point::new(column as i32, i32::from(row));
            *gray = 17 * self.screen.pixel(place).map_or(0, |level| level.luma());
        }
        let row =
            Reply::ScreenRow { width: SCREEN_WIDTH as u16, height: SCREEN_HEIGHT as u16, grays: &grays };
        reply(sequence, &row, Event::ScreenSent, port)
    }
}

/// Puts together what an answer's screen shows.
fn shown<'a>(
    network: &'a impl Network,
    answer: &Answer,
    shares: &'a [u16],
    microseconds: u32,
) -> ui::result::Result<'a> {
    let facts = network.facts();
    ui::result::Result {
        input: facts.input,
        pixels: network.pixels(),
        names: facts.class_names,
        shares: shares.get(..facts.class_names.len()).unwrap_or_default(),
        class: answer.class.into(),
        verdict: answer.verdict,
        microseconds,
    }
}

fn greet(facts: &Facts<'_>, sequence: u32, port: &mut impl Port) -> Event {
    let about = About {
        version: VERSION,
        model: cut_name(facts.name),
        network_hash: facts.hash,
        input: facts.input,
        preprocessing: facts.preprocessing,
        classes: facts.class_names.len() as u8,
        kernels: kernel::KERNEL_SET,
        arena_bytes: facts.arena_bytes,
        tick_hz: port.tick_hz(),
    };
    reply(sequence, &Reply::About(about), Event::Greeted, port)
}

fn refuse(refusal: Refusal, sequence: u32, port: &mut impl Port) -> Event {
    reply(sequence, &Reply::Refused(refusal), Event::Refused(refusal), port)
}

/// Sends a reply. Every reply fits, which a test of the protocol shows for the longest.
fn reply(sequence: u32, message: &impl Serialize, event: Event, port: &mut impl Port) -> Event {
    emit::<MAX_REPLY>(sequence, message, |byte| port.send(byte));
    event
}

/// Pixel − 128, and back.
fn flip_sign_bits(pixels: &mut [u8]) {
    pixels.iter_mut().for_each(|pixel| *pixel ^= 0x80);
}
