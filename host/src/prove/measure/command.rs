//! The program's own commands, run as a user would.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Data or a tool that a command needs is missing: it ended with 3 or 5.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotHere(String);

/// Runs this program and reads its JSON.
pub(super) fn own_command(arguments: &[&str]) -> Result<Value> {
    let text = run_own(arguments)?;
    serde_json::from_slice(&text).with_context(|| format!("{}: no JSON", typed(arguments)))
}

/// Runs this program and returns its standard output.
///
/// # Errors
/// [`NotHere`] with what is missing and how to get it, or what the command says.
pub(super) fn run_own(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(std::env::current_exe()?).arg("--quiet").args(arguments).output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = told.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        // A panic or a signal leaves no such line.
        let problem = if lines.is_empty() {
            told.lines().last().unwrap_or("it failed").to_owned()
        } else {
            lines.join(" ").trim_start_matches("error: ").to_owned()
        };
        if let Some(3 | 5) = output.status.code() {
            return Err(NotHere(problem).into());
        }
        bail!("{}: {problem}", typed(arguments));
    }
    Ok(output.stdout)
}

/// A command as it is typed.
pub(super) fn typed(arguments: &[&str]) -> String {
    format!("host {}", arguments.join(" "))
}

/// A fraction as a percentage.
pub(super) fn percent(fraction: &Value, digits: usize) -> String {
    fraction.as_f64().map_or_else(|| "no number".into(), |value| format!("{:.digits$} %", 100.0 * value))
}

/// A string, or nothing.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// User and system time of finished children in seconds, where the system tells it; else wall-clock time.
pub(super) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // proc(5): cutime and cstime are fields 16 and 17; the name in parentheses may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (ticks(13), ticks(14)) {
        (Some(user), Some(system)) => (user + system) / 100.0,
        _ => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64()),
    }
}
