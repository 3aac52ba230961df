//! The report in a real browser: it loads nothing, says nothing on the console, fits a phone, can be read.

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::browser::{Browser, EXAMINE};
use support::{Need, have};

/// Makes a page about `small` and drawn garments.
fn page(folder: &Path) -> PathBuf {
    let out = folder.join("small.html");
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_garments"));
    command.args(["report", "--dataset", "drawn", "--images", "300", "--photos", "60", "--out"]).arg(&out);
    command.assert().success();
    out
}

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
