//! All engines over all images of a model: accuracy, agreement, steps apart, speed, gates.

use std::time::Instant;

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;

use super::{accuracy, agreement, arg_max_f32};
use crate::counter::Counter;
use crate::dataset::Samples;
use crate::model_dir::ModelDir;
use crate::onnx::proto::ModelProto;
use crate::onnx::{int8, proto};
use crate::quantize::network::FirmwareNetwork;
use crate::runtime::{Answer, Engine, integer, ort, tract};

/// int8 may lose this fraction against float; on fewer than [`MANY_IMAGES`] two standard errors more.
pub const MAX_INT8_LOSS: f64 = 0.005;
/// Images from which a loss is taken as it is.
pub const MANY_IMAGES: usize = 2_000;
/// int8 engines must name the same class as ours on this fraction.
pub const MIN_AGREEMENT: f64 = 0.999;
/// ONNX Runtime's own int8 kernels round each layer once more or less than the file says; their accuracy must not
/// be further from ours.
pub const MAX_STOCK_LOSS: f64 = 0.002;
/// On the same input no layer's output may be further apart.
pub const MAX_LSB: u32 = 1;

/// One engine's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `burn`, `tract-float`, `tract-int8`, `ort-float`, `ort-int8`, `ort-int8-stock` or `integer`.
    pub engine: &'static str,
    /// Fraction classified correctly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Fraction of classes equal to the integer engine's (int8 engines).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_agreement: Option<f64>,
    /// Largest distance of a layer's int8 output from ours on the same input, over all layers and images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lsb: Option<u32>,
    /// The same through the whole network, where one step's difference is carried on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lsb_end_to_end: Option<u32>,
    /// Fraction of int8 activations that differ at all, through the whole network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differing: Option<f64>,
    /// Images a second, one at a time on one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Why the engine did not run, and how to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// All rows and what failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// The data set's name.
    pub dataset: String,
    /// Images verified.
    pub images: usize,
    /// One row an engine.
    pub engines: Vec<Row>,
    /// One sentence a gate that failed.
    pub failures: Vec<String>,
}

/// Answers of one engine, in order.
struct Run {
    name: &'static str,
    answers: Vec<Answer>,
    seconds: f64,
}

impl Run {
    fn of(engine: &mut dyn Engine, samples: &Samples) -> Result<Self> {
        let started = Instant::now();
        let counter = Counter::new(engine.name(), samples.len());
        let answer = |index| {
            counter.count();
            engine.answer(samples.image(index)).with_context(|| format!("image {index}"))
        };
        let answers = (0..samples.len()).map(answer).collect::<Result<_>>()?;
        Ok(Self { name: engine.name(), answers, seconds: started.elapsed().as_secs_f64() })
    }

    fn classes(&self) -> Vec<usize> {
        self.answers.iter().map(|answer| arg_max_f32(&answer.logits)).collect()
    }
}

/// Runs every engine that is there over `samples`.
///
/// # Errors
/// Where a file is damaged or an engine that is there fails; failed gates are in the report.
pub fn verify(dir: &ModelDir, dataset: &str, samples: &Samples) -> Result<Report> {
    let (int8_model, network) = dir.read_int8()?;
    let float_model = dir.read_float()?;
    let hidden: Vec<String> = (0..network.layers.len() - 1).map(int8::quantized_name).collect();
    let probe = proto::with_outputs(&int8_model, &hidden, proto::INT8);
    let firmware = network.to_firmware()?;
    let ours = Run::of(&mut integer::Integer::new(firmware.clone(), true), samples)?;
    let judge = |engine: &mut dyn Engine| -> Result<Row> {
        let run = Run::of(engine, samples)?;
        let steps = largest_step(&run, &firmware, samples);
        Ok(Row { max_lsb: Some(steps), ..row(&run, Some(&ours), samples) })
    };
    let ort_absent = ort::library().err();
    let no_float = || {
        let command = dir.manifest().map_or_else(|_| "host train".to_owned(), |manifest| manifest.command);
        format!("{} is not kept; `{command}` makes it", dir.float_onnx().display())
    };
    let mut rows = Vec::new();
    let mut float_classes = None;
    for (name, is_ort) in [("tract-float", false), ("ort-float", true)] {
        let row = match (&float_model, &ort_absent) {
            (_, Some(absent)) if is_ort => absent_row(name, absent.clone()),
            (None, _) => absent_row(name, no_float()),
            (Some(model), _) => {
                let mut engine: Box<dyn Engine> = if is_ort {
                    Box::new(ort::Ort::float(model)?)
                } else {
                    Box::new(tract::Tract::float(model)?)
                };
                let run = Run::of(engine.as_mut(), samples)?;
                float_classes.get_or_insert_with(|| run.classes());
                row(&run, None, samples)
            }
        };
        rows.push(row);
    }
    rows.push(judge(&mut tract::Tract::int8(&probe)?)?);
    match ort_absent {
        Some(absent) => {
            rows.extend(["ort-int8", "ort-int8-stock"].map(|name| absent_row(name, absent.clone())));
        }
        None => {
            rows.push(judge(&mut ort::Ort::int8(&probe)?)?);
            let run = Run::of(&mut ort::Ort::stock(&int8_model)?, samples)?;
            rows.push(row(&run, Some(&ours), samples));
        }
    }
    rows.push(row(&ours, None, samples));
    let doubt = float_classes.map_or(0.0, |float| doubt(&float, &ours.classes(), &samples.labels));
    let failures = failures(&rows, doubt);
    Ok(Report { model: dir.name(), dataset: dataset.into(), images: samples.len(), engines: rows, failures })
}

/// Runs tract over an int8 file and the integer engine beside it, layer by layer on tract's own inputs.
///
/// Returns the largest distance of a layer's output, in steps of its quantization.
///
/// # Errors
/// tract's message.
pub fn largest_layer_step(
    int8_model: &ModelProto,
    firmware: &FirmwareNetwork,
    samples: &Samples,
) -> Result<u32> {
    let layers = firmware.quantized().layers.len();
    let hidden: Vec<String> = (0..layers.saturating_sub(1)).map(int8::quantized_name).collect();
    let probe = proto::with_outputs(int8_model, &hidden, proto::INT8);
    let run = Run::of(&mut tract::Tract::int8(&probe)?, samples)?;
    Ok(largest_step(&run, firmware, samples))
}

fn absent_row(engine: &'static str, why: String) -> Row {
    Row {
        engine,
        accuracy: None,
        class_agreement: None,
        max_lsb: None,
        max_lsb_end_to_end: None,
        differing: None,
        images_per_second: None,
        absent: Some(why),
    }
}

fn row(run: &Run, ours: Option<&Run>, samples: &Samples) -> Row {
    let distances = ours.map(|ours| distances(&run.answers, &ours.answers));
    Row {
        engine: run.name,
        accuracy: Some(accuracy(&run.classes(), &samples.labels)),
        class_agreement: ours.map(|ours| agreement(&run.classes(), &ours.classes())),
        max_lsb: None,
        max_lsb_end_to_end: distances.map(|(largest, _)| largest),
        differing: distances.map(|(_, fraction)| fraction),
        images_per_second: Some(samples.len() as f64 / run.seconds.max(1e-9)),
        absent: None,
    }
}

/// Largest distance of any layer's output from ours on the input that the other engine gave it.
fn largest_step(run: &Run, network: &FirmwareNetwork, samples: &Samples) -> u32 {
    let of_image = |(index, answer): (usize, &Answer)| {
        let ours = integer::layer_by_layer(network, samples.image(index), &answer.activations);
        let pairs = ours.iter().flatten().zip(answer.activations.iter().flatten());
        pairs.map(|(a, b)| (i32::from(*a) - i32::from(*b)).unsigned_abs()).max().unwrap_or(0)
    };
    run.answers.par_iter().enumerate().map(of_image).max().unwrap_or(0)
}

/// Largest distance of an activation and the fraction of activations that differ.
fn distances(a: &[Answer], b: &[Answer]) -> (u32, f64) {
    let (mut largest, mut differing, mut count) = (0, 0usize, 0usize);
    for (a, b) in a.iter().zip(b) {
        for (a, b) in a.activations.iter().flatten().zip(b.activations.iter().flatten()) {
            let distance = (i32::from(*a) - i32::from(*b)).unsigned_abs();
            largest = largest.max(distance);
            differing += usize::from(distance != 0);
            count += 1;
        }
    }
    (largest, differing as f64 / count.max(1) as f64)
}

/// Two standard errors of the difference of two accuracies on the same images; 0 on many of them.
///
/// Only images that one of both gets right tell them apart (McNemar, 1947): with `n` such images of `count` the
/// standard error is √n / count.
fn doubt(a: &[usize], b: &[usize], labels: &[u8]) -> f64 {
    if labels.len() >= MANY_IMAGES {
        return 0.0;
    }
    let is_right = |class: usize, label: u8| class == usize::from(label);
    let pairs = a.iter().zip(b).zip(labels);
    let discordant = pairs.filter(|((a, b), label)| is_right(**a, **label) != is_right(**b, **label)).count();
    2.0 * (discordant as f64).sqrt() / labels.len().max(1) as f64
}

/// One sentence for each gate that fails.
///
/// * `doubt`: what the loss of int8 may exceed its bound by, for want of images.
fn failures(rows: &[Row], doubt: f64) -> Vec<String> {
    let accuracy_of = |name: &str| rows.iter().find(|row| row.engine == name).and_then(|row| row.accuracy);
    let mut failures = Vec::new();
    for row in rows {
        let is_stock = row.engine == "ort-int8-stock";
        if let (true, Some(stock), Some(ours)) = (is_stock, row.accuracy, accuracy_of("integer"))
            && ours - stock > MAX_STOCK_LOSS + doubt
        {
            failures.push(format!(
                "{}: {:.2} points below the integer engine, {:.1} are admitted",
                row.engine,
                100.0 * (ours - stock),
                100.0 * (MAX_STOCK_LOSS + doubt)
            ));
        }
        let agreement = row.class_agreement.filter(|&agreement| agreement < MIN_AGREEMENT && !is_stock);
        if let Some(agreement) = agreement {
            failures.push(format!(
                "{}: {:.2} % of classes agree with the integer engine, at least {:.1} % must",
                row.engine,
                100.0 * agreement,
                100.0 * MIN_AGREEMENT
            ));
        }
        if let Some(steps) = row.max_lsb.filter(|&steps| steps > MAX_LSB) {
            failures.push(format!(
                "{}: a layer's output is {steps} steps from ours, {MAX_LSB} is admitted",
                row.engine
            ));
        }
    }
    if let (Some(float), Some(int8)) = (accuracy_of("tract-float"), accuracy_of("integer"))
        && float - int8 > MAX_INT8_LOSS + doubt
    {
        failures.push(format!(
            "int8 loses {:.2} points against float, {:.1} are admitted",
            100.0 * (float - int8),
            100.0 * (MAX_INT8_LOSS + doubt)
        ));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int8_row(engine: &'static str, accuracy: f64, agreement: Option<f64>, lsb: Option<u32>) -> Row {
        Row {
            class_agreement: agreement,
            max_lsb: lsb,
            accuracy: Some(accuracy),
            absent: None,
            ..absent_row(engine, String::new())
        }
    }

    #[test]
    fn each_gate_fails_by_its_own_sentence() {
        let good = [
            int8_row("tract-float", 0.93, None, None),
            int8_row("tract-int8", 0.93, Some(0.9995), Some(1)),
            int8_row("integer", 0.926, None, None),
        ];
        assert!(failures(&good, 0.0).is_empty());
        let bad = [
            int8_row("tract-float", 0.93, None, None),
            int8_row("tract-int8", 0.93, Some(0.99), Some(2)),
            int8_row("integer", 0.92, None, None),
        ];
        let sentences = failures(&bad, 0.0);
        assert_eq!(sentences.len(), 3, "{sentences:?}");
        assert!(sentences[2].contains("1.00 points"), "{sentences:?}");
    }

    #[test]
    fn a_stock_session_is_judged_by_its_accuracy() {
        let rows = |stock| {
            [int8_row("ort-int8-stock", stock, Some(0.99), None), int8_row("integer", 0.93, None, None)]
        };
        assert!(failures(&rows(0.929), 0.0).is_empty());
        assert!(failures(&rows(0.90), 0.0)[0].contains("3.00 points"));
    }

    #[test]
    fn an_absent_engine_fails_no_gate() {
        assert!(failures(&[absent_row("ort-int8", "not here".into())], 0.0).is_empty());
    }

    #[test]
    fn few_images_leave_a_doubt_and_many_none() {
        // Four of 100 are right for one of both only.
        let (a, labels) = (vec![1; 100], vec![1; 100]);
        let b: Vec<usize> = (0..100).map(|at| usize::from(at >= 4)).collect();
        assert_eq!(doubt(&a, &b, &labels), 0.04);
        assert_eq!(doubt(&vec![1; 2_000], &vec![0; 2_000], &vec![1; 2_000]), 0.0);
    }
}
