//! Hardware in the loop: every logit of the device against the desktop's.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::protocol::Answer;

use super::DeviceError;
use super::client::Client;
use super::emulator::INSTRUCTIONS_PER_SECOND;
use crate::dataset::Samples;
use crate::dataset::identity::hex;
use crate::quantize::network::FirmwareNetwork;
use crate::quantize::quantized;

/// What the comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Images sent.
    pub images: usize,
    /// Images with a logit other than the desktop's.
    pub mismatches: usize,
    /// First such image, with both sides' logits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_mismatch: Option<Mismatch>,
    /// Fraction that the device classified correctly.
    pub accuracy: f64,
    /// sha256 over all logits in order, each i32 little endian.
    pub logits_sha256: String,
    /// Instructions of one inference, mean over all images (QEMU only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_per_image: Option<f64>,
    /// Microseconds of one inference by the device's own clock, mean over all images (all but QEMU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microseconds_per_image: Option<f64>,
    /// Kernel set of the image.
    pub kernels: String,
    /// What the image's plan was made for; empty for a board flashed by others.
    #[serde(default)]
    pub profile: String,
    /// Most bytes of stack that an inference took; 0 where the board does not measure it.
    #[serde(default)]
    pub stack_bytes: u32,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// An image on which device and desktop differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Index in the test part.
    pub image: usize,
    /// The device's logits.
    pub device: Vec<i32>,
    /// The desktop's logits.
    pub desktop: Vec<i32>,
}

/// What an inference takes, mean over answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Instructions, where the device's clock counts them.
    pub instructions: Option<f64>,
    /// Microseconds, where it counts time.
    pub microseconds: Option<f64>,
}

/// Reads a device's ticks.
///
/// * `tick_hz`: frequency of its clock.
/// * `counts_instructions`: whether virtual time is a nanosecond an instruction, as in QEMU here.
pub fn speed(answers: &[Answer], tick_hz: u32, counts_instructions: bool) -> Speed {
    let ticks =
        answers.iter().map(|answer| f64::from(answer.ticks)).sum::<f64>() / answers.len().max(1) as f64;
    let hz = f64::from(tick_hz.max(1));
    Speed {
        instructions: counts_instructions.then(|| ticks * (INSTRUCTIONS_PER_SECOND / hz)),
        microseconds: (!counts_instructions).then(|| ticks * 1e6 / hz),
    }
}

/// Sends images `range` of `samples` and returns the answers; counts each in `done`.
///
/// # Errors
/// [`DeviceError::Talk`] with the image's index.
pub fn collect(
    client: &mut Client,
    samples: &Samples,
    range: std::ops::Range<usize>,
    done: &AtomicUsize,
) -> Result<Vec<Answer>, DeviceError> {
    let mut answers = Vec::with_capacity(range.len());
    for index in range {
        let answer = client.classify(samples.shape, samples.image(index));
        answers.push(answer.map_err(|error| match error {
            DeviceError::Talk(problem) => DeviceError::Talk(format!("{problem} (image {index})")),
            other => other,
        })?);
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(answers)
}

/// Compares the device's answers with the desktop's engine; speed fields are left to the caller.
pub fn compare(model: String, network: &FirmwareNetwork, samples: &Samples, answers: &[Answer]) -> Report {
    let mut hasher = Sha256::new();
    let (mut mismatches, mut correct, mut first_mismatch) = (0, 0, None);
    for (image, answer) in answers.iter().enumerate() {
        for logit in &answer.logits {
            hasher.update(logit.to_le_bytes());
        }
        correct += usize::from(answer.class == samples.labels[image]);
        let desktop = network.logits(&quantized(samples.image(image)));
        if desktop != answer.logits[..] || firmware::nn::arg_max(&desktop) != usize::from(answer.class) {
            mismatches += 1;
            first_mismatch.get_or_insert(Mismatch { image, device: answer.logits.to_vec(), desktop });
        }
    }
    Report {
        model,
        images: answers.len(),
        mismatches,
        first_mismatch,
        accuracy: correct as f64 / answers.len().max(1) as f64,
        logits_sha256: hex(&hasher.finalize()),
        instructions_per_image: None,
        microseconds_per_image: None,
        kernels: String::new(),
        profile: String::new(),
        stack_bytes: answers.iter().map(|answer| answer.stack_bytes).max().unwrap_or(0),
        seconds: 0.0,
    }
}
