//! Calibration: what values each layer's output takes on training images.
//!
//! Two passes through tract over the float file with every layer's output exposed: the first finds the
//! extremes, the second fills histograms, from which the range with the least squared error is taken.

use crate::counter::Counter;
use crate::dataset::Samples;
use crate::onnx::branch::Join;
use crate::onnx::float::{FloatLayer, FloatOp};
use crate::onnx::pointwise::Function;
use crate::onnx::proto::{self, ModelProto};
use crate::runtime::tract::TractModel;

use super::QuantizeError;

/// Real values that the 256 steps of an activation must span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lowest value represented.
    pub low: f32,
    /// Highest value represented.
    pub high: f32,
}

/// Bins of the histogram between the extremes.
const BINS: usize = 2_048;
/// Candidate ranges are the extremes times 1, 1 − 1/64, … down to this many 64ths.
const SMALLEST_FRACTION: usize = 24;

/// Observes every layer's output over all images of `calibration`.
///
/// # Errors
/// [`QuantizeError::Calibration`] where tract cannot run the model or a value is no number.
pub fn observe(
    model: &ModelProto,
    layers: &[FloatLayer],
    calibration: &Samples,
) -> Result<Vec<Range>, QuantizeError> {
    // What is only copied has no range of its own.
    let is_copy = |layer: &FloatLayer| match &layer.op {
        FloatOp::Branch { join: Join::Recall { .. }, .. } => true,
        FloatOp::Lookup { function, .. } => *function == Function::Input,
        _ => false,
    };
    let hidden: Vec<usize> =
        (0..layers.len().saturating_sub(1)).filter(|&index| !is_copy(&layers[index])).collect();
    let names: Vec<String> = hidden.iter().map(|&index| layers[index].output.clone()).collect();
    let exposed = proto::with_outputs(model, &names, proto::FLOAT);
    let failed = |error: anyhow::Error| QuantizeError::Calibration(format!("{error:#}"));
    let mut runner = TractModel::from_proto(&exposed).map_err(failed)?;
    // Output 0 is the logits, 1.. the hidden layers in order.
    let mut extremes = vec![Range { low: f32::INFINITY, high: f32::NEG_INFINITY }; hidden.len()];
    let counter = Counter::new("calibration", 2 * calibration.len());
    for index in 0..calibration.len() {
        counter.count();
        let outputs = runner.run_floats(calibration.image(index)).map_err(failed)?;
        for (range, values) in extremes.iter_mut().zip(&outputs[1..]) {
            for &value in values {
                if !value.is_finite() {
                    return Err(QuantizeError::Calibration(format!("image {index} gives {value}")));
                }
                range.low = range.low.min(value);
                range.high = range.high.max(value);
            }
        }
    }
    let mut histograms: Vec<Histogram> = extremes.iter().map(|&range| Histogram::new(range)).collect();
    for index in 0..calibration.len() {
        counter.count();
        let outputs = runner.run_floats(calibration.image(index)).map_err(failed)?;
        for (histogram, values) in histograms.iter_mut().zip(&outputs[1..]) {
            values.iter().for_each(|&value| histogram.add(value));
        }
    }
    // The logits stay accumulators; their range is never used, nor is a copy's.
    let mut ranges = vec![Range { low: 0.0, high: 1.0 }; layers.len()];
    for (&index, histogram) in hidden.iter().zip(&histograms) {
        ranges[index] = histogram.best_range();
    }
    Ok(ranges)
}

/// Counts of values in equal bins between the extremes.
struct Histogram {
    range: Range,
    counts: Vec<u64>,
}

impl Histogram {
    fn new(range: Range) -> Self {
        let range = if range.low <= range.high { range } else { Range { low: 0.0, high: 0.0 } };
        Self { range, counts: vec![0; BINS] }
    }

    fn add(&mut self, value: f32) {
        let span = (self.range.high - self.range.low).max(f32::MIN_POSITIVE);
        let bin = ((value - self.range.low) / span * BINS as f32) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
    }

    /// Returns the range whose 256 steps give the least squared error over the counted values.
    fn best_range(&self) -> Range {
        let candidates = (SMALLEST_FRACTION..=64).rev().map(|part| {
            let fraction = part as f32 / 64.0;
            Range { low: self.range.low * fraction, high: self.range.high * fraction }
        });
        let scored = candidates.map(|range| (self.squared_error(range), range));
        scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(self.range, |(_, range)| range)
    }

    /// Rounding error inside the range (step² / 12) plus clipping error outside.
    fn squared_error(&self, range: Range) -> f64 {
        let step = f64::from(range.high.max(0.0) - range.low.min(0.0)) / 255.0;
        let width = f64::from(self.range.high - self.range.low) / BINS as f64;
        let mut error = 0.0;
        for (bin, &count) in self.counts.iter().enumerate() {
            let value = f64::from(self.range.low) + (bin as f64 + 0.5) * width;
            let outside = (value - f64::from(range.high)).max(f64::from(range.low) - value).max(0.0);
            // Zeros are exact in every range; the many of a ReLU must not decide.
            let rounding = if bin == 0 && self.range.low == 0.0 { 0.0 } else { step * step / 12.0 };
            error += count as f64 * (rounding + outside * outside);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram_of(values: impl Iterator<Item = f32> + Clone) -> Histogram {
        let low = values.clone().fold(f32::INFINITY, f32::min);
        let high = values.clone().fold(f32::NEG_INFINITY, f32::max);
        let mut histogram = Histogram::new(Range { low, high });
        values.for_each(|value| histogram.add(value));
        histogram
    }

    #[test]
    fn an_even_spread_keeps_its_extremes() {
        let best = histogram_of((0..10_000).map(|i| i as f32 / 10_000.0)).best_range();
        assert!(best.high > 0.97, "{best:?}");
    }

    #[test]
    fn a_lone_outlier_is_clipped() {
        let values = (0..1_000_000).map(|i| (i % 1_000) as f32 / 1_000.0).chain([3.0]);
        let best = histogram_of(values).best_range();
        assert!(best.high < 2.0 && best.high >= 1.0, "{best:?}");
    }

    #[test]
    fn nothing_but_zeros_is_survived() {
        let best = histogram_of([0.0; 5].into_iter()).best_range();
        assert_eq!((best.low, best.high), (0.0, 0.0));
    }
}
