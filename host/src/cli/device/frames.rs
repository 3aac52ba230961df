//! Photographs as frames that a board takes.

use std::path::Path;

use anyhow::{Context, Result};
use shared::image::PixelFormat;
use shared::protocol::{Answer, Verdict};

use crate::dataset::Samples;
use crate::dataset::photo::Photo;
use crate::device::client::{Client, frame_limit};
use crate::task::Task;

/// Longer side of a photograph that is sent, in pixels: the line is slow.
const FRAME_SIDE: u32 = 256;

/// Reads a photograph and makes it small enough for the board.
pub(super) fn photograph(path: &Path, task: &Task) -> Result<Photo> {
    Ok(Photo::read(path)?.smaller(side_of_frames(task)))
}

/// Longest side of a frame that is sent, in pixels.
pub(super) fn side_of_frames(task: &Task) -> u32 {
    match frame_limit(task.preprocessing) {
        Some(bytes) => (bytes as f64).sqrt() as u32,
        None => FRAME_SIDE,
    }
}

/// Sends a photograph as a frame; returns the answer and, as the class it said, what the desktop makes of the frame.
pub(super) fn send_photograph(client: &mut Client, photo: &Photo, task: &Task) -> Result<(Answer, Samples)> {
    let (pixels, _) = photo.to_input(task).context("the photograph has no size")?;
    let (width, height) = (photo.width as u16, photo.height as u16);
    let answer = match task.input.channels {
        1 => client.classify_frame(PixelFormat::Gray8, width, height, &photo.gray())?,
        _ => client.classify_frame(PixelFormat::Rgb888, width, height, &photo.rgb)?,
    };
    let mut one = Samples::empty(task.input);
    one.push(&pixels, answer.class);
    Ok((answer, one))
}

/// What JSON calls a verdict.
pub(super) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Nothing => "nothing",
        Verdict::Unsure => "unsure",
        Verdict::Sure => "sure",
    }
}
