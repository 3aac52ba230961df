//! Shows a training: a bar on a terminal, one line an epoch elsewhere.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::train::Observer;
use crate::train::history::EpochRecord;

/// Reports to standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    started: Instant,
    finished_before: Option<usize>,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = on_terminal.then(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:32}] {pos}/{len} {msg} {eta}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, quiet, started: Instant::now(), finished_before: None }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }
}

impl Observer for Progress {
    fn phase(&mut self, what: &str) {
        self.line(what);
        (self.started, self.finished_before) = (Instant::now(), None);
    }

    fn step(&mut self, epoch: usize, step: usize, steps: usize, loss: f64, accuracy: f64) {
        self.finished_before.get_or_insert(epoch);
        if let Some(bar) = &self.bar {
            if bar.length() != Some(steps as u64) || step == 1 {
                bar.reset();
                bar.set_length(steps as u64);
            }
            bar.set_prefix(format!("epoch {}", epoch + 1));
            bar.set_message(format!("loss {loss:.4} accuracy {:.2} %", 100.0 * accuracy));
            bar.set_position(step as u64);
        }
    }

    fn epoch(&mut self, record: &EpochRecord, epochs: usize, is_best: bool) {
        let here = record.epoch - self.finished_before.unwrap_or(0);
        let each = self.started.elapsed().as_secs_f64() / here.max(1) as f64;
        let left = each * (epochs - record.epoch) as f64;
        self.line(&format!(
            "epoch {:>3}/{epochs}  loss {:.4}  accuracy {:.2} %  validation {:.4} {:.2} %{}  lr {:.1e}  {:.1} s  {} left",
            record.epoch,
            record.loss,
            100.0 * record.accuracy,
            record.validation_loss,
            100.0 * record.validation_accuracy,
            if is_best { " best" } else { "     " },
            record.learning_rate,
            record.seconds,
            minutes(left)
        ));
        if record.epoch == epochs
            && let Some(bar) = &self.bar
        {
            bar.finish_and_clear();
        }
    }
}

fn minutes(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
