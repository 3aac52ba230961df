//! Pictures on their way in, piece by piece.

use shared::preprocess::Preprocessing;
use shared::preprocess::square::{Cell, Square};
use shared::protocol::{Content, Piece, Refusal};

use super::{Facts, Network};

/// A picture on its way in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    pub(super) number: u32,
    pub(super) content: Content,
    pub(super) width: u16,
    pub(super) height: u16,
    /// Bytes of the whole picture.
    pub(super) need: u32,
    /// Bytes that came.
    pub(super) have: u32,
    /// Row-wise preprocessing of a frame.
    pub(super) square: Option<Square>,
}

/// An `Option` whose empty value is all zeros, so that an app with empty ones takes no flash to begin with.
#[repr(u8)]
pub(super) enum Slot<T> {
    Empty = 0,
    Full(T),
}

impl<T> Slot<T> {
    pub(super) const fn get(&self) -> Option<&T> {
        match self {
            Self::Empty => None,
            Self::Full(value) => Some(value),
        }
    }
}

/// What a piece did to its picture.
pub(super) enum Progress {
    Advanced,
    /// It was there already: its confirmation got lost.
    Repeated,
}

/// Takes a piece of a picture.
pub(super) fn take(
    piece: &Piece<'_>,
    current: &mut Slot<Picture>,
    network: &mut impl Network,
) -> Result<Progress, Refusal> {
    let same = current.get().copied().filter(|picture| {
        picture.number == piece.picture
            && (picture.content, picture.width, picture.height) == (piece.content, piece.width, piece.height)
    });
    let mut picture = match same {
        Some(picture) => picture,
        None if piece.offset == 0 => {
            network.memory().cells.fill(Cell::EMPTY);
            Picture::begin(piece, network)?
        }
        None => return Err(Refusal::OutOfOrder),
    };
    let len = piece.bytes.len() as u32;
    if same.is_some() && piece.offset.checked_add(len) == Some(picture.have) {
        return Ok(Progress::Repeated);
    }
    if piece.offset != picture.have || len == 0 {
        return Err(Refusal::OutOfOrder);
    }
    let group = match piece.content {
        Content::Input => 1,
        Content::Frame(format) => format.group() * format.bytes_per_pixel(),
    };
    if len > picture.need - picture.have || !piece.bytes.len().is_multiple_of(group) {
        return Err(Refusal::BadPicture);
    }
    let memory = network.memory();
    match &mut picture.square {
        Some(square) => square.push(piece.bytes, memory.cells, memory.pixels),
        None => {
            let place = if piece.content == Content::Input { memory.pixels } else { memory.frame };
            let start = piece.offset as usize;
            let place = place.get_mut(start..start + piece.bytes.len()).ok_or(Refusal::BadPicture)?;
            place.copy_from_slice(piece.bytes);
        }
    }
    picture.have += len;
    *current = Slot::Full(picture);
    Ok(Progress::Advanced)
}

impl Picture {
    /// Checks what a first piece says of its picture.
    fn begin(piece: &Piece<'_>, network: &mut impl Network) -> Result<Self, Refusal> {
        let Facts { input, preprocessing, .. } = network.facts();
        let (width, height) = (piece.width, piece.height);
        let area = u32::from(width) * u32::from(height);
        let (need, square) = match piece.content {
            Content::Input => {
                if (usize::from(height), usize::from(width)) != (input.height, input.width) {
                    return Err(Refusal::BadPicture);
                }
                (Some(input.len() as u32), None)
            }
            Content::Frame(format) => {
                let square = Square::new(input, format, width, height).ok_or(Refusal::BadPicture)?;
                let need = area.checked_mul(format.bytes_per_pixel() as u32);
                let is_streamed = preprocessing == Preprocessing::Square;
                let room = network.memory().frame.len();
                if !is_streamed && need.is_none_or(|need| need as usize > room) {
                    return Err(Refusal::TooLarge);
                }
                (need, is_streamed.then_some(square))
            }
        };
        let need = need.ok_or(Refusal::TooLarge)?;
        Ok(Self { number: piece.picture, content: piece.content, width, height, need, have: 0, square })
    }
}
