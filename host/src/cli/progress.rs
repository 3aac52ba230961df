//! Shows a training: curves on a terminal, one line an epoch elsewhere.

use std::time::Instant;

use super::dashboard::{Dashboard, View};
use super::terminal;
use crate::train::Observer;
use crate::train::history::EpochRecord;

/// Reports to standard error.
pub(super) struct Progress {
    dashboard: Option<Dashboard>,
    view: View,
    quiet: bool,
    batch_size: usize,
    /// Epochs of the phases before this one.
    epochs_before: usize,
    /// When this phase's first step here was counted, and which (epoch, step) it was.
    first: Option<(Instant, usize, usize)>,
}

impl Progress {
    /// `epochs`: of the first phase. `batch_size`: images a step.
    pub(super) fn new(quiet: bool, epochs: usize, batch_size: usize) -> Self {
        let dashboard = if quiet { None } else { Dashboard::open() };
        let view = View {
            phase: "floats:".into(),
            epoch: (1, epochs),
            has_color: terminal::is_color_wanted(),
            ..View::default()
        };
        Self { dashboard, view, quiet, batch_size, epochs_before: 0, first: None }
    }

    fn line(&mut self, text: &str) {
        match &mut self.dashboard {
            Some(dashboard) => dashboard.print(text),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    /// Seconds that the rest of the phase takes at the pace so far.
    fn seconds_left(&self, steps_done: usize, steps_an_epoch: usize) -> Option<f64> {
        let (started, epoch, step) = self.first?;
        let here = steps_done.checked_sub(epoch * steps_an_epoch + step)?;
        let rest = (self.view.epoch.1 * steps_an_epoch).saturating_sub(steps_done);
        (here > 0).then(|| started.elapsed().as_secs_f64() / here as f64 * rest as f64)
    }
}

impl Observer for Progress {
    fn phase(&mut self, what: &str, epochs: usize) {
        self.line(what);
        self.epochs_before = self.view.history.last().map_or(0, |record| record.epoch);
        self.first = None;
        (self.view.phase, self.view.epoch) = ("rounded:".into(), (1, epochs));
        self.view.learning_rate = None;
    }

    fn step(&mut self, epoch: usize, step: usize, steps: usize, loss: f64, accuracy: f64) {
        let (started, first_epoch, first_step) = *self.first.get_or_insert((Instant::now(), epoch, step));
        let here = (epoch * steps + step).saturating_sub(first_epoch * steps + first_step);
        self.view.images_per_second =
            (here * self.batch_size) as f64 / started.elapsed().as_secs_f64().max(1e-9);
        self.view.seconds_left = self.seconds_left(epoch * steps + step, steps);
        (self.view.epoch.0, self.view.step, self.view.now) = (epoch + 1, (step, steps), (loss, accuracy));
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.draw(&self.view);
        }
    }

    fn epoch(&mut self, record: &EpochRecord, epochs: usize, is_best: bool) {
        let steps = self.view.step.1;
        let left = self.seconds_left(record.epoch * steps, steps).unwrap_or(0.0);
        // In 80 columns; a dashboard tells the rest.
        let line = format!(
            "epoch {:>3}/{epochs} loss {:.3} {:.1} % validation {:.3} {:.2} %{} lr {:.0e} {:.1} s",
            record.epoch,
            record.loss,
            100.0 * record.accuracy,
            record.validation_loss,
            100.0 * record.validation_accuracy,
            if is_best { " best" } else { "     " },
            record.learning_rate,
            record.seconds,
        );
        match self.dashboard {
            Some(_) => self.line(&line),
            None => self.line(&format!("{line}, {} left", minutes(left))),
        }
        self.view.learning_rate = Some(record.learning_rate);
        self.view.history.push(EpochRecord { epoch: record.epoch + self.epochs_before, ..*record });
    }
}

/// Formats seconds as minutes and seconds.
pub(super) fn minutes(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_training_that_went_on_in_the_middle_of_an_epoch_knows_its_pace() {
        let mut progress = Progress::new(true, 10, 128);
        // The last 100 of epoch 8's 400 steps took 10 seconds here.
        progress.first = Some((Instant::now() - Duration::from_secs(10), 7, 300));
        let left = progress.seconds_left(8 * 400, 400).unwrap();
        assert!((80.0..81.0).contains(&left), "{left}");
        assert_eq!(progress.seconds_left(7 * 400 + 300, 400), None);
    }
}
