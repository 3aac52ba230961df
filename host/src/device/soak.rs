//! Client and app against each other over a channel that damages bytes.
//!
//! The channel flips, drops, doubles, inserts and delays bytes, each with the same probability, and passes the
//! rest on in pieces of any size. Every answer is compared with the desktop's: a wrong one would mean that damage
//! went unnoticed.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use firmware::app::{App, Facts, Memory, Network, Port, cells, frame_bytes};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use shared::preprocess::square::Cell;
use shared::protocol::{MAX_REQUEST, Receiver, max_encoded};

use super::DeviceError;
use super::client::{Client, Patience, Stream, Traffic};
use crate::dataset::Samples;
use crate::evaluate::calibration::{Confidence, confidence_multiplier};
use crate::quantize::network::FirmwareNetwork;
use crate::quantize::quantized;

/// A network for the app that is interpreted instead of generated.
pub struct Interpreted {
    network: FirmwareNetwork,
    name: String,
    hash: [u8; 8],
    /// Leaked, as the app borrows names for as long as it lives; once a process.
    class_names: &'static [&'static str],
    confidence_multiplier: i64,
    unsure_below: u16,
    pixels: Vec<u8>,
    frame: Vec<u8>,
    cells: Vec<Cell>,
}

impl Interpreted {
    /// Wraps a network.
    pub fn new(name: String, hash: [u8; 8], network: FirmwareNetwork, confidence: Confidence) -> Self {
        let task = &network.quantized().task;
        let names: Vec<&'static str> =
            task.classes.iter().map(|name| &*Box::leak(name.clone().into_boxed_str())).collect();
        let (input, rule) = (task.input, task.preprocessing);
        Self {
            confidence_multiplier: confidence_multiplier(
                network.quantized().logit_scale(),
                confidence.temperature,
            ),
            unsure_below: confidence.unsure_below,
            name,
            hash,
            class_names: Box::leak(names.into_boxed_slice()),
            pixels: vec![0; input.len()],
            frame: vec![0; frame_bytes(rule)],
            cells: vec![Cell::EMPTY; cells(rule, input)],
            network,
        }
    }
}

impl Network for Interpreted {
    fn facts(&self) -> Facts<'_> {
        let task = &self.network.quantized().task;
        Facts {
            name: &self.name,
            hash: self.hash,
            input: task.input,
            preprocessing: task.preprocessing,
            class_names: self.class_names,
            confidence_multiplier: self.confidence_multiplier,
            unsure_below: self.unsure_below,
            arena_bytes: self.network.with_network(|network| network.arena_bytes()) as u32,
        }
    }

    fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory { pixels: &mut self.pixels, frame: &mut self.frame, cells: &mut self.cells }
    }

    fn infer(&mut self, logits: &mut [i32]) {
        let input: Vec<i8> = self.pixels.iter().map(|&byte| byte as i8).collect();
        logits.copy_from_slice(&self.network.logits(&input));
    }
}

/// The app at the other end of a pipe that lives in memory.
pub struct InMemory {
    app: Box<App<Interpreted>>,
    sent: Sent,
}

#[derive(Default)]
struct Sent(VecDeque<u8>);

impl Port for Sent {
    fn send(&mut self, byte: u8) {
        self.0.push_back(byte);
    }
    fn ticks(&mut self) -> u32 {
        0
    }
    fn tick_hz(&self) -> u32 {
        1_000_000
    }
}

impl InMemory {
    /// Starts an app.
    pub fn new(network: Interpreted) -> Self {
        Self { app: Box::new(App::new(network)), sent: Sent::default() }
    }
}

impl Write for InMemory {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        for &byte in bytes {
            self.app.receive(byte, &mut self.sent);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

impl Read for InMemory {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        match self.sent.0.read(buffer)? {
            0 => Err(Error::from(ErrorKind::WouldBlock)),
            count => Ok(count),
        }
    }
}

/// What the channel did, and whether frames that it left alone were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Damage {
    /// Bytes that passed.
    pub bytes: u64,
    /// Bytes damaged: flipped, dropped, doubled, with another inserted, or delayed.
    pub damaged_bytes: u64,
    /// Frames to the board that were touched.
    pub damaged_requests: u64,
    /// Frames to the board that were not touched and yet did not arrive.
    pub lost_intact_requests: u64,
    /// Most frames that one incident cost: 1 is the damaged one alone.
    #[serde(rename = "longest_recovery_frames")]
    pub longest_recovery: u64,
}

/// A stream with noise in both directions.
pub struct Noisy<S> {
    inner: S,
    rate: f64,
    rng: ChaCha8Rng,
    /// Bytes to the board that wait for later ones.
    late: Vec<u8>,
    /// What the board receives, to see which frames arrive whole.
    witness: Box<Receiver<{ max_encoded(MAX_REQUEST) }>>,
    damage: Arc<Mutex<Damage>>,
    /// Intact frames lost since the last damaged one.
    lost_in_a_row: u64,
}

impl<S: Stream> Noisy<S> {
    /// Wraps a stream; every byte is damaged with probability `rate`.
    pub fn new(inner: S, rate: f64, seed: u64) -> (Self, Arc<Mutex<Damage>>) {
        let damage = Arc::new(Mutex::new(Damage::default()));
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let noisy = Self {
            inner,
            rate,
            rng,
            late: Vec::new(),
            witness: Box::new(Receiver::new()),
            damage: Arc::clone(&damage),
            lost_in_a_row: 0,
        };
        (noisy, damage)
    }

    /// Passes bytes through; returns what comes out, and whether anything was damaged.
    fn pass(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut output = Vec::with_capacity(bytes.len() + 8);
        let mut touched = 0;
        for &byte in bytes {
            // What was held back comes out between later bytes.
            if !self.late.is_empty() && self.rng.random_bool(0.1) {
                output.append(&mut self.late);
                touched += 1;
            }
            if !self.rng.random_bool(self.rate) {
                output.push(byte);
                continue;
            }
            touched += 1;
            match self.rng.random_range(0..5u8) {
                0 => output.push(byte ^ 1 << self.rng.random_range(0..8u8)),
                1 => {}
                2 => output.extend([byte, byte]),
                3 => output.extend([self.rng.random(), byte]),
                _ => self.late.push(byte),
            }
        }
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.bytes += bytes.len() as u64;
        damage.damaged_bytes += touched;
        (output, touched > 0)
    }

    /// Notes whether a frame that was written arrived.
    fn witness(&mut self, bytes: &[u8], is_damaged: bool) {
        let mut arrived = false;
        for &byte in bytes {
            arrived |= self.witness.push(byte) && self.witness.is_whole();
        }
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.damaged_requests += u64::from(is_damaged);
        if is_damaged {
            self.lost_in_a_row = 0;
            damage.longest_recovery = damage.longest_recovery.max(1);
        } else if !arrived {
            damage.lost_intact_requests += 1;
            self.lost_in_a_row += 1;
            damage.longest_recovery = damage.longest_recovery.max(1 + self.lost_in_a_row);
        } else {
            self.lost_in_a_row = 0;
        }
    }
}

impl<S: Stream> Write for Noisy<S> {
    /// Takes one frame a call, as the client writes it.
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        let (output, is_damaged) = self.pass(bytes);
        self.witness(&output, is_damaged);
        let mut rest = &output[..];
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(self.rng.random_range(1..=rest.len()));
            self.inner.write_all(piece)?;
            rest = others;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        self.inner.flush()
    }
}

impl<S: Stream> Read for Noisy<S> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        // Half of the room, as noise adds bytes.
        let mut bytes = vec![0; (buffer.len() / 2).max(1)];
        let count = self.inner.read(&mut bytes)?;
        let late = std::mem::take(&mut self.late);
        let (output, _) = self.pass(&bytes[..count]);
        self.late = late;
        let fits = output.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&output[..fits]);
        // Nothing left of them is no end of the stream.
        if fits == 0 { Err(Error::from(ErrorKind::WouldBlock)) } else { Ok(fits) }
    }
}

/// What a soak came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `memory`, or the emulated board.
    pub against: String,
    /// Probability that a byte is damaged.
    pub noise: f64,
    /// Seed of the damage.
    pub seed: u64,
    /// What the client saw.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// What the channel did.
    #[serde(flatten)]
    pub damage: Damage,
    /// Pictures classified.
    pub pictures: u64,
    /// Answers with a logit other than the desktop's.
    pub wrong: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Limits for a noisy link: short pieces, many attempts.
pub fn patience(reply: Duration) -> Patience {
    Patience { reply, answer: reply.max(Duration::from_millis(200)), attempts: 200, piece: 120 }
}

/// Greets and classifies until so many frames were sent; returns traffic, pictures and wrong answers.
///
/// # Errors
/// [`DeviceError::Talk`] where a request is given up.
pub fn soak(
    client: &mut Client,
    network: &FirmwareNetwork,
    samples: &Samples,
    frames: u64,
    mut progress: impl FnMut(u64),
) -> Result<(Traffic, u64, u64), DeviceError> {
    let task = &network.quantized().task;
    let (mut pictures, mut wrong, mut index) = (0, 0, 0);
    let mut told = Instant::now();
    while client.traffic().sent < frames {
        let identity = client.hello()?;
        wrong += u64::from(identity.task != *task);
        for _ in 0..4 {
            let image = samples.image(index % samples.len());
            let answer = client.classify(task.input, image)?;
            wrong += u64::from(answer.logits[..] != network.logits(&quantized(image)));
            (pictures, index) = (pictures + 1, index + 1);
        }
        if told.elapsed() > Duration::from_millis(500) {
            progress(client.traffic().sent);
            told = Instant::now();
        }
    }
    Ok((client.traffic(), pictures, wrong))
}
