//! What this program is called where it runs: examples and hints are typed as they are printed.

use std::path::Path;
use std::sync::OnceLock;

use clap::{Command, CommandFactory};

use super::Cli;

/// The program's name in the source's texts.
const WRITTEN: &str = "host";
/// The alias that a clone's `.cargo/config.toml` gives it.
const IN_CLONE: &str = "cargo host";

/// Name to type: cargo's alias for a program that cargo built in place, else the file's own name.
pub(super) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(find_name)
}

fn find_name() -> String {
    let Ok(exe) = std::env::current_exe() else { return IN_CLONE.into() };
    match exe.file_stem() {
        Some(stem) if !is_in_place(&exe) => stem.to_string_lossy().into_owned(),
        _ => IN_CLONE.into(),
    }
}

/// Whether cargo built a program where it lies: in `deps`, as tests are, or beside it; an installed one has no such
/// folder. The mark that cargo puts into its target folder isn't enough, since caches and backups drop it.
fn is_in_place(exe: &Path) -> bool {
    let Some(folder) = exe.parent() else { return false };
    folder.file_name().is_some_and(|name| name == "deps") || folder.join("deps").is_dir()
}

/// The command line's description, with examples that can be typed.
pub(super) fn command() -> Command {
    let name = name();
    with_name(Cli::command(), name).bin_name(name)
}

fn with_name(command: Command, name: &str) -> Command {
    let after = command.get_after_help().map(|text| typed(&text.to_string(), name));
    let command = command.mut_subcommands(|inner| with_name(inner, name));
    match after {
        Some(after) => command.after_help(after),
        None => command,
    }
}

/// Puts `name` in the place of the program's name: at the start of a line, a quotation or a second command.
pub(super) fn typed(text: &str, name: &str) -> String {
    let mut typed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(WRITTEN) {
        let (before, after) = rest.split_at(at);
        typed.push_str(before);
        let is_first =
            ["\n", "\n  ", "`", "&& ", ": "].iter().any(|mark| typed.ends_with(mark)) || typed.is_empty();
        let is_word = after[WRITTEN.len()..].starts_with(' ');
        typed.push_str(if is_first && is_word { name } else { WRITTEN });
        rest = &after[WRITTEN.len()..];
    }
    typed + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_and_hints_are_typed_as_the_program_is_called() {
        let text = "Examples:\n  host train\n  host data compose && host predict photos\nthe host crate";
        let expected = "Examples:\n  x train\n  x data compose && x predict photos\nthe host crate";
        assert_eq!(typed(text, "x"), expected);
        assert_eq!(
            typed("run `host data fetch`; cargo run -p host -- train", "x"),
            "run `x data fetch`; cargo run -p host -- train"
        );
    }

    #[test]
    fn what_cargo_built_in_place_is_told_from_what_it_installed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("debug/deps")).unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        assert!(is_in_place(&folder.path().join("debug/garments")));
        assert!(is_in_place(&folder.path().join("debug/deps/host-0123")));
        assert!(!is_in_place(&folder.path().join("bin/garments")));
    }

    #[test]
    fn in_a_clone_it_is_cargo_s_alias() {
        assert_eq!(name(), IN_CLONE);
        let help = command().find_subcommand_mut("train").unwrap().render_help().to_string();
        assert!(help.contains("\n  cargo host train "), "{help}");
    }
}
