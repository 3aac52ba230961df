//! Network → plan: fuse layers, choose kernels, repack weights, lay out memory.
//!
//! | module | decides |
//! |---|---|
//! | [`pack`] | layouts of constants |
//! | `choose` | which kernels are candidates, and the best chain |
//! | [`cost`] | what a kernel costs |
//! | [`place`] | where activations and scratch lie |
//! | [`shape`] | what steps write: height, width, channels |
//! | `kept` | where outputs are kept for later layers |
//!
//! Every layer has a few candidates, a convolution together with its pooling too. The fastest chain
//! within the budget of constants is found exactly: of all partial chains only those stay that no other
//! beats in both instructions and bytes.

mod choose;
pub mod cost;
mod kept;
pub mod pack;
pub mod place;
pub mod shape;

use firmware::nn::kernel::routines::Packing;
use firmware::nn::layer::{Dense, Layer};
use firmware::nn::plan::{Operator, Plan, PlanError, Step};

use crate::quantize::network::FirmwareNetwork;
use choose::{Candidate, candidates, choose, constant_bytes, operator};
use kept::kept_bytes;
use place::Place;

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Fewest instructions
    Speed,
    /// Fewest bytes of constants, packed kernels
    Size,
    /// Reference kernels only
    Scalar,
}

impl Profile {
    /// Returns the name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Speed => "speed",
            Profile::Size => "size",
            Profile::Scalar => "scalar",
        }
    }
}

/// Bytes of constants that a plan for speed may take unless told otherwise: half of a 128 KiB chip. A
/// network that needs more gets what it needs.
pub const DEFAULT_FLASH: usize = 64 * 1024;

/// How to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What counts.
    pub profile: Profile,
    /// Most bytes of constants; `None` is [`DEFAULT_FLASH`] for speed and no limit otherwise.
    pub flash: Option<usize>,
}

impl Options {
    /// The fastest kernels whatever their size.
    pub const FASTEST: Self = Self { profile: Profile::Speed, flash: Some(usize::MAX) };

    /// Returns the budget as the command line takes it, if any was given.
    pub fn budget(&self) -> Option<String> {
        self.flash.map(|bytes| if bytes == usize::MAX { "any".to_owned() } else { bytes.to_string() })
    }
}

impl Default for Options {
    fn default() -> Self {
        Profile::Speed.into()
    }
}

/// `speed`, or `speed-65536` with a budget.
impl std::fmt::Display for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.budget() {
            None => write!(f, "{}", self.profile.name()),
            Some(budget) => write!(f, "{}-{budget}", self.profile.name()),
        }
    }
}

impl From<Profile> for Options {
    fn from(profile: Profile) -> Self {
        Self { profile, flash: None }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// No choice of kernels is small enough.
    #[error("the network's constants need at least {need} bytes, but --flash allows {have}")]
    Flash {
        /// Bytes of the smallest plan.
        need: usize,
        /// Bytes allowed.
        have: usize,
    },
    /// The firmware's check refused the plan: a fault of the planner.
    #[error("the plan is faulty: {0}")]
    Faulty(PlanError),
}

/// A kernel for one or two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Copy,
    /// The image with a fourth channel, or as columns.
    Spread,
    Image {
        pool: bool,
    },
    Chain {
        pool: bool,
        packing: Packing,
    },
    Depthwise,
    Conv {
        pool: bool,
        packing: Packing,
    },
    Winograd {
        tile: usize,
    },
    Dense,
    Pool,
    /// Keeps the output of the layer before for a later one.
    Keep,
    /// The one way to compute a sum, a product, joined channels, a table, or to recall an output.
    Only,
    Scalar,
}

impl Kernel {
    /// Layers that the kernel computes.
    fn layers(self) -> usize {
        match self {
            Kernel::Copy | Kernel::Spread | Kernel::Keep => 0,
            Kernel::Chain { pool: true, .. } => 3,
            Kernel::Image { pool: true } | Kernel::Conv { pool: true, .. } | Kernel::Chain { .. } => 2,
            _ => 1,
        }
    }
}

/// A chosen kernel with its constants; the layers it stands for are in the network.
#[derive(Debug, Clone, PartialEq)]
struct Chosen {
    /// First layer; the last dense layer counts as one.
    layer: usize,
    kernel: Kernel,
    constants: Vec<u32>,
}

/// A plan that owns its constants.
#[derive(Debug, Clone)]
pub struct NetworkPlan {
    network: FirmwareNetwork,
    options: Options,
    chosen: Vec<Chosen>,
    places: Vec<Place>,
    /// For each step what was not chosen: kernel, instructions, bytes.
    rejected: Vec<Vec<(String, usize, usize)>>,
}

/// One line of the generator's account.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Decision {
    /// Position.
    pub step: usize,
    /// Layers computed, such as `conv 3×3 16→24 + max-pool`.
    pub layers: String,
    /// Kernel.
    pub kernel: &'static str,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Estimated instructions.
    pub estimate: usize,
    /// Bytes of constants.
    pub constant_bytes: usize,
    /// Bytes of activations and scratch alive.
    pub memory_bytes: usize,
    /// What else could compute it, and its estimates.
    pub instead_of: String,
}

impl NetworkPlan {
    /// Plans a network.
    ///
    /// # Errors
    /// [`PlanningError::Flash`] where nothing fits the budget.
    pub fn new(network: &FirmwareNetwork, options: impl Into<Options>) -> Result<Self, PlanningError> {
        let options = options.into();
        let (layers, last) = network.layers();
        let candidates = candidates(&layers, &last, options.profile);
        let is_chain = |candidate: &&Candidate| matches!(candidate.chosen.kernel, Kernel::Chain { .. });
        let apart: Vec<&Candidate> = candidates.iter().filter(|candidate| !is_chain(candidate)).collect();
        let plan = Self::of(network, options, &candidates, &apart)?;
        // A chain for the first layers costs a little time: see `is_worth_its_time`.
        let end = candidates.iter().find(is_chain).map_or(0, |chain| chain.chosen.kernel.layers());
        let chained = |candidate: &&Candidate| is_chain(candidate) || candidate.chosen.layer >= end;
        let chained: Vec<&Candidate> = candidates.iter().filter(chained).collect();
        if end == 0 {
            return Ok(plan);
        }
        match Self::of(network, options, &candidates, &chained) {
            Ok(chain) if chain.is_worth_its_time(&plan) => Ok(chain),
            _ => Ok(plan),
        }
    }

    /// Whether this plan needs a fifth less memory than `other` for at most 3 % more instructions.
    fn is_worth_its_time(&self, other: &Self) -> bool {
        let estimate = |plan: &Self| plan.decisions().iter().map(|decision| decision.estimate).sum::<usize>();
        5 * self.arena_bytes() <= 4 * other.arena_bytes() && 100 * estimate(self) <= 103 * estimate(other)
    }

    /// The best plan of some of the candidates; the others are accounted for as rejected.
    fn of(
        network: &FirmwareNetwork,
        options: Options,
        all: &[Candidate],
        admitted: &[&Candidate],
    ) -> Result<Self, PlanningError> {
        let (layers, last) = network.layers();
        let chosen = choose(admitted, &layers, options)?;
        let rejected = chosen.iter().map(|choice| {
            let others = all
                .iter()
                .filter(|other| other.chosen.layer == choice.layer && other.chosen.kernel != choice.kernel);
            others.map(|other| (other.kernel.to_owned(), other.instructions, other.bytes)).collect()
        });
        let rejected = rejected.collect();
        let mut plan = Self { network: network.clone(), options, chosen, places: Vec::new(), rejected };
        plan.places = place::place(&plan.operators(&layers, &last), kept_bytes(&layers));
        plan.with_steps(|steps| Plan::new(steps).map(|_| ())).map_err(PlanningError::Faulty)?;
        Ok(plan)
    }

    /// Returns what the plan was made for.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Returns the network it computes.
    pub fn network(&self) -> &FirmwareNetwork {
        &self.network
    }

    fn operators<'a>(&'a self, layers: &[Layer<'a>], last: &Dense<'a>) -> Vec<Operator<'a>> {
        self.chosen.iter().map(|choice| operator(choice, layers, last)).collect()
    }

    /// Runs `work` with the steps, which borrow from `self`.
    pub fn with_steps<T>(&self, work: impl FnOnce(&[Step<'_>]) -> T) -> T {
        let (layers, last) = self.network.layers();
        let steps = self.operators(&layers, &last).into_iter().zip(&self.places).map(|(operator, place)| {
            Step { operator, input: place.input, output: place.output, scratch: place.scratch }
        });
        work(&steps.collect::<Vec<_>>())
    }

    /// Runs `work` with the checked plan, which borrows from `self`.
    pub fn with_plan<T>(&self, work: impl FnOnce(&Plan<'_>) -> T) -> T {
        self.with_steps(|steps| work(&Plan::new(steps).expect("checked when this was made")))
    }

    /// Returns the logits of a quantized image, by the packed kernels. Panics where it has another length than
    /// the task's input.
    pub fn logits(&self, image: &[i8]) -> Vec<i32> {
        self.with_plan(|plan| {
            let mut arena = vec![0; plan.arena_words()];
            let mut logits = vec![0; plan.classes()];
            plan.infer(image, &mut arena, &mut logits).expect("every length is the one asked for");
            logits
        })
    }

    /// Returns the bytes of activations and scratch.
    pub fn arena_bytes(&self) -> usize {
        self.with_plan(|plan| 4 * plan.arena_words())
    }

    /// Returns the bytes of weights, biases and tables.
    pub fn constant_bytes(&self) -> usize {
        self.decisions().iter().map(|decision| decision.constant_bytes).sum()
    }

    /// Accounts for every step.
    pub fn decisions(&self) -> Vec<Decision> {
        let (layers, last) = self.network.layers();
        let operators = self.operators(&layers, &last);
        let all = self.chosen.iter().zip(&operators).zip(&self.places).zip(&self.rejected);
        all.enumerate()
            .map(|(step, (((choice, operator), place), rejected))| {
                let range = choice.layer..choice.layer + choice.kernel.layers();
                let names: Vec<String> = range.clone().map(|at| describe(&layers, &last, at)).collect();
                let others = rejected.iter().map(|(kernel, instructions, bytes)| {
                    format!("{kernel} ({} K, {bytes} B)", instructions.div_ceil(1_000))
                });
                Decision {
                    step,
                    layers: match choice.kernel {
                        Kernel::Keep => "kept for later".to_owned(),
                        _ if names.is_empty() => "image".to_owned(),
                        _ => names.join(" + "),
                    },
                    kernel: operator.kernel(),
                    macs: range
                        .map(|at| layers.get(at).map_or(last.in_features * last.out_features, Layer::macs))
                        .sum(),
                    estimate: cost::instructions(operator),
                    constant_bytes: constant_bytes(choice, operator),
                    memory_bytes: 4 * (place.scratch + operator.scratch()),
                    instead_of: others.collect::<Vec<_>>().join(", "),
                }
            })
            .collect()
    }
}

fn describe(layers: &[Layer<'_>], last: &Dense<'_>, at: usize) -> String {
    match layers.get(at) {
        None => format!("dense {}→{}", last.in_features, last.out_features),
        Some(Layer::Conv2d(layer)) => format!(
            "conv {}×{}{} {}→{}",
            layer.window.kernel_height,
            layer.window.kernel_width,
            if layer.window.stride_x > 1 { format!("/{}", layer.window.stride_x) } else { String::new() },
            layer.in_channels,
            layer.out_channels
        ),
        Some(Layer::DepthwiseConv2d(layer)) => format!(
            "depthwise {}×{}{} {}",
            layer.window.kernel_height,
            layer.window.kernel_width,
            if layer.window.stride_x > 1 { format!("/{}", layer.window.stride_x) } else { String::new() },
            layer.channels
        ),
        Some(Layer::Dense(layer)) => format!("dense {}→{}", layer.in_features, layer.out_features),
        Some(Layer::MaxPool(_)) => "max-pool".to_owned(),
        Some(Layer::AveragePool(_)) => "average-pool".to_owned(),
        Some(Layer::Add(layer)) => format!("add {}", layer.channels),
        Some(Layer::Product(layer)) => format!("product {}", layer.channels),
        Some(Layer::Concat(layer)) => format!("concat {}+{}", layer.channels[0], layer.channels[1]),
        Some(Layer::Recall(layer)) => format!("output of layer {}", layer.other),
        Some(Layer::Lookup(layer)) => format!("function of {}", layer.channels),
    }
}
