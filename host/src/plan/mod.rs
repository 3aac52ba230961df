//! Network → plan: fuse layers, choose kernels, repack weights, lay out memory.
//!
//! | module | decides |
//! |---|---|
//! | [`pack`] | layouts of constants |
//! | [`cost`] | what a kernel costs |
//! | [`place`] | where activations and scratch lie |
//!
//! Every layer has a few candidates, a convolution together with its pooling too. The fastest chain
//! within the budget of constants is found exactly: of all partial chains only those stay that no other
//! beats in both instructions and bytes.

pub mod cost;
pub mod pack;
pub mod place;

use firmware::nn::kernel::packed::Output;
use firmware::nn::kernel::packed::chain::ChainConv;
use firmware::nn::kernel::packed::conv::PackedConv;
use firmware::nn::kernel::packed::dense::PackedDense;
use firmware::nn::kernel::packed::plane::PlaneConv;
use firmware::nn::kernel::packed::winograd::WinogradConv;
use firmware::nn::kernel::routines::PLANE_WORDS;
use firmware::nn::layer::{Conv2d, Dense, Layer, MaxPool};
use firmware::nn::plan::{Operator, Plan, PlanError, Step};
use firmware::nn::requantize::Requantization;
use shared::{CLASSES, PIXELS};

use crate::quantize::network::FirmwareNetwork;
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
    Image { pool: bool },
    Chain { pool: bool, wide: bool },
    Depthwise,
    Conv { pool: bool, wide: bool },
    Winograd { tile: usize },
    Dense,
    Pool,
    Scalar,
}

impl Kernel {
    /// Layers that the kernel computes.
    fn layers(self) -> usize {
        match self {
            Kernel::Copy => 0,
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
        let chosen = choose(admitted, layers.len() + 1, options)?;
        let rejected = chosen.iter().map(|choice| {
            let others = all
                .iter()
                .filter(|other| other.chosen.layer == choice.layer && other.chosen.kernel != choice.kernel);
            others.map(|other| (other.kernel.to_owned(), other.instructions, other.bytes)).collect()
        });
        let rejected = rejected.collect();
        let mut plan = Self { network: network.clone(), options, chosen, places: Vec::new(), rejected };
        plan.places = place::place(&plan.operators(&layers, &last));
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

    /// Returns the logits of a quantized image, by the packed kernels.
    pub fn logits(&self, image: &[i8; PIXELS]) -> [i32; CLASSES] {
        self.with_plan(|plan| {
            let mut arena = vec![0; plan.arena_words()];
            let mut logits = [0; CLASSES];
            plan.infer(image, &mut arena, &mut logits).expect("the arena has the size asked for");
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
                    layers: if names.is_empty() { "image".to_owned() } else { names.join(" + ") },
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
    }
}

fn constant_bytes(choice: &Chosen, operator: &Operator<'_>) -> usize {
    4 * choice.constants.len()
        + match operator {
            Operator::AveragePool(layer) => 4 * layer.requantization.multipliers.len(),
            Operator::Scalar(layer) => layer.constant_bytes(),
            Operator::ScalarLogits(layer) => layer.weights.len() + 4 * layer.bias.len(),
            _ => 0,
        }
}

fn output(rule: &Requantization<'_>) -> Output {
    Output { zero_point: rule.zero_point, min: rule.min, max: rule.max }
}

/// The operator of a choice, borrowing its constants.
fn operator<'a>(choice: &'a Chosen, layers: &[Layer<'a>], last: &Dense<'a>) -> Operator<'a> {
    let constants = &choice.constants[..];
    let layer = layers.get(choice.layer).copied();
    let plane = |window, channels, constants, input_zero_point, rule: &Requantization<'_>, pool| {
        let output = output(rule);
        let mut plane = PlaneConv { window, channels, constants, input_zero_point, output, pool, pitch: 0 };
        plane.pitch = plane.fitting_pitch();
        plane
    };
    let image = |layer: &Conv2d<'a>, constants, pool| {
        plane(
            layer.window,
            layer.out_channels,
            constants,
            layer.input_zero_point,
            &layer.requantization,
            pool,
        )
    };
    let conv = |layer: &Conv2d<'a>, constants, pool, wide| PackedConv {
        window: layer.window,
        in_channels: layer.in_channels,
        out_channels: layer.out_channels,
        wide,
        constants,
        input_zero_point: layer.input_zero_point,
        output: output(&layer.requantization),
        pool,
    };
    match (choice.kernel, layer) {
        (Kernel::Copy, _) => Operator::Copy,
        (Kernel::Image { pool }, Some(Layer::Conv2d(layer))) => {
            Operator::Image(image(&layer, constants, pool))
        }
        (Kernel::Chain { pool, wide }, Some(Layer::Conv2d(layer))) => {
            let (first, rest) = constants.split_at(PLANE_WORDS * layer.out_channels);
            let next = layers.get(choice.layer + if pool { 2 } else { 1 });
            let Some(Layer::Conv2d(second)) = next else { unreachable!("only made for two convolutions") };
            Operator::Chain(ChainConv {
                first: image(&layer, first, pool),
                second: conv(second, rest, false, wide),
            })
        }
        (Kernel::Conv { pool, wide }, Some(Layer::Conv2d(layer))) => {
            Operator::Conv(conv(&layer, constants, pool, wide))
        }
        (Kernel::Depthwise, Some(Layer::DepthwiseConv2d(layer))) => {
            let rule = &layer.requantization;
            Operator::Depthwise(plane(
                layer.window,
                layer.channels,
                constants,
                layer.input_zero_point,
                rule,
                false,
            ))
        }
        (Kernel::Winograd { tile }, Some(Layer::Conv2d(layer))) => Operator::Winograd(WinogradConv {
            window: layer.window,
            in_channels: layer.in_channels,
            out_channels: layer.out_channels,
            tile,
            constants,
            input_zero_point: layer.input_zero_point,
            output: output(&layer.requantization),
        }),
        (Kernel::Dense, Some(Layer::Dense(layer))) => Operator::Dense(PackedDense {
            in_features: layer.in_features,
            out_features: layer.out_features,
            constants,
            output: Some(output(&layer.requantization)),
        }),
        (Kernel::Dense, None) => Operator::Logits(PackedDense {
            in_features: last.in_features,
            out_features: last.out_features,
            constants,
            output: None,
        }),
        (Kernel::Pool, Some(Layer::MaxPool(layer))) => Operator::MaxPool(layer),
        (Kernel::Pool, Some(Layer::AveragePool(layer))) => Operator::AveragePool(layer),
        (_, Some(layer)) => Operator::Scalar(layer),
        (_, None) => Operator::ScalarLogits(*last),
    }
}

/// A kernel that can compute layers from `chosen.layer` on.
struct Candidate {
    chosen: Chosen,
    kernel: &'static str,
    instructions: usize,
    bytes: usize,
}

/// All kernels for all layers; the reference only where no packed one fits, or where it is asked for.
fn candidates(layers: &[Layer<'_>], last: &Dense<'_>, profile: Profile) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    let mut add = |layer: usize, kernel: Kernel, constants: Option<Vec<u32>>| {
        let Some(constants) = constants else { return false };
        let chosen = Chosen { layer, kernel, constants };
        let operator = operator(&chosen, layers, last);
        if !operator.is_consistent() {
            return false;
        }
        let (instructions, bytes) = (cost::instructions(&operator), constant_bytes(&chosen, &operator));
        all.push(Candidate { kernel: operator.kernel(), instructions, bytes, chosen });
        true
    };
    for at in 0..=layers.len() {
        let mut has_packed = false;
        if profile != Profile::Scalar {
            match layers.get(at) {
                Some(Layer::Conv2d(conv)) => {
                    let pool = is_halving(layers.get(at + 1), conv);
                    if at == 0 {
                        has_packed |= add(at, Kernel::Image { pool: false }, pack::image(conv));
                    }
                    if at == 0 && pool {
                        add(at, Kernel::Image { pool }, pack::image(conv));
                    }
                    if let (0, Some(Layer::Conv2d(next))) = (at, layers.get(if pool { 2 } else { 1 })) {
                        for wide in [false, true] {
                            let both = pack::image(conv).zip(pack::conv(next, wide));
                            let both = both.map(|(first, second)| [first, second].concat());
                            add(at, Kernel::Chain { pool, wide }, both);
                        }
                    }
                    for wide in [false, true] {
                        has_packed |= add(at, Kernel::Conv { pool: false, wide }, pack::conv(conv, wide));
                        if pool {
                            add(at, Kernel::Conv { pool, wide }, pack::conv(conv, wide));
                        }
                    }
                    for tile in [2, 4] {
                        has_packed |= add(at, Kernel::Winograd { tile }, pack::winograd(conv, tile));
                    }
                }
                Some(Layer::DepthwiseConv2d(conv)) => {
                    has_packed |= add(at, Kernel::Depthwise, pack::depthwise(conv));
                }
                Some(Layer::Dense(dense)) => has_packed |= add(at, Kernel::Dense, pack::dense(dense, false)),
                Some(Layer::MaxPool(_) | Layer::AveragePool(_)) => {
                    has_packed |= add(at, Kernel::Pool, Some(Vec::new()));
                }
                None => has_packed |= add(at, Kernel::Dense, pack::dense(last, true)),
            }
        }
        if !has_packed {
            add(at, Kernel::Scalar, Some(Vec::new()));
        }
    }
    all
}

/// Whether a layer is 2×2 maximum pooling of stride 2 over what `conv` writes.
fn is_halving(layer: Option<&Layer<'_>>, conv: &Conv2d<'_>) -> bool {
    let Some(Layer::MaxPool(MaxPool { window, .. })) = layer else { return false };
    let sizes = [window.kernel_height, window.kernel_width, window.stride_y, window.stride_x];
    let halves = [conv.window.out_height / 2, conv.window.out_width / 2];
    sizes == [2; 4]
        && [window.pad_top, window.pad_left] == [0; 2]
        && [window.out_height, window.out_width] == halves
}

/// A chain of kernels for the first layers.
#[derive(Clone)]
struct Partial {
    kernels: Vec<usize>,
    instructions: usize,
    bytes: usize,
}

/// The best chain: fewest instructions within the budget, or fewest bytes.
fn choose(candidates: &[&Candidate], layers: usize, options: Options) -> Result<Vec<Chosen>, PlanningError> {
    let mut chains: Vec<Vec<Partial>> = vec![Vec::new(); layers + 1];
    chains[0].push(Partial { kernels: Vec::new(), instructions: 0, bytes: 0 });
    for at in 0..layers {
        let here = unbeaten(std::mem::take(&mut chains[at]));
        for (index, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.chosen.layer == at) {
            for chain in &here {
                let mut longer = chain.clone();
                longer.kernels.push(index);
                longer.instructions += candidate.instructions;
                longer.bytes += candidate.bytes;
                chains[at + candidate.chosen.kernel.layers()].push(longer);
            }
        }
    }
    let whole = unbeaten(std::mem::take(&mut chains[layers]));
    let need = whole.iter().map(|chain| chain.bytes).min().unwrap_or(0);
    let have = match (options.flash, options.profile) {
        (Some(bytes), _) => bytes,
        (None, Profile::Speed) => DEFAULT_FLASH.max(need),
        (None, _) => usize::MAX,
    };
    let fitting = whole.into_iter().filter(|chain| chain.bytes <= have);
    let best = match options.profile {
        Profile::Size => fitting.min_by_key(|chain| (chain.bytes, chain.instructions)),
        Profile::Speed | Profile::Scalar => fitting.min_by_key(|chain| (chain.instructions, chain.bytes)),
    };
    let best = best.ok_or(PlanningError::Flash { need, have })?;
    let mut chosen: Vec<Chosen> =
        best.kernels.into_iter().map(|index| candidates[index].chosen.clone()).collect();
    if !matches!(chosen.first(), Some(Chosen { kernel: Kernel::Image { .. } | Kernel::Chain { .. }, .. })) {
        chosen.insert(0, Chosen { layer: 0, kernel: Kernel::Copy, constants: Vec::new() });
    }
    Ok(chosen)
}

/// Drops chains that another beats in both instructions and bytes.
fn unbeaten(mut chains: Vec<Partial>) -> Vec<Partial> {
    chains.sort_by_key(|chain| (chain.instructions, chain.bytes));
    let mut fewest = usize::MAX;
    chains.retain(|chain| {
        let keep = chain.bytes < fewest;
        fewest = fewest.min(chain.bytes);
        keep
    });
    chains
}
