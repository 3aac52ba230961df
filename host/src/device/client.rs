//! The host's end of the serial protocol, over a TCP socket or a serial port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use shared::image::PixelFormat;
use shared::protocol::{About, Answer, Decoder, ErrorCode, Header, Kind, emit};
use shared::{PIXELS, SIDE};

use super::DeviceError;

/// Longest answer: a row of the screen.
const MAX_REPLY: usize = 2_048;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A frame damaged on the way is sent this often.
const ATTEMPTS: usize = 3;
/// Speed of a serial port, in baud.
pub const BAUD: u32 = 115_200;

/// What a board told about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the network in the image.
    pub model: String,
    /// First eight bytes of the int8 file's sha256.
    pub network_hash: [u8; 8],
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

/// A byte stream to a board.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection to a board.
pub struct Client {
    stream: Box<dyn Stream>,
    decoder: Decoder<MAX_REPLY>,
    /// Bytes received and not decoded yet, with the position of the next.
    received: (Vec<u8>, usize),
    sequence: u8,
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
        stream.set_read_timeout(Some(TIMEOUT)).map_err(talk)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(talk)?;
        Ok(Self::over(Box::new(stream)))
    }

    /// Opens a serial port at [`BAUD`].
    ///
    /// # Errors
    /// [`DeviceError::Missing`] where there is no such port, with those there are.
    pub fn over_port(port: &str) -> Result<Self, DeviceError> {
        let opened = serialport::new(port, BAUD).timeout(TIMEOUT).open();
        opened.map(|stream| Self::over(Box::new(stream))).map_err(|error| {
            let names = serialport::available_ports().unwrap_or_default();
            let names: Vec<String> = names.into_iter().map(|port| port.port_name).collect();
            let known = if names.is_empty() {
                "none is known here".into()
            } else {
                format!("there are {}", names.join(", "))
            };
            DeviceError::Missing(format!("serial port {port}: {error}; {known}"))
        })
    }

    /// Talks over any stream.
    pub fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, decoder: Decoder::new(), received: (vec![], 0), sequence: 0 }
    }

    /// Asks the board who it is.
    ///
    /// # Errors
    /// [`DeviceError::Talk`] where it does not answer, or in another version of the protocol.
    pub fn hello(&mut self) -> Result<Identity, DeviceError> {
        self.request(Kind::Hello, &[], Kind::About)?;
        let about = About::from_bytes(self.decoder.payload())
            .ok_or_else(|| talk("speaks another version of the protocol; flash this project's firmware"))?;
        Ok(Identity {
            model: about.model.into(),
            network_hash: about.network_hash,
            kernels: about.kernels.into(),
            arena_bytes: about.arena_bytes,
            tick_hz: about.tick_hz,
        })
    }

    /// Sends a data-set image and returns the answer.
    ///
    /// # Errors
    /// [`DeviceError::Talk`].
    pub fn classify(&mut self, image: &[u8; PIXELS]) -> Result<Answer, DeviceError> {
        self.classify_frame(PixelFormat::Gray8, SIDE as u16, SIDE as u16, image)
    }

    /// Sends a camera's frame, which the board makes its network's input of, and returns the answer.
    ///
    /// * `bytes`: as [`shared::image::Frame`] wants them, at most as many as the board's buffer holds.
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
        let (width, height) = (width.to_le_bytes(), height.to_le_bytes());
        let payload = [&[format as u8][..], &width, &height, bytes].concat();
        self.request(Kind::Classify, &payload, Kind::Answer)?;
        Answer::from_bytes(self.decoder.payload()).ok_or_else(|| talk("sent an answer of another length"))
    }

    /// Fetches the picture on the board's screen.
    ///
    /// # Errors
    /// [`DeviceError::Talk`].
    pub fn screen(&mut self) -> Result<Picture, DeviceError> {
        self.request(Kind::Screen, &[], Kind::ScreenRow)?;
        let mut picture = Picture { width: 0, height: 0, pixels: vec![] };
        loop {
            let payload = self.decoder.payload();
            let (head, row) =
                payload.split_first_chunk::<6>().ok_or_else(|| talk("sent a row of another length"))?;
            let [width, height, index] =
                [0, 2, 4].map(|at| usize::from(u16::from_le_bytes([head[at], head[at + 1]])));
            if row.len() != width || index != picture.pixels.len() / width.max(1) {
                return Err(talk("sent the rows of its screen out of order"));
            }
            picture.pixels.extend_from_slice(row);
            (picture.width, picture.height) = (width, height);
            if index + 1 >= height {
                return Ok(picture);
            }
            self.await_reply(Kind::ScreenRow)?.map_err(|code| talk(format!("refused: {code:?}")))?;
        }
    }

    /// Sends a request until its reply arrives; the payload lies in the decoder.
    fn request(&mut self, kind: Kind, payload: &[u8], reply: Kind) -> Result<(), DeviceError> {
        let mut refused = ErrorCode::BadCrc;
        for _ in 0..ATTEMPTS {
            self.sequence = self.sequence.wrapping_add(1);
            let mut bytes = Vec::with_capacity(payload.len() + shared::protocol::OVERHEAD);
            emit(kind, self.sequence, payload, |byte| bytes.push(byte));
            self.stream.write_all(&bytes).and_then(|()| self.stream.flush()).map_err(lost)?;
            match self.await_reply(reply)? {
                Ok(()) => return Ok(()),
                Err(code @ (ErrorCode::BadCrc | ErrorCode::TooLong)) => refused = code,
                Err(code) => return Err(talk(format!("refused the request: {code:?}"))),
            }
        }
        Err(talk(format!(
            "received {ATTEMPTS} damaged frames in a row: {refused:?}; check the cable and the speed"
        )))
    }

    /// Reads until a frame of kind `reply` with the current sequence number, or a refusal.
    fn await_reply(&mut self, reply: Kind) -> Result<Result<(), ErrorCode>, DeviceError> {
        loop {
            while self.received.1 < self.received.0.len() {
                let byte = self.received.0[self.received.1];
                self.received.1 += 1;
                match self.decoder.push(byte) {
                    Some(Ok(Header { kind, sequence })) if kind == reply && sequence == self.sequence => {
                        return Ok(Ok(()));
                    }
                    Some(Ok(Header { kind: Kind::Error, .. })) => {
                        let code = self.decoder.payload().first().copied().and_then(ErrorCode::from_code);
                        return Ok(Err(code.unwrap_or(ErrorCode::BadKind)));
                    }
                    // Late replies to an earlier attempt.
                    Some(Ok(_)) | None => {}
                    Some(Err(code)) => return Ok(Err(code)),
                }
            }
            let mut buffer = [0; 1024];
            let count = match self.stream.read(&mut buffer) {
                // A signal, such as of a process stopped and continued, is no loss.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.map_err(lost)?,
            };
            if count == 0 {
                return Err(talk("hung up"));
            }
            self.received = (buffer[..count].to_vec(), 0);
        }
    }
}

fn lost(error: std::io::Error) -> DeviceError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            talk(format!("did not answer within {} s", TIMEOUT.as_secs()))
        }
        _ => talk(format!("was lost: {error}")),
    }
}
