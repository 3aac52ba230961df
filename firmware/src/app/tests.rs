use shared::fashion_mnist::{PIXELS, SHAPE};
use shared::image::PixelFormat;
use shared::preprocess::Preprocessing;

use super::*;
use crate::camera::{Camera, Painted};
use crate::model::{self, Model};
use crate::nn::arena::Arena;

type TestApp = App<Model>;

#[derive(Default)]
struct Wire {
    sent: Vec<u8>,
    clock: u32,
}

impl Port for Wire {
    fn send(&mut self, byte: u8) {
        self.sent.push(byte);
    }
    fn ticks(&mut self) -> u32 {
        self.clock += 7;
        self.clock
    }
    fn tick_hz(&self) -> u32 {
        1_000
    }
}

/// Sends a request to an app and returns the event; `see` gets the reply.
fn exchange<T>(
    app: &mut TestApp,
    request: &Request<'_>,
    see: impl FnOnce(u32, Reply<'_>) -> T,
) -> (Event, T) {
    let (mut wire, mut events) = (Wire::default(), vec![]);
    emit::<MAX_REQUEST>(42, request, |byte| events.extend(app.receive(byte, &mut wire)));
    let mut receiver = Receiver::<{ max_encoded(MAX_REPLY) }>::new();
    let ended: Vec<usize> = (0..wire.sent.len()).filter(|&at| receiver.push(wire.sent[at])).collect();
    assert_eq!((events.len(), ended.len()), (1, 1));
    let (sequence, reply) = receiver.message().unwrap();
    (events[0], see(sequence, reply))
}

/// Shows a whole picture, piece by piece; returns the answer.
fn classify(app: &mut TestApp, picture: u32, frame: &[u8], size: [u16; 2], content: Content) -> Answer {
    let mut offset = 0;
    loop {
        let bytes = &frame[offset..frame.len().min(offset + 240)];
        let [height, width] = size;
        let piece = Piece { picture, content, width, height, offset: offset as u32, bytes };
        offset += bytes.len();
        let (_, answer) = exchange(app, &Request::Picture(piece), |_, reply| match reply {
            Reply::Taken { bytes } => {
                assert_eq!(bytes as usize, offset);
                None
            }
            Reply::Answer(answer) => Some(answer),
            other => panic!("{other:?}"),
        });
        if let Some(answer) = answer {
            assert_eq!(offset, frame.len());
            return answer;
        }
    }
}

fn garment() -> [u8; PIXELS] {
    core::array::from_fn(|index| (index * 7 % 200) as u8 * u8::from(index % 28 > 5))
}

fn logits(pixels: &[u8; PIXELS]) -> Vec<i32> {
    let mut arena = Arena::<{ model::ARENA_WORDS }>::new();
    let (mut input, mut logits) = ([0; PIXELS], vec![0; model::LOGITS]);
    shared::preprocess::quantize_pixels(pixels, &mut input);
    model::PLAN.infer(&input, &mut arena.words, &mut logits).unwrap();
    logits
}

#[test]
fn a_greeting_tells_the_network_in_the_image() {
    let mut app = TestApp::new(Model::new());
    let (event, _) = exchange(&mut app, &Request::Hello, |sequence, reply| {
        let Reply::About(about) = reply else { panic!("{reply:?}") };
        assert_eq!((sequence, about.version), (42, VERSION));
        assert_eq!((about.model, about.network_hash), (model::NAME, model::NETWORK_HASH));
        assert_eq!((about.input, about.preprocessing), (SHAPE, Preprocessing::Garment));
    });
    assert_eq!(event, Event::Greeted);
    for (index, name) in model::CLASS_NAMES.iter().enumerate() {
        let request = Request::ClassName { index: index as u8 };
        let (event, _) = exchange(&mut app, &request, |_, reply| assert_eq!(reply, Reply::ClassName(name)));
        assert_eq!(event, Event::Named);
    }
    let beyond = exchange(&mut app, &Request::ClassName { index: 10 }, |_, _| ());
    assert_eq!(beyond.0, Event::Refused(Refusal::NoSuchIndex));
}

#[test]
fn a_picture_is_answered_with_the_logits_of_the_interpreter() {
    let pixels = garment();
    let mut app = TestApp::new(Model::new());
    let answer = classify(&mut app, 1, &pixels, [28, 28], Content::Input);
    assert_eq!(&answer.logits[..], logits(&pixels));
    assert_eq!((answer.ticks, usize::from(answer.class)), (7, arg_max(&logits(&pixels))));
    assert_eq!(app.answer(), Some(&answer));
    assert_eq!(app.class_name(), Some(model::CLASS_NAMES[usize::from(answer.class)]));
    let mut brightest = 0;
    for row in 0..SCREEN_HEIGHT as u16 {
        exchange(&mut app, &Request::ScreenRow { row }, |_, reply| {
            let Reply::ScreenRow { width, height, grays } = reply else { panic!("{reply:?}") };
            assert_eq!((usize::from(width), usize::from(height)), (SCREEN_WIDTH, SCREEN_HEIGHT));
            brightest = grays.iter().copied().max().max(Some(brightest)).unwrap();
        });
    }
    assert_eq!(brightest, 255);
    let beyond = Request::ScreenRow { row: SCREEN_HEIGHT as u16 };
    assert_eq!(exchange(&mut app, &beyond, |_, _| ()).0, Event::Refused(Refusal::NoSuchIndex));
}

#[test]
fn a_camera_s_frame_is_answered_as_on_the_desktop() {
    // A dark garment on a bright table, 64×32 in RGB565.
    let (width, height) = (64u16, 32u16);
    let bytes: Vec<u8> = (0..u32::from(width) * u32::from(height))
        .flat_map(|at| {
            let (x, y) = (at % 64, at / 64);
            let is_inside = (20..44).contains(&x) && (4..30).contains(&y);
            (if is_inside { 0x2104u16 + (x + y) as u16 } else { 0xe71c }).to_le_bytes()
        })
        .collect();
    let frame = Frame::new(PixelFormat::Rgb565, width, height, &bytes).unwrap();
    let mut pixels = [0; PIXELS];
    assert_eq!(frame_to_input(model::PREPROCESSING, model::INPUT, &frame, &mut pixels), Seen::Something);
    let content = Content::Frame(PixelFormat::Rgb565);
    let answer = classify(&mut TestApp::new(Model::new()), 1, &bytes, [height, width], content);
    assert_eq!(&answer.logits[..], logits(&pixels));
    assert_ne!(answer.verdict, Verdict::Nothing);
}

#[test]
fn an_empty_picture_is_answered_with_nothing_there() {
    let mut app = TestApp::new(Model::new());
    let answer = classify(&mut app, 1, &[0; PIXELS], [28, 28], Content::Input);
    assert_eq!((answer.verdict, app.class_name()), (Verdict::Nothing, None));
    let wall = classify(&mut app, 2, &[200; 64 * 64], [64, 64], Content::Frame(PixelFormat::Gray8));
    assert_eq!(wall.verdict, Verdict::Nothing);
    assert_ne!(classify(&mut app, 3, &garment(), [28, 28], Content::Input).verdict, Verdict::Nothing);
}

/// A wire to a board with a camera.
struct Looking(Wire, Painted);

impl Port for Looking {
    fn send(&mut self, byte: u8) {
        self.0.send(byte);
    }
    fn ticks(&mut self) -> u32 {
        self.0.ticks()
    }
    fn tick_hz(&self) -> u32 {
        self.0.tick_hz()
    }
    fn camera(&mut self) -> Option<&mut dyn Camera> {
        Some(&mut self.1)
    }
}

#[test]
fn a_camera_s_frame_too_large_to_be_kept_is_refused_and_so_is_no_camera() {
    let mut app = TestApp::new(Model::new());
    assert_eq!(app.look(1, &mut Wire::default()), Err(Refusal::NoPicture));
    // This network's preprocessing keeps whole frames of at most 64×64 gray.
    let mut port = Looking(Wire::default(), Painted::new());
    assert_eq!(app.look(2, &mut port), Err(Refusal::TooLarge));
    let none =
        exchange(&mut app, &Request::Look, |_, reply| assert_eq!(reply, Reply::Refused(Refusal::NoPicture)));
    assert_eq!(none.0, Event::Refused(Refusal::NoPicture));
    classify(&mut app, 8, &garment(), [28, 28], Content::Input);
}

#[test]
fn a_repeated_piece_is_confirmed_and_a_missing_one_is_told() {
    let pixels = garment();
    let mut app = TestApp::new(Model::new());
    let piece = |picture, offset: usize, end: usize| {
        let bytes = &pixels[offset..end];
        let offset = offset as u32;
        let piece = Piece { picture, content: Content::Input, width: 28, height: 28, offset, bytes };
        Request::Picture(piece)
    };
    let taken = |bytes| move |_, reply: Reply<'_>| assert_eq!(reply, Reply::Taken { bytes });
    exchange(&mut app, &piece(1, 0, 300), taken(300));
    exchange(&mut app, &piece(1, 0, 300), taken(300));
    let skipped = exchange(&mut app, &piece(1, 600, 784), |_, _| ());
    assert_eq!(skipped.0, Event::Refused(Refusal::OutOfOrder));
    exchange(&mut app, &piece(1, 300, 600), taken(600));
    let first = exchange(&mut app, &piece(1, 600, 784), |_, reply| format!("{reply:?}"));
    let again = exchange(&mut app, &piece(1, 600, 784), |_, reply| format!("{reply:?}"));
    assert_eq!((first.0, &first), (Event::Classified, &again));
    let late = exchange(&mut app, &piece(2, 300, 600), |_, _| ());
    assert_eq!(late.0, Event::Refused(Refusal::OutOfOrder), "of a picture that did not begin");
    let answer = classify(&mut app, 2, &pixels, [28, 28], Content::Input);
    assert_eq!(&answer.logits[..], logits(&pixels));
}

#[test]
fn what_is_no_picture_is_refused_and_the_next_one_works() {
    let mut app = TestApp::new(Model::new());
    let bytes = [9; 900];
    let gray = Content::Frame(PixelFormat::Gray8);
    let yuv = Content::Frame(PixelFormat::Yuv422);
    for (content, width, height, len, refusal) in [
        (Content::Input, 28, 27, 784, Refusal::BadPicture),
        (Content::Input, 28, 28, 785, Refusal::BadPicture),
        (Content::Input, 28, 28, 0, Refusal::OutOfOrder),
        (gray, 0, 9, 9, Refusal::BadPicture),
        (gray, 3, 3, 10, Refusal::BadPicture),
        (gray, 65, 64, 65, Refusal::TooLarge),
        (gray, u16::MAX, u16::MAX, 65, Refusal::TooLarge),
        (yuv, 3, 3, 12, Refusal::BadPicture),
        (yuv, 4, 4, 6, Refusal::BadPicture),
    ] {
        let piece = Piece { picture: 7, content, width, height, offset: 0, bytes: &bytes[..len] };
        let (event, _) = exchange(&mut app, &Request::Picture(piece), |sequence, reply| {
            assert_eq!((sequence, reply), (42, Reply::Refused(refusal)));
        });
        assert_eq!(event, Event::Refused(refusal), "{content:?} {width}×{height}");
    }
    let mut wire = Wire::default();
    let events: Vec<Event> =
        [0, 3, 9, 9, 0].into_iter().filter_map(|byte| app.receive(byte, &mut wire)).collect();
    assert_eq!(events, [Event::Refused(Refusal::Damaged)]);
    classify(&mut app, 8, &garment(), [28, 28], Content::Input);
}

#[test]
fn an_input_in_place_is_answered_as_one_over_the_link() {
    let mut app = TestApp::new(Model::new());
    let over_the_link = classify(&mut app, 1, &garment(), [28, 28], Content::Input);
    app.network_mut().memory().pixels.copy_from_slice(&garment());
    let mut wire = Wire::default();
    assert_eq!(app.look_at_input(&mut wire), Ok(()));
    let answer = app.answer().unwrap();
    assert_eq!((answer.class, answer.verdict), (over_the_link.class, over_the_link.verdict));
    assert_eq!(answer.logits, over_the_link.logits);
    assert_eq!(app.network().pixels(), garment(), "the input is as it was");
}

/// A network whose constants are damaged.
struct Damaged(Model);

impl Network for Damaged {
    fn facts(&self) -> Facts<'_> {
        self.0.facts()
    }
    fn is_intact(&self) -> bool {
        false
    }
    fn pixels(&self) -> &[u8] {
        self.0.pixels()
    }
    fn memory(&mut self) -> Memory<'_> {
        self.0.memory()
    }
    fn infer(&mut self, _logits: &mut [i32]) {
        panic!("damaged constants are not used");
    }
}

#[test]
fn damaged_constants_answer_no_picture_wherever_it_comes_from() {
    let mut app = App::new(Damaged(Model::new()));
    app.welcome();
    let mut wire = Looking(Wire::default(), Painted::new());
    assert_eq!(app.look(1, &mut wire), Err(Refusal::DamagedWeights));
    assert_eq!(app.look_at_input(&mut wire), Err(Refusal::DamagedWeights));
    let (mut events, pixels) = (vec![], garment());
    let piece = Piece {
        picture: 1,
        content: Content::Input,
        width: 28,
        height: 28,
        offset: 0,
        bytes: &pixels[..240],
    };
    for request in [Request::Look, Request::Picture(piece)] {
        emit::<MAX_REQUEST>(1, &request, |byte| events.extend(app.receive(byte, &mut wire)));
    }
    assert_eq!(events, [Event::Refused(Refusal::DamagedWeights); 2]);
    assert!(app.answer().is_none());
}
