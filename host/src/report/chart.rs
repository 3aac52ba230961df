//! Line charts as SVG: training curves, calibration, coverage.

use std::fmt::Write;

use crate::evaluate::calibration::Point;
use crate::train::Recipe;
use crate::train::history::EpochRecord;

/// Points joined by a line.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// What it shows, for the legend.
    pub name: &'a str,
    /// `(x, y)` from left to right.
    pub points: Vec<(f64, f64)>,
    /// Broken line.
    pub is_dashed: bool,
}

/// A chart with one or more lines.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    /// Heading, and the picture's title for those who cannot see it.
    pub title: &'a str,
    /// What the lines say, in a sentence.
    pub description: String,
    /// Under the horizontal axis.
    pub x_label: &'a str,
    /// Lines in order of the legend; at most as many as there are colours.
    pub series: Vec<Series<'a>>,
    /// Whether values are fractions, shown in percent.
    pub is_percent: bool,
    /// Whether horizontal values are fractions, shown in percent.
    pub x_is_percent: bool,
    /// Whether horizontal values are whole numbers, such as epochs.
    pub x_is_whole: bool,
    /// Whether the vertical axis is logarithmic; values must then be above 0.
    pub is_logarithmic: bool,
    /// A vertical line with a word, such as where rounding begins.
    pub mark: Option<(f64, &'a str)>,
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const TOP: f64 = 56.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 44.0;
/// Okabe and Ito's colours, told apart by the colour-blind and on white and on black.
const COLORS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Values of 1, 2 and 5 times a power of ten in `low..=high`.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(decade)));
    ticks.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect()
}

/// Multiples of `step` in `low..=high`.
fn ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// Returns a step of 1, 2 or 5 times a power of ten that divides `span` into about `parts`.
fn step(span: f64, parts: f64) -> f64 {
    let rough = (span / parts).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&step| step >= rough)
        .unwrap_or(rough)
}

fn number(value: f64, step: f64, is_percent: bool) -> String {
    let (value, step) = if is_percent { (100.0 * value, 100.0 * step) } else { (value, step) };
    let digits = (-step.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}{}", if is_percent { "%" } else { "" })
}

impl Chart<'_> {
    fn bounds(&self, of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let values = self.series.iter().flat_map(|series| series.points.iter().map(&of));
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low < high {
            (low, high)
        } else if low.is_finite() {
            (low - 0.5, low + 0.5)
        } else {
            (0.0, 1.0)
        }
    }

    /// Draws the chart as a document of its own.
    pub fn svg(&self) -> String {
        document(WIDTH, HEIGHT, self.title, &self.description, &self.body())
    }

    fn body(&self) -> String {
        let axes = Axes::of(self);
        let mut svg = format!(
            "<text x=\"12\" y=\"20\" font-size=\"14\" font-weight=\"bold\" fill=\"var(--ink, #222)\">{}</text>\n",
            self.title
        );
        svg += &self.legend();
        svg += &self.grid(&axes);
        if let Some((x, word)) = self.mark {
            let _ = writeln!(
                svg,
                "<line x1=\"{0:.1}\" y1=\"{TOP}\" x2=\"{0:.1}\" y2=\"{1}\" stroke=\"var(--soft, #555)\" stroke-dasharray=\"2 3\"/><text x=\"{2:.1}\" y=\"{3}\" text-anchor=\"end\" font-size=\"11\" fill=\"var(--soft, #555)\">{word}</text>",
                axes.x_of(x),
                HEIGHT - BOTTOM,
                axes.x_of(x) - 4.0,
                TOP + 12.0
            );
        }
        svg + &self.lines(&axes)
    }

    /// Names of the lines above them.
    fn legend(&self) -> String {
        let (mut svg, mut x) = (String::new(), LEFT);
        for (series, color) in self.series.iter().zip(COLORS) {
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" y1=\"36\" x2=\"{}\" y2=\"36\" stroke=\"{color}\" stroke-width=\"2.5\"{}/><text x=\"{}\" y=\"40\" fill=\"var(--ink, #222)\">{}</text>",
                x + 22.0,
                series.dash(),
                x + 27.0,
                series.name
            );
            x += 44.0 + 6.4 * series.name.chars().count() as f64;
        }
        svg
    }

    /// Horizontal lines, the numbers of both axes and the horizontal one's name.
    fn grid(&self, axes: &Axes) -> String {
        let mut svg = String::new();
        for &y in &axes.y_ticks {
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{0:.1}\" x2=\"{1}\" y2=\"{0:.1}\" stroke=\"var(--line, #ddd)\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"var(--soft, #555)\">{4}</text>",
                axes.y_of(y),
                WIDTH - RIGHT,
                LEFT - 6.0,
                axes.y_of(y) + 4.0,
                number(y, axes.y_step, self.is_percent)
            );
        }
        for x in ticks(axes.x_low, axes.x_high, axes.x_step) {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"var(--soft, #555)\">{}</text>",
                axes.x_of(x),
                HEIGHT - BOTTOM + 17.0,
                number(x, axes.x_step, self.x_is_percent)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"var(--soft, #555)\">{}</text>",
            LEFT + INNER_WIDTH / 2.0,
            HEIGHT - 8.0,
            self.x_label
        );
        svg
    }

    /// The lines themselves.
    fn lines(&self, axes: &Axes) -> String {
        let mut svg = String::new();
        for (series, color) in self.series.iter().zip(COLORS) {
            let finite = series.points.iter().filter(|(_, y)| y.is_finite());
            let points: Vec<(f64, f64)> = finite.map(|&(x, y)| (axes.x_of(x), axes.y_of(y))).collect();
            // A line of one point is not seen.
            if let [(x, y)] = points[..] {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
            }
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-linejoin=\"round\"{}/>",
                points.join(" "),
                series.dash()
            );
        }
        svg
    }
}

impl Series<'_> {
    /// The attribute of a broken line.
    fn dash(&self) -> &'static str {
        if self.is_dashed { " stroke-dasharray=\"5 3\"" } else { "" }
    }
}

const INNER_WIDTH: f64 = WIDTH - LEFT - RIGHT;
const INNER_HEIGHT: f64 = HEIGHT - TOP - BOTTOM;

/// Ranges of values and the places they have in the picture.
struct Axes {
    x_low: f64,
    x_high: f64,
    x_step: f64,
    y_low: f64,
    y_high: f64,
    y_step: f64,
    y_ticks: Vec<f64>,
    is_logarithmic: bool,
}

impl Axes {
    fn of(chart: &Chart<'_>) -> Self {
        let (x_low, x_high) = chart.bounds(|point| point.0);
        let (y_low, y_high) = chart.bounds(|point| point.1);
        let is_logarithmic = chart.is_logarithmic && y_low > 0.0;
        let mut y_step = step(y_high - y_low, 5.0);
        let (y_low, y_high, y_ticks) = if is_logarithmic {
            y_step = y_low.min(1.0);
            (y_low, y_high, logarithmic_ticks(y_low, y_high))
        } else {
            let (low, high) = ((y_low / y_step).floor() * y_step, (y_high / y_step).ceil() * y_step);
            (low, high, ticks(low, high, y_step))
        };
        let x_step = step(x_high - x_low, 6.0).max(if chart.x_is_whole { 1.0 } else { 0.0 });
        Self { x_low, x_high, x_step, y_low, y_high, y_step, y_ticks, is_logarithmic }
    }

    fn x_of(&self, x: f64) -> f64 {
        LEFT + (x - self.x_low) / (self.x_high - self.x_low) * INNER_WIDTH
    }

    fn y_of(&self, y: f64) -> f64 {
        let share = if self.is_logarithmic {
            (self.y_high / y).ln() / (self.y_high / self.y_low).ln()
        } else {
            (self.y_high - y) / (self.y_high - self.y_low)
        };
        TOP + share * INNER_HEIGHT
    }
}

fn document(width: f64, height: f64, title: &str, description: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{title}</title>\n<desc>{description}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"var(--paper, #fff)\"/>\n{body}</svg>\n"
    )
}

/// Loss and accuracy, epoch by epoch, of a training by `recipe`.
///
/// A student's training loss holds its teachers' term, many times the validation loss: that chart's axis is then
/// logarithmic.
pub fn curves<'a>(history: &[EpochRecord], recipe: &Recipe) -> [Chart<'a>; 2] {
    let rounding = recipe.quantization.map_or(0, |rounding| rounding.epochs);
    let is_distilled = recipe.distillation.is_some();
    let line = |name: &'a str, is_dashed, value: &dyn Fn(&EpochRecord) -> f64| Series {
        name,
        is_dashed,
        points: history.iter().map(|record| (record.epoch as f64, value(record))).collect(),
    };
    let floats = history.len().saturating_sub(rounding);
    let mark = (rounding > 0 && floats > 0).then_some((floats as f64, "quantization-aware from here"));
    let last = history.last();
    let of_last = |value: &dyn Fn(&EpochRecord) -> f64| last.map_or(0.0, value);
    [
        Chart {
            title: "Loss",
            description: format!(
                "{} over {}; at the end {:.3} in training, {:.3} in validation.",
                if is_distilled {
                    "Training loss with the teachers' term and validation cross-entropy"
                } else {
                    "Cross-entropy"
                },
                epochs(history.len()),
                of_last(&|record| record.loss),
                of_last(&|record| record.validation_loss)
            ),
            x_label: "epoch",
            series: vec![
                line(
                    if is_distilled { "training, with the teachers' term" } else { "training" },
                    false,
                    &|record| record.loss,
                ),
                line("validation", true, &|record| record.validation_loss),
            ],
            is_percent: false,
            x_is_percent: false,
            x_is_whole: true,
            is_logarithmic: is_distilled,
            mark,
        },
        Chart {
            title: "Accuracy",
            description: format!(
                "Accuracy over {}; at the end {:.2} % in training, {:.2} % in validation.",
                epochs(history.len()),
                of_last(&|record| 100.0 * record.accuracy),
                of_last(&|record| 100.0 * record.validation_accuracy)
            ),
            x_label: "epoch",
            series: vec![
                line("training", false, &|record| record.accuracy),
                line("validation", true, &|record| record.validation_accuracy),
            ],
            is_percent: true,
            x_is_percent: false,
            x_is_whole: true,
            is_logarithmic: false,
            mark,
        },
    ]
}

/// A number of epochs in words.
pub fn epochs(count: usize) -> String {
    format!("{count} epoch{}", if count == 1 { "" } else { "s" })
}

/// Both training curves side by side.
pub fn curves_svg(history: &[EpochRecord], recipe: &Recipe, name: &str) -> String {
    let [loss, accuracy] = curves(history, recipe);
    let body =
        format!("<g>{}</g>\n<g transform=\"translate({WIDTH} 0)\">{}</g>\n", loss.body(), accuracy.body());
    let description = format!("{} {}", loss.description, accuracy.description);
    document(2.0 * WIDTH, HEIGHT, &format!("Training of {name}"), &description, &body)
}

/// What share of the images is answered, and how well, as the threshold rises.
pub fn coverage<'a>(curve: &[Point]) -> Chart<'a> {
    let mut points: Vec<(f64, f64)> = curve.iter().map(|point| (point.coverage, point.accuracy)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Chart {
        title: "Right when answered",
        description:
            "Accuracy on the images whose winner reaches a threshold, over the share of such images.".into(),
        x_label: "images answered",
        series: vec![Series { name: "accuracy of the answered", points, is_dashed: false }],
        is_percent: true,
        x_is_percent: true,
        x_is_whole: false,
        is_logarithmic: false,
        mark: None,
    }
}

/// Confidence against accuracy, bin by bin: a calibrated network lies on the diagonal.
pub fn reliability<'a>(bins: &[(f64, f64)]) -> Chart<'a> {
    Chart {
        title: "Confidence and accuracy",
        description: "Accuracy of the answers by their confidence, in bins; the dashed line is perfect."
            .into(),
        x_label: "confidence",
        series: vec![
            Series { name: "answers", points: bins.to_vec(), is_dashed: false },
            Series { name: "perfect", points: vec![(0.0, 0.0), (1.0, 1.0)], is_dashed: true },
        ],
        is_percent: true,
        x_is_percent: true,
        x_is_whole: false,
        is_logarithmic: false,
        mark: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::{Asking, Distillation};

    fn record(epoch: usize, loss: f64) -> EpochRecord {
        EpochRecord {
            epoch,
            loss,
            accuracy: 0.8,
            validation_loss: loss,
            validation_accuracy: 0.9,
            learning_rate: 0.1,
            seconds: 1.0,
        }
    }

    #[test]
    fn steps_are_round_and_numbers_show_them() {
        assert_eq!((step(0.09, 5.0), step(80.0, 6.0), step(4.0, 5.0)), (0.02, 20.0, 1.0));
        assert_eq!(number(0.94, 0.02, true), "94%");
        assert_eq!(number(0.925, 0.005, true), "92.5%");
        assert_eq!(number(0.25, 0.05, false), "0.25");
    }

    #[test]
    fn a_chart_survives_one_epoch_and_a_loss_that_is_no_number() {
        let recipe = Recipe::of_network("small").unwrap();
        for history in [vec![record(1, 0.5)], vec![record(1, f64::NAN), record(2, 0.5)], vec![]] {
            let svg = curves_svg(&history, &recipe, "test");
            assert!(!svg.contains("NaN") || history.is_empty() || history[0].loss.is_nan(), "{svg}");
            let polylines: Vec<&str> = svg.lines().filter(|line| line.starts_with("<polyline")).collect();
            assert_eq!(polylines.len(), 4);
            assert!(polylines.iter().all(|line| !line.contains("NaN") && !line.contains("inf")), "{svg}");
        }
    }

    #[test]
    fn a_single_epoch_is_a_dot_and_epochs_are_whole() {
        let recipe = Recipe::of_network("small").unwrap();
        let one = curves_svg(&[record(1, 0.5)], &recipe, "test");
        assert_eq!(one.matches("<circle").count(), 4, "{one}");
        assert!(one.contains("over 1 epoch;"), "{one}");
        let [loss, _] = curves(&[record(1, 0.5), record(2, 0.4)], &recipe);
        let svg = loss.svg();
        assert!(
            svg.contains(">1</text>") && svg.contains(">2</text>") && !svg.contains(">1.2</text>"),
            "{svg}"
        );
    }

    #[test]
    fn a_student_s_loss_has_a_logarithmic_axis() {
        assert_eq!(logarithmic_ticks(0.18, 3.7), [0.2, 0.5, 1.0, 2.0]);
        let mut recipe = Recipe::of_network("small").unwrap();
        let teachers = vec!["teacher".to_owned()];
        let asking = Asking::Once;
        recipe.distillation = Some(Distillation { teachers, weight: 0.7, temperature: 3.0, asking });
        let [loss, _] = curves(&[record(1, 3.7), record(2, 0.18)], &recipe);
        let svg = loss.svg();
        assert!(svg.contains(">0.2</text>") && svg.contains(">2.0</text>"), "{svg}");
    }
}
