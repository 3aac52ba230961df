//! Tells on a terminal how far a long loop is.
//!
//! A library function that takes seconds makes a [`Counter`] and counts; where standard error is no terminal, or the
//! program was told to be quiet, nothing is printed.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Set by a program that wants no progress.
static QUIET: AtomicBool = AtomicBool::new(false);
/// Loops that end sooner say nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Shortest time between two lines.
const PERIOD: Duration = Duration::from_millis(250);

/// Silences all counters of this process.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Counts the rounds of a loop, from any thread.
pub struct Counter {
    label: String,
    total: usize,
    done: AtomicUsize,
    started: Instant,
    /// When it was last told; none before the first time.
    told: Mutex<Option<Instant>>,
    is_shown: bool,
}

impl Counter {
    /// Begins a loop of `total` rounds.
    pub fn new(label: impl Into<String>, total: usize) -> Self {
        let is_shown = !QUIET.load(Ordering::Relaxed) && std::io::stderr().is_terminal();
        let (done, started, told) = (AtomicUsize::new(0), Instant::now(), Mutex::new(None));
        Self { label: label.into(), total, done, started, told, is_shown }
    }

    /// Counts a round.
    pub fn count(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.is_shown || self.started.elapsed() < PATIENCE {
            return;
        }
        // Whoever finds another thread telling goes on.
        let Ok(mut told) = self.told.try_lock() else { return };
        if told.is_some_and(|then| then.elapsed() < PERIOD) {
            return;
        }
        *told = Some(Instant::now());
        let line = self.line(done, self.started.elapsed());
        eprint!("\r\x1b[K{line}");
    }

    /// `tract-int8: 1200 of 10000, 0:41 left`.
    fn line(&self, done: usize, elapsed: Duration) -> String {
        let left = elapsed.as_secs_f64() / done.max(1) as f64 * self.total.saturating_sub(done) as f64;
        let left = left.round() as u64;
        format!("{}: {done} of {}, {}:{:02} left", self.label, self.total, left / 60, left % 60)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        if told.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_much_is_left() {
        let counter = Counter::new("tract", 1_000);
        assert_eq!(counter.line(250, Duration::from_secs(30)), "tract: 250 of 1000, 1:30 left");
        counter.count();
        assert_eq!(counter.done.load(Ordering::Relaxed), 1);
    }
}
