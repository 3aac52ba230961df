//! The file as it came against the layers read from it, over the same pictures.

use std::sync::Mutex;

use anyhow::{Context, Result};
use shared::input::InputShape;
use tract_onnx::prelude::*;

use super::{Feed, Head, Imported, InputRange};
use crate::dataset::Samples;
use crate::evaluate::arg_max_f32;
use crate::onnx::proto::{self, GraphProto, ModelProto, TensorProto, type_proto};
use crate::runtime::ort::RawOrt;
use crate::runtime::scaled;
use crate::runtime::tract::{TractModel, runnable};

/// How far apart both answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Engine that ran the file as it came, for people.
    pub engine: &'static str,
    /// Pictures compared.
    pub images: usize,
    /// Largest difference of an output.
    pub largest: f32,
    /// Largest magnitude of an output of the file as it came.
    pub magnitude: f32,
}

/// Share of the largest magnitude that both may differ by: rounding of 32-bit floats in another order.
const TOLERANCE: f32 = 1e-3;

impl Difference {
    /// Whether the difference is what rounding leaves.
    pub fn is_rounding(&self) -> bool {
        self.largest <= TOLERANCE * self.magnitude.max(1.0)
    }
}

/// `TensorProto.DataType` of floats with 16 or 64 bits.
const OTHER_FLOATS: [i32; 3] = [10, 11, 16];

/// Makes every float one of 32 bits, as the layers compute: tract does not run all others.
fn widen(graph: &mut GraphProto) {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    for attribute in attributes {
        if attribute.name == "to" && OTHER_FLOATS.contains(&(attribute.i as i32)) {
            attribute.i = i64::from(proto::FLOAT);
        }
        attribute.t.iter_mut().for_each(widen_tensor);
    }
    graph.initializer.iter_mut().for_each(widen_tensor);
    for input in &mut graph.input {
        let value = input.r#type.as_mut().and_then(|of| of.value.as_mut());
        if let Some(type_proto::Value::TensorType(tensor)) = value
            && OTHER_FLOATS.contains(&tensor.elem_type)
        {
            tensor.elem_type = proto::FLOAT;
        }
    }
}

fn widen_tensor(tensor: &mut TensorProto) {
    if OTHER_FLOATS.contains(&tensor.data_type)
        && let Ok(read) = super::tensor::Tensor::read(tensor)
    {
        *tensor = proto::float_tensor(&tensor.name, &read.dims, &read.floats());
    }
}

/// Runs both over `pictures`.
///
/// The file as it came runs in tract; in ONNX Runtime, where that is there, if tract cannot run it or answers
/// otherwise.
///
/// # Errors
/// Where no engine can run one of them.
pub fn compare(
    original: &ModelProto,
    imported: &Imported,
    ours: &ModelProto,
    pictures: &Samples,
) -> Result<Difference> {
    let mut ours = TractModel::from_proto(ours)?;
    let theirs = Original::load(original, &imported.feed, imported.output)?;
    let difference = difference(&theirs, imported, &mut ours, pictures)?;
    if let (false, Engine::Tract(_), Ok(session)) =
        (difference.is_rounding(), &theirs.engine, RawOrt::load(original))
    {
        // Engines differ by faults of their own: a second one decides.
        let engine = Engine::Ort(Mutex::new(session));
        return self::difference(&Original { engine, ..theirs }, imported, &mut ours, pictures);
    }
    Ok(difference)
}

fn difference(
    theirs: &Original,
    imported: &Imported,
    ours: &mut TractModel,
    pictures: &Samples,
) -> Result<Difference> {
    let engine = theirs.engine();
    let mut difference = Difference { engine, images: pictures.len(), largest: 0.0, magnitude: 0.0 };
    for index in 0..pictures.len() {
        let image = pictures.image(index);
        let logits = ours.run_floats(image)?.into_iter().next().unwrap_or_default();
        let expected = theirs.run(imported.input, image)?;
        let found = finished(imported.head, &logits, expected.len());
        if found.len() != expected.len() {
            anyhow::bail!(
                "the file yields {} values, the layers read from it {}",
                expected.len(),
                found.len()
            );
        }
        for (found, expected) in found.iter().zip(&expected) {
            let apart = (found - expected).abs();
            difference.largest = if apart.is_nan() { f32::INFINITY } else { difference.largest.max(apart) };
            difference.magnitude = difference.magnitude.max(expected.abs());
        }
    }
    Ok(difference)
}

/// What the file makes of its logits.
fn finished(head: Head, logits: &[f32], count: usize) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    let sigmoid = |logit: f32| 1.0 / (1.0 + (-logit).exp());
    match head {
        Head::Logits => logits.to_vec(),
        Head::Softmax => logits.iter().map(|logit| (logit - highest).exp() / sum).collect(),
        Head::LogSoftmax => logits.iter().map(|logit| logit - highest - sum.ln()).collect(),
        // One logit became two, 0 and itself.
        Head::Sigmoid if count == 1 && logits.len() == 2 => vec![sigmoid(logits[1] - logits[0])],
        Head::Sigmoid => logits.iter().map(|&logit| sigmoid(logit)).collect(),
    }
}

/// Somebody's file in another engine.
pub struct Original {
    engine: Engine,
    feed: Feed,
    output: usize,
}

enum Engine {
    Tract(Arc<TypedRunnableModel>),
    Ort(Mutex<RawOrt>),
}

impl Original {
    /// Loads a float file: in tract, or in ONNX Runtime where tract cannot run it.
    fn load(model: &ModelProto, feed: &Feed, output: usize) -> Result<Self> {
        let engine = match Self::in_tract(model, feed) {
            Ok(plan) => Engine::Tract(plan),
            Err(error) => match RawOrt::load(model) {
                Ok(session) => Engine::Ort(Mutex::new(session)),
                Err(_) => return Err(error),
            },
        };
        Ok(Self { engine, feed: feed.clone(), output })
    }

    /// Loads a quantized file: in ONNX Runtime without optimizations where it is there, else in tract.
    ///
    /// * `input`: shape of the image; `range`: what the input's numbers are.
    ///
    /// # Errors
    /// Where neither can run it.
    pub fn quantized(model: &ModelProto, input: InputShape, range: &InputRange) -> Result<Self> {
        let feed = Feed::planes(model, input, range).map_err(anyhow::Error::msg)?;
        let engine = match RawOrt::load(model) {
            Ok(session) => Engine::Ort(Mutex::new(session)),
            Err(_) => Engine::Tract(Self::in_tract(model, &feed)?),
        };
        Ok(Self { engine, feed, output: 0 })
    }

    /// Name of the engine, for people.
    pub fn engine(&self) -> &'static str {
        match self.engine {
            Engine::Tract(_) => "tract",
            Engine::Ort(_) => "ONNX Runtime, graph optimizations off",
        }
    }

    /// The class that the file answers for each picture.
    ///
    /// # Errors
    /// The engine's message.
    pub fn classes(&self, shape: InputShape, pictures: &Samples) -> Result<Vec<usize>> {
        let class = |image| self.run(shape, image).map(|logits| arg_max_f32(&logits));
        pictures.images().map(class).collect()
    }

    fn in_tract(model: &ModelProto, feed: &Feed) -> Result<Arc<TypedRunnableModel>> {
        let mut model = model.clone();
        if let Some(graph) = &mut model.graph {
            widen(graph);
            // Names of nodes may repeat in ONNX; tract wants each once.
            for (index, node) in graph.node.iter_mut().enumerate() {
                node.name = format!("node{index}");
            }
            // Shapes told with a symbolic batch contradict a batch of 1 in tract.
            graph.value_info.clear();
            graph.output.iter_mut().for_each(|output| output.r#type = None);
        }
        runnable(&model, element(feed.element).fact(&feed.dims)).context("the file as it came")
    }

    fn run(&self, shape: InputShape, image: &[u8]) -> Result<Vec<f32>> {
        let planes = scaled(shape, image);
        let value = |&from: &usize| {
            let channel = from / shape.pixels();
            (f64::from(planes[from]) * self.feed.scale[channel] + self.feed.shift[channel]) as f32
        };
        let values: Vec<f32> = self.feed.map.iter().map(value).collect();
        let plan = match &self.engine {
            Engine::Tract(plan) => plan,
            Engine::Ort(session) => {
                let mut session = session.lock().map_err(|_| anyhow::anyhow!("a run before failed"))?;
                return session.run(&self.feed.dims, values, self.feed.element, self.output);
            }
        };
        let input = Tensor::from_shape(&self.feed.dims, &values)?;
        let input = input.cast_to_dt(element(self.feed.element))?.into_owned();
        let outputs = plan.run(tvec!(input.into())).context("tract cannot run the file as it came")?;
        let output = outputs.get(self.output).context("an output is missing")?;
        let floats = output.cast_to::<f32>()?;
        Ok(floats.to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}

fn element(data_type: i32) -> DatumType {
    match data_type {
        2 => DatumType::U8,
        _ => DatumType::F32,
    }
}
