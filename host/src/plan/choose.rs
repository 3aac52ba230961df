//! Candidates for every layer, and the best chain of them.

use firmware::nn::kernel::packed::Output;
use firmware::nn::kernel::packed::chain::ChainConv;
use firmware::nn::kernel::packed::conv::PackedConv;
use firmware::nn::kernel::packed::dense::PackedDense;
use firmware::nn::kernel::packed::plane::PlaneConv;
use firmware::nn::kernel::packed::spread::Columns;
use firmware::nn::kernel::packed::winograd::WinogradConv;
use firmware::nn::kernel::routines::{PLANE_WORDS, Packing};
use firmware::nn::layer::{Conv2d, Dense, Layer, MaxPool};
use firmware::nn::plan::Operator;
use firmware::nn::requantize::Requantization;
use firmware::nn::window::Window;

use firmware::nn::ends::is_kept;

use super::kept::kept_at;
use super::{Chosen, DEFAULT_FLASH, Kernel, Options, PlanningError, Profile, cost, pack};

pub(super) fn constant_bytes(choice: &Chosen, operator: &Operator<'_>) -> usize {
    4 * choice.constants.len()
        + match operator {
            Operator::AveragePool(layer) => 4 * layer.requantization.multipliers.len(),
            Operator::Scalar(layer) => layer.constant_bytes(),
            Operator::Lookup(layer) => layer.tables.len(),
            Operator::ScalarLogits(layer) => layer.weights.len() + 4 * layer.bias.len(),
            _ => 0,
        }
}

fn output(rule: &Requantization<'_>) -> Output {
    Output { zero_point: rule.zero_point, min: rule.min, max: rule.max }
}

/// The operator of a choice, borrowing its constants.
pub(super) fn operator<'a>(choice: &'a Chosen, layers: &[Layer<'a>], last: &Dense<'a>) -> Operator<'a> {
    match (choice.kernel, layers.get(choice.layer).copied()) {
        (Kernel::Copy, _) => {
            Operator::Copy(layers.first().map_or(last.in_features, |first| first.input_len()))
        }
        (Kernel::Keep, _) => {
            let len = layers.get(choice.layer - 1).map_or(0, Layer::output_len);
            Operator::Keep { len, kept: kept_at(layers, choice.layer - 1) }
        }
        (Kernel::Spread, Some(Layer::Conv2d(layer))) if layer.in_channels == 1 => {
            Operator::Columns(columns(&layer))
        }
        (Kernel::Spread, Some(layer)) => Operator::Spread(layer.input_len() / 3),
        (Kernel::Dense, None) => Operator::Logits(packed_dense(choice, last, None)),
        (_, None) => Operator::ScalarLogits(*last),
        (Kernel::Only, Some(layer)) => only(layer, layers).unwrap_or(Operator::Scalar(layer)),
        (_, Some(layer)) => packed(choice, layer, layers).unwrap_or(Operator::Scalar(layer)),
    }
}

/// The operator of a layer that has one kernel.
fn only<'a>(layer: Layer<'a>, layers: &[Layer<'a>]) -> Option<Operator<'a>> {
    let kept = |other| kept_at(layers, other);
    Some(match layer {
        Layer::Add(layer) => Operator::Add { layer, kept: kept(layer.other) },
        Layer::Product(layer) => Operator::Product { layer, kept: kept(layer.other) },
        Layer::Concat(layer) => Operator::Concat { layer, kept: kept(layer.other) },
        Layer::Recall(layer) => Operator::Recall { len: layer.len, kept: kept(layer.other) },
        Layer::Lookup(layer) => Operator::Lookup(layer),
        _ => return None,
    })
}

/// The operator of a packed kernel; `None` for a kernel that is none of this layer.
fn packed<'a>(choice: &'a Chosen, layer: Layer<'a>, layers: &[Layer<'a>]) -> Option<Operator<'a>> {
    let constants = &choice.constants[..];
    Some(match (choice.kernel, layer) {
        (Kernel::Image { pool }, Layer::Conv2d(layer)) => Operator::Image(image(&layer, constants, pool)),
        (Kernel::Chain { pool, packing }, Layer::Conv2d(layer)) => {
            let (first, rest) = constants.split_at(PLANE_WORDS * layer.out_channels);
            let at = choice.layer + if pool { 2 } else { 1 };
            let Some(Layer::Conv2d(second)) = layers.get(at) else {
                unreachable!("only made for two convolutions")
            };
            Operator::Chain(ChainConv {
                first: image(&layer, first, pool),
                second: packed_conv(choice.layer, second, rest, false, packing),
            })
        }
        (Kernel::Conv { pool, packing }, Layer::Conv2d(layer)) => {
            Operator::Conv(packed_conv(choice.layer, &layer, constants, pool, packing))
        }
        (Kernel::Depthwise, Layer::DepthwiseConv2d(layer)) => Operator::Depthwise(plane(PlaneConv {
            window: layer.window,
            channels: layer.channels,
            constants,
            input_zero_point: layer.input_zero_point,
            output: output(&layer.requantization),
            pool: false,
            pitch: 0,
        })),
        (Kernel::Winograd { tile }, Layer::Conv2d(layer)) => Operator::Winograd(WinogradConv {
            window: layer.window,
            in_channels: layer.in_channels,
            out_channels: layer.out_channels,
            tile,
            constants,
            input_zero_point: layer.input_zero_point,
            output: output(&layer.requantization),
        }),
        (Kernel::Dense, Layer::Dense(layer)) => {
            Operator::Dense(packed_dense(choice, &layer, Some(output(&layer.requantization))))
        }
        (Kernel::Pool, Layer::MaxPool(layer)) => Operator::MaxPool(layer),
        (Kernel::Pool, Layer::AveragePool(layer)) => Operator::AveragePool(layer),
        _ => return None,
    })
}

/// With the pitch that its window fits in.
fn plane(plane: PlaneConv<'_>) -> PlaneConv<'_> {
    PlaneConv { pitch: plane.fitting_pitch(), ..plane }
}

fn image<'a>(layer: &Conv2d<'a>, constants: &'a [u32], pool: bool) -> PlaneConv<'a> {
    plane(PlaneConv {
        window: layer.window,
        channels: layer.out_channels,
        constants,
        input_zero_point: layer.input_zero_point,
        output: output(&layer.requantization),
        pool,
        pitch: 0,
    })
}

/// * `at`: the layer's number; the first reads a copied image.
fn packed_conv<'a>(
    at: usize,
    layer: &Conv2d<'a>,
    constants: &'a [u32],
    pool: bool,
    packing: Packing,
) -> PackedConv<'a> {
    let (window, in_channels) = over_image(at, layer).unwrap_or((layer.window, layer.in_channels));
    PackedConv {
        window,
        in_channels,
        out_channels: layer.out_channels,
        packing,
        constants,
        input_zero_point: layer.input_zero_point,
        output: output(&layer.requantization),
        pool,
    }
}

fn packed_dense<'a>(choice: &'a Chosen, layer: &Dense<'a>, output: Option<Output>) -> PackedDense<'a> {
    let constants = &choice.constants[..];
    PackedDense { in_features: layer.in_features, out_features: layer.out_features, constants, output }
}

/// A kernel that can compute layers from `chosen.layer` on.
pub(super) struct Candidate {
    pub(super) chosen: Chosen,
    pub(super) kernel: &'static str,
    pub(super) instructions: usize,
    pub(super) bytes: usize,
}

/// All kernels for all layers; the reference only where no packed one fits, or where it is asked for.
pub(super) fn candidates(layers: &[Layer<'_>], last: &Dense<'_>, profile: Profile) -> Vec<Candidate> {
    let mut all = Candidates { layers, last, fitting: Vec::new() };
    for at in 0..=layers.len() {
        let mut has_packed = profile != Profile::Scalar && all.add_packed(at);
        if layers.get(at).is_some_and(has_one_kernel) {
            // One kernel for every profile: there is nothing to choose.
            has_packed |= all.add(at, Kernel::Only, Some(Vec::new()));
        }
        if !has_packed {
            all.add(at, Kernel::Scalar, Some(Vec::new()));
        }
    }
    let mut fitting = all.fitting;
    // What a later layer reads must be stored: no kernel may pass over it.
    fitting.retain(|candidate| {
        let end = candidate.chosen.layer + candidate.chosen.kernel.layers();
        (candidate.chosen.layer + 1..end).all(|inside| !is_kept(layers, inside - 1))
    });
    fitting
}

const PACKINGS: [Packing; 3] = [Packing::Nibble, Packing::Paired, Packing::Wide];

/// Kernels that fit, while they are tried.
struct Candidates<'a> {
    layers: &'a [Layer<'a>],
    last: &'a Dense<'a>,
    fitting: Vec<Candidate>,
}

impl Candidates<'_> {
    /// Tries a kernel for a layer; whether it fits. Without constants it does not.
    fn add(&mut self, layer: usize, kernel: Kernel, constants: Option<Vec<u32>>) -> bool {
        let Some(constants) = constants else { return false };
        let chosen = Chosen { layer, kernel, constants };
        let operator = operator(&chosen, self.layers, self.last);
        if !operator.is_consistent() {
            return false;
        }
        let (instructions, bytes) = (cost::instructions(&operator), constant_bytes(&chosen, &operator));
        self.fitting.push(Candidate { kernel: operator.kernel(), instructions, bytes, chosen });
        true
    }

    /// Tries the packed kernels for a layer; whether one fits that computes this layer alone.
    fn add_packed(&mut self, at: usize) -> bool {
        match self.layers.get(at) {
            Some(Layer::Conv2d(conv)) => self.add_convolutions(at, conv),
            Some(Layer::DepthwiseConv2d(conv)) => self.add(at, Kernel::Depthwise, pack::depthwise(conv)),
            Some(Layer::Dense(dense)) => self.add(at, Kernel::Dense, pack::dense(dense, false)),
            Some(Layer::MaxPool(_) | Layer::AveragePool(_)) => self.add(at, Kernel::Pool, Some(Vec::new())),
            Some(_) => false,
            None => self.add(at, Kernel::Dense, pack::dense(self.last, true)),
        }
    }

    /// Tries the packed kernels for a convolution, with the pooling and the convolution behind it, too.
    fn add_convolutions(&mut self, at: usize, conv: &Conv2d<'_>) -> bool {
        let pool = is_halving(self.layers.get(at + 1), conv);
        let has_image = at == 0 && self.add(at, Kernel::Image { pool: false }, pack::image(conv));
        if at == 0 {
            self.add_over_image(conv, pool);
        }
        let mut has_packed = has_image;
        // A gray image has a kernel of its own for 3×3.
        let over = over_image(at, conv).filter(|_| !has_image);
        let filled = over.map(|(window, channels)| filled(conv, &window, channels));
        let whole = match (&over, &filled) {
            (Some((window, in_channels)), Some(weights)) => {
                Conv2d { window: *window, in_channels: *in_channels, weights, ..*conv }
            }
            _ => *conv,
        };
        for packing in PACKINGS {
            has_packed |= self.add(at, Kernel::Conv { pool: false, packing }, pack::conv(&whole, packing));
            if pool {
                self.add(at, Kernel::Conv { pool, packing }, pack::conv(&whole, packing));
            }
        }
        for tile in [2, 4] {
            has_packed |= self.add(at, Kernel::Winograd { tile }, pack::winograd(conv, tile));
        }
        has_packed
    }

    /// Tries the kernels over a gray image that compute more than the first convolution.
    fn add_over_image(&mut self, conv: &Conv2d<'_>, pool: bool) {
        if pool {
            self.add(0, Kernel::Image { pool }, pack::image(conv));
        }
        let Some(Layer::Conv2d(next)) = self.layers.get(if pool { 2 } else { 1 }) else { return };
        for packing in PACKINGS {
            let both = pack::image(conv).zip(pack::conv(next, packing));
            let both = both.map(|(first, second)| [first, second].concat());
            self.add(0, Kernel::Chain { pool, packing }, both);
        }
    }
}

/// Whether a layer has an operator of its own in every plan.
fn has_one_kernel(layer: &Layer<'_>) -> bool {
    matches!(
        layer,
        Layer::Add(_) | Layer::Product(_) | Layer::Concat(_) | Layer::Recall(_) | Layer::Lookup(_)
    )
}

/// Columns of the image for a layer that reads a gray one.
fn columns(layer: &Conv2d<'_>) -> Columns {
    Columns { window: layer.window, zero_point: layer.input_zero_point }
}

/// Window and channels of a first layer over the image as it is copied: a colour image with a fourth channel, a gray
/// one as columns.
fn over_image(at: usize, layer: &Conv2d<'_>) -> Option<(Window, usize)> {
    match (at, layer.in_channels) {
        (0, 1) => Some((columns(layer).across(), columns(layer).depth())),
        (0, 3) => Some((layer.window, 4)),
        _ => None,
    }
}

/// Weights with input channels that count for nothing behind those that are there.
fn filled(layer: &Conv2d<'_>, window: &Window, channels: usize) -> Vec<i8> {
    let own = layer.window.taps() * layer.in_channels / window.taps();
    let positions = layer.weights.chunks(own);
    positions.flat_map(|own| (0..channels).map(|at| own.get(at).copied().unwrap_or(0))).collect()
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
pub(super) fn choose(
    candidates: &[&Candidate],
    layers: &[Layer<'_>],
    options: Options,
) -> Result<Vec<Chosen>, PlanningError> {
    // The last dense layer counts as one.
    let count = layers.len() + 1;
    let mut chains: Vec<Vec<Partial>> = vec![Vec::new(); count + 1];
    chains[0].push(Partial { kernels: Vec::new(), instructions: 0, bytes: 0 });
    for at in 0..count {
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
    let whole = unbeaten(std::mem::take(&mut chains[count]));
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
    let chosen: Vec<Chosen> =
        best.kernels.into_iter().map(|index| candidates[index].chosen.clone()).collect();
    Ok(with_copies(chosen, layers))
}

/// Puts the copy of the image in front, where the first kernel needs one, and behind every kernel the copy of what a
/// later layer reads.
fn with_copies(mut chosen: Vec<Chosen>, layers: &[Layer<'_>]) -> Vec<Chosen> {
    let before = match chosen.first().map(|first| first.kernel) {
        Some(Kernel::Image { .. } | Kernel::Chain { .. }) => None,
        Some(Kernel::Conv { .. }) if is_spread(layers) => Some(Kernel::Spread),
        _ => Some(Kernel::Copy),
    };
    if let Some(kernel) = before {
        chosen.insert(0, Chosen { layer: 0, kernel, constants: Vec::new() });
    }
    let mut with_copies = Vec::with_capacity(chosen.len());
    for choice in chosen {
        let end = choice.layer + choice.kernel.layers();
        let is_kept = choice.kernel.layers() > 0 && is_kept(layers, end - 1);
        with_copies.push(choice);
        if is_kept {
            with_copies.push(Chosen { layer: end, kernel: Kernel::Keep, constants: Vec::new() });
        }
    }
    with_copies
}

/// Whether the first layer reads an image that is copied in another form.
fn is_spread(layers: &[Layer<'_>]) -> bool {
    matches!(layers.first(), Some(Layer::Conv2d(first)) if over_image(0, first).is_some())
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
