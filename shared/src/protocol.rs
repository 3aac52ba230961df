//! The serial frame between host and board: parse, emit, CRC.
//!
//! ```text
//! 'F' 'M' | kind u8 | sequence u8 | length u16 | payload (length bytes) | CRC-32 of kind..payload
//! ```
//!
//! Numbers are little endian; the CRC is CRC-32/ISO-HDLC (that of Ethernet and zip). A reply repeats
//! the sequence number of its request. A frame cut off on the way swallows the beginning of the next
//! one, fails its CRC, and the sender tries again: nothing is ever taken for what it is not.

use crc::{CRC_32_ISO_HDLC, Crc};
use heapless::Vec;

use crate::CLASSES;

/// Version of this protocol, sent in the answer to [`Kind::Hello`].
pub const VERSION: u8 = 1;
/// First two bytes of every frame.
pub const MAGIC: [u8; 2] = *b"FM";
/// Bytes of a frame besides its payload.
pub const OVERHEAD: usize = 10;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kind {
    /// Host asks who is there; no payload.
    Hello = 1,
    /// Host sends a frame: format u8, width u16, height u16, pixels.
    Classify = 2,
    /// Host asks for the picture on the screen; no payload.
    Screen = 3,
    /// Board answers [`Kind::Hello`] with [`About`].
    About = 0x81,
    /// Board answers [`Kind::Classify`] with [`Answer`].
    Answer = 0x82,
    /// Board sends a row of its screen, top to bottom: width u16, height u16, row u16, gray bytes.
    ScreenRow = 0x83,
    /// Board could not do it: one byte, an [`ErrorCode`].
    Error = 0xff,
}

impl Kind {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Hello),
            2 => Some(Self::Classify),
            3 => Some(Self::Screen),
            0x81 => Some(Self::About),
            0x82 => Some(Self::Answer),
            0x83 => Some(Self::ScreenRow),
            0xff => Some(Self::Error),
            _ => None,
        }
    }
}

/// Why the board refused a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum ErrorCode {
    /// The checksum is wrong: send it again.
    BadCrc = 1,
    /// The payload is longer than the board's buffer.
    TooLong = 2,
    /// The kind is unknown or not for a board.
    BadKind = 3,
    /// The payload does not hold what its kind promises.
    BadPayload = 4,
}

impl ErrorCode {
    /// Returns the error numbered `code`.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::BadCrc),
            2 => Some(Self::TooLong),
            3 => Some(Self::BadKind),
            4 => Some(Self::BadPayload),
            _ => None,
        }
    }
}

/// A frame that arrived whole; the payload lies in the [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is about.
    pub kind: Kind,
    /// Sequence number, to be repeated in the reply.
    pub sequence: u8,
}

/// Emits a frame byte by byte into `sink`. Payloads over 65,535 bytes are cut there; no caller has one.
pub fn emit(kind: Kind, sequence: u8, payload: &[u8], mut sink: impl FnMut(u8)) {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
    let [low, high] = (payload.len() as u16).to_le_bytes();
    let head = [kind as u8, sequence, low, high];
    let mut digest = CRC.digest();
    digest.update(&head);
    digest.update(payload);
    let crc = digest.finalize().to_le_bytes();
    for &byte in MAGIC.iter().chain(&head).chain(payload).chain(&crc) {
        sink(byte);
    }
}

/// Where in a frame the decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Magic { seen: usize },
    Head { seen: usize },
    Payload { left: usize },
    Crc { seen: usize },
}

/// Collects bytes into frames of at most `N` payload bytes.
///
/// ```
/// use shared::protocol::{Decoder, Kind, emit};
/// let mut decoder = Decoder::<16>::new();
/// let mut arrived = None;
/// emit(Kind::Classify, 7, b"garment", |byte| {
///     if let Some(frame) = decoder.push(byte) {
///         arrived = Some(frame);
///     }
/// });
/// assert_eq!(arrived.unwrap().unwrap().sequence, 7);
/// assert_eq!(decoder.payload(), b"garment");
/// ```
#[derive(Debug)]
pub struct Decoder<const N: usize> {
    place: Place,
    head: [u8; 4],
    crc: [u8; 4],
    payload: Vec<u8, N>,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// Makes an empty decoder.
    pub const fn new() -> Self {
        Self { place: Place::Magic { seen: 0 }, head: [0; 4], crc: [0; 4], payload: Vec::new() }
    }

    /// Returns the payload of the frame that [`Decoder::push`] reported last.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Forgets a frame that began, as after a time-out.
    pub fn reset(&mut self) {
        self.place = Place::Magic { seen: 0 };
    }

    /// Takes one byte; returns a frame or an error where one ended with it.
    ///
    /// # Errors
    /// [`ErrorCode::TooLong`] at the header of a frame that cannot fit, [`ErrorCode::BadCrc`] and
    /// [`ErrorCode::BadKind`] at its end. The decoder then looks for the next magic bytes.
    pub fn push(&mut self, byte: u8) -> Option<Result<Header, ErrorCode>> {
        match self.place {
            Place::Magic { seen } => {
                let matches = byte == MAGIC[seen];
                self.place = match (matches, seen) {
                    (true, 0) => Place::Magic { seen: 1 },
                    (true, _) => Place::Head { seen: 0 },
                    // "FFM" still begins a frame.
                    (false, _) => Place::Magic { seen: usize::from(byte == MAGIC[0]) },
                };
                None
            }
            Place::Head { seen } => {
                self.head[seen] = byte;
                self.place = Place::Head { seen: seen + 1 };
                if seen + 1 == self.head.len() { self.begin_payload() } else { None }
            }
            Place::Payload { left } => {
                // The length was checked against N, so this always fits.
                let _ = self.payload.push(byte);
                self.place =
                    if left == 1 { Place::Crc { seen: 0 } } else { Place::Payload { left: left - 1 } };
                None
            }
            Place::Crc { seen } => {
                self.crc[seen] = byte;
                self.place = Place::Crc { seen: seen + 1 };
                if seen + 1 == self.crc.len() { Some(self.finish()) } else { None }
            }
        }
    }

    fn begin_payload(&mut self) -> Option<Result<Header, ErrorCode>> {
        let length = usize::from(u16::from_le_bytes([self.head[2], self.head[3]]));
        self.payload.clear();
        if length > N {
            self.reset();
            return Some(Err(ErrorCode::TooLong));
        }
        self.place = if length == 0 { Place::Crc { seen: 0 } } else { Place::Payload { left: length } };
        None
    }

    fn finish(&mut self) -> Result<Header, ErrorCode> {
        self.reset();
        let mut digest = CRC.digest();
        digest.update(&self.head);
        digest.update(&self.payload);
        if digest.finalize() != u32::from_le_bytes(self.crc) {
            return Err(ErrorCode::BadCrc);
        }
        let kind = Kind::from_code(self.head[0]).ok_or(ErrorCode::BadKind)?;
        Ok(Header { kind, sequence: self.head[1] })
    }
}

/// Result of one inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answer {
    /// Arg-max of the logits, lowest index on ties.
    pub class: u8,
    /// Raw accumulators of the last layer.
    pub logits: [i32; CLASSES],
    /// Clock ticks the inference took.
    pub ticks: u32,
    /// Bytes of stack the inference took, by painting; 0 where the board does not measure it.
    pub stack_bytes: u32,
}

impl Answer {
    /// Bytes of an answer's payload.
    pub const BYTES: usize = 1 + 4 * CLASSES + 8;

    /// Returns the payload.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.class;
        let words = self
            .logits
            .iter()
            .map(|logit| logit.to_le_bytes())
            .chain([self.ticks.to_le_bytes(), self.stack_bytes.to_le_bytes()]);
        for (place, word) in bytes[1..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word);
        }
        bytes
    }

    /// Reads a payload; `None` where its length or class is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let word = |index: usize| {
            let at = 1 + 4 * index;
            [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
        };
        let class = bytes[0];
        let logits = core::array::from_fn(|index| i32::from_le_bytes(word(index)));
        let ticks = u32::from_le_bytes(word(CLASSES));
        let stack_bytes = u32::from_le_bytes(word(CLASSES + 1));
        (usize::from(class) < CLASSES).then_some(Self { class, logits, ticks, stack_bytes })
    }
}

/// What a board says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About<'a> {
    /// Name of the network in the image.
    pub model: &'a str,
    /// First eight bytes of the sha256 of the quantized network.
    pub network_hash: [u8; 8],
    /// `scalar` or `dsp`.
    pub kernels: &'a str,
    /// Bytes of the activation arena.
    pub arena_bytes: u32,
    /// Frequency of the tick counter in hertz.
    pub tick_hz: u32,
}

impl<'a> About<'a> {
    /// Most bytes that an `About` takes.
    pub const MAX_BYTES: usize = 1 + 8 + 4 + 4 + 2 + 32 + 16;

    /// Returns the payload; names longer than 32 and 16 bytes are cut between letters.
    pub fn to_bytes(&self) -> Vec<u8, { About::MAX_BYTES }> {
        let mut bytes = Vec::new();
        let mut put = |part: &[u8]| {
            let _ = bytes.extend_from_slice(part);
        };
        put(&[VERSION]);
        put(&self.network_hash);
        put(&self.arena_bytes.to_le_bytes());
        put(&self.tick_hz.to_le_bytes());
        for (text, most) in [(self.model, 32), (self.kernels, 16)] {
            let text = &text.as_bytes()[..text.floor_char_boundary(most)];
            put(&[text.len() as u8]);
            put(text);
        }
        bytes
    }

    /// Reads a payload; `None` where it is of another version, cut off or not UTF-8.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (version, bytes) = bytes.split_first()?;
        let (network_hash, bytes) = bytes.split_first_chunk::<8>()?;
        let (arena, bytes) = bytes.split_first_chunk::<4>()?;
        let (tick_hz, bytes) = bytes.split_first_chunk::<4>()?;
        let (model, bytes) = split_text(bytes)?;
        let (kernels, bytes) = split_text(bytes)?;
        if *version != VERSION || !bytes.is_empty() {
            return None;
        }
        Some(Self {
            model,
            network_hash: *network_hash,
            kernels,
            arena_bytes: u32::from_le_bytes(*arena),
            tick_hz: u32::from_le_bytes(*tick_hz),
        })
    }
}

fn split_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, bytes) = bytes.split_first()?;
    let (text, rest) = bytes.split_at_checked(usize::from(length))?;
    Some((core::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(kind: Kind, sequence: u8, payload: &[u8]) -> std::vec::Vec<u8> {
        let mut bytes = vec![];
        emit(kind, sequence, payload, |byte| bytes.push(byte));
        bytes
    }

    fn feed<const N: usize>(
        decoder: &mut Decoder<N>,
        bytes: &[u8],
    ) -> std::vec::Vec<Result<Header, ErrorCode>> {
        bytes.iter().filter_map(|&byte| decoder.push(byte)).collect()
    }

    #[test]
    fn a_hello_has_the_documented_bytes() {
        // CRC-32/ISO-HDLC of 01 05 00 00, computed by Python's zlib.crc32.
        assert_eq!(bytes_of(Kind::Hello, 5, &[]), [b'F', b'M', 1, 5, 0, 0, 0x92, 0x7a, 0x33, 0x9f]);
    }

    #[test]
    fn a_bad_crc_is_refused_and_the_next_frame_arrives() {
        let mut bytes = bytes_of(Kind::Classify, 1, b"abc");
        bytes[7] ^= 0x10;
        bytes.extend(bytes_of(Kind::Hello, 2, &[]));
        let mut decoder = Decoder::<8>::new();
        let arrived = feed(&mut decoder, &bytes);
        assert_eq!(arrived, [Err(ErrorCode::BadCrc), Ok(Header { kind: Kind::Hello, sequence: 2 })]);
    }

    #[test]
    fn too_long_a_frame_is_refused_at_its_header() {
        let mut decoder = Decoder::<4>::new();
        let bytes = bytes_of(Kind::Classify, 1, b"12345");
        assert_eq!(feed(&mut decoder, &bytes[..6]), [Err(ErrorCode::TooLong)]);
        assert!(feed(&mut decoder, &bytes[6..]).is_empty());
        assert_eq!(feed(&mut decoder, &bytes_of(Kind::Hello, 1, &[])).len(), 1);
    }

    #[test]
    fn a_cut_off_frame_spoils_one_successor_at_most() {
        let mut decoder = Decoder::<64>::new();
        let cut = &bytes_of(Kind::Classify, 1, &[9; 20])[..12];
        assert!(feed(&mut decoder, cut).is_empty());
        let mut errors = 0;
        for sequence in 2..6 {
            match feed(&mut decoder, &bytes_of(Kind::Hello, sequence, &[])).first() {
                Some(Ok(header)) => {
                    assert_eq!(header.sequence, sequence);
                    assert!(errors <= 2);
                    return;
                }
                _ => errors += 1,
            }
        }
        panic!("no frame after the cut-off one");
    }

    #[test]
    fn unknown_kinds_and_leading_noise_are_told_apart() {
        let mut decoder = Decoder::<8>::new();
        let mut bytes = bytes_of(Kind::Hello, 3, &[]);
        bytes.splice(0..0, *b"FxFF");
        assert_eq!(feed(&mut decoder, &bytes).len(), 1);
        let mut unknown = vec![b'F', b'M', 0x42, 0, 0, 0];
        let crc = CRC.checksum(&unknown[2..]).to_le_bytes();
        unknown.extend(crc);
        assert_eq!(feed(&mut decoder, &unknown), [Err(ErrorCode::BadKind)]);
    }

    #[test]
    fn answers_and_abouts_come_back() {
        let answer = Answer {
            class: 9,
            logits: [-1, 2, i32::MIN, i32::MAX, 0, 5, 6, 7, 8, 9],
            ticks: 77,
            stack_bytes: 300,
        };
        assert_eq!(Answer::from_bytes(&answer.to_bytes()), Some(answer));
        assert_eq!(Answer::from_bytes(&answer.to_bytes()[1..]), None);
        let about = About {
            model: "small",
            network_hash: *b"12345678",
            kernels: "scalar",
            arena_bytes: 9,
            tick_hz: 1,
        };
        assert_eq!(About::from_bytes(&about.to_bytes()), Some(about));
        assert_eq!(About::from_bytes(&about.to_bytes()[..20]), None);
    }

    proptest! {
        #[test]
        fn any_payload_comes_back(sequence: u8, payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut decoder = Decoder::<100>::new();
            let arrived = feed(&mut decoder, &bytes_of(Kind::Classify, sequence, &payload));
            prop_assert_eq!(arrived, vec![Ok(Header { kind: Kind::Classify, sequence })]);
            prop_assert_eq!(decoder.payload(), &payload[..]);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..400)) {
            feed(&mut Decoder::<32>::new(), &noise);
        }
    }
}
