//! Somebody's own pictures, from a folder to the chip, with no line of code touched for them.

mod support;

use std::path::Path;

use host::dataset::photo::Photo;
use host::device::board::Board;
use host::device::build::build;
use host::device::client::Client;
use host::device::emulator::Emulator;
use host::device::hil;
use host::model_dir::ModelDir;
use host::plan::Options;
use shared::image::PixelFormat;
use support::program::{fails, host, succeeds, text};
use support::{Need, have};

const CLASSES: [&str; 3] = ["Hose, kurz", "Kleid", "Ärmel – lang"];

/// 300 pictures, 100 a class: stripes, dots and a bar on noise, in colours that say nothing of the class.
fn pictures(folder: &Path) {
    let mut state = 7u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    for (class, name) in CLASSES.iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for number in 0..100 {
            let (width, height) = (48 + random(40) as usize, 80 + random(50) as usize);
            let (period, shift) = (10 + random(5) as usize, random(10) as usize);
            let ink = [random(256), random(256), random(256)];
            let paper = ink.map(|value| (value + 128) % 256);
            let mut rgb = Vec::with_capacity(3 * width * height);
            for at in 0..width * height {
                let (x, y) = (at % width + shift, at / width);
                let is_ink = match class {
                    0 => x % period < period / 2,
                    1 => y % period < period / 2,
                    _ => (x / period + y / period) % 2 == 0,
                };
                for channel in 0..3 {
                    let value = if is_ink { ink[channel] } else { paper[channel] };
                    rgb.push((value + random(24)).min(255) as u8);
                }
            }
            Photo { width, height, rgb }.write(&folder.join(name).join(format!("{number}.png"))).unwrap();
        }
    }
}

#[test]
fn a_folder_of_pictures_becomes_a_classifier_on_both_boards() {
    if !have("a_folder_of_pictures_becomes_a_classifier_on_both_boards", &[Need::Emulator]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("Bilder"), folder.path().join("modell"));
    pictures(&data);
    let data = data.to_str().unwrap();
    let model = out.to_str().unwrap();
    let train = ["train", "--net", "nano", "--data", data, "--input", "40x24", "--out", model];
    succeeds(host().args(train).args(["--epochs", "12", "--batch-size", "16", "--json"]));
    let verified = succeeds(host().args(["verify", "--model", model, "--data", data, "--json"]));
    let report: serde_json::Value = serde_json::from_str(text(&verified.stdout).as_str()).unwrap();
    assert_eq!(report["failures"].as_array().unwrap().len(), 0, "{report}");
    assert!(
        report["engines"].as_array().unwrap().iter().any(|row| row["accuracy"].as_f64() > Some(0.8)),
        "{report}"
    );

    let dir = ModelDir::new(&out);
    let manifest = dir.manifest().unwrap();
    assert_eq!(
        (manifest.task.classes.as_slice(), manifest.task.input.to_string()),
        (&CLASSES.map(str::to_owned)[..], "40×24 RGB".into())
    );
    let network = dir.read_firmware().unwrap();
    let mut say = |_: &str| ();
    let test =
        host::dataset::pictures::read(Path::new(data), manifest.task.input, false, &mut say).unwrap().test;
    for name in ["mps2-an386", "lm3s6965evb"] {
        let board = Board::named(name).unwrap();
        let elf = build(&board, &dir, Options::default()).unwrap();
        let emulator = Emulator::start(&board, &elf).unwrap();
        let mut client = Client::over_socket(emulator.uart.try_clone().unwrap()).unwrap();
        let identity = client.hello().unwrap();
        assert_eq!((&identity.task, identity.model.as_str()), (&manifest.task, "modell"));
        let done = std::sync::atomic::AtomicUsize::new(0);
        let answers = hil::collect(&mut client, &test, 0..test.len(), &done).unwrap();
        let report = hil::compare("modell".into(), &network, &test, &answers);
        assert_eq!((report.mismatches, report.images), (0, 45), "{name}: {:?}", report.first_mismatch);
        // A whole photograph goes through the board's row-wise preprocessing, in pieces.
        let path = Path::new(data).join(CLASSES[2]).join("3.png");
        let photo = Photo::read(&path).unwrap();
        let (width, height) = (photo.width as u16, photo.height as u16);
        let answer = client.classify_frame(PixelFormat::Rgb888, width, height, &photo.rgb).unwrap();
        let (seen, _) = photo.to_input(&manifest.task).unwrap();
        assert_eq!(answer.logits[..], network.logits(&host::quantize::quantized(&seen)), "{name}");
        let screen = client.screen().unwrap();
        assert!(screen.pixels.contains(&255), "{name}");
    }

    let other = ["verify", "--model", model, "--dataset", "drawn"];
    fails(host().args(other), 2, &["28×28 gray instead of 40×24 RGB", "--data"]);
}
