//! Where an epoch's time goes: wall-clock seconds of every operation, while somebody asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// What one kind of operation took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Entry {
    /// The operation, with its shape where it has weights.
    pub operation: String,
    /// How often it ran.
    pub calls: u64,
    /// Wall-clock seconds of all calls, on however many threads.
    pub seconds: f64,
    /// Floating-point operations of all calls, a multiplication and an addition counting two; 0 where memory
    /// bounds it.
    pub flops: u64,
}

static ASKED: AtomicBool = AtomicBool::new(false);
static ENTRIES: Mutex<BTreeMap<String, Entry>> = Mutex::new(BTreeMap::new());

/// Starts counting from nothing. Counts are of the whole process.
pub fn start() {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner).clear();
    ASKED.store(true, Ordering::Relaxed);
}

/// Stops counting; returns the operations, the longest first.
pub fn stop() -> Vec<Entry> {
    ASKED.store(false, Ordering::Relaxed);
    let entries = std::mem::take(&mut *ENTRIES.lock().unwrap_or_else(PoisonError::into_inner));
    let mut entries: Vec<Entry> = entries.into_values().collect();
    entries.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    entries
}

/// Runs `work`, and counts it where somebody asks. `name` gives the operation and its floating-point operations.
pub(super) fn timed<T>(name: impl FnOnce() -> (String, u64), work: impl FnOnce() -> T) -> T {
    if !ASKED.load(Ordering::Relaxed) {
        return work();
    }
    let started = Instant::now();
    let result = work();
    let seconds = started.elapsed().as_secs_f64();
    let (operation, flops) = name();
    let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = entries.entry(operation.clone()).or_insert_with(|| Entry { operation, ..Entry::default() });
    entry.calls += 1;
    entry.seconds += seconds;
    entry.flops += flops;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_only_while_somebody_asks() {
        let name = || ("test: a step".to_owned(), 7);
        timed(name, || ());
        start();
        assert_eq!(timed(name, || 3), 3);
        timed(name, || ());
        // Other tests may train meanwhile.
        let entries = stop();
        let entry = entries.iter().find(|entry| entry.operation == "test: a step").unwrap();
        assert_eq!((entry.calls, entry.flops), (2, 14));
        assert!(stop().iter().all(|entry| entry.operation != "test: a step"));
    }
}
