//! Every figure that the project states, measured again.
//!
//! | module | holds |
//! |---|---|
//! | [`stated`] | figures as they stand in the README and the docs: cells of tables, places in sentences |
//! | [`measure`] | what is run for them: the program's own commands, as a user would type them |
//!
//! A figure that is stated is read from the text, not repeated here; what is measured is written in the text's own
//! form, so that equal means the same characters. Labels are never mixed: what an emulator counted is no measurement
//! on hardware, and a model of cycles or times is neither.

pub mod measure;
pub mod stated;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use measure::Group;

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Measured on this machine: accuracies, sizes, times.
    Measured,
    /// Counted or compared in an emulator.
    Emulated,
    /// Computed by a model of a chip.
    Model,
    /// Measured by others, with their source.
    Published,
}

impl Label {
    /// Its name in the record.
    pub fn name(self) -> &'static str {
        match self {
            Label::Measured => "measured",
            Label::Emulated => "emulated",
            Label::Model => "model",
            Label::Published => "published",
        }
    }
}

/// A figure with its measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// What is claimed.
    pub claim: String,
    /// What kind of figure it is.
    pub label: Label,
    /// File that states it.
    pub place: String,
    /// The figure as it stands there; none where the text no longer has it.
    pub stated: Option<String>,
    /// The same, measured; none for what others published.
    pub measured: Option<String>,
    /// Whether they are equal; none for what others published.
    pub equal: Option<bool>,
    /// The command that measures it.
    pub command: String,
}

impl Claim {
    /// Compares a stated figure with a measured one.
    pub fn new(
        claim: impl Into<String>,
        label: Label,
        place: &str,
        stated: Option<String>,
        measured: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        let measured = measured.into();
        let equal = stated.as_ref() == Some(&measured);
        Self {
            claim: claim.into(),
            label,
            place: place.into(),
            stated,
            measured: Some(measured),
            equal: Some(equal),
            command: command.into(),
        }
    }

    /// Replaces the comparison, for figures that are bounds or ranges.
    pub fn with_equal(self, equal: bool) -> Self {
        Self { equal: Some(equal && self.stated.is_some()), ..self }
    }
}

/// A claim that was not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// What was not measured.
    pub claim: String,
    /// Why, and what to do.
    pub reason: String,
    /// What it would have been measured with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// What was measured where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whether only what takes little time was measured.
    pub quick: bool,
    /// Commit of the project, with a plus sign where files differ from it.
    pub commit: String,
    /// Processor, number of processors, operating system.
    pub machine: String,
    /// Versions of the tools, one line each.
    pub tools: Vec<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// The claims, in the order of measuring.
    pub claims: Vec<Claim>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// Commits at which some of the claims were measured again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<String>,
}

impl Record {
    /// Reads the record of the last whole run.
    ///
    /// # Errors
    /// Where there is none, with the command that makes it, or it is damaged.
    pub fn read() -> Result<Self> {
        let path = record_path();
        let missing = || format!("{}: `host prove --record` makes it", path.display());
        let text = std::fs::read(&path).with_context(missing)?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Puts figures of some groups that were measured again in the place of those before, and what these groups leave
    /// out now in the place of what they left out. A figure that is not measured this time stays.
    pub fn update(&mut self, newer: Self, groups: &[Group]) {
        for claim in newer.claims {
            match self.claims.iter_mut().find(|known| known.claim == claim.claim) {
                Some(known) => *known = claim,
                None => self.claims.push(claim),
            }
        }
        self.skipped.retain(|skipped| skipped.group.is_none_or(|group| !groups.contains(&group)));
        self.skipped.retain(|skipped| newer.skipped.iter().all(|newer| newer.claim != skipped.claim));
        self.skipped.extend(newer.skipped);
        let claims = &self.claims;
        self.skipped.retain(|skipped| claims.iter().all(|claim| !claim.claim.starts_with(&skipped.claim)));
        if self.again.last() != Some(&newer.commit) {
            self.again.push(newer.commit);
        }
        self.seconds += newer.seconds;
    }

    /// The claims that are not what was measured.
    pub fn unequal(&self) -> Vec<&Claim> {
        self.claims.iter().filter(|claim| claim.equal == Some(false)).collect()
    }
}

/// Where the record of the last whole run is kept.
pub fn record_path() -> PathBuf {
    crate::project_root().join("docs/proof.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(claims: &[&str], skipped: &[(&str, &str, Group)]) -> Record {
        let claim = |name: &&str| Claim::new(*name, Label::Measured, "README.md", None, "1", "host x");
        let skip = |&(claim, reason, group): &(&str, &str, Group)| Skipped {
            claim: claim.into(),
            reason: reason.into(),
            group: Some(group),
        };
        Record {
            quick: false,
            commit: "a".into(),
            machine: String::new(),
            tools: vec![],
            seconds: 1.0,
            claims: claims.iter().map(claim).collect(),
            skipped: skipped.iter().map(skip).collect(),
            again: vec![],
        }
    }

    #[test]
    fn what_a_group_leaves_out_now_replaces_what_it_left_out_before() {
        let mut kept = record(
            &["nano: MACs"],
            &[
                ("instructions by network", "no QEMU", Group::Kernels),
                ("pico", "no compiler", Group::Boards),
                ("training", "asked for", Group::Training),
            ],
        );
        let newer = record(
            &["A: instructions", "pico: bytes"],
            &[("nano: MACs", "no data", Group::Sizes), ("training", "no PyTorch", Group::Training)],
        );
        kept.update(newer, &[Group::Kernels, Group::Boards, Group::Sizes]);
        let claims: Vec<&str> = kept.claims.iter().map(|claim| claim.claim.as_str()).collect();
        assert_eq!(claims, ["nano: MACs", "A: instructions", "pico: bytes"], "a figure stays");
        let skipped: Vec<&str> = kept.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
        assert_eq!(skipped, ["no PyTorch"]);
        kept.update(record(&[], &[]), &[]);
        assert_eq!((kept.again.len(), kept.seconds), (1, 3.0), "a commit is told once");
    }
}
