//! Any talk on the wire: the app answers each frame once, with whole frames, and the next sound request at once.
//!
//! The input is a list of steps: raw bytes, or sound requests with any values, so that the checksum is no wall.
#![no_main]

use firmware::app::{App, Port};
use firmware::camera::{Camera, Painted};
use firmware::model::Model;
use libfuzzer_sys::fuzz_target;
use shared::image::PixelFormat;
use shared::protocol::{Content, MAX_REPLY, MAX_REQUEST, Piece, Receiver, Reply, Request, emit, max_encoded};

struct Wire {
    sent: Vec<u8>,
    camera: Painted,
}

impl Port for Wire {
    fn send(&mut self, byte: u8) {
        self.sent.push(byte);
    }
    fn ticks(&mut self) -> u32 {
        0
    }
    fn tick_hz(&self) -> u32 {
        1
    }
    fn camera(&mut self) -> Option<&mut dyn Camera> {
        Some(&mut self.camera)
    }
}

/// Replies on a wire; every byte of it belongs to a sound one.
fn replies(wire: &[u8]) -> usize {
    let mut receiver = Receiver::<{ max_encoded(MAX_REPLY) }>::new();
    let mut count = 0;
    for &byte in wire {
        if receiver.push(byte) {
            assert!(receiver.message::<Reply<'_>>().is_some(), "a reply is damaged");
            count += 1;
        }
    }
    count
}

/// Takes a step from the input and makes bytes for the wire of it.
fn step(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(10));
    let at = |index: usize| head.get(index).copied().unwrap_or(0);
    let (taken, rest) = rest.split_at(rest.len().min(usize::from(at(1))));
    let content = match at(2) % 5 {
        4 => Content::Input,
        format => Content::Frame(PixelFormat::ALL[usize::from(format)]),
    };
    let piece = Piece {
        picture: u32::from(at(3) % 4),
        content,
        width: u16::from_le_bytes([at(4), at(5) & 3]),
        height: u16::from_le_bytes([at(6), at(7) & 3]),
        offset: u32::from_le_bytes([at(8), at(9), 0, 0]),
        bytes: taken,
    };
    let request = match at(0) % 6 {
        0 => return (taken.to_vec(), rest),
        1 => Request::Hello,
        2 => Request::ClassName { index: at(3) },
        3 => Request::Picture(piece),
        4 => Request::Look,
        _ => Request::ScreenRow { row: u16::from(at(3)) },
    };
    let mut wire = Vec::new();
    emit::<MAX_REQUEST>(at(3).into(), &request, |byte| wire.push(byte));
    (wire, rest)
}

fuzz_target!(|bytes: &[u8]| {
    let mut app = Box::new(App::new(Model::new()));
    app.welcome();
    let mut wire = Wire { sent: Vec::new(), camera: Painted::new() };
    let (mut rest, mut events) = (bytes, 0);
    while !rest.is_empty() {
        let (said, others) = step(rest);
        events += said.into_iter().filter(|&byte| app.receive(byte, &mut wire).is_some()).count();
        rest = others;
    }
    assert_eq!(replies(&wire.sent), events, "one reply a request");
    // Whatever came, a sound request after the end of a frame is understood.
    app.receive(0, &mut wire);
    wire.sent.clear();
    let mut answered = 0;
    emit::<MAX_REQUEST>(7, &Request::Hello, |byte| {
        answered += usize::from(app.receive(byte, &mut wire).is_some())
    });
    assert_eq!((answered, replies(&wire.sent)), (1, 1), "the greeting");
});
