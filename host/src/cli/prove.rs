//! `host prove`: every stated figure, measured again.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use super::doctor::version;
use super::{Failure, is_quiet, print_json, print_line, remark};
use crate::prove::measure::{Group, Prover, Scope};
use crate::prove::{Claim, Record, record_path};

#[derive(Debug, Args)]
#[command(
    after_help = "Accuracies, sizes, logits and instructions on the emulated chip and boards, the link, the page: each is read\n\
where it is stated and measured by the command that the line names. Ends with 4 where one is not equal.\n\n\
Examples:\n  host prove --quick          about 5 minutes\n  host prove                  about an hour\n  host prove --record         and keep it as docs/proof.json\n  host prove --record --only boards      measure these again and keep the rest"
)]
pub(super) struct ProveArgs {
    /// Only what takes little time
    #[arg(long)]
    quick: bool,
    /// Build the program cold, too, and count the CPU minutes
    #[arg(long)]
    build: bool,
    /// Train beside PyTorch, too
    #[arg(long)]
    training: bool,
    /// Only these figures; with --record they replace those in the record
    #[arg(long, value_enum, value_name = "GROUP", conflicts_with = "quick")]
    only: Vec<Group>,
    /// Keep the record as docs/proof.json, which the tests compare the README with
    #[arg(long, conflicts_with = "quick")]
    record: bool,
    /// One JSON document instead of lines
    #[arg(long)]
    json: bool,
}

impl ProveArgs {
    pub(super) fn run(self) -> Result<()> {
        let (begun, commit) = (Instant::now(), commit());
        let scope = Scope { quick: self.quick, build: self.build, training: self.training };
        let (json, mut closed) = (self.json, Ok(()));
        let mut say = |claim: &Claim| {
            if !json && closed.is_ok() {
                closed = print_line(line(claim));
            } else if json && !is_quiet() {
                eprintln!("{}", line(claim));
            }
        };
        let mut prover = Prover::new(scope, &mut say)?;
        prover.run(&self.only)?;
        let (claims, skipped) = (prover.claims, prover.skipped);
        closed?;
        let record = Record {
            quick: self.quick,
            commit,
            machine: machine(),
            tools: tools(),
            seconds: begun.elapsed().as_secs_f64().round(),
            claims,
            skipped,
            again: Vec::new(),
        };
        if self.record {
            let mut kept = record.clone();
            if !self.only.is_empty() {
                let before = Record::read()?;
                let newer = std::mem::replace(&mut kept, before);
                kept.update(newer, &self.only);
            }
            let text = serde_json::to_string_pretty(&kept)? + "\n";
            crate::files::write_whole(&record_path(), text.as_bytes())?;
        }
        if self.json {
            print_json(&record)?;
        } else {
            for skipped in &record.skipped {
                remark(format_args!("not measured: {}: {}", skipped.claim, skipped.reason));
            }
            let compared = record.claims.iter().filter(|claim| claim.equal.is_some()).count();
            print_line(format_args!(
                "{compared} figures measured, {} not equal; {} of others; {:.0} s; {}; commit {}",
                record.unequal().len(),
                record.claims.len() - compared,
                record.seconds,
                record.machine,
                record.commit
            ))?;
        }
        match record.unequal().len() {
            0 => Ok(()),
            count => Err(Failure::Gate(format!("{count} figures are not what was measured")).into()),
        }
    }
}

/// A claim on one line.
fn line(claim: &Claim) -> String {
    let verdict = match claim.equal {
        Some(true) => "equal",
        Some(false) => "not equal",
        None => "theirs",
    };
    let missing = || "no such figure".to_owned();
    let stated = claim.stated.clone().unwrap_or_else(missing);
    let measured = claim.measured.clone().unwrap_or_else(|| "–".into());
    format!("{verdict:<10}{:<10}{}: stated {stated}, measured {measured}", claim.label.name(), claim.claim)
}

/// The project's commit, with a plus sign where files differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(crate::project_root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let is_changed = git(&["status", "--porcelain"]).is_some_and(|files| !files.is_empty());
    if is_changed { commit + "+" } else { commit }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {count} processors, {} {}",
        name.unwrap_or("unknown processor"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

fn tools() -> Vec<String> {
    let programs = ["rustc", "qemu-system-arm", "node", "chromium"];
    let told = |program: &&str| Some(format!("{program}: {}", version(program, &["--version"]).ok()?));
    programs.iter().filter_map(told).collect()
}
