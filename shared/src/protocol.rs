//! Messages between host and board, and the frames that carry them.
//!
//! ```text
//! 0x00 | COBS( postcard(sequence u32, message) | CRC-32 of those bytes, little endian ) | 0x00
//! ```
//!
//! COBS removes zeros from what it encodes, so a zero always ends a frame: a damaged frame costs itself and no
//! other. The CRC is CRC-32/ISO-HDLC (that of Ethernet and zip). A reply repeats its request's sequence number;
//! the host counts requests in 32 bits and repeats a number only when it repeats the request, so that a late
//! reply is never taken for another's. Source of the encodings: <https://postcard.jamesmunns.com/wire-format>
//! and Cheshire, Baker, *Consistent Overhead Byte Stuffing* (1999).
//!
//! A picture goes in pieces of whole pixels, at most [`MAX_PIECE`] bytes each. The board confirms each with how
//! far it is, and the last one with the answer; a repeated piece is confirmed again and not taken twice.

use crc::{CRC_32_ISO_HDLC, Crc};
use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::MAX_CLASSES;
use crate::image::PixelFormat;
use crate::input::InputShape;
use crate::preprocess::{Preprocessing, Seen};

/// Version of this protocol, the first field of [`About`].
pub const VERSION: u8 = 3;
/// Most bytes of a picture in one [`Request::Picture`]; a multiple of every pixel group's size.
pub const MAX_PIECE: usize = 960;
/// Longest message a board receives: the head of a [`Request::Picture`], a piece, and the CRC.
pub const MAX_REQUEST: usize = MAX_PIECE + 40;
/// Longest message a board sends: an [`Answer`] for [`MAX_CLASSES`] classes, or a [`Reply::ScreenRow`].
pub const MAX_REPLY: usize = 5 * MAX_CLASSES + 60;
/// Longest name of a network or class that is sent whole, in bytes.
pub const MAX_NAME: usize = 128;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CRC_BYTES: usize = 4;

/// Returns the most bytes that a message of so many bytes takes between its zeros.
pub const fn max_encoded(message: usize) -> usize {
    message + message / 254 + 1
}

/// Returns the CRC-32 of words, each little endian: the one that frames carry, for constants in flash.
pub fn crc_of_words(words: impl IntoIterator<Item = u32>) -> u32 {
    let mut digest = CRC.digest();
    words.into_iter().for_each(|word| digest.update(&word.to_le_bytes()));
    digest.finalize()
}

/// What the host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who is there? Answered with [`Reply::About`].
    Hello,
    /// What is class `index` called? Answered with [`Reply::ClassName`].
    ClassName {
        /// Below [`About::classes`].
        index: u8,
    },
    /// A piece of a picture. Answered with [`Reply::Taken`], the last one with [`Reply::Answer`].
    Picture(#[serde(borrow)] Piece<'a>),
    /// What does row `row` of the screen show? Answered with [`Reply::ScreenRow`].
    ScreenRow {
        /// From 0, top to bottom.
        row: u16,
    },
    /// Take a picture with the board's own camera. Answered with [`Reply::Answer`].
    Look,
}

/// What the bytes of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Content {
    /// The network's input itself, `[height][width][channels]`, 0 = black.
    Input,
    /// A camera's frame, of which the board makes the input.
    Frame(PixelFormat),
}

/// Bytes of a picture, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece<'a> {
    /// Number of the picture; another one than the last begins a new picture.
    pub picture: u32,
    /// What the bytes are.
    pub content: Content,
    /// Width of the whole picture in pixels.
    pub width: u16,
    /// Height of the whole picture in pixels.
    pub height: u16,
    /// Bytes of the picture before this piece.
    pub offset: u32,
    /// The piece: whole groups of pixels.
    #[serde(borrow)]
    pub bytes: &'a [u8],
}

/// What the board replies.
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the answer on")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// Who is there.
    About(#[serde(borrow)] About<'a>),
    /// Name of a class, at most [`MAX_NAME`] bytes of it.
    ClassName(&'a str),
    /// A piece arrived.
    Taken {
        /// Bytes of the picture so far.
        bytes: u32,
    },
    /// A picture was classified.
    Answer(Answer),
    /// A row of the screen.
    ScreenRow {
        /// Width of the screen in pixels.
        width: u16,
        /// Height of the screen in pixels.
        height: u16,
        /// `[width]` gray bytes.
        #[serde(borrow)]
        grays: &'a [u8],
    },
    /// The board could not do it.
    Refused(Refusal),
}

/// Why the board refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The frame is damaged: send the request again. The reply's sequence number is 0.
    Damaged,
    /// The picture's size, format or length is none that the board takes.
    BadPicture,
    /// The frame is larger than the board's memory for a whole frame, which its preprocessing needs.
    TooLarge,
    /// A piece came out of order: begin the picture again.
    OutOfOrder,
    /// There is no such class or row.
    NoSuchIndex,
    /// The network's constants in flash are not those that were flashed: the board answers no picture.
    DamagedWeights,
    /// The board has no camera, or it sent no whole picture.
    NoPicture,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Damaged => "the request arrived damaged",
            Self::BadPicture => "the picture's size or format is not one it takes",
            Self::TooLarge => "the frame is larger than its memory",
            Self::OutOfOrder => "a piece of the picture is missing",
            Self::NoSuchIndex => "there is no such class or row",
            Self::NoPicture => "it has no camera, or the camera sent no whole picture",
            Self::DamagedWeights => "the network's weights in its flash are damaged; flash the board again",
        })
    }
}

/// How far an answer is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// The picture shows nothing; class and logits mean nothing.
    Nothing,
    /// The winner's probability is below the model's threshold.
    Unsure,
    /// The winner's probability reaches the threshold.
    Sure,
}

impl Verdict {
    /// Judges a winner.
    pub const fn of(seen: Seen, is_sure: bool) -> Self {
        match (seen, is_sure) {
            (Seen::Nothing, _) => Self::Nothing,
            (Seen::Something, false) => Self::Unsure,
            (Seen::Something, true) => Self::Sure,
        }
    }
}

/// Result of one inference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Arg-max of the logits, lowest index on ties.
    pub class: u8,
    /// How far to trust it.
    pub verdict: Verdict,
    /// Raw accumulators of the last layer, one a class.
    pub logits: Vec<i32, MAX_CLASSES>,
    /// Clock ticks the inference took.
    pub ticks: u32,
    /// Bytes of stack the inference took, by painting; 0 where the board does not measure it.
    pub stack_bytes: u32,
}

/// What a board says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct About<'a> {
    /// [`VERSION`]. First, so that every version can read it.
    pub version: u8,
    /// Name of the network in the image, at most [`MAX_NAME`] bytes of it.
    pub model: &'a str,
    /// First eight bytes of the sha256 of the quantized network.
    pub network_hash: [u8; 8],
    /// Input of the network.
    pub input: InputShape,
    /// How it makes the input of a frame.
    pub preprocessing: Preprocessing,
    /// Number of classes.
    pub classes: u8,
    /// `scalar` or `dsp`.
    pub kernels: &'a str,
    /// Bytes of the activation arena.
    pub arena_bytes: u32,
    /// Frequency of the tick counter in hertz.
    pub tick_hz: u32,
}

/// Cuts a name between letters so that it has at most [`MAX_NAME`] bytes.
///
/// ```
/// use shared::protocol::{MAX_NAME, cut_name};
/// assert_eq!(cut_name("Ärmel"), "Ärmel");
/// assert_eq!(cut_name(&"Ä".repeat(100)), "Ä".repeat(MAX_NAME / 2));
/// ```
pub fn cut_name(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name)
}

/// Emits a frame byte by byte into `sink`.
///
/// * `N`: at least the message's length with its CRC, as [`MAX_REQUEST`] and [`MAX_REPLY`] are.
///
/// Returns whether the message fitted; nothing is emitted otherwise.
pub fn emit<const N: usize>(sequence: u32, message: &impl Serialize, mut sink: impl FnMut(u8)) -> bool {
    let mut bytes = [0; N];
    let Some(room) = bytes.get_mut(..N.saturating_sub(CRC_BYTES)) else { return false };
    let Ok(body) = postcard::to_slice(&(sequence, message), room) else { return false };
    let length = body.len();
    let crc = CRC.checksum(body).to_le_bytes();
    if let Some(end) = bytes.get_mut(length..length + CRC_BYTES) {
        end.copy_from_slice(&crc);
    }
    let message = bytes.get(..length + CRC_BYTES).unwrap_or_default();
    sink(0);
    stuff(message, &mut sink);
    sink(0);
    true
}

/// COBS: every run of bytes up to a zero, or of 254 bytes, is preceded by its length plus one.
fn stuff(message: &[u8], sink: &mut impl FnMut(u8)) {
    let mut rest = message;
    loop {
        let run = rest.iter().take(254).take_while(|&&byte| byte != 0).count();
        let (bytes, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        sink(run as u8 + 1);
        bytes.iter().for_each(|&byte| sink(byte));
        rest = match after {
            [] => return,
            // The zero is what the run's end stands for, unless the run is full; after a last zero comes an empty run.
            [0, tail @ ..] if run < 254 => tail,
            tail => tail,
        };
    }
}

/// Collects bytes into frames of at most `N` encoded bytes; see [`max_encoded`].
///
/// ```
/// use shared::protocol::{Receiver, Request, emit};
/// let mut receiver = Receiver::<64>::new();
/// let mut arrived = None;
/// emit::<64>(7, &Request::ScreenRow { row: 3 }, |byte| {
///     if receiver.push(byte) {
///         arrived = receiver.message::<Request<'_>>().map(|(sequence, request)| (sequence, format!("{request:?}")));
///     }
/// });
/// assert_eq!(arrived, Some((7, "ScreenRow { row: 3 }".into())));
/// ```
#[derive(Debug)]
pub struct Receiver<const N: usize> {
    bytes: Vec<u8, N>,
    /// Whether the frame coming in is longer than `N`.
    is_overlong: bool,
    /// Whether the last frame ended, so that the next byte begins another.
    has_ended: bool,
    /// Length of the decoded message without its CRC; `None` where it is damaged.
    message: Option<usize>,
}

impl<const N: usize> Default for Receiver<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Receiver<N> {
    /// Makes an empty receiver.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), is_overlong: false, has_ended: false, message: None }
    }

    /// Takes one byte; returns whether a frame ended with it, whole or damaged.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.has_ended {
            self.bytes.clear();
            (self.is_overlong, self.has_ended, self.message) = (false, false, None);
        }
        if byte != 0 {
            self.is_overlong |= self.bytes.push(byte).is_err();
            return false;
        }
        if self.bytes.is_empty() && !self.is_overlong {
            return false;
        }
        self.has_ended = true;
        self.message = if self.is_overlong { None } else { self.decode() };
        true
    }

    /// Undoes COBS in place and checks the CRC; returns the message's length.
    fn decode(&mut self) -> Option<usize> {
        let length = cobs::decode_in_place(&mut self.bytes).ok()?.checked_sub(CRC_BYTES)?;
        let (message, crc) = self.bytes.split_at_checked(length)?;
        let crc: [u8; CRC_BYTES] = crc.get(..CRC_BYTES)?.try_into().ok()?;
        (CRC.checksum(message) == u32::from_le_bytes(crc)).then_some(length)
    }

    /// Whether the frame that ended arrived undamaged.
    pub fn is_whole(&self) -> bool {
        self.has_ended && self.message.is_some()
    }

    /// Returns sequence number and message of the frame that ended; `None` where it is damaged or of another version.
    pub fn message<'a, M: Deserialize<'a>>(&'a self) -> Option<(u32, M)> {
        let bytes = self.bytes.get(..self.message?)?;
        // What is left over was not meant by this version.
        let (message, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(sequence: u32, request: &Request<'_>) -> std::vec::Vec<u8> {
        let mut bytes = vec![];
        assert!(emit::<MAX_REQUEST>(sequence, request, |byte| bytes.push(byte)));
        bytes
    }

    fn piece(bytes: &[u8]) -> Request<'_> {
        let content = Content::Frame(PixelFormat::Rgb565);
        Request::Picture(Piece { picture: 9, content, width: 640, height: 480, offset: 70_000, bytes })
    }

    type Arrived = std::vec::Vec<Option<u32>>;

    fn receive(bytes: &[u8]) -> Arrived {
        let mut receiver = Receiver::<{ max_encoded(MAX_REQUEST) }>::new();
        let mut arrived = vec![];
        for &byte in bytes {
            if receiver.push(byte) {
                arrived.push(receiver.message::<Request<'_>>().map(|(sequence, _)| sequence));
            }
        }
        arrived
    }

    proptest! {
        #[test]
        fn stuffing_is_what_the_cobs_crate_decodes(message in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..800)) {
            let mut stuffed = vec![];
            stuff(&message, &mut |byte| stuffed.push(byte));
            prop_assert!(!stuffed.contains(&0) && stuffed.len() <= max_encoded(message.len()));
            let length = cobs::decode_in_place(&mut stuffed).unwrap();
            prop_assert_eq!(&stuffed[..length], &message[..]);
        }

        #[test]
        fn a_request_arrives_as_it_was_sent(sequence in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..=MAX_PIECE)) {
            let sent = frame(sequence, &piece(&bytes));
            let mut receiver = Receiver::<{ max_encoded(MAX_REQUEST) }>::new();
            let ended: std::vec::Vec<usize> = (0..sent.len()).filter(|&at| receiver.push(sent[at])).collect();
            prop_assert_eq!(ended, vec![sent.len() - 1]);
            prop_assert_eq!(receiver.message(), Some((sequence, piece(&bytes))));
        }

        #[test]
        fn noise_costs_the_frames_it_hits_and_no_other(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            hits in prop::collection::vec((0usize..700, 0u8..4, any::<u8>()), 1..4),
        ) {
            let frames: std::vec::Vec<_> = (1..=6).map(|sequence| frame(sequence, &piece(&bytes))).collect();
            let second = &frames[1];
            let mut damaged = second.clone();
            for (at, kind, value) in hits {
                if damaged.is_empty() {
                    break; // Removed to the last byte.
                }
                let at = at % damaged.len();
                match kind {
                    0 => damaged[at] ^= value | 1,
                    1 => { damaged.remove(at); }
                    2 => damaged.insert(at, value),
                    _ => damaged.truncate(at + 1),
                }
            }
            let stream = [&frames[0], &damaged, &frames[2], &frames[3]].map(|frame| &frame[..]).concat();
            let arrived: Arrived = receive(&stream).into_iter().filter(Option::is_some).collect();
            let without: Arrived = arrived.iter().copied().filter(|&sequence| sequence != Some(2)).collect();
            prop_assert_eq!(without, vec![Some(1), Some(3), Some(4)]);
        }
    }

    #[test]
    fn overlong_and_foreign_frames_are_damaged_and_the_next_one_arrives() {
        let good = frame(5, &Request::Hello);
        let long = [&[0][..], &[1; 3 * MAX_REQUEST], &[0]].concat();
        assert_eq!(receive(&[&long[..], &good].concat()), [None, Some(5)]);
        let mut foreign = vec![];
        emit::<64>(4, &(200u8, "of a later version"), |byte| foreign.push(byte));
        assert_eq!(receive(&[&foreign[..], &good].concat()), [None, Some(5)]);
        // The first protocol's greeting.
        assert_eq!(receive(&[b"FM\x01\x07\x00\x00abcd", &good[..]].concat()), [None, None, Some(5)]);
    }

    #[test]
    fn the_longest_messages_fit() {
        let logits = Vec::from_slice(&[i32::MIN; MAX_CLASSES]).unwrap();
        let answer =
            Answer { class: 99, verdict: Verdict::Unsure, logits, ticks: u32::MAX, stack_bytes: u32::MAX };
        assert!(emit::<MAX_REPLY>(u32::MAX, &Reply::Answer(answer), |_| ()));
        let name = "n".repeat(MAX_NAME);
        let about = About {
            version: VERSION,
            model: &name,
            network_hash: [255; 8],
            input: InputShape { height: 256, width: 256, channels: 3 },
            preprocessing: Preprocessing::Square,
            classes: 100,
            kernels: "scalar",
            arena_bytes: u32::MAX,
            tick_hz: u32::MAX,
        };
        assert!(emit::<MAX_REPLY>(u32::MAX, &Reply::About(about), |_| ()));
        let content = Content::Frame(PixelFormat::Yuv422);
        let bytes = &[0; MAX_PIECE];
        let longest =
            Piece { picture: u32::MAX, content, width: u16::MAX, height: u16::MAX, offset: u32::MAX, bytes };
        assert!(emit::<MAX_REQUEST>(u32::MAX, &Request::Picture(longest), |_| ()));
        assert!(!emit::<8>(1, &Reply::ClassName(&name), |_| panic!("nothing is emitted")));
    }
}
