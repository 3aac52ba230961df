//! Random graphs of all operators that are read: the file as it came, the layers read from it, the integer engine,
//! the packed plan and the int8 file in tract must agree.

mod support;

use std::sync::Mutex;

use host::evaluate::verify::largest_layer_step;
use host::import::compare::compare;
use host::import::{InputRange, Options, import};
use host::onnx::proto::{self, AttributeProto, ModelProto};
use host::onnx::write::float_model;
use host::onnx::{float, int8};
use host::plan::{NetworkPlan, Profile};
use host::quantize::observe::observe;
use host::quantize::{quantize_on, quantized};
use host::task::Task;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use shared::input::InputShape;
use support::graphs::Net;
use support::noise;

/// Graphs tried unless `GRAPHS` says another number.
const GRAPHS: u64 = 2_000;

/// A tensor of the graph under construction.
#[derive(Clone)]
struct Plane {
    name: String,
    shape: [usize; 3],
}

/// A random graph, node by node.
struct Maker {
    net: Option<Net>,
    rng: StdRng,
    count: usize,
}

impl Maker {
    fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }

    fn below(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }

    fn change(&mut self, work: impl FnOnce(Net) -> Net) {
        self.net = self.net.take().map(work);
    }

    /// Adds a node over `inputs`; returns its output's name.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.count += 1;
        let name = format!("t{}", self.count);
        self.change(|net| net.node(op, inputs, &name, attributes));
        name
    }

    fn weights(&mut self, dims: &[usize]) -> String {
        self.count += 1;
        let name = format!("w{}", self.count);
        self.change(|net| net.weights(&name, dims));
        name
    }

    fn constant(&mut self, dims: &[usize], values: &[f32]) -> String {
        self.count += 1;
        let name = format!("c{}", self.count);
        self.change(|net| net.floats(&name, dims, values));
        name
    }

    fn positive(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.rng.random_range(0.5..1.5)).collect()
    }

    fn conv(&mut self, from: &Plane, channels: usize, keeps: bool) -> Plane {
        let [inputs, height, width] = from.shape;
        let kernel = if keeps { [1, 3][self.below(2)] } else { [1, 2, 3, 5][self.below(4)] };
        let dilation = if self.chance(0.2) && !keeps { 2 } else { 1 };
        let stride = if keeps { [1, 1] } else { [1 + self.below(2), 1 + self.below(2)] };
        let reach = (kernel - 1) * dilation + 1;
        let mut pads = [0; 4];
        if keeps {
            pads = [kernel / 2; 4];
        } else if self.chance(0.6) {
            pads = std::array::from_fn(|_| self.below(reach));
        }
        let out = |size: usize, before: usize, after: usize, stride: usize| {
            (size + before + after).checked_sub(reach).map(|rest| rest / stride + 1)
        };
        let sides = [out(height, pads[0], pads[2], stride[0]), out(width, pads[1], pads[3], stride[1])];
        let [Some(rows), Some(columns)] = sides else { return from.clone() };
        let groups = match self.below(4) {
            0 if channels == inputs => inputs,
            1 if inputs.is_multiple_of(2) && channels.is_multiple_of(2) => 2,
            _ => 1,
        };
        let weights = self.weights(&[channels, inputs / groups, kernel, kernel]);
        let mut names = vec![from.name.clone(), weights];
        if self.chance(0.7) {
            names.push(self.weights(&[channels]));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let attributes = vec![
            proto::ints("strides", &stride),
            proto::ints("dilations", &[dilation; 2]),
            proto::ints("pads", &pads),
            proto::int("group", groups as i64),
        ];
        Plane { name: self.node("Conv", &names, attributes), shape: [channels, rows, columns] }
    }

    fn pool(&mut self, from: &Plane) -> Plane {
        let [channels, height, width] = from.shape;
        let size = 2 + self.below(2);
        if height < size || width < size {
            return from.clone();
        }
        let (stride, pad) = (1 + self.below(size), self.below(size.min(2)));
        let is_max = self.chance(0.5);
        let mut attributes = vec![
            proto::ints("kernel_shape", &[size; 2]),
            proto::ints("strides", &[stride; 2]),
            proto::ints("pads", &[pad; 4]),
        ];
        let mut counts = false;
        if !is_max {
            counts = self.chance(0.5);
            attributes.push(proto::int("count_include_pad", i64::from(counts)));
        }
        let ceil = !counts && self.chance(0.3);
        attributes.push(proto::int("ceil_mode", i64::from(ceil)));
        let side = |size_in: usize| {
            let rest = size_in + 2 * pad - size;
            let windows = if ceil { rest.div_ceil(stride) } else { rest / stride } + 1;
            if ceil && (windows - 1) * stride >= size_in + pad { windows - 1 } else { windows }
        };
        let op = if is_max { "MaxPool" } else { "AveragePool" };
        Plane { name: self.node(op, &[&from.name], attributes), shape: [channels, side(height), side(width)] }
    }

    fn norm(&mut self, from: &Plane) -> Plane {
        let channels = from.shape[0];
        let parameters = [
            self.positive(channels),
            self.positive(channels),
            self.positive(channels),
            self.positive(channels),
        ]
        .map(|values| self.constant(&[channels], &values));
        let [gamma, beta, mean, variance] = &parameters;
        let name = self.node("BatchNormalization", &[&from.name, gamma, beta, mean, variance], vec![]);
        Plane { name, shape: from.shape }
    }

    /// An activation, alone or put together of several nodes.
    fn activation(&mut self, from: &Plane) -> Plane {
        let x = &from.name;
        let name = match self.below(12) {
            0..3 => self.node("Relu", &[x], vec![]),
            3 => {
                let bounds = [self.constant(&[], &[0.0]), self.constant(&[], &[6.0])];
                self.node("Clip", &[x, &bounds[0], &bounds[1]], vec![])
            }
            4 => self.node("LeakyRelu", &[x], vec![proto::float("alpha", 0.1)]),
            5 => {
                let slopes = self.positive(from.shape[0]);
                let slopes = self.constant(&[from.shape[0], 1, 1], &slopes);
                self.node("PRelu", &[x, &slopes], vec![])
            }
            6 => self.node("HardSwish", &[x], vec![]),
            7 => self.node("HardSigmoid", &[x], vec![]),
            8 => self.node("Tanh", &[x], vec![]),
            9 => {
                let gate = self.node("Sigmoid", &[x], vec![]);
                self.node("Mul", &[x, &gate], vec![])
            }
            10 => {
                let (root, half, one) = (
                    self.constant(&[], &[std::f32::consts::SQRT_2]),
                    self.constant(&[], &[0.5]),
                    self.constant(&[], &[1.0]),
                );
                let scaled = self.node("Div", &[x, &root], vec![]);
                let bent = self.node("Erf", &[&scaled], vec![]);
                let raised = self.node("Add", &[&bent, &one], vec![]);
                let product = self.node("Mul", &[x, &raised], vec![]);
                self.node("Mul", &[&product, &half], vec![])
            }
            _ => self.node("Elu", &[x], vec![]),
        };
        Plane { name, shape: from.shape }
    }

    /// Something with branches over `from`.
    fn block(&mut self, from: &Plane) -> Plane {
        let channels = from.shape[0];
        match self.below(4) {
            // A residual block, the shortcut as it is or projected.
            0 => {
                let first = self.conv(from, channels, true);
                let first = self.activation(&first);
                let second = self.conv(&first, channels, true);
                let other = if self.chance(0.5) { self.conv(from, channels, true) } else { from.clone() };
                let op = if self.chance(0.2) { "Sub" } else { "Add" };
                Plane { name: self.node(op, &[&second.name, &other.name], vec![]), shape: from.shape }
            }
            // Channels side by side, of two branches or with the input.
            1 => {
                let left = self.conv(from, 1 + self.count % 4, true);
                let right = if self.chance(0.5) {
                    let right = self.conv(from, 4, true);
                    self.activation(&right)
                } else {
                    from.clone()
                };
                let [_, height, width] = from.shape;
                let parts = if self.chance(0.5) { [&left, &right] } else { [&right, &left] };
                let names = parts.map(|part| part.name.as_str());
                let name = self.node("Concat", &names, vec![proto::int("axis", 1)]);
                Plane { name, shape: [left.shape[0] + right.shape[0], height, width] }
            }
            // Squeeze and excitation.
            2 => {
                let mean = self.node("GlobalAveragePool", &[&from.name], vec![]);
                let single = Plane { name: mean, shape: [channels, 1, 1] };
                let gate = self.conv(&single, channels, true);
                let gate = self.node("Sigmoid", &[&gate.name], vec![]);
                Plane { name: self.node("Mul", &[&from.name, &gate], vec![]), shape: from.shape }
            }
            // One half of the channels goes another way.
            _ if channels.is_multiple_of(2) => {
                let [_, height, width] = from.shape;
                self.count += 2;
                let halves = [format!("h{}", self.count), format!("h{}", self.count + 1)];
                self.change(|mut net| {
                    net = net.node(
                        "Split",
                        &[&from.name],
                        &halves[0],
                        vec![proto::int("axis", 1), proto::int("num_outputs", 2)],
                    );
                    net.graph.node.last_mut().unwrap().output.push(halves[1].clone());
                    net
                });
                let half = Plane { name: halves[0].clone(), shape: [channels / 2, height, width] };
                let changed = self.conv(&half, channels / 2, true);
                let name = self.node("Concat", &[&halves[1], &changed.name], vec![proto::int("axis", 1)]);
                Plane { name, shape: from.shape }
            }
            _ => from.clone(),
        }
    }
}

/// A random graph and the shape of its input.
fn graph(seed: u64) -> (ModelProto, InputShape) {
    let mut rng = StdRng::seed_from_u64(seed);
    let [height, width] = [0; 2].map(|_| rng.random_range(8..15));
    let channels = if rng.random_bool(0.3) { 3 } else { 1 };
    let mut net = Net::reading(&[channels as i64, height as i64, width as i64]);
    net.opset = 18;
    net.seed = seed as u32 + 1;
    let mut maker = Maker { net: Some(net), rng, count: 0 };
    let mut plane = Plane { name: "image".into(), shape: [channels, height, width] };
    plane = maker.conv(&plane, [4, 6, 8][seed as usize % 3], false);
    for _ in 0..1 + maker.below(4) {
        plane = match maker.below(7) {
            0 | 1 => {
                let channels = [3, 4, 8, plane.shape[0]][maker.below(4)];
                maker.conv(&plane, channels, false)
            }
            2 => maker.pool(&plane),
            3 => maker.norm(&plane),
            4 => maker.activation(&plane),
            _ => maker.block(&plane),
        };
        if maker.chance(0.5) {
            plane = maker.activation(&plane);
        }
    }
    if maker.chance(0.4) {
        plane = Plane {
            name: maker.node("GlobalAveragePool", &[&plane.name], vec![]),
            shape: [plane.shape[0], 1, 1],
        };
    }
    let count: usize = plane.shape.iter().product();
    let net = maker.net.take().expect("it is put back after each change").ended(&plane.name, count, "out");
    let model = net.model();
    (model, InputShape::new(height, width, channels).unwrap())
}

/// Checks a graph in every engine; says what differs.
fn check(seed: u64) -> Result<(), String> {
    let (model, shape) = graph(seed);
    let samples = noise(shape, 3, seed as u32);
    let options = Options { range: InputRange::Unit, input: None, output: None };
    let imported = import(&model, "random", &options).map_err(|error| error.to_string())?;
    let task = Task { preprocessing: shared::preprocess::Preprocessing::Square, ..Task::numbered(shape, 10) };
    let written = float_model(&imported.layers, &task, "test");
    let difference = compare(&model, &imported, &written, &samples).map_err(|error| format!("{error:#}"))?;
    if !difference.is_rounding() {
        return Err(format!("float: {difference:?}"));
    }
    let layers = float::layers(&written, "written").map_err(|error| error.to_string())?;
    let ranges = observe(&written, &layers, &samples).map_err(|error| error.to_string())?;
    let mut network = quantize_on(&task, &layers, &ranges, &[]).map_err(|error| error.to_string())?;
    let firmware = network.to_firmware().map_err(|error| error.to_string())?;
    let file = int8::write(&network);
    let read = int8::read(&file, "written").map_err(|error| error.to_string())?;
    // What the last layer's output would be quantized with says nothing.
    if let (Some(written), Some(read)) = (network.layers.last_mut(), read.layers.last()) {
        written.output = read.output;
    }
    if read.layers != network.layers {
        return Err("the int8 file is read back otherwise".into());
    }
    let steps = largest_layer_step(&file, &firmware, &samples).map_err(|error| format!("{error:#}"))?;
    if steps > 1 {
        return Err(format!("tract: {steps} steps"));
    }
    for profile in [Profile::Speed, Profile::Size, Profile::Scalar] {
        let plan = NetworkPlan::new(&firmware, profile).map_err(|error| error.to_string())?;
        for image in samples.images() {
            let image = quantized(image);
            if plan.logits(&image) != firmware.logits(&image) {
                return Err(format!("the plan for {} gives other logits", profile.name()));
            }
        }
    }
    Ok(())
}

#[test]
fn random_graphs_give_the_same_numbers_in_every_engine() {
    let count = std::env::var("GRAPHS").ok().and_then(|count| count.parse().ok()).unwrap_or(GRAPHS);
    let faults = Mutex::new(Vec::new());
    let first = std::env::var("FIRST").ok().and_then(|first| first.parse().ok()).unwrap_or(0);
    (first..first + count).into_par_iter().for_each(|seed| {
        if let Err(fault) = check(seed) {
            faults.lock().unwrap().push(format!("graph {seed}: {fault}"));
        }
    });
    let faults = faults.into_inner().unwrap();
    let shown: Vec<&str> = faults.iter().take(10).map(|fault| fault.get(..300).unwrap_or(fault)).collect();
    assert!(faults.is_empty(), "{} of {count} graphs, {shown:#?}", faults.len());
}
