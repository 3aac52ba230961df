//! A training on a terminal: the epoch's progress, and loss and accuracy as curves that grow.

use std::io::{self, IsTerminal, Stderr};
use std::time::{Duration, Instant};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Widget};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::progress::minutes;
use crate::train::history::EpochRecord;

/// Fewest lines that the dashboard takes below what was printed before, and most; between them half the terminal.
const LINES: [u16; 2] = [16, 30];
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
    /// Learning rate at the end of this phase's last epoch; none in the first.
    pub learning_rate: Option<f64>,
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
        let lines = (backend.size()?.height / 2).clamp(LINES[0], LINES[1]);
        let options = TerminalOptions { viewport: Viewport::Inline(lines) };
        Ok(Self { terminal: Terminal::with_options(backend, options)?, drawn: None })
    }

    /// Prints text above the dashboard, in as many lines as it takes.
    pub fn print(&mut self, text: &str) {
        let width = self.terminal.size().map_or(80, |size| usize::from(size.width)).max(1);
        let lines: Vec<Line<'_>> = broken(text, width).into_iter().map(Line::from).collect();
        let count = lines.len() as u16;
        let _ =
            self.terminal.insert_before(count, |buffer| Paragraph::new(lines).render(buffer.area, buffer));
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

/// Text in lines of at most `width` letters, broken between words where they fit.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + word.trim_end().chars().count() > width {
            lines.push(String::new());
        }
        for letter in word.chars() {
            if lines.last().is_some_and(|line| line.chars().count() == width) {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
        }
    }
    lines
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
        "",
        [&line(&|record| record.loss), &line(&|record| record.validation_loss)],
        view,
        |value| format!("{value:.2}"),
    );
    curves(
        frame,
        right,
        "accuracy",
        "Ctrl-C keeps a checkpoint",
        [&line(&|record| 100.0 * record.accuracy), &line(&|record| 100.0 * record.validation_accuracy)],
        view,
        |value| format!("{value:.1} %"),
    );
    let (step, steps) = view.step;
    let ratio = if steps == 0 { 0.0 } else { (step as f64 / steps as f64).clamp(0.0, 1.0) };
    let label = format!("{} epoch {} of {}, step {step} of {steps}", view.phase, view.epoch.0, view.epoch.1);
    let width = label.chars().count() as u16 + 1;
    let [label_area, bar] =
        Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(progress);
    frame.render_widget(Paragraph::new(label), label_area);
    let filled = (ratio * f64::from(bar.width)).round() as usize;
    let blocks = "█".repeat(filled) + &"░".repeat(usize::from(bar.width).saturating_sub(filled));
    frame.render_widget(Paragraph::new(blocks).style(colored(view, Color::Blue)), bar);
    let left = view.seconds_left.map_or(String::new(), |seconds| format!(", {} left", minutes(seconds)));
    let rate = view.learning_rate.map_or(String::new(), |rate| format!(", lr {rate:.1e}"));
    let text = format!(
        "loss {:.4}, accuracy {:.2} %{rate}, {:.0} images/s{left}",
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
    hint: &str,
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
    let legend = Line::from(vec![
        Span::raw(format!("{title}: ")),
        Span::styled("• training ", colored(view, Color::Blue)),
        Span::styled("⠒ validation", colored(view, Color::Yellow)),
    ]);
    let block = Block::bordered().title(legend).title_bottom(hint);
    let chart = Chart::new(vec![
        dataset("training", training, Color::Blue, Marker::Dot),
        dataset("validation", validation, Color::Yellow, Marker::Braille),
    ])
    .block(block)
    // The legend would lie over the curves; the title has it.
    .legend_position(None)
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
        let mut terminal = Terminal::new(TestBackend::new(80, LINES[0])).unwrap();
        let view = View {
            phase: "floats:".into(),
            history: (1..9).map(record).collect(),
            epoch: (9, 20),
            step: (30, 120),
            now: (0.25, 0.91),
            images_per_second: 5_000.0,
            learning_rate: Some(1e-3),
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
            "lr 1.0e-3",
            "1:15 left",
            "Ctrl-C keeps a checkpoint",
            "90.0 %",
        ] {
            assert!(screen.contains(part), "`{part}` is not on\n{screen}");
        }
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(broken("one two three", 8), ["one two ", "three"]);
        assert_eq!(broken("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(broken("", 3), [""]);
    }

    #[test]
    fn a_large_terminal_gets_larger_curves() {
        let mut dashboard = Dashboard::over(TestBackend::new(200, 60)).unwrap();
        assert_eq!(dashboard.terminal.get_frame().area().height, 30);
    }

    #[test]
    fn nothing_learned_yet_and_a_tiny_terminal_are_no_panic() {
        for (width, height) in [(100, LINES[0]), (20, 4), (1, 1)] {
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
