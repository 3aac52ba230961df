//! The page to try models in, in a real browser: its logits are the desktop's to the last bit.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use host::dataset::folders::{Named, validation_files};
use host::dataset::locate::photos_folder;
use host::dataset::photo::Photo;
use host::model_dir::ModelDir;
use host::plan::{NetworkPlan, Profile};
use serde_json::{Value, json};
use shared::input::InputShape;
use shared::preprocess::quantize_pixel;
use support::browser::{Browser, EXAMINE};
use support::{Need, have};

/// Models in the page.
const MODELS: [&str; 2] = ["small", "photo-mini"];
/// Test pictures of each data set.
const PICTURES: usize = 200;
/// Photographs.
const PHOTOGRAPHS: usize = 50;

/// Everything a page with test pictures is made from and shown in.
const NEEDS: [Need; 4] = [Need::Browser, Need::Emulator, Need::Data, Need::Photos];

fn garments() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_garments"));
    command.current_dir(host::project_root());
    command
}

/// The page with many test pictures, made once.
fn page() -> &'static Path {
    static PAGE: OnceLock<PathBuf> = OnceLock::new();
    PAGE.get_or_init(|| {
        let out = host::project_root().join("target/report-test/try.html");
        let mut command = garments();
        command.args(["report", "--try", "--pictures", &PICTURES.to_string(), "--out"]).arg(&out);
        command.args(MODELS.iter().flat_map(|model| ["--model", *model]));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    })
}

fn file_url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Opens the page and waits until it is ready.
fn open(browser: &Browser, url: &str) {
    browser.post("url", &json!({ "url": url }));
    wait(browser, "document.documentElement.dataset.ready === 'yes'");
}

/// Waits until an expression holds in the page.
fn wait(browser: &Browser, expression: &str) {
    for _ in 0..600 {
        if browser.run(&format!("return Boolean({expression})")) == true {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let text = browser.run("return document.body.innerText");
    panic!("{expression} never held: {text}");
}

/// Hands files to an input element of the page, as a person would choose them.
fn choose(browser: &Browser, id: &str, paths: &[PathBuf]) {
    let found = browser.post("element", &json!({ "using": "css selector", "value": format!("#{id}") }));
    let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    browser.post(&format!("element/{element}/value"), &json!({ "text": paths.join("\n") }));
}

/// What the page complains of.
fn problem(browser: &Browser) -> String {
    wait(browser, "!document.getElementById('problem').hidden");
    browser.run("return document.getElementById('problem').textContent").as_str().unwrap().to_owned()
}

/// Logits in the page's CSV by picture and model.
fn logits_in(csv: &str) -> HashMap<(String, String), Vec<i32>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let logits = row[7].split(' ').map(|logit| logit.parse().unwrap()).collect();
        ((row[0].to_owned(), row[2].to_owned()), logits)
    });
    rows.collect()
}

fn plan(model: &str) -> NetworkPlan {
    NetworkPlan::new(&ModelDir::new(Path::new(model)).read_firmware().unwrap(), Profile::Scalar).unwrap()
}

fn quantized(pixels: &[u8]) -> Vec<i8> {
    pixels.iter().map(|&pixel| quantize_pixel(pixel)).collect()
}

/// The page says nothing on the console and asked for nothing but itself.
fn is_quiet(browser: &Browser, url: &str) {
    assert_eq!(browser.post("se/log", &json!({ "type": "browser" })), json!([]), "{url}: console");
    for entry in browser.post("se/log", &json!({ "type": "performance" })).as_array().unwrap() {
        let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        let params = &message["message"]["params"];
        if message["message"]["method"] == "Network.requestWillBeSent" && params["documentURL"] == url {
            let asked = params["request"]["url"].as_str().unwrap();
            let is_own = asked == url || asked.starts_with("data:") || asked.starts_with("blob:");
            assert!(is_own, "{url} asks for {asked}");
        }
    }
}

/// Classifies all test pictures of each set and compares every logit with the reference kernels' on the desktop.
fn compare_test_pictures(browser: &Browser) {
    for (model, set) in MODELS.iter().zip(0..) {
        let script = format!(
            "const page = await garments; await page.batch.tests(page.sets[{set}]); return page.batch.csv();"
        );
        let csv = browser.run_async(&script);
        let found = logits_in(csv.as_str().unwrap());
        let dir = ModelDir::new(Path::new(model));
        let plan = plan(model);
        let test = match *model {
            "small" => support::fashion_mnist().test.clone(),
            _ => photographs_of(&dir),
        };
        let mut compared = 0;
        for at in 0..PICTURES {
            let number = at * test.len() / PICTURES;
            let logits = &found[&(format!("test picture {number}"), (*model).to_owned())];
            assert_eq!(*logits, plan.logits(&quantized(test.image(number))), "{model}, picture {number}");
            compared += 1;
        }
        assert_eq!(compared, PICTURES);
    }
}

/// The photographs as the model's inputs.
fn photographs_of(dir: &ModelDir) -> host::dataset::Samples {
    let pictures =
        host::dataset::locate::Pictures { shape: Some(dir.task().unwrap().input), for_training: false };
    host::dataset::load(host::dataset::Choice::Photos, None, pictures, |_| ()).unwrap().test
}

/// Evenly chosen photographs as PNG files, and as they are.
fn photographs(folder: &Path) -> (Vec<PathBuf>, Vec<Named>) {
    let all = validation_files(&photos_folder().unwrap()).unwrap();
    let chosen: Vec<Named> = (0..PHOTOGRAPHS).map(|at| all[at * all.len() / PHOTOGRAPHS].clone()).collect();
    let written = chosen.iter().enumerate().map(|(at, named)| {
        let path = folder.join(&named.class).join(format!("{at}.png"));
        Photo::read(&named.path).unwrap().write(&path).unwrap();
        path
    });
    (written.collect(), chosen)
}

#[test]
fn logits_of_test_pictures_and_photographs_are_the_desktop_s() {
    if !have("logits_of_test_pictures_and_photographs_are_the_desktop_s", &NEEDS) {
        return;
    }
    let browser = Browser::start(false);
    let url = file_url(page());
    open(&browser, &url);
    compare_test_pictures(&browser);
    let folder = tempfile::tempdir().unwrap();
    let (paths, originals) = photographs(folder.path());
    choose(&browser, "files", &paths);
    wait(
        &browser,
        "document.getElementById('status').textContent.startsWith('50 of 50 pictures classified')",
    );
    let found = logits_in(browser.run("return garments.then(page => page.batch.csv())").as_str().unwrap());
    choose(&browser, "files", &originals.iter().map(|named| named.path.clone()).collect::<Vec<_>>());
    let first = originals[0].path.file_name().unwrap().to_string_lossy().into_owned();
    wait(&browser, &format!("document.getElementById('table').textContent.includes('{first}')"));
    let jpeg = logits_in(browser.run("return garments.then(page => page.batch.csv())").as_str().unwrap());
    let (mut same_logits, mut same_class) = (0, 0);
    for model in MODELS {
        let (plan, task) = (plan(model), ModelDir::new(Path::new(model)).task().unwrap());
        for (path, named) in paths.iter().zip(&originals) {
            let (pixels, _) = Photo::read(path).unwrap().to_input(&task).unwrap();
            let expected = plan.logits(&quantized(&pixels));
            let of = |table: &HashMap<(String, String), Vec<i32>>, path: &Path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                table[&(name, model.to_owned())].clone()
            };
            assert_eq!(of(&found, path), expected, "{model}: {}", path.display());
            let of_jpeg = of(&jpeg, &named.path);
            same_logits += u32::from(of_jpeg == expected);
            let best = firmware::nn::arg_max;
            same_class += u32::from(best(&of_jpeg) == best(&expected));
        }
    }
    // Decoders of JPEG files may differ by a step; what that does to answers is told, and bounded.
    println!(
        "of {} JPEG files decoded by the browser {same_logits} have the same logits, {same_class} the same class",
        2 * PHOTOGRAPHS
    );
    assert!(same_class >= 95, "{same_class}");
    is_quiet(&browser, &url);
}

#[test]
fn a_folder_gives_accuracy_and_a_csv_file() {
    if !have("a_folder_gives_accuracy_and_a_csv_file", &NEEDS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (paths, _) = photographs(folder.path());
    std::fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    let browser = Browser::start(false);
    open(&browser, &file_url(page()));
    choose(&browser, "folder", &[folder.path().to_owned()]);
    wait(
        &browser,
        "document.getElementById('status').textContent.startsWith('50 of 51 pictures classified')",
    );
    let summary = browser.run("return document.getElementById('summary').innerText");
    let summary = summary.as_str().unwrap();
    let dir = ModelDir::new(Path::new("photo-mini"));
    let (plan, task) = (plan("photo-mini"), dir.task().unwrap());
    let right = paths.iter().filter(|path| {
        let (pixels, _) = Photo::read(path).unwrap().to_input(&task).unwrap();
        let class = firmware::nn::arg_max(&plan.logits(&quantized(&pixels)));
        task.name(class) == path.parent().unwrap().file_name().unwrap().to_string_lossy()
    });
    assert!(summary.contains(&format!("photo-mini: right on {} of 50", right.count())), "{summary}");
    assert!(problem(&browser).contains("notes.txt"), "the file that is none is named");
    browser.save_screenshot("try-folder.png");
}

#[test]
fn a_dropped_file_a_drawing_and_a_camera_are_classified() {
    if !have("a_dropped_file_a_drawing_and_a_camera_are_classified", &NEEDS) {
        return;
    }
    let fake = ["--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream"];
    let browser = Browser::start_with(false, &fake);
    let url = file_url(page());
    open(&browser, &url);
    let caption = |text: &str| {
        wait(&browser, &format!("document.getElementById('name').textContent.startsWith('{text}')"))
    };
    let folder = tempfile::tempdir().unwrap();
    let (paths, _) = photographs(folder.path());
    for kind in ["dragEnter", "dragOver", "drop"] {
        let data = json!({ "items": [], "files": [paths[7]], "dragOperationsMask": 1 });
        let params = json!({ "type": kind, "x": 300, "y": 300, "data": data });
        browser.post("goog/cdp/execute", &json!({ "cmd": "Input.dispatchDragEvent", "params": params }));
    }
    caption("7.png");
    // A stroke from the collar to the hem.
    browser.run("const paper = document.getElementById('paper'); paper.closest('details').open = true; paper.scrollIntoView();");
    let found = browser.post("element", &json!({ "using": "css selector", "value": "#paper" }));
    let to = |y: i32| json!({ "type": "pointerMove", "duration": 50, "origin": found, "x": 0, "y": y });
    let stroke = json!([to(-100), { "type": "pointerDown", "button": 0 }, to(100), { "type": "pointerUp", "button": 0 }]);
    browser.post(
        "actions",
        &json!({ "actions": [{ "type": "pointer", "id": "pen", "parameters": { "pointerType": "pen" }, "actions": stroke }] }),
    );
    caption("your drawing");
    let seen = browser.run("return garments.then(page => Math.max(...page.engines[0].seen()))");
    assert!(seen.as_u64() > Some(100), "the garment is bright: {seen}");
    browser.run("document.getElementById('start').closest('details').open = true; document.getElementById('start').click();");
    caption("the camera, 640×480");
    wait(&browser, "document.getElementById('cameras').options.length === 2");
    browser.save_screenshot("try-camera.png");
    // As a browser tells of a camera that is pulled out.
    browser.run(
        "document.getElementById('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))",
    );
    assert!(problem(&browser).contains("unplugged"));
    browser.run("const list = document.getElementById('cameras'); list.selectedIndex = 1; document.getElementById('start').click();");
    wait(&browser, "document.getElementById('video').srcObject && document.getElementById('problem').hidden");
    browser.run("document.getElementById('start').click()");
    is_quiet(&browser, &url);
}

#[test]
fn what_is_no_picture_is_told_by_name() {
    if !have("what_is_no_picture_is_told_by_name", &NEEDS) {
        return;
    }
    let browser = Browser::start_with(false, &["--deny-permission-prompts"]);
    let url = file_url(page());
    open(&browser, &url);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let huge = host::report::png::encode_gray(10_001, 10_000, &vec![90; 100_010_000]).unwrap();
    let cut = host::report::png::encode_gray(
        99,
        99,
        &support::noise(InputShape::new(99, 99, 1).unwrap(), 1, 7).pixels,
    )
    .unwrap();
    for (path, words) in [
        (write("notes.txt", b"Dear diary,"), "no picture"),
        (write("renamed.png", b"Dear diary,"), "no picture"),
        (write("empty.jpg", b""), "is empty"),
        (write("cut-off.png", &cut[..cut.len() / 2]), "no picture"),
        (write("huge.png", &huge), "more than 100 million"),
    ] {
        choose(&browser, "files", std::slice::from_ref(&path));
        let told = problem(&browser);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(told.contains(&name) && told.contains(words), "{name}: {told}");
        browser.run("document.getElementById('problem').hidden = true");
    }
    browser.run("document.getElementById('start').click()");
    let told = problem(&browser);
    assert!(told.contains("did not allow") || told.contains("no camera"), "{told}");
    // The page goes on.
    choose(
        &browser,
        "files",
        &[write("gray.png", &host::report::png::encode_gray(40, 30, &[90; 1200]).unwrap())],
    );
    wait(&browser, "document.getElementById('status').textContent.includes('nothing there')");
    is_quiet(&browser, &url);
}

#[test]
fn the_page_is_small_readable_and_fits_a_phone() {
    if !have("the_page_is_small_readable_and_fits_a_phone", &NEEDS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("try.html");
    let mut command = garments();
    command.args(["report", "--try", "--model", "small", "--model", "photo-mini", "--out"]).arg(&out);
    assert!(command.output().unwrap().status.success());
    let bytes = std::fs::metadata(&out).unwrap().len();
    println!("the page with small, photo-mini and 40 test pictures has {bytes} bytes");
    assert!(bytes < 400_000, "{bytes}");
    let url = file_url(&out);
    let (paths, _) = photographs(folder.path());
    for (name, phone) in [("desktop", false), ("phone", true)] {
        let browser = Browser::start(phone);
        open(&browser, &url);
        choose(&browser, "files", &paths[12..13]);
        wait(&browser, "document.getElementById('name').textContent.startsWith('12.png')");
        browser.save_screenshot(&format!("try-{name}.png"));
        browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })");
        browser.run_async("const page = await garments; await page.cards[0].layers.measure(); await page.batch.tests(page.sets[0]);");
        for scheme in ["light", "dark"] {
            let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            browser.post(
                "goog/cdp/execute",
                &json!({ "cmd": "Emulation.setEmulatedMedia", "params": features }),
            );
            let found = browser.run(EXAMINE);
            assert_eq!(found["weak"], json!([]), "{name}, {scheme}: contrast below 4.5");
            assert!(found["width"].as_u64() <= found["room"].as_u64(), "{name} scrolls sideways: {found}");
            browser.save_screenshot(&format!("try-{name}-{scheme}-open.png"));
        }
        // Whatever can be used or seen has a name.
        let nameless = browser.run(
            "return [...document.querySelectorAll('button, select, input, canvas, meter, video, summary')].filter(e => \
             !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || \
             e.getAttribute('aria-hidden') || e.closest('label') || e.hidden)).map(e => e.outerHTML)",
        );
        assert_eq!(nameless, json!([]), "{name}");
        is_quiet(&browser, &url);
    }
}

#[test]
fn host_serve_serves_the_same_page_until_it_is_interrupted() {
    if !have("host_serve_serves_the_same_page_until_it_is_interrupted", &NEEDS) {
        return;
    }
    let mut command = garments();
    command.args(["serve", "--pictures", &PICTURES.to_string()]);
    command.args(MODELS.iter().flat_map(|model| ["--model", *model]));
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let url = url.trim();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let browser = Browser::start(false);
    open(&browser, url);
    compare_test_pictures(&browser);
    assert_eq!(browser.run("return crossOriginIsolated"), true, "the finer clock");
    is_quiet(&browser, url);
    drop(browser);
    // SAFETY: the process is a child that was not waited for.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::kill(server.id() as i32, libc::SIGINT) };
    assert_eq!(sent, 0);
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
