//! The options of a training, kept beside its checkpoint, so that `train --resume` need not repeat them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command, FromArgMatches};

use super::TrainArgs;
use crate::cli::Failure;

/// File with the options, in the output folder.
const FILE: &str = "checkpoint.options.json";
/// Options that say how one run is shown or continued, not what is trained.
const OF_ONE_RUN: [&str; 4] = ["--resume", "--json", "--quiet", "-q"];

/// Keeps the options that this process was given.
pub(super) fn keep(folder: &Path) -> Result<()> {
    let given = absolute(options_of(std::env::args()));
    let text = serde_json::to_string_pretty(&given)? + "\n";
    Ok(crate::files::write_whole(&folder.join(FILE), text.as_bytes())?)
}

/// The options of this process with those that were kept in `folder`; none where nothing was kept.
///
/// # Errors
/// Where the file is damaged or its options do not fit those given now.
pub(super) fn with_kept(folder: &Path) -> Result<Option<TrainArgs>> {
    let path = folder.join(FILE);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let remedy = || format!("{}: damaged; name the first command's options again", path.display());
    let kept: Vec<String> = serde_json::from_str(&text).with_context(remedy)?;
    let options = merged(kept, std::env::args());
    let command = TrainArgs::augment_args(Command::new("train").no_binary_name(true));
    let parsed =
        command.try_get_matches_from(options).and_then(|matches| TrainArgs::from_arg_matches(&matches));
    let problem =
        |error: clap::Error| Failure::Usage(format!("{}: {}", path.display(), error.to_string().trim_end()));
    Ok(Some(parsed.map_err(problem)?))
}

/// What stands behind the word `train`, without what concerns one run only.
fn options_of(arguments: impl Iterator<Item = String>) -> Vec<String> {
    arguments
        .skip_while(|word| word != "train")
        .skip(1)
        .filter(|word| !OF_ONE_RUN.contains(&word.as_str()))
        .collect()
}

/// Name of an option, `--data` of `--data=mine`; none for a value.
fn name(word: &str) -> Option<&str> {
    word.starts_with("--").then(|| word.split('=').next().unwrap_or(word))
}

/// Makes the folder of `--data` one that is found from anywhere.
fn absolute(options: Vec<String>) -> Vec<String> {
    let whole =
        |path: &str| std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string();
    let mut is_folder = false;
    let mut made = Vec::with_capacity(options.len());
    for word in options {
        made.push(match word.split_once('=') {
            _ if is_folder => whole(&word),
            Some(("--data", path)) => format!("--data={}", whole(path)),
            _ => word.clone(),
        });
        is_folder = word == "--data";
    }
    made
}

/// Kept options first, without those that are given again with their values, then `--resume` and what is given now.
fn merged(kept: Vec<String>, now: impl Iterator<Item = String>) -> Vec<String> {
    let now: Vec<String> = now
        .skip_while(|word| word != "train")
        .skip(1)
        .filter(|word| word != "--quiet" && word != "-q")
        .collect();
    let mut options = Vec::new();
    let mut is_given_again = false;
    for word in kept {
        if let Some(option) = name(&word) {
            is_given_again = now.iter().any(|other| name(other) == Some(option));
        }
        if !is_given_again {
            options.push(word);
        }
    }
    options.extend(now);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = String> {
        text.split(' ').map(str::to_owned)
    }

    #[test]
    fn what_is_given_now_stands_above_what_was_kept() {
        let kept = options_of(words("garments train --net nano --teachers a,b --epochs 4 --json --lr=1e-3"));
        assert_eq!(kept, ["--net", "nano", "--teachers", "a,b", "--epochs", "4", "--lr=1e-3"]);
        let merged = merged(kept, words("garments -q train --resume --epochs 9 --lr 2e-3"));
        assert_eq!(merged.join(" "), "--net nano --teachers a,b --resume --epochs 9 --lr 2e-3");
    }

    #[test]
    fn the_data_are_found_from_another_folder() {
        let made = absolute(words("--data mine --data=yours --out there").collect());
        let here = std::env::current_dir().unwrap();
        assert_eq!(made[1], here.join("mine").display().to_string());
        assert_eq!(made[2], format!("--data={}", here.join("yours").display()));
        assert_eq!(made[3..], ["--out", "there"]);
    }
}
