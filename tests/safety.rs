//! What is unsafe has its reason, all in one table; names of others control nothing.
//!
//! `UPDATE_DOCS=1 cargo test -p host --test safety` writes docs/unsafe.md again.

mod support;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use support::program::{host, text};

/// Folders with code of this project; generated networks have no unsafe code.
const FOLDERS: [&str; 8] =
    ["shared/src", "firmware/src", "firmware/boards", "host/src", "host/counter", "web/src", "fuzz", "tests"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line begins unsafe code: a block or an implementation. Attributes such as `no_mangle`, declarations of
/// foreign functions and `unsafe fn` do nothing by themselves.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    [" {", " impl"].iter().any(|after| code.contains(&format!("unsafe{after}")))
}

/// The sentence behind `SAFETY:` (or a function's `# Safety`) above a line.
fn reason(lines: &[&str], at: usize) -> Option<String> {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let above = lines[..at].iter().rposition(|line| line.contains("SAFETY:") || line.contains("# Safety"))?;
    // Attributes, the statement's first lines and other unsafe code of the same reason may stand between.
    if at - above > 12 {
        return None;
    }
    let first = lines[above].split("SAFETY:").nth(1).unwrap_or_default().trim().to_owned();
    let rest = lines[above + 1..at].iter().take_while(|line| is_comment(line));
    let words = rest.map(|line| line.trim_start().trim_start_matches('/').trim());
    let text = std::iter::once(first.as_str()).chain(words).collect::<Vec<_>>().join(" ");
    let sentence = text.trim().split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
    (!sentence.is_empty()).then_some(sentence)
}

#[test]
fn all_unsafe_code_is_in_the_table_with_its_reason() {
    let root = host::project_root();
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| sources(&root.join(folder), &mut files));
    let mut table = String::from(
        "# Unsafe code\n\nWritten by `UPDATE_DOCS=1 cargo test -p host --test safety`, which fails where a piece \
         has no reason.\nThe engine's own reinterpretations are in `firmware/src/bytes.rs`; everything else is assembly, \
         registers of a chip,\nor a foreign function.\n\n| file | pieces | reason |\n|---|---|---|\n",
    );
    let mut without = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let name = path.strip_prefix(&root).unwrap().display().to_string().replace('\\', "/");
        let mut reasons: Vec<(String, usize)> = Vec::new();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_unsafe(line)) {
            match reason(&lines, at) {
                None => without.push(format!("{name}:{}: {}", at + 1, line.trim())),
                Some(reason) => match reasons.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, count)) => *count += 1,
                    None => reasons.push((reason, 1)),
                },
            }
        }
        for (reason, count) in reasons {
            writeln!(table, "| {name} | {count} | {} |", reason.replace('|', "\\|")).unwrap();
        }
    }
    assert_eq!(without, Vec::<String>::new(), "unsafe code without a reason");
    let path = root.join("docs/unsafe.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == table, "docs/unsafe.md is another table; UPDATE_DOCS=1 writes it again");
}

#[cfg(unix)]
#[test]
fn names_of_files_never_control_a_terminal_nor_become_code() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, broken) =
        (folder.path().join("evil\u{1b}[31m\u{202e}.png"), folder.path().join("bad\u{1b}[2J.png"));
    host::report::png::write_gray(&picture, 40, 30, &[90; 1200]).unwrap();
    std::fs::write(&broken, "no picture").unwrap();
    let output = host().args(["predict", "--model", "nano"]).arg(&picture).arg(&broken).output().unwrap();
    for stream in [&output.stdout, &output.stderr] {
        let shown = text(stream);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        assert!(shown.contains("\\u{1b}"), "{shown:?}");
    }
    // A model's folder whose name would be a second line of the generated source.
    let model = folder.path().join("x\nfn evil() {}\n\"{}");
    std::fs::create_dir(&model).unwrap();
    std::fs::copy(host::project_root().join("models/nano/model.int8.onnx"), model.join("model.int8.onnx"))
        .unwrap();
    host().args(["codegen", "--model"]).arg(&model).assert().success();
    let source = std::fs::read_to_string(model.join("network.rs")).unwrap();
    assert!(source.contains("fn evil") && !source.lines().any(|line| line.starts_with("fn evil")));
    let name = r#"pub const NAME: &str = "x\\u{a}fn evil() {}\\u{a}\"{}";"#;
    assert!(source.contains(name), "{}", &source[..3_000]);
}
