//! Models and test pictures → one HTML file that loads nothing.
//!
//! Script, style and data stand in the file. Its content security policy admits this one script and style by their
//! hashes, WebAssembly, and nothing from elsewhere.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::input::InputShape;

use super::build::Module;
use crate::dataset::Dataset;
use crate::plan::shape::{Shape, shapes};
use crate::report::png;
use crate::task::Task;

/// The page without its contents.
const TEMPLATE: &str = include_str!("../../../web/page/index.html");
const STYLE: &str = include_str!("../../../web/page/style.css");
/// Modules of the script, each after those that it imports.
const MODULES: [&str; 9] = [
    include_str!("../../../web/page/dom.js"),
    include_str!("../../../web/page/engine.js"),
    include_str!("../../../web/page/picture.js"),
    include_str!("../../../web/page/files.js"),
    include_str!("../../../web/page/layers.js"),
    include_str!("../../../web/page/card.js"),
    include_str!("../../../web/page/batch.js"),
    concat!(include_str!("../../../web/page/draw.js"), include_str!("../../../web/page/camera.js")),
    include_str!("../../../web/page/main.js"),
];

/// What the page is told.
#[derive(Debug, Serialize)]
struct Data<'a> {
    models: Vec<Model<'a>>,
    pictures: &'a [Pictures],
}

/// A model, as the page takes it.
#[derive(Debug, Serialize)]
struct Model<'a> {
    name: &'a str,
    input: InputShape,
    classes: &'a [String],
    weight_bytes: usize,
    arena_bytes: usize,
    steps: Vec<PageStep>,
    /// Index of its test pictures.
    pictures: Option<usize>,
    /// gzip, base64.
    wasm: String,
}

/// A step of the plan.
#[derive(Debug, Serialize)]
struct PageStep {
    layers: String,
    kernel: &'static str,
    /// First byte of the output in the arena.
    output: usize,
    shape: Option<Shape>,
}

/// Test pictures, as the page takes them.
#[derive(Debug, Clone, Serialize)]
pub struct Pictures {
    #[serde(skip)]
    task: Task,
    input: InputShape,
    classes: Vec<String>,
    dataset: String,
    /// Positions in the test part.
    numbers: Vec<usize>,
    labels: Vec<u8>,
    /// A PNG file of all of them, one below another, base64.
    pixels: String,
}

impl Pictures {
    /// Takes evenly spaced pictures of a test part; `None` where there are none.
    pub fn new(dataset: &Dataset, count: usize) -> Option<Self> {
        let all = dataset.test.len();
        let count = count.min(all);
        let numbers: Vec<usize> = (0..count).map(|at| at * all / count).collect();
        let chosen = dataset.test.select(&numbers);
        let task = dataset.task.clone();
        (count > 0).then(|| Self {
            input: task.input,
            classes: task.classes.clone(),
            dataset: dataset.name(),
            numbers,
            labels: chosen.labels,
            pixels: STANDARD.encode(png::encode_column(task.input, &chosen.pixels).unwrap_or_default()),
            task,
        })
    }

    /// Whether a model of this task can be asked about them.
    pub fn suit(&self, task: &Task) -> bool {
        self.task.difference(task).is_none()
    }
}

/// Writes the page.
pub fn html(modules: &[Module], pictures: &[Pictures]) -> String {
    let models = modules.iter().map(|module| model(module, pictures)).collect();
    let data = serde_json::to_string(&Data { models, pictures }).unwrap_or_default();
    // In a script element `<` could end it or begin a comment.
    let data = data.replace('<', "\\u003c");
    let script = script();
    let parts = [("POLICY", policy(&script)), ("STYLE", STYLE.into()), ("DATA", data), ("SCRIPT", script)];
    let mut page = String::new();
    let mut rest = TEMPLATE;
    for (marker, text) in parts {
        let Some((before, after)) = rest.split_once(marker) else { continue };
        page += before;
        page += &text;
        rest = after;
    }
    page + rest
}

/// The modules as one: without imports and exports, which name what stands in the same file.
fn script() -> String {
    let lines = MODULES.iter().flat_map(|module| module.lines());
    let kept = lines.filter(|line| !line.starts_with("import "));
    kept.map(|line| line.strip_prefix("export ").unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// What the browser may use.
fn policy(script: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}' 'wasm-unsafe-eval'; style-src 'sha256-{}'; img-src data: blob:; \
         base-uri 'none'; form-action 'none'",
        hash(script),
        hash(STYLE)
    )
}

fn model<'a>(module: &'a Module, pictures: &[Pictures]) -> Model<'a> {
    let task = &module.plan.network().quantized().task;
    let decisions = module.plan.decisions();
    let steps = module.plan.with_steps(|steps| {
        let shapes = shapes(steps, task.input);
        let all = decisions.iter().zip(steps).zip(shapes);
        all.map(|((decision, step), shape)| PageStep {
            layers: decision.layers.clone(),
            kernel: decision.kernel,
            output: step.output,
            shape,
        })
        .collect()
    });
    Model {
        name: &module.name,
        input: task.input,
        classes: &task.classes,
        weight_bytes: module.plan.constant_bytes(),
        arena_bytes: module.plan.arena_bytes(),
        steps,
        pictures: pictures.iter().position(|set| set.suit(task)),
        wasm: packed(&module.wasm),
    }
}

/// gzip, base64. Writing to memory cannot fail.
fn packed(bytes: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let _ = encoder.write_all(bytes);
    STANDARD.encode(encoder.finish().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_make_one_script() {
        let script = script();
        for word in ["import ", "export ", "</script", "<!--"] {
            assert!(!script.lines().any(|line| line.starts_with(word)), "{word}");
        }
        for name in
            ["class Engine", "class Try", "class Webcam", "class Paper", "class Batch", "class Layers"]
        {
            assert_eq!(script.matches(name).count(), 1, "{name}");
        }
    }

    #[test]
    fn names_never_become_markup() {
        let mut dataset = crate::dataset::drawn::dataset(1, 2, 2);
        dataset.task.classes[0] = "</script><b>".into();
        let set = Pictures::new(&dataset, 7).unwrap();
        assert_eq!(set.numbers, [0, 2, 5, 8, 11, 14, 17]);
        let page = html(&[], &[set]);
        assert!(page.contains("\\u003c/script>\\u003cb>") && !page.contains("</script><b>"));
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(!page.contains(">DATA<") && !page.contains(">SCRIPT<") && !page.contains("\"POLICY\""));
        assert!(Pictures::new(&dataset, 0).is_none());
    }
}
