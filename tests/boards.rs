//! The second board: a Cortex-M3 without DSP instructions, with a display of its own.

mod support;

use std::sync::atomic::AtomicUsize;

use host::dataset::drawn;
use host::device::board::Board;
use host::device::build::build;
use host::device::client::Client;
use host::device::emulator::Emulator;
use host::device::hil;
use host::model_dir::ModelDir;
use host::plan::Options;
use support::{Need, fashion_mnist, have};

#[test]
fn the_lm3s6965_gives_the_desktop_s_logits_on_200_test_images() {
    if !have("the_lm3s6965_gives_the_desktop_s_logits_on_200_test_images", &[Need::Emulator, Need::Data]) {
        return;
    }
    let (board, dir) = (Board::named("lm3s6965evb").unwrap(), small());
    let emulator = Emulator::start(&board, &build(&board, &dir, Options::default()).unwrap()).unwrap();
    let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
    assert_eq!(client.hello().unwrap().kernels, "portable");
    let test = fashion_mnist().test.take(200);
    let answers = hil::collect(&mut client, &test, 0..test.len(), &AtomicUsize::new(0)).unwrap();
    let report = hil::compare("small".into(), &dir.read_firmware().unwrap(), &test, &answers);
    assert_eq!((report.first_mismatch, report.images), (None, 200));
}

#[test]
fn the_display_shows_the_app_s_screen() {
    if !have("the_display_shows_the_app_s_screen", &[Need::Emulator]) {
        return;
    }
    let (board, dir) = (Board::named("lm3s6965evb").unwrap(), small());
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

fn small() -> ModelDir {
    ModelDir::new(&host::project_root().join("models/small"))
}
