//! A training on a terminal: the epoch's progress, and loss and accuracy as curves that grow.

use std::io::{self, IsTerminal, Stderr};
use std::time::{Duration, Instant};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, LegendPosition, Paragraph, Widget};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::progress::minutes;
use crate::train::history::EpochRecord;

/// Lines that the dashboard takes below what was printed before.
const LINES: u16 = 16;
/// Shortest time between two drawings.
const PERIOD: Duration = Duration::from_millis(150);

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Word for the phase, such as `floats`.
    pub phase: String,
    /// All epochs so far, of both phases.
    pub history: Vec<EpochRecord>,
    /// Epoch that runs, from 1, of how many; 0 where not known yet.
    pub epoch: (usize, usize),
    /// Step of how many.
    pub step: (usize, usize),
    /// Mean loss and accuracy of the epoch so far.
    pub now: (f64, f64),
    /// Images a second.
    pub images_per_second: f64,
    /// Seconds to the end of the phase.
    pub seconds_left: Option<f64>,
    /// Colours are wanted.
    pub has_color: bool,
}

/// The dashboard on standard error, below the lines printed before.
pub(super) struct Dashboard<B: Backend = CrosstermBackend<Stderr>> {
    terminal: Terminal<B>,
    drawn: Option<Instant>,
}

impl Dashboard {
    /// Opens a dashboard; `None` where standard error is no terminal that can show one.
    pub fn open() -> Option<Self> {
        let is_plain = std::env::var("TERM").is_ok_and(|kind| kind == "dumb");
        // Placing it asks the terminal where its cursor is, and the answer comes on standard input.
        if is_plain || !io::stderr().is_terminal() || !io::stdin().is_terminal() {
            return None;
        }
        Self::over(CrosstermBackend::new(io::stderr())).ok()
    }
}

impl<B: Backend> Dashboard<B> {
    fn over(backend: B) -> Result<Self, B::Error> {
        let options = TerminalOptions { viewport: Viewport::Inline(LINES) };
        Ok(Self { terminal: Terminal::with_options(backend, options)?, drawn: None })
    }

    /// Prints a line above the dashboard.
    pub fn print(&mut self, text: &str) {
        let line = Line::from(text.to_owned());
        let _ = self.terminal.insert_before(1, |buffer| Paragraph::new(line).render(buffer.area, buffer));
        // The line took the dashboard's place on the screen.
        self.drawn = None;
    }

    /// Draws, but not more often than anybody can see.
    pub fn draw(&mut self, view: &View) {
        if self.drawn.is_some_and(|then| then.elapsed() < PERIOD) {
            return;
        }
        self.draw_now(view);
    }

    fn draw_now(&mut self, view: &View) {
        // A terminal that went away is no reason to end a training.
        let _ = self.terminal.draw(|frame| render(frame, view));
        self.drawn = Some(Instant::now());
    }

    /// Takes the dashboard away.
    pub fn close(&mut self) {
        let top = self.terminal.get_frame().area().as_position();
        let _ = self.terminal.clear();
        let _ = self.terminal.set_cursor_position(top);
        let _ = self.terminal.show_cursor();
    }
}

impl<B: Backend> Drop for Dashboard<B> {
    fn drop(&mut self) {
        self.close();
    }
}

fn render(frame: &mut Frame<'_>, view: &View) {
    let [charts, progress, words] =
        Layout::vertical([Constraint::Min(6), Constraint::Length(1), Constraint::Length(1)])
            .areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(charts);
    let line = |value: &dyn Fn(&EpochRecord) -> f64| -> Vec<(f64, f64)> {
        view.history.iter().map(|record| (record.epoch as f64, value(record))).collect()
    };
    curves(
        frame,
        left,
        "loss",
        [&line(&|record| record.loss), &line(&|record| record.validation_loss)],
        view,
        |value| format!("{value:.2}"),
    );
    curves(
        frame,
        right,
        "accuracy",
        [&line(&|record| 100.0 * record.accuracy), &line(&|record| 100.0 * record.validation_accuracy)],
        view,
        |value| format!("{value:.1} %"),
    );
    let (step, steps) = view.step;
    let ratio = if steps == 0 { 0.0 } else { (step as f64 / steps as f64).clamp(0.0, 1.0) };
    let label = format!("{} epoch {} of {}, step {step} of {steps}", view.phase, view.epoch.0, view.epoch.1);
    let gauge = Gauge::default().ratio(ratio).label(label).use_unicode(true);
    frame.render_widget(gauge.gauge_style(colored(view, Color::Blue)), progress);
    let left = view.seconds_left.map_or(String::new(), |seconds| format!(", {} left", minutes(seconds)));
    let rate = view.history.last().map_or(String::new(), |last| format!(", lr {:.1e}", last.learning_rate));
    let text = format!(
        "loss {:.4}, accuracy {:.2} %{rate}, {:.0} images/s{left}  (Ctrl-C keeps a checkpoint)",
        view.now.0,
        100.0 * view.now.1,
        view.images_per_second
    );
    frame.render_widget(Paragraph::new(text), words);
}

fn colored(view: &View, color: Color) -> Style {
    if view.has_color { Style::default().fg(color) } else { Style::default() }
}

/// Draws training and validation over the epochs.
fn curves(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    [training, validation]: [&[(f64, f64)]; 2],
    view: &View,
    format: impl Fn(f64) -> String,
) {
    let values = training.iter().chain(validation).map(|point| point.1).filter(|value| value.is_finite());
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    let last = training.last().map_or(2.0, |point| point.0.max(2.0));
    let dataset = |name: &'static str, points, color, marker| {
        Dataset::default()
            .name(name)
            .data(points)
            .marker(marker)
            .graph_type(GraphType::Line)
            .style(colored(view, color))
    };
    let chart = Chart::new(vec![
        dataset("training", training, Color::Blue, Marker::Dot),
        dataset("validation", validation, Color::Yellow, Marker::Braille),
    ])
    .block(Block::bordered().title(title.to_owned()))
    .legend_position(Some(if title == "loss" {
        LegendPosition::TopRight
    } else {
        LegendPosition::BottomRight
    }))
    .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(1, 2)))
    .x_axis(Axis::default().bounds([1.0, last]).labels([String::from("1"), format!("{last:.0}")]))
    .y_axis(Axis::default().bounds([low, high]).labels([format(low), format(high)]));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;

    fn record(epoch: usize) -> EpochRecord {
        EpochRecord {
            epoch,
            loss: 1.0 / epoch as f64,
            accuracy: 0.8,
            validation_loss: 0.9 / epoch as f64,
            validation_accuracy: 0.9,
            learning_rate: 1e-3,
            seconds: 2.0,
        }
    }

    #[test]
    fn curves_progress_and_words_are_on_the_screen() {
        let mut terminal = Terminal::new(TestBackend::new(100, LINES)).unwrap();
        let view = View {
            phase: "floats:".into(),
            history: (1..9).map(record).collect(),
            epoch: (9, 20),
            step: (30, 120),
            now: (0.25, 0.91),
            images_per_second: 5_000.0,
            seconds_left: Some(75.0),
            has_color: false,
        };
        terminal.draw(|frame| render(frame, &view)).unwrap();
        let screen = terminal.backend().to_string();
        for part in [
            "loss",
            "accuracy",
            "validation",
            "floats: epoch 9 of 20, step 30 of 120",
            "5000 images/s",
            "1:15 left",
            "90.0 %",
        ] {
            assert!(screen.contains(part), "`{part}` is not on\n{screen}");
        }
    }

    #[test]
    fn nothing_learned_yet_and_a_tiny_terminal_are_no_panic() {
        for (width, height) in [(100, LINES), (20, 4), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| render(frame, &View::default())).unwrap();
            let view = View {
                history: vec![EpochRecord { loss: f64::NAN, ..record(1) }],
                step: (9, 3),
                ..View::default()
            };
            terminal.draw(|frame| render(frame, &view)).unwrap();
        }
    }
}
