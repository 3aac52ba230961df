//! A real browser.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

/// A ChromeDriver with one browser.
pub struct Browser {
    driver: Child,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser of a desktop's window, or of a phone's.
    pub fn start(phone: bool) -> Self {
        Self::start_with(phone, &[])
    }

    /// Starts a browser with further arguments.
    pub fn start_with(phone: bool, further: &[&str]) -> Self {
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
        arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
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

    /// Sends a command of WebDriver.
    pub fn post(&self, command: &str, body: &Value) -> Value {
        post(&format!("{}/{command}", self.session), body)
    }

    /// Runs a script, the body of a function; a promise is waited for.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs the body of an asynchronous function and waits for what it returns.
    pub fn run_async(&self, script: &str) -> Value {
        self.run(&format!("return (async () => {{ {script} }})()"))
    }

    /// Keeps a picture of what is seen, in target/report-test.
    pub fn save_screenshot(&self, name: &str) {
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

/// What a script in the page finds out about it.
pub const EXAMINE: &str = r"
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
for (const element of document.querySelectorAll('p, a, th, td, dt, dd, h1, h2, h3, code, caption, figcaption, li div, span, button, label, summary, strong')) {
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
