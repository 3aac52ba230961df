//! The real firmware image in QEMU: logits, screen, log, and what a noisy wire does.

mod support;

use std::io::{Read, Write};
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use embedded_graphics::pixelcolor::{Gray4, Gray8, GrayColor};
use host::bench::{self, networks};
use host::dataset::drawn;
use host::device::board::Board;
use host::device::build::{build, build_plan};
use host::device::client::Client;
use host::device::emulator::Emulator;
use host::device::hil;
use host::evaluate::calibration::Confidence;
use host::evaluate::compose;
use host::model_dir::ModelDir;
use host::plan::{NetworkPlan, Options, Profile};
use host::quantize::quantized;
use shared::fashion_mnist::SHAPE;
use shared::image::{Frame, PixelFormat, luma};
use shared::preprocess::{Preprocessing, frame_to_input};
use shared::protocol::{
    Content, MAX_REPLY, MAX_REQUEST, Piece, Receiver, Refusal, Reply, Request, emit, max_encoded,
};
use support::{Need, fashion_mnist, have, noise};

fn model(name: &str) -> ModelDir {
    ModelDir::new(&host::project_root().join("models").join(name))
}

fn mps2() -> Board {
    Board::named(bench::BOARD).unwrap()
}

/// Builds the image with the committed `small` once a test program.
fn image() -> &'static std::path::Path {
    static IMAGE: OnceLock<std::path::PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| build(&mps2(), &model("small"), Options::default()).unwrap())
}

#[test]
fn the_chip_gives_the_desktop_s_logits_and_draws_the_answer() {
    if !have("the_chip_gives_the_desktop_s_logits_and_draws_the_answer", &[Need::Emulator]) {
        return;
    }
    let emulator = Emulator::start(&mps2(), image()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    let identity = client.hello().unwrap();
    assert_eq!(identity.network_hash, model("small").network_hash().unwrap());
    let welcome = client.screen().unwrap();
    let samples = drawn::samples(21, 3);
    let answers = hil::collect(&mut client, &samples, 0..samples.len(), &AtomicUsize::new(0)).unwrap();
    let report = hil::compare("small".into(), &model("small").read_firmware().unwrap(), &samples, &answers);
    assert_eq!(report.first_mismatch, None);
    assert!(answers.iter().all(|answer| answer.ticks > 0));
    let result = client.screen().unwrap();
    assert_eq!((result.width, result.height), (128, 64));
    assert_ne!(welcome.pixels, result.pixels);
    // The thumbnail of the last image stands at (2, 1), twice as large, in 16 grays.
    let last = samples.image(samples.len() - 1);
    for (index, &pixel) in last.iter().enumerate() {
        let shown = result.pixels[(1 + 2 * (index / 28)) * 128 + 2 + 2 * (index % 28)];
        assert_eq!(shown, 17 * Gray4::from(Gray8::new(pixel)).luma(), "pixel {index}, {pixel}");
    }
    let boot = emulator.log.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(boot.text.contains("network small") && boot.text.contains("arena"), "{boot:?}");
    let predicted = emulator.log.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(predicted.level == "INFO" && predicted.text.contains("ticks"), "{predicted:?}");
}

#[test]
fn the_chip_sees_in_a_camera_s_frame_what_the_desktop_sees() {
    if !have("the_chip_sees_in_a_camera_s_frame_what_the_desktop_sees", &[Need::Emulator]) {
        return;
    }
    let emulator = Emulator::start(&mps2(), image()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    let network = model("small").read_firmware().unwrap();
    let samples = drawn::samples(5, 1);
    for index in 0..samples.len() {
        // Every tenth pixel of a photo, in the three formats of cameras.
        let photo = compose::photo(samples.image(index), index, 1);
        let (width, height) = (photo.width / 10, photo.height / 10);
        let at = |pixel: usize| {
            let start = 3 * (pixel / width * 10 * photo.width + pixel % width * 10);
            [photo.rgb[start], photo.rgb[start + 1], photo.rgb[start + 2]]
        };
        let pixels = || (0..width * height).map(at);
        let gray: Vec<u8> = pixels().map(|[r, g, b]| luma(r, g, b)).collect();
        let packed =
            |[r, g, b]: [u8; 3]| u16::from(r >> 3) << 11 | u16::from(g >> 2) << 5 | u16::from(b >> 3);
        // 64×32 of it is as much as the board's buffer holds at two bytes a pixel.
        let short = height.min(32);
        let rgb565: Vec<u8> =
            pixels().take(width * short).flat_map(|rgb| packed(rgb).to_le_bytes()).collect();
        let yuv: Vec<u8> = gray.iter().take(width * short).flat_map(|&y| [y, 128]).collect();
        for (format, height, bytes) in [
            (PixelFormat::Gray8, height, &gray),
            (PixelFormat::Rgb565, short, &rgb565),
            (PixelFormat::Yuv422, short, &yuv),
        ] {
            let (width, height) = (width as u16, height as u16);
            let answer = client.classify_frame(format, width, height, bytes).unwrap();
            let frame = Frame::new(format, width, height, bytes).unwrap();
            let mut seen = vec![0; SHAPE.len()];
            frame_to_input(Preprocessing::Garment, SHAPE, &frame, &mut seen);
            assert_eq!(answer.logits[..], network.logits(&quantized(&seen)), "{format:?}, photo {index}");
        }
    }
}

#[test]
fn damaged_frames_are_refused_and_the_next_one_is_served() {
    if !have("damaged_frames_are_refused_and_the_next_one_is_served", &[Need::Emulator]) {
        return;
    }
    let mut emulator = Emulator::start(&mps2(), image()).unwrap();
    emulator.uart.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let frame = |request: &Request<'_>| {
        let mut bytes = vec![];
        emit::<MAX_REQUEST>(9, request, |byte| bytes.push(byte));
        bytes
    };
    let piece = |width, bytes| {
        let content = Content::Frame(PixelFormat::Gray8);
        frame(&Request::Picture(Piece { picture: 5, content, width, height: 5, offset: 0, bytes }))
    };
    let mut bad_crc = frame(&Request::Hello);
    bad_crc[3] ^= 0x40;
    let cut_off = piece(5, &[7; 20])[..16].to_vec();
    let cases = [
        (bad_crc, Refusal::Damaged),
        ([&[0][..], &[7; 5_000], &[0]].concat(), Refusal::Damaged),
        (piece(3, &[1; 20]), Refusal::BadPicture),
        (piece(1_000, &[1; 20]), Refusal::TooLarge),
        (frame(&Request::ClassName { index: 10 }), Refusal::NoSuchIndex),
        // The greeting behind a torn frame is served: see below.
        ([cut_off, frame(&Request::Hello)].concat(), Refusal::Damaged),
    ];
    let mut replies = Replies { stream: emulator.uart.try_clone().unwrap(), receiver: Receiver::new() };
    for (bytes, expected) in cases {
        emulator.uart.write_all(&bytes).unwrap();
        replies.next(|reply| assert_eq!(reply, Reply::Refused(expected)));
    }
    assert!(replies.next(|reply| matches!(reply, Reply::About(_))));
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    assert_eq!(client.hello().unwrap().model, "small");
}

/// What a board sends, frame by frame.
struct Replies {
    stream: std::net::TcpStream,
    receiver: Receiver<{ max_encoded(MAX_REPLY) }>,
}

impl Replies {
    fn next<T>(&mut self, read: impl FnOnce(Reply<'_>) -> T) -> T {
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte).unwrap();
            if self.receiver.push(byte[0]) && self.receiver.is_whole() {
                break;
            }
        }
        read(self.receiver.message().unwrap().1)
    }
}

#[test]
fn committed_models_run_on_the_chip_on_real_images() {
    if !have("committed_models_run_on_the_chip_on_real_images", &[Need::Emulator, Need::Data]) {
        return;
    }
    let test = fashion_mnist().test.take(50);
    // The size profile is the one with 4-bit weights.
    let (speed, size) = (Options::default(), Options::from(Profile::Size));
    for (name, options) in
        [("small", speed), ("article", speed), ("nano", size), ("small", size), ("flagship", size)]
    {
        let elf = if (name, options) == ("small", speed) {
            image().to_owned()
        } else {
            build(&mps2(), &model(name), options).unwrap()
        };
        let emulator = Emulator::start(&mps2(), &elf).unwrap();
        let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
        assert_eq!(client.hello().unwrap().model, name);
        let answers = hil::collect(&mut client, &test, 0..test.len(), &AtomicUsize::new(0)).unwrap();
        let report = hil::compare(name.into(), &model(name).read_firmware().unwrap(), &test, &answers);
        assert_eq!(report.first_mismatch, None, "{name}");
        assert!(report.accuracy > 0.8, "{name}: {}", report.accuracy);
    }
}

#[test]
fn every_kernel_gives_the_desktop_s_logits_on_the_chip() {
    if !have("every_kernel_gives_the_desktop_s_logits_on_the_chip", &[Need::Emulator]) {
        return;
    }
    let networks = networks::NAMES.map(|name| (name, networks::network(name).unwrap()));
    let wide = networks::wide().map(|network| ("wide", network));
    for (name, network) in networks.into_iter().chain([("odd", networks::odd())]).chain(wide) {
        let network = network.to_firmware().unwrap();
        let samples = noise(network.quantized().task.input, 3, 31);
        for options in [Options::FASTEST, Profile::Size.into()] {
            let plan = NetworkPlan::new(&network, options).unwrap();
            let is_packed = plan.decisions().iter().all(|step| step.kernel != "scalar");
            assert!(is_packed || name == "odd", "{name}, {options}: a layer has a reference kernel");
            let elf =
                build_plan(&mps2(), &plan, &format!("test-{name}"), [1; 8], Confidence::default()).unwrap();
            let emulator = Emulator::start(&mps2(), &elf).unwrap();
            let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
            assert_eq!(client.hello().unwrap().kernels, "dsp");
            for index in 0..samples.len() {
                let answer = client.classify(samples.shape, samples.image(index)).unwrap();
                let expected = network.logits(&quantized(samples.image(index)));
                assert_eq!(answer.logits[..], expected, "{name}, {options}, image {index}");
                assert!((1..2_048).contains(&answer.stack_bytes), "{} bytes of stack", answer.stack_bytes);
            }
        }
    }
}

/// Bars of the project for the benchmark's networks: instructions of either profile, model cycles, memory
/// and code of either profile. Counts are exact, so that these are no timings.
#[allow(clippy::type_complexity)]
const BARS: [(&str, [u64; 2], u64, usize, [usize; 2]); 3] = [
    ("A", [950_000, 1_300_000], 1_350_000, 14_000, [12_000, 6_000]),
    ("C", [1_750_000, 2_600_000], 2_650_000, 18_000, [12_000, 6_000]),
    ("D", [620_000, 800_000], 950_000, 10_000, [12_000, 6_000]),
];

#[test]
fn the_benchmark_s_networks_stay_within_their_bars() {
    if !have("the_benchmark_s_networks_stay_within_their_bars", &[Need::Emulator]) {
        return;
    }
    let counter = bench::build_counter().unwrap();
    for (name, instructions, cycles, memory, code) in BARS {
        let network = networks::network(name).unwrap().to_firmware().unwrap();
        for (at, options) in [Options::FASTEST, Profile::Size.into()].into_iter().enumerate() {
            let plan = NetworkPlan::new(&network, options).unwrap();
            let counted = bench::count(name, &plan, &counter).unwrap();
            assert_eq!(counted.faults, [""; 0], "{name}, {options}");
            assert_eq!(counted.layers.len(), plan.decisions().len(), "{name}, {options}");
            assert!(counted.instructions <= instructions[at], "{name}: {}", counted.instructions);
            assert!(at == 1 || counted.model_cycles <= cycles, "{name}: {}", counted.model_cycles);
            assert!(counted.ram_bytes <= memory, "{name}, {options}: {}", counted.ram_bytes);
            assert!(counted.code_bytes <= code[at], "{name}, {options}: {}", counted.code_bytes);
            assert!(u64::from(counted.stack_bytes) <= counted.stack_bound_bytes, "{name}, {options}");
            // The planner chooses by estimates: they must be near.
            let estimate: usize = counted.layers.iter().map(|step| step.estimated_instructions).sum();
            let off = estimate as f64 / counted.instructions as f64;
            assert!((0.9..1.1).contains(&off), "{name}, {options}: the estimate is {off:.2} of the count");
        }
    }
}
