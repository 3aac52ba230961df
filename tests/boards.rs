//! Boards besides mps2-an386: every emulated core, the Pico's own image, a board with a display of its own.

mod support;

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::pixelcolor::raw::{BigEndian, RawU1};
use firmware::camera::{Camera, Painted};
use firmware::nn::confidence::confidences;
use firmware::ui;
use host::bench::boards::MODELS;
use host::bench::networks;
use host::dataset::locate::Pictures;
use host::dataset::{self, Choice, Samples, drawn};
use host::device::DeviceError;
use host::device::board::Board;
use host::device::build::build;
use host::device::client::Client;
use host::device::emulator::Emulator;
use host::device::estimate::{self, variable_bytes};
use host::device::hil;
use host::evaluate::calibration::confidence_multiplier;
use host::model_dir::ModelDir;
use host::plan::{NetworkPlan, Options};
use host::quantize::quantized;
use host::report;
use shared::image::Frame;
use shared::preprocess::frame_to_input;
use support::{Need, fashion_mnist, have};

type MonoScreen =
    Framebuffer<BinaryColor, RawU1, BigEndian, 128, 64, { buffer_size::<BinaryColor>(128, 64) }>;

/// Emulated boards beside mps2-an386, which other tests run, with the kernels of their cores.
const EMULATED: [(&str, &str); 5] = [
    ("lm3s6965evb", "portable"),
    ("mps2-an385", "portable"),
    ("mps2-an385-v6m", "portable"),
    ("mps2-an505", "dsp"),
    ("riscv-virt", "portable"),
];

/// Sends images to an emulated board; nothing may differ from the desktop.
fn check(board: &str, kernels: &str, dir: &ModelDir, images: &Samples) {
    let board = Board::named(board).unwrap();
    let emulator = Emulator::start(&board, &build(&board, dir, Options::default()).unwrap()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    assert_eq!(client.hello().unwrap().kernels, kernels, "{}", board.name);
    let answers = hil::collect(&mut client, images, 0..images.len(), &AtomicUsize::new(0)).unwrap();
    let report = hil::compare(dir.name(), &dir.read_firmware().unwrap(), images, &answers);
    assert_eq!((report.first_mismatch, report.images), (None, images.len()), "{}", board.name);
}

#[test]
fn every_emulated_board_gives_the_desktop_s_logits_on_200_test_images() {
    let name = "every_emulated_board_gives_the_desktop_s_logits_on_200_test_images";
    if !have(name, &[Need::Emulator, Need::Data]) {
        return;
    }
    let test = fashion_mnist().test.take(200);
    EMULATED.iter().for_each(|(board, kernels)| check(board, kernels, &model("nano"), &test));
}

#[test]
fn every_emulated_board_gives_the_desktop_s_logits_on_50_photographs() {
    let name = "every_emulated_board_gives_the_desktop_s_logits_on_50_photographs";
    if !have(name, &[Need::Emulator, Need::Photos]) {
        return;
    }
    let dir = model("photo-mini");
    let pictures = Pictures { shape: Some(dir.task().unwrap().input), for_training: false };
    let photos = dataset::load(Choice::Photos, None, pictures, |_| {}).unwrap().test.take(50);
    EMULATED.iter().for_each(|(board, kernels)| check(board, kernels, &dir, &photos));
}

#[test]
fn the_pico_s_very_image_answers_over_usb_and_draws_on_its_oled() {
    let name = "the_pico_s_very_image_answers_over_usb_and_draws_on_its_oled";
    if !have(name, &[Need::Emulator, Need::Data]) {
        return;
    }
    let (board, dir) = (Board::named("pico").unwrap(), model("nano"));
    let elf = build(&board, &dir, Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().join("oled.pbm");
    let emulator = Emulator::start_with(&board, &elf, &[shown.display().to_string()]).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    let identity = client.hello().unwrap();
    assert_eq!((identity.network_hash, identity.tick_hz), (dir.network_hash().unwrap(), 1_000_000));
    let boot = emulator.log.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(boot.text.contains("pico: network nano") && boot.text.contains("arena"), "{boot:?}");
    let images = fashion_mnist().test.take(20);
    let answers = hil::collect(&mut client, &images, 0..images.len(), &AtomicUsize::new(0)).unwrap();
    let network = dir.read_firmware().unwrap();
    let report = hil::compare("nano".into(), &network, &images, &answers);
    assert_eq!((report.first_mismatch, report.images), (None, 20));
    // The app drew the same answer: the desktop's app with the same network is asked for it.
    let last = answers.last().unwrap();
    let mut shares = vec![0; last.logits.len()];
    let confidence = dir.confidence().unwrap();
    let multiplier = confidence_multiplier(network.quantized().logit_scale(), confidence.temperature);
    confidences(&last.logits, multiplier, &mut shares);
    let names: Vec<&str> = identity.task.classes.iter().map(String::as_str).collect();
    let result = ui::result::Result {
        input: identity.task.input,
        pixels: images.image(19),
        names: &names,
        shares: &shares,
        class: last.class.into(),
        verdict: last.verdict,
        microseconds: last.ticks,
    };
    let mut expected = MonoScreen::new();
    ui::mono::draw(&mut expected, &result).unwrap();
    // The display is drawn after the answer went out.
    let deadline = Instant::now() + Duration::from_secs(20);
    let picture = loop {
        let picture = std::fs::read(&shown).unwrap_or_default();
        if picture.ends_with(expected.data()) || Instant::now() > deadline {
            break picture;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(picture.starts_with(b"P4\n128 64\n"));
    assert!(picture.ends_with(expected.data()), "the OLED shows another picture than the app drew");
}

#[test]
fn estimates_are_what_images_that_were_built_and_run_came_to() {
    let record = estimate::read_record().unwrap();
    let boards = Board::all().unwrap();
    assert_eq!(record.images.len(), boards.len() * MODELS.len(), "`host bench boards --record` was not run");
    let page = std::fs::read_to_string(host::project_root().join("docs/boards.md")).unwrap();
    let tables = report::boards::markdown(&boards, &record);
    assert!(page.contains(tables.trim()), "docs/boards.md: paste the output of `host bench boards --table`");
    for image in &record.images {
        let board = boards.iter().find(|board| board.name == image.board).unwrap();
        let network = model(&image.model).read_firmware().unwrap();
        let plan = NetworkPlan::new(&network, Options::default()).unwrap();
        let what = format!("{} with {}", image.board, image.model);
        let constants = plan.constant_bytes() as u64;
        assert_eq!(
            (image.constant_bytes, image.variable_bytes),
            (constants, variable_bytes(&plan)),
            "{what}"
        );
        let told = estimate::estimate(board, &plan, &record).unwrap();
        assert_eq!(told.fits, image.built.is_some(), "{what}");
        let Some(built) = &image.built else { continue };
        let close = |told: u64, built: u64| (built..built + built / 4).contains(&told);
        assert!(close(told.flash_bytes, built.flash_bytes), "{what}: {told:?}, {built:?}");
        let variables = told.ram_bytes - told.stack_bytes;
        assert!(close(variables, built.ram_bytes), "{what}: {told:?}, {built:?}");
        let Some(run) = &built.run else { continue };
        assert_eq!((run.mismatches, run.images > 0), (0, true), "{what}");
        // What the emulator found painted, the call graph of the image allows.
        if let Some(bound) = built.stack_bound_bytes {
            assert!(
                run.stack_bytes <= bound + 64,
                "{what}: {} bytes painted, bound {bound}",
                run.stack_bytes
            );
        }
        assert!(run.stack_bytes <= told.stack_bytes, "{what}");
        if let Some(instructions) = run.instructions {
            let ratio = told.instructions as f64 / instructions;
            assert!((0.6..1.7).contains(&ratio), "{what}: told {ratio:.2} of {instructions}");
        }
    }
}

#[test]
fn a_network_that_is_not_trained_is_estimated_as_if_it_were() {
    // Sizes do not depend on values: a network file with random weights takes what the trained model takes.
    let record = estimate::read_record().unwrap();
    let board = Board::named("pico2").unwrap();
    for name in ["small", "photo"] {
        let trained = model(name).read_firmware().unwrap();
        let architecture = model(name).manifest().unwrap().architecture().unwrap();
        let random = networks::random(&architecture, 4).unwrap().to_firmware().unwrap();
        let [told, again] = [&trained, &random].map(|network| {
            let plan = NetworkPlan::new(network, Options::default()).unwrap();
            estimate::estimate(&board, &plan, &record).unwrap()
        });
        let difference = told.flash_bytes.abs_diff(again.flash_bytes);
        assert!(
            difference < told.flash_bytes / 10 && told.ram_bytes == again.ram_bytes,
            "{told:?} {again:?}"
        );
    }
}

#[test]
fn a_model_too_large_for_a_board_is_refused_with_both_numbers_before_it_is_built() {
    let board = Board { ram_bytes: 20_000, ..Board::named("nrf52840-dk").unwrap() };
    let plan = NetworkPlan::new(&model("photo").read_firmware().unwrap(), Options::default()).unwrap();
    let refusal = estimate::check_fit(&board, &plan, "photo").unwrap_err();
    let DeviceError::TooLarge { needed, limit, .. } = &refusal else { panic!("{refusal}") };
    assert!(*needed > *limit && *limit == 20_000);
    let told = refusal.to_string();
    assert!(told.contains("20000") && told.contains(&needed.to_string()) && told.contains("RAM"), "{told}");
}

#[test]
fn a_board_looks_through_its_own_camera() {
    if !have("a_board_looks_through_its_own_camera", &[Need::Emulator]) {
        return;
    }
    let (board, dir) = (Board::named("mps2-an386").unwrap(), model("photo-mini"));
    let emulator = Emulator::start(&board, &build(&board, &dir, Options::default()).unwrap()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    let network = dir.read_firmware().unwrap();
    let task = client.hello().unwrap().task;
    let mut camera = Painted::new();
    let mut seen = vec![];
    for number in 0..3 {
        // The desktop keeps the whole frame that the board never has.
        let mut frame = vec![];
        camera.capture(&mut |row| frame.extend_from_slice(row)).unwrap();
        let (width, height) = camera.size();
        let frame = Frame::new(camera.format(), width, height, &frame).unwrap();
        let mut pixels = vec![0; task.input.len()];
        frame_to_input(task.preprocessing, task.input, &frame, &mut pixels);
        let answer = client.look().unwrap();
        assert_eq!(answer.logits[..], network.logits(&quantized(&pixels)), "picture {number}");
        assert!(!seen.contains(&pixels), "the camera paints another picture each time");
        seen.push(pixels);
    }
    // A board without a camera says so.
    let board = Board::named("riscv-virt").unwrap();
    let emulator = Emulator::start(&board, &build(&board, &dir, Options::default()).unwrap()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    let refusal = client.look().unwrap_err().to_string();
    assert!(refusal.contains("it has no camera"), "{refusal}");
}

#[test]
fn a_board_with_damaged_weights_says_so_and_answers_no_picture() {
    if !have("a_board_with_damaged_weights_says_so_and_answers_no_picture", &[Need::Emulator]) {
        return;
    }
    let (board, dir) = (Board::named("mps2-an386").unwrap(), model("nano"));
    let elf = build(&board, &dir, Options::default()).unwrap();
    let mut bytes = std::fs::read(&elf).unwrap();
    // The first constants as the generator wrote them, found in the image and changed by one bit.
    let weights = std::fs::read(elf.with_file_name("weights.bin")).unwrap();
    let at = bytes.windows(64).position(|window| window == &weights[..64]).expect("the image holds them");
    bytes[at + 17] ^= 4;
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.elf");
    std::fs::write(&damaged, bytes).unwrap();
    let emulator = Emulator::start(&board, &damaged).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    assert_eq!(client.hello().unwrap().model, "nano", "it still says who it is");
    let samples = drawn::samples(1, 1);
    let refusal = client.classify(samples.shape, samples.image(0)).unwrap_err().to_string();
    assert!(refusal.contains("weights") && refusal.contains("flash the board again"), "{refusal}");
    let lines: Vec<_> = emulator.log.iter().take(2).collect();
    assert!(lines[1].level == "ERROR" && lines[1].text.contains("damaged"), "{lines:?}");
}

#[test]
fn the_display_shows_the_app_s_screen() {
    if !have("the_display_shows_the_app_s_screen", &[Need::Emulator]) {
        return;
    }
    let (board, dir) = (Board::named("lm3s6965evb").unwrap(), model("small"));
    let mut emulator = Emulator::start(&board, &build(&board, &dir, Options::default()).unwrap()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    client.hello().unwrap();
    let monitor = emulator.monitor.as_mut().expect("the board describes its display");
    let samples = drawn::samples(8, 1);
    let mut shown = vec![];
    for index in [None, Some(0), Some(7)] {
        if let Some(index) = index {
            client.classify(samples.shape, samples.image(index)).unwrap();
        }
        // Its rows are asked for after the answer, so that the display is drawn by then.
        let screen = client.screen().unwrap();
        let display = monitor.screendump().unwrap();
        let zoom = display.width / screen.width;
        assert_eq!((display.width, display.height), (zoom * screen.width, zoom * screen.height));
        for (at, &gray) in screen.pixels.iter().enumerate() {
            let (x, y) = (zoom * (at % screen.width), zoom * (at / screen.width));
            let pixel = 3 * (y * display.width + x);
            assert_eq!(display.rgb[pixel..pixel + 3], [gray; 3], "{index:?}: pixel {at}");
        }
        assert!(!shown.contains(&display.rgb), "every screen is another");
        shown.push(display.rgb);
    }
}

fn model(name: &str) -> ModelDir {
    ModelDir::new(&host::project_root().join("models").join(name))
}
