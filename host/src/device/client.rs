//! The host's end of the serial protocol, over a TCP socket, a serial port, or any byte stream.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shared::image::PixelFormat;
use shared::input::InputShape;
use shared::preprocess::Preprocessing;
use shared::protocol::{
    Answer, Content, MAX_PIECE, MAX_REPLY, MAX_REQUEST, Piece, Receiver, Refusal, Reply, Request, VERSION,
    emit, max_encoded,
};

use super::{DeviceError, port};
use crate::task::Task;

/// How long one read may block.
const TICK: Duration = Duration::from_millis(20);
/// How long an emulated board may take to an answer.
const EMULATED_ANSWER: Duration = Duration::from_secs(60);

/// How long replies may take, and how often a request is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a greeting, a name, a row of the screen, a piece of a picture.
    pub reply: Duration,
    /// For an answer: an inference on the slowest board.
    pub answer: Duration,
    /// How often a request is sent before the link is given up.
    pub attempts: usize,
    /// Bytes of a picture in one request; on a noisy link, shorter ones arrive more often.
    pub piece: usize,
}

impl Default for Patience {
    fn default() -> Self {
        let (reply, answer) = (Duration::from_secs(1), Duration::from_secs(10));
        Self { reply, answer, attempts: 5, piece: MAX_PIECE }
    }
}

/// What a board told about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the network in the image.
    pub model: String,
    /// First eight bytes of the int8 file's sha256.
    pub network_hash: [u8; 8],
    /// What the network classifies.
    pub task: Task,
    /// Kernel set.
    pub kernels: String,
    /// Bytes of the activation arena.
    pub arena_bytes: u32,
    /// Frequency of the tick counter in hertz.
    pub tick_hz: u32,
}

/// A gray picture of the board's screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height][width]` gray bytes.
    pub pixels: Vec<u8>,
}

/// How often what happened on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Traffic {
    /// Frames sent, repetitions included.
    #[serde(rename = "frames")]
    pub sent: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Frames sent again.
    pub repeated: u64,
    /// Frames that arrived damaged.
    pub damaged_replies: u64,
    /// Pictures begun again because a piece came out of order.
    pub begun_again: u64,
}

/// A byte stream to a board. A read that has nothing fails with `WouldBlock` or `TimedOut` after a short while.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection to a board.
pub struct Client {
    stream: Box<dyn Stream>,
    receiver: Receiver<{ max_encoded(MAX_REPLY) }>,
    /// Bytes received and not decoded yet, with the position of the next.
    received: (Vec<u8>, usize),
    sequence: u32,
    patience: Patience,
    traffic: Traffic,
}

/// What came back.
enum Outcome<T> {
    Read(T),
    Refused(Refusal),
}

fn talk(problem: impl std::fmt::Display) -> DeviceError {
    DeviceError::Talk(problem.to_string())
}

impl Client {
    /// Talks over a socket.
    ///
    /// # Errors
    /// [`DeviceError::Talk`] where the socket refuses a time-out.
    pub fn over_socket(stream: TcpStream) -> Result<Self, DeviceError> {
        stream.set_read_timeout(Some(TICK)).map_err(talk)?;
        // Behind a socket is an emulator, which may be slower than any board.
        let patience = Patience { answer: EMULATED_ANSWER, ..Patience::default() };
        stream.set_write_timeout(Some(patience.answer)).map_err(talk)?;
        Ok(Self::over(Box::new(stream)).with_patience(patience))
    }

    /// Opens a serial port.
    ///
    /// # Errors
    /// Those of [`port::open`].
    pub fn over_port(port_name: &str) -> Result<Self, DeviceError> {
        Ok(Self::over(Box::new(port::open(port_name)?)))
    }

    /// Talks over any stream.
    pub fn over(stream: Box<dyn Stream>) -> Self {
        // Another start than the last program's, so that its late replies are not taken for ours.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let sequence = now.subsec_nanos() ^ (now.as_secs() as u32).rotate_left(16);
        Self {
            stream,
            receiver: Receiver::new(),
            received: (vec![], 0),
            sequence,
            patience: Patience::default(),
            traffic: Traffic::default(),
        }
    }

    /// Returns the same connection with other limits.
    pub fn with_patience(self, patience: Patience) -> Self {
        // Whole groups of pixels in every format: 12 is a multiple of 1, 2, 3 and 4.
        let piece = (patience.piece.clamp(12, MAX_PIECE) / 12) * 12;
        Self { patience: Patience { piece, ..patience }, ..self }
    }

    /// Returns what happened on the link so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Asks the board who it is and what its classes are called.
    ///
    /// # Errors
    /// [`DeviceError::Talk`] where it does not answer, or in another version of the protocol.
    pub fn hello(&mut self) -> Result<Identity, DeviceError> {
        let mut identity = self.greet()?;
        for index in 0..identity.1 {
            let request = Request::ClassName { index };
            let name = self.ask(&request, |reply| match reply {
                Reply::ClassName(name) => Some(name.to_owned()),
                _ => None,
            })?;
            identity.0.task.classes.push(name);
        }
        Ok(identity.0)
    }

    /// Asks who is there; the identity lacks the class names, of which there are so many.
    fn greet(&mut self) -> Result<(Identity, u8), DeviceError> {
        let identity = self.ask(&Request::Hello, |reply| match reply {
            Reply::About(about) => {
                let task =
                    Task { input: about.input, classes: Vec::new(), preprocessing: about.preprocessing };
                let identity = Identity {
                    model: about.model.into(),
                    network_hash: about.network_hash,
                    task,
                    kernels: about.kernels.into(),
                    arena_bytes: about.arena_bytes,
                    tick_hz: about.tick_hz,
                };
                Some((about.version, identity, about.classes))
            }
            _ => None,
        });
        match identity {
            Ok((VERSION, identity, classes)) => Ok((identity, classes)),
            Ok((version, ..)) => Err(talk(format!(
                "speaks version {version} of the protocol, this program {VERSION}; flash this project's firmware"
            ))),
            Err(DeviceError::Talk(problem)) => {
                Err(talk(format!("{problem}; is it flashed with this project's firmware?")))
            }
            Err(other) => Err(other),
        }
    }

    /// Sends a network's input and returns the answer.
    ///
    /// * `image`: `[height][width][channels]` bytes of the board's input, 0 = black.
    ///
    /// # Errors
    /// [`DeviceError::Talk`].
    pub fn classify(&mut self, shape: InputShape, image: &[u8]) -> Result<Answer, DeviceError> {
        self.classify_picture(Content::Input, shape.width as u16, shape.height as u16, image)
    }

    /// Sends a camera's frame, which the board makes its network's input of, and returns the answer.
    ///
    /// * `bytes`: as [`shared::image::Frame::new`] wants them. A board whose preprocessing is
    ///   [`Preprocessing::Garment`] takes at most 64×64 gray pixels' bytes.
    ///
    /// # Errors
    /// [`DeviceError::Talk`], also where the board refuses the frame.
    pub fn classify_frame(
        &mut self,
        format: PixelFormat,
        width: u16,
        height: u16,
        bytes: &[u8],
    ) -> Result<Answer, DeviceError> {
        self.classify_picture(Content::Frame(format), width, height, bytes)
    }

    /// Lets the board take a picture with its own camera and returns the answer.
    ///
    /// # Errors
    /// [`DeviceError::Talk`], also where the board has no camera.
    pub fn look(&mut self) -> Result<Answer, DeviceError> {
        let answer = self.request(&Request::Look, self.patience.answer, |reply| match reply {
            Reply::Answer(answer) => Some(answer),
            _ => None,
        })?;
        match answer {
            Outcome::Read(answer) => Ok(answer),
            Outcome::Refused(refusal) => Err(talk(format!("took no picture: {refusal}"))),
        }
    }

    fn classify_picture(
        &mut self,
        content: Content,
        width: u16,
        height: u16,
        bytes: &[u8],
    ) -> Result<Answer, DeviceError> {
        for _ in 0..self.patience.attempts {
            match self.send_picture(content, width, height, bytes)? {
                Outcome::Read(answer) => return Ok(answer),
                Outcome::Refused(Refusal::OutOfOrder) => self.traffic.begun_again += 1,
                Outcome::Refused(refusal) => return Err(talk(format!("refused the picture: {refusal}"))),
            }
        }
        Err(talk(format!("lost pieces of a picture {} times in a row", self.patience.attempts)))
    }

    /// Sends all pieces of a picture; the answer comes with the last.
    fn send_picture(
        &mut self,
        content: Content,
        width: u16,
        height: u16,
        bytes: &[u8],
    ) -> Result<Outcome<Answer>, DeviceError> {
        let picture = self.sequence.wrapping_add(1);
        let mut offset = 0;
        loop {
            let end = bytes.len().min(offset + self.patience.piece);
            let piece =
                Piece { picture, content, width, height, offset: offset as u32, bytes: &bytes[offset..end] };
            let is_last = end == bytes.len();
            let patience = if is_last { self.patience.answer } else { self.patience.reply };
            let reply = self.request(&Request::Picture(piece), patience, |reply| match reply {
                Reply::Answer(answer) => Some(Some(answer)),
                Reply::Taken { bytes } if bytes as usize == end => Some(None),
                _ => None,
            })?;
            match reply {
                Outcome::Read(Some(answer)) if is_last => return Ok(Outcome::Read(answer)),
                Outcome::Read(None) if !is_last => offset = end,
                Outcome::Read(_) => return Err(talk("takes pictures of another size than it says")),
                Outcome::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
            }
        }
    }

    /// Fetches the picture on the board's screen.
    ///
    /// # Errors
    /// [`DeviceError::Talk`].
    pub fn screen(&mut self) -> Result<Picture, DeviceError> {
        let mut picture = Picture { width: 0, height: 1, pixels: vec![] };
        let mut row = 0;
        while usize::from(row) < picture.height {
            let (width, height, grays) = self.ask(&Request::ScreenRow { row }, |reply| match reply {
                Reply::ScreenRow { width, height, grays } => Some((width, height, grays.to_vec())),
                _ => None,
            })?;
            if grays.len() != usize::from(width) {
                return Err(talk("sent a row of its screen of another length"));
            }
            picture.pixels.extend(grays);
            (picture.width, picture.height) = (width.into(), height.into());
            row += 1;
        }
        Ok(picture)
    }

    /// Sends a request that the board never refuses, until its reply arrives.
    fn ask<T>(
        &mut self,
        request: &Request<'_>,
        read: impl FnMut(Reply<'_>) -> Option<T>,
    ) -> Result<T, DeviceError> {
        match self.request(request, self.patience.reply, read)? {
            Outcome::Read(value) => Ok(value),
            Outcome::Refused(refusal) => Err(talk(format!("refused the request: {refusal}"))),
        }
    }

    /// Sends a request until its reply arrives; `read` takes what it is after.
    fn request<T>(
        &mut self,
        request: &Request<'_>,
        patience: Duration,
        mut read: impl FnMut(Reply<'_>) -> Option<T>,
    ) -> Result<Outcome<T>, DeviceError> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::with_capacity(max_encoded(MAX_REQUEST) + 2);
        if !emit::<MAX_REQUEST>(self.sequence, request, |byte| bytes.push(byte)) {
            return Err(talk("would need a longer request than the protocol has"));
        }
        for attempt in 0..self.patience.attempts.max(1) {
            self.traffic.sent += 1;
            self.traffic.repeated += u64::from(attempt > 0);
            self.stream.write_all(&bytes).and_then(|()| self.stream.flush()).map_err(lost)?;
            if let Some(outcome) = self.await_reply(patience, &mut read)? {
                self.traffic.answered += 1;
                return Ok(outcome);
            }
        }
        Err(talk(format!(
            "did not answer {} times in a row, each within {} ms; check the cable and the port",
            self.patience.attempts.max(1),
            patience.as_millis()
        )))
    }

    /// Reads until the reply to the current request; `None` where it was damaged or did not come in time.
    fn await_reply<T>(
        &mut self,
        patience: Duration,
        read: &mut impl FnMut(Reply<'_>) -> Option<T>,
    ) -> Result<Option<Outcome<T>>, DeviceError> {
        let deadline = Instant::now() + patience;
        let mut was_read = false;
        loop {
            while self.received.1 < self.received.0.len() {
                let byte = self.received.0[self.received.1];
                self.received.1 += 1;
                if !self.receiver.push(byte) {
                    continue;
                }
                match self.receiver.message::<Reply<'_>>() {
                    // Whichever frame it was: it may have been the reply, so the request goes out again.
                    None => {
                        self.traffic.damaged_replies += 1;
                        return Ok(None);
                    }
                    Some((0, Reply::Refused(Refusal::Damaged))) => return Ok(None),
                    Some((sequence, Reply::Refused(refusal))) if sequence == self.sequence => {
                        return Ok(Some(Outcome::Refused(refusal)));
                    }
                    Some((sequence, reply)) if sequence == self.sequence => {
                        let value = read(reply).ok_or_else(|| talk("answered something else than asked"))?;
                        return Ok(Some(Outcome::Read(value)));
                    }
                    // Late replies to earlier requests.
                    Some(_) => {}
                }
            }
            // The time is up for all of it: a board may say much and answer nothing. What came already is read even
            // without patience, as in memory.
            if was_read && Instant::now() >= deadline {
                return Ok(None);
            }
            was_read = true;
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(talk("hung up")),
                Ok(count) => self.received = (buffer[..count].to_vec(), 0),
                // A signal, such as of a process stopped and continued, is no loss.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

fn lost(error: std::io::Error) -> DeviceError {
    talk(format!("was lost: {error}"))
}

/// Whether a board takes whole frames only, and how many bytes of one.
pub fn frame_limit(preprocessing: Preprocessing) -> Option<usize> {
    match firmware::app::frame_bytes(preprocessing) {
        0 => None,
        bytes => Some(bytes),
    }
}
