//! The report in a real browser: it loads nothing, says nothing on the console, fits a phone, can be read.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use support::{Need, have};

/// A ChromeDriver with one browser.
struct Browser {
    driver: Child,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start(phone: bool) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("asked for after have(Need::Browser)");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_suffix('.')?.rsplit_once("on port ")?.1.parse::<u16>().ok())
            .expect("ChromeDriver says its port");
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--disable-dev-shm-usage".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut options = json!({});
        if phone {
            options["mobileEmulation"] =
                json!({ "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true } });
        } else {
            arguments.push("--window-size=1280,900".into());
        }
        options["args"] = json!(arguments);
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let address = format!("http://127.0.0.1:{port}/session");
        let answer = post(&address, &capabilities);
        let session = format!("{address}/{}", answer["sessionId"].as_str().expect("a session"));
        Self { driver, session, _profile: profile }
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        post(&format!("{}/{command}", self.session), body)
    }

    fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn save_screenshot(&self, name: &str) {
        let mut answer = ureq::get(format!("{}/screenshot", self.session)).call().unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let png =
            base64::engine::general_purpose::STANDARD.decode(answer["value"].as_str().unwrap()).unwrap();
        let path = host::project_root().join("target/report-test").join(name);
        host::files::write_whole(&path, &png).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn post(address: &str, body: &Value) -> Value {
    let config = ureq::config::Config::builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(config);
    let mut answer =
        agent.post(address).header("Content-Type", "application/json").send(body.to_string()).unwrap();
    let status = answer.status();
    // A printed page is larger than what is read by default.
    let text = answer.body_mut().with_config().limit(100 << 20).read_to_string().unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(status.is_success(), "{address}: {document}");
    document["value"].clone()
}

/// Makes a page about `small` and drawn garments.
fn page(folder: &Path) -> PathBuf {
    let out = folder.join("small.html");
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_garments"));
    command.args(["report", "--dataset", "drawn", "--images", "300", "--photos", "60", "--out"]).arg(&out);
    command.assert().success();
    out
}

/// What a script in the page finds out about it.
const EXAMINE: &str = r"
const luminance = color => {
  const [r, g, b] = color.match(/[\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};
const background = element => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (!color.startsWith('rgba(0, 0, 0, 0')) return color;
  }
  return 'rgb(255, 255, 255)';
};
const weak = [];
for (const element of document.querySelectorAll('p, a, th, td, dt, dd, h1, h2, h3, code, caption, figcaption, li div, span')) {
  const ratio = contrast(getComputedStyle(element).color, background(element));
  if (ratio < 4.5) weak.push(element.tagName + ' ' + ratio.toFixed(2) + ' ' + element.textContent.slice(0, 30));
}
for (const element of document.querySelectorAll('svg text')) {
  const own = element.getAttribute('fill');
  if (own && !own.startsWith('var(')) continue;
  const ratio = contrast(getComputedStyle(element).fill, background(element.closest('svg').parentElement));
  if (ratio < 4.5) weak.push('text ' + ratio.toFixed(2) + ' ' + element.textContent.slice(0, 30));
}
return {
  images: [...document.images].map(i => ({ alt: i.alt, loaded: i.naturalWidth, width: i.getAttribute('width'), height: i.getAttribute('height') })),
  drawings: [...document.querySelectorAll('svg')].map(s => ({ title: s.querySelector('title')?.textContent ?? '', shown: s.getBoundingClientRect().width })),
  headings: [...document.querySelectorAll('h2')].map(h => h.textContent),
  dead: [...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length,
  resources: performance.getEntriesByType('resource').map(e => e.name).filter(name => !name.startsWith('data:')),
  width: document.documentElement.scrollWidth,
  room: innerWidth,
  weak,
};";

#[test]
fn the_report_is_whole_quiet_and_readable_on_desktop_and_phone() {
    if !have("the_report_is_whole_quiet_and_readable_on_desktop_and_phone", &[Need::Browser]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let address = format!("file://{}", page.display());
    for (name, phone) in [("desktop", false), ("phone", true)] {
        let browser = Browser::start(phone);
        browser.post("url", &json!({ "url": address }));
        let found = browser.run(EXAMINE);
        browser.save_screenshot(&format!("{name}.png"));
        let images = found["images"].as_array().unwrap();
        assert!(images.len() > 3, "{name}: {images:?}");
        for image in images {
            assert!(image["alt"].as_str().unwrap().len() > 5, "{name}: {image}");
            assert!(image["loaded"].as_u64().unwrap() > 0, "{name}: {image}");
            let size = |side: &str| image[side].as_str().unwrap().parse::<u32>().unwrap();
            assert!(size("width") > 0 && size("height") > 0, "{name}: {image}");
        }
        let drawings = found["drawings"].as_array().unwrap();
        assert!(drawings.len() >= 6, "{name}: {drawings:?}");
        for drawing in drawings {
            let is_whole =
                !drawing["title"].as_str().unwrap().is_empty() && drawing["shown"].as_f64().unwrap() > 0.0;
            assert!(is_whole, "{name}: {drawing}");
        }
        assert_eq!(found["headings"].as_array().unwrap().len(), 8, "{name}");
        assert_eq!(found["dead"], 0, "{name}: links within the page");
        assert_eq!(found["resources"], json!([]), "{name}");
        assert!(found["width"].as_u64() <= found["room"].as_u64(), "{name} scrolls sideways: {found}");
        assert_eq!(found["weak"], json!([]), "{name}, light: contrast below 4.5");
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        browser.post("goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": dark }));
        assert_eq!(browser.run(EXAMINE)["weak"], json!([]), "{name}, dark: contrast below 4.5");
        browser.save_screenshot(&format!("{name}-dark.png"));
        assert_eq!(browser.post("se/log", &json!({ "type": "browser" })), json!([]), "{name}: console");
        for entry in browser.post("se/log", &json!({ "type": "performance" })).as_array().unwrap() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let params = &message["message"]["params"];
            // The browser's own empty page asks for things, too.
            if message["message"]["method"] == "Network.requestWillBeSent" && params["documentURL"] == address
            {
                let url = params["request"]["url"].as_str().unwrap();
                assert!(url == address || url.starts_with("data:"), "{name} asks for {url}");
            }
        }
        let pdf = browser.post("print", &json!({}));
        assert!(pdf.as_str().unwrap().len() > 50_000, "{name}: printed");
    }
}

#[test]
fn a_page_that_asks_for_something_is_caught() {
    if !have("a_page_that_asks_for_something_is_caught", &[Need::Browser]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let text = std::fs::read_to_string(&page).unwrap();
    let spoiled = text.replacen("<main>", "<main><img src=\"http://127.0.0.1:9/x.png\">", 1);
    assert_ne!(spoiled, text);
    std::fs::write(&page, spoiled).unwrap();
    let browser = Browser::start(false);
    browser.post("url", &json!({ "url": format!("file://{}", page.display()) }));
    let console = browser.post("se/log", &json!({ "type": "browser" }));
    assert!(console.to_string().contains("Content Security Policy"), "{console}");
    assert_eq!(browser.run(EXAMINE)["images"][0]["loaded"], 0);
}
