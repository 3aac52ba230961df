//! A plan: what an inference does step by step, and where in memory.
//!
//! The host turns a network into a plan: it fuses layers, chooses a kernel for each, repacks weights and
//! lays out the arena. Here a plan is only run, and checked: [`Plan::new`] proves that every step finds
//! its input unharmed, in a `const` at compile time.
//!
//! The arena is one run of words. A step's input and output lie at bytes of its lower part and may
//! overlap as far as the kernel allows ([`Overlap`]); its scratch is everything from a word above them.

use super::MAX_CLASSES;
use super::ends::{Place, pair};
use super::kernel::packed::chain::ChainConv;
use super::kernel::packed::conv::PackedConv;
use super::kernel::packed::dense::PackedDense;
use super::kernel::packed::plane::PlaneConv;
use super::kernel::packed::winograd::WinogradConv;
use super::kernel::packed::{Memory, add, pool, spread};
use super::kernel::routines::Packing;
use super::layer::{Add, AveragePool, Dense, Layer, MaxPool};
use crate::bytes::of_words_mut;

/// What a step computes, and with which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator<'a> {
    /// Copies the image, so many values, into the arena, for kernels that read it there.
    Copy(usize),
    /// Copies an image of so many pixels with three channels into the arena with four, for kernels that read
    /// whole words; the fourth is black and meets weights of zero.
    Spread(usize),
    /// 3×3 over the image, pooled or not.
    Image(PlaneConv<'a>),
    /// 3×3 over the image feeding a convolution through a line buffer, which is the step's input.
    Chain(ChainConv<'a>),
    /// Depthwise 3×3, in place.
    Depthwise(PlaneConv<'a>),
    /// Any convolution, pooled or not.
    Conv(PackedConv<'a>),
    /// 3×3 of stride 1 by Winograd's filtering.
    Winograd(WinogradConv<'a>),
    /// Fully connected, hidden.
    Dense(PackedDense<'a>),
    /// Fully connected, last: sums are the logits.
    Logits(PackedDense<'a>),
    /// Copies its input to byte `kept`, for an [`Operator::Add`] later on; the input stays the activation.
    Keep {
        /// Activations, a multiple of 4.
        len: usize,
        /// First byte of the copy.
        kept: usize,
    },
    /// Sum with what an [`Operator::Keep`] copied to byte `kept`, in place.
    Add {
        /// The sum.
        layer: Add,
        /// First byte of what is added.
        kept: usize,
    },
    /// Maximum pooling.
    MaxPool(MaxPool),
    /// Average pooling.
    AveragePool(AveragePool<'a>),
    /// Any layer with the reference kernel.
    Scalar(Layer<'a>),
    /// The last layer with the reference kernel.
    ScalarLogits(Dense<'a>),
}

/// How input and output of an operator may share memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// They begin at the same byte.
    InPlace,
    /// The output begins at least so many bytes below the input, or above its end.
    Below(usize),
    /// There is no input in the arena, or no output.
    Free,
}

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// What it computes.
    pub operator: Operator<'a>,
    /// First byte of the input in the arena.
    pub input: usize,
    /// First byte of the output.
    pub output: usize,
    /// First word of the scratch.
    pub scratch: usize,
}

/// Why steps are no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// Step `index` has constants of another size than its shape promises, or a shape its kernel lacks.
    Inconsistent {
        /// Position in the plan.
        index: usize,
    },
    /// Step `index` does not read what the step before it wrote.
    Disconnected {
        /// Position in the plan.
        index: usize,
    },
    /// Step `index` would overwrite what it or a later step still needs, or leave the arena.
    Misplaced {
        /// Position in the plan.
        index: usize,
    },
    /// The last step, and no other, must yield the logits, 2 to 100.
    NoLogits,
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Inconsistent { index } => write!(f, "step {index}: constants do not fit its shape"),
            Self::Disconnected { index } => write!(f, "step {index} reads what no step wrote"),
            Self::Misplaced { index } => write!(f, "step {index} would overwrite what is still needed"),
            Self::NoLogits => write!(f, "the last step and no other must yield 2 to {MAX_CLASSES} logits"),
        }
    }
}

impl core::error::Error for PlanError {}

impl Operator<'_> {
    /// Returns the activations read from the arena.
    pub const fn input_len(&self) -> usize {
        match self {
            Operator::Copy(_) | Operator::Spread(_) | Operator::Image(_) => 0,
            Operator::Chain(layer) => layer.buffer_len(),
            Operator::Depthwise(layer) => layer.window.in_pixels() * layer.channels,
            Operator::Conv(layer) => layer.input_len(),
            Operator::Winograd(layer) => layer.input_len(),
            Operator::Dense(layer) | Operator::Logits(layer) => layer.in_features,
            Operator::Keep { len, .. } => *len,
            Operator::Add { layer, .. } => layer.len,
            Operator::MaxPool(layer) => layer.window.in_pixels() * layer.channels,
            Operator::AveragePool(layer) => layer.window.in_pixels() * layer.channels,
            Operator::Scalar(layer) => layer.input_len(),
            Operator::ScalarLogits(layer) => layer.in_features,
        }
    }

    /// Returns the activations written to the arena.
    pub const fn output_len(&self) -> usize {
        match self {
            Operator::Copy(len) => *len,
            Operator::Spread(pixels) => 4 * *pixels,
            Operator::Image(layer) | Operator::Depthwise(layer) => layer.output_len(),
            Operator::Chain(layer) => layer.second.output_len(),
            Operator::Conv(layer) => layer.output_len(),
            Operator::Winograd(layer) => layer.output_len(),
            Operator::Dense(layer) => layer.out_features,
            Operator::Keep { len, .. } => *len,
            Operator::Add { layer, .. } => layer.len,
            Operator::MaxPool(layer) => layer.window.out_pixels() * layer.channels,
            Operator::AveragePool(layer) => layer.window.out_pixels() * layer.channels,
            Operator::Scalar(layer) => layer.output_len(),
            Operator::Logits(_) | Operator::ScalarLogits(_) => 0,
        }
    }

    /// Returns the words of scratch.
    pub const fn scratch(&self) -> usize {
        match self {
            Operator::Image(layer) => layer.image_scratch(),
            Operator::Chain(layer) => layer.scratch(),
            Operator::Depthwise(layer) => layer.depthwise_scratch(),
            Operator::Conv(layer) => layer.scratch(),
            Operator::Winograd(layer) => layer.scratch(),
            _ => 0,
        }
    }

    /// Returns how input and output may share memory.
    pub const fn overlap(&self) -> Overlap {
        match self {
            Operator::Copy(_)
            | Operator::Spread(_)
            | Operator::Image(_)
            | Operator::Logits(_)
            | Operator::ScalarLogits(_) => Overlap::Free,
            Operator::Depthwise(_) | Operator::Keep { .. } | Operator::Add { .. } => Overlap::InPlace,
            // The buffer lies above all outputs.
            Operator::Chain(layer) => Overlap::Below(layer.second.output_len()),
            Operator::Conv(layer) => Overlap::Below(layer.overlap()),
            Operator::Winograd(layer) => Overlap::Below(layer.overlap()),
            Operator::MaxPool(layer) => Overlap::Below(pool::overlap(&layer.window, layer.channels)),
            Operator::AveragePool(layer) => Overlap::Below(pool::overlap(&layer.window, layer.channels)),
            Operator::Dense(layer) => Overlap::Below(layer.out_features),
            Operator::Scalar(layer) => Overlap::Below(layer.output_len()),
        }
    }

    /// Returns whether shape and constants are what the kernel needs.
    pub const fn is_consistent(&self) -> bool {
        match self {
            Operator::Copy(len) => *len > 0,
            Operator::Spread(pixels) => *pixels > 0,
            Operator::Image(layer) => layer.fits_image(),
            Operator::Chain(layer) => layer.is_consistent(),
            // In place, no channel may outgrow its input.
            Operator::Depthwise(layer) => {
                layer.fits_depthwise() && layer.window.out_pixels() <= layer.window.in_pixels()
            }
            Operator::Conv(layer) => layer.is_consistent(),
            Operator::Winograd(layer) => layer.is_consistent(),
            Operator::Dense(layer) => layer.is_consistent() && layer.output.is_some(),
            Operator::Logits(layer) => {
                layer.is_consistent() && layer.output.is_none() && is_class_count(layer.out_features)
            }
            Operator::Keep { len, .. } => *len > 0 && len.is_multiple_of(4),
            Operator::Add { layer, .. } => layer.is_consistent() && layer.len.is_multiple_of(4),
            Operator::MaxPool(layer) => pool::fits(layer.channels, layer.window.taps()),
            Operator::AveragePool(layer) => {
                pool::fits(layer.channels, layer.window.taps())
                    && !layer.requantization.multipliers.is_empty()
            }
            // A sum needs a second input: `Operator::Add` has it.
            Operator::Scalar(layer) => layer.is_consistent() && layer.other().is_none(),
            Operator::ScalarLogits(layer) => layer.is_consistent() && is_class_count(layer.out_features),
        }
    }

    /// Whether this is a first step.
    pub const fn reads_image(&self) -> bool {
        matches!(self, Operator::Copy(_) | Operator::Spread(_) | Operator::Image(_) | Operator::Chain(_))
    }

    /// Returns the values of the network's input that a first step reads; 0 for any other step.
    pub const fn image_len(&self) -> usize {
        match self {
            Operator::Copy(len) => *len,
            Operator::Spread(pixels) => 3 * *pixels,
            Operator::Image(layer) => layer.window.in_pixels(),
            Operator::Chain(layer) => layer.first.window.in_pixels(),
            _ => 0,
        }
    }

    /// Returns the logits that a last step yields; 0 for any other step.
    pub const fn logit_count(&self) -> usize {
        match self {
            Operator::Logits(layer) => layer.out_features,
            Operator::ScalarLogits(layer) => layer.out_features,
            _ => 0,
        }
    }

    /// Whether this is a last layer.
    pub const fn yields_logits(&self) -> bool {
        matches!(self, Operator::Logits(_) | Operator::ScalarLogits(_))
    }

    /// Returns the kernel's name, for tables.
    pub const fn kernel(&self) -> &'static str {
        match self {
            Operator::Copy(_) => "copy",
            Operator::Spread(_) => "copy 3→4",
            Operator::Image(layer) if layer.pool => "image 3×3 + pool",
            Operator::Image(_) => "image 3×3",
            Operator::Chain(layer) => match layer.second.packing {
                Packing::Nibble => "image 3×3 → conv 2×4 nibble",
                Packing::Paired => "image 3×3 → conv 2×4",
                Packing::Wide => "image 3×3 → conv 2×4 wide",
            },
            Operator::Depthwise(_) => "depthwise 3×3",
            Operator::Conv(layer) => match (layer.packing, layer.pool) {
                (Packing::Nibble, false) => "conv 2×4 nibble",
                (Packing::Nibble, true) => "conv 2×4 nibble + pool",
                (Packing::Paired, false) => "conv 2×4",
                (Packing::Paired, true) => "conv 2×4 + pool",
                (Packing::Wide, false) => "conv 2×4 wide",
                (Packing::Wide, true) => "conv 2×4 wide + pool",
            },
            Operator::Winograd(WinogradConv { tile: 2, .. }) => "Winograd F(2×2)",
            Operator::Winograd(_) => "Winograd F(4×4)",
            Operator::Dense(_) | Operator::Logits(_) => "dense 8",
            Operator::Keep { .. } => "keep",
            Operator::Add { .. } => "add",
            Operator::MaxPool(_) => "max-pool",
            Operator::AveragePool(_) => "average-pool",
            Operator::Scalar(_) | Operator::ScalarLogits(_) => "scalar",
        }
    }
}

impl Step<'_> {
    /// Whether memory suits the operator: in the arena, scratch above all activations, overlap allowed.
    const fn is_placed(&self, arena_words: usize) -> bool {
        let (read, written) = (self.operator.input_len(), self.operator.output_len());
        let below = 4 * self.scratch;
        let inside = self.scratch + self.operator.scratch() <= arena_words
            && self.input + read <= below
            && self.output + written <= below;
        let apart = match self.operator.overlap() {
            Overlap::Free => true,
            Overlap::InPlace => self.input == self.output,
            Overlap::Below(bytes) => self.output + bytes <= self.input || self.output >= self.input + read,
        };
        inside && apart
    }

    /// Runs the step.
    ///
    /// * `image`: `[height][width][channels]` i8, pixel − 128; read by the first step only.
    /// * `arena`: at least the plan's words.
    /// * `logits`: `[classes]`, written by the last step only.
    #[inline(always)]
    pub fn run(&self, image: &[i8], arena: &mut [u32], logits: &mut [i32]) {
        let Some((low, scratch)) = arena.split_at_mut_checked(self.scratch) else { return };
        let activations = of_words_mut(low);
        let (input, output) = (self.input, self.output);
        match &self.operator {
            Operator::Copy(len) => {
                let places = (activations.get_mut(output..output + len), image.get(..*len));
                if let (Some(copy), Some(image)) = places {
                    copy.copy_from_slice(image);
                }
            }
            Operator::Spread(pixels) => {
                spread::spread(image, activations.get_mut(output..output + 4 * pixels).unwrap_or_default());
            }
            Operator::Image(layer) => layer.run_image(image, Memory { activations, input, output, scratch }),
            Operator::Chain(layer) => layer.run(image, Memory { activations, input, output, scratch }),
            Operator::Depthwise(layer) => layer.run_depthwise(Memory { activations, input, output, scratch }),
            Operator::Conv(layer) => layer.run(Memory { activations, input, output, scratch }),
            Operator::Winograd(layer) => layer.run(Memory { activations, input, output, scratch }),
            Operator::Dense(layer) => layer.run(Memory { activations, input, output, scratch }),
            Operator::Keep { len, kept } => {
                add::keep(*len, *kept, Memory { activations, input, output, scratch });
            }
            Operator::Add { layer, kept } => {
                add::add(layer, *kept, Memory { activations, input, output, scratch });
            }
            Operator::MaxPool(layer) => pool::max_pool(layer, Memory { activations, input, output, scratch }),
            Operator::AveragePool(layer) => {
                pool::average_pool(layer, Memory { activations, input, output, scratch });
            }
            Operator::Logits(layer) => {
                layer.run_logits(activations.get(input..).unwrap_or_default(), logits);
            }
            Operator::ScalarLogits(layer) => {
                layer.run_logits(activations.get(input..).unwrap_or_default(), logits);
            }
            Operator::Scalar(layer) => {
                let from = Place { offset: input, len: layer.input_len() };
                let to = Place { offset: output, len: layer.output_len() };
                if let Some((read, write)) = pair(activations, from, to) {
                    layer.run(read, &[], write);
                }
            }
        }
    }
}

/// Checked steps. Everything below this door trusts shapes and places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan<'a> {
    steps: &'a [Step<'a>],
    arena_words: usize,
}

impl<'a> Plan<'a> {
    /// Checks the steps; in a `const` a fault is a compile error.
    ///
    /// # Errors
    /// [`PlanError`] with the first step at fault.
    pub const fn new(steps: &'a [Step<'a>]) -> Result<Self, PlanError> {
        let arena_words = peak_words(steps);
        // Copies kept for later sums lie below everything else.
        let reserved = reserved_bytes(steps);
        let mut index = 0;
        // Where the last activation lies: first byte and length.
        let mut have = (0, 0);
        while index < steps.len() {
            let step = &steps[index];
            if !step.operator.is_consistent() {
                return Err(PlanError::Inconsistent { index });
            }
            let reads_arena = !step.operator.reads_image();
            let connected = step.input == have.0 && step.operator.input_len() == have.1;
            if reads_arena != (index > 0) || (reads_arena && !connected) {
                return Err(PlanError::Disconnected { index });
            }
            if !is_apart_from_kept(steps, index, reserved) {
                return Err(PlanError::Misplaced { index });
            }
            if !step.is_placed(arena_words) {
                return Err(PlanError::Misplaced { index });
            }
            have = (step.output, step.operator.output_len());
            if step.operator.yields_logits() != (index + 1 == steps.len()) {
                return Err(PlanError::NoLogits);
            }
            index += 1;
        }
        if steps.is_empty() { Err(PlanError::NoLogits) } else { Ok(Self { steps, arena_words }) }
    }

    /// Returns the steps.
    pub const fn steps(&self) -> &'a [Step<'a>] {
        self.steps
    }

    /// Returns the values of an input: height × width × channels.
    pub const fn input_len(&self) -> usize {
        // Plan::new admits no empty plan.
        self.steps[0].operator.image_len()
    }

    /// Returns the number of classes, which is that of the logits.
    pub const fn classes(&self) -> usize {
        self.steps[self.steps.len() - 1].operator.logit_count()
    }

    /// Returns the words of memory that [`Plan::infer`] needs: activations and scratch.
    pub const fn arena_words(&self) -> usize {
        self.arena_words
    }

    /// Maps an image to one logit a class.
    ///
    /// * `image`: `[height][width][channels]` i8, row-major, pixel − 128.
    /// * `arena`: at least [`Plan::arena_words`]; contents irrelevant before and after.
    /// * `logits`: `[classes]` i32, raw accumulators of the last layer.
    ///
    /// # Errors
    /// [`InferError`](super::InferError) where a length is wrong; nothing is written then.
    pub fn infer(
        &self,
        image: &[i8],
        arena: &mut [u32],
        logits: &mut [i32],
    ) -> Result<(), super::InferError> {
        super::check_lengths(self.input_len(), image, self.classes(), logits)?;
        if arena.len() < self.arena_words {
            return Err(super::InferError::ArenaTooSmall {
                need: 4 * self.arena_words,
                have: 4 * arena.len(),
            });
        }
        for step in self.steps {
            step.run(image, arena, logits);
        }
        Ok(())
    }
}

/// Bytes from the arena's start that copies are kept in.
const fn reserved_bytes(steps: &[Step<'_>]) -> usize {
    let (mut reserved, mut index) = (0, 0);
    while index < steps.len() {
        if let Operator::Keep { len, kept } = steps[index].operator
            && kept + len > reserved
        {
            reserved = kept + len;
        }
        index += 1;
    }
    reserved
}

/// Whether a step writes nothing that is kept, and adds only what is: the last copy to its bytes is its own.
const fn is_apart_from_kept(steps: &[Step<'_>], index: usize, reserved: usize) -> bool {
    let step = &steps[index];
    let writes_above = step.operator.output_len() == 0 || step.output >= reserved;
    if !writes_above || 4 * step.scratch < reserved {
        return false;
    }
    let Operator::Add { layer, kept } = step.operator else { return true };
    // Backwards to the copy; another one in between must not touch its bytes.
    let mut before = index;
    while before > 0 {
        before -= 1;
        if let Operator::Keep { len, kept: other } = steps[before].operator {
            if other == kept && len == layer.len {
                return true;
            }
            if other < kept + layer.len && kept < other + len {
                return false;
            }
        }
    }
    false
}

const fn is_class_count(count: usize) -> bool {
    2 <= count && count <= MAX_CLASSES
}

/// Highest word that any step uses.
const fn peak_words(steps: &[Step<'_>]) -> usize {
    let mut peak = 0;
    let mut index = 0;
    while index < steps.len() {
        let end = steps[index].scratch + steps[index].operator.scratch();
        if end > peak {
            peak = end;
        }
        index += 1;
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::InferError;
    use crate::nn::requantize::Requantization;
    use crate::nn::window::Window;

    const WEIGHTS: [i8; 160] = [1; 160];

    /// The image pooled 7×7 and summed up, with the reference kernels.
    fn steps() -> [Step<'static>; 3] {
        let window = Window::new([28, 28], [7, 7], [7, 7], [0; 4]).unwrap();
        let none = Requantization { multipliers: &[], zero_point: 0, min: -128, max: 127 };
        let last = Dense {
            in_features: 16,
            out_features: 10,
            weights: &WEIGHTS,
            bias: &[5; 10],
            requantization: none,
        };
        let step = |operator, input, output, scratch| Step { operator, input, output, scratch };
        [
            step(Operator::Copy(784), 0, 16, 200),
            step(Operator::Scalar(Layer::MaxPool(MaxPool { window, channels: 1 })), 16, 0, 200),
            step(Operator::ScalarLogits(last), 0, 0, 4),
        ]
    }

    #[test]
    fn steps_that_fit_run_in_their_arena_only() {
        let steps = steps();
        let plan = Plan::new(&steps).unwrap();
        assert_eq!(plan.arena_words(), 200);
        let mut logits = [0; 10];
        let refused = plan.infer(&[3; 784], &mut [0; 199], &mut logits);
        assert_eq!(refused, Err(InferError::ArenaTooSmall { need: 800, have: 796 }));
        plan.infer(&[3; 784], &mut [0; 200], &mut logits).unwrap();
        assert_eq!(logits, [5 + 16 * 3; 10]);
    }

    #[test]
    fn steps_that_overwrite_what_is_needed_are_refused() {
        for (input, output, scratch) in
            [(16, 1, 200), (16, 16, 200), (16, 500, 204), (16, 0, 199), (16, 900, 200)]
        {
            let mut steps = steps();
            steps[1] = Step { input, output, scratch, ..steps[1] };
            steps[2].input = output;
            steps[2].scratch = 300;
            assert_eq!(
                Plan::new(&steps),
                Err(PlanError::Misplaced { index: 1 }),
                "{input} {output} {scratch}"
            );
        }
        let mut above = steps();
        above[1] = Step { output: 800, scratch: 204, ..above[1] };
        above[2] = Step { input: 800, scratch: 204, ..above[2] };
        assert_eq!(Plan::new(&above).map(|plan| plan.arena_words()), Ok(204));
    }

    #[test]
    fn steps_that_do_not_follow_each_other_are_refused() {
        let mut elsewhere = steps();
        elsewhere[2].input = 4;
        assert_eq!(Plan::new(&elsewhere), Err(PlanError::Disconnected { index: 2 }));
        let twice = [steps()[0], steps()[0], steps()[1], steps()[2]];
        assert_eq!(Plan::new(&twice), Err(PlanError::Disconnected { index: 1 }));
        assert_eq!(Plan::new(&steps()[..2]), Err(PlanError::NoLogits));
        assert_eq!(Plan::new(&[]), Err(PlanError::NoLogits));
        let mut short = steps();
        if let Operator::ScalarLogits(last) = &mut short[2].operator {
            last.weights = &WEIGHTS[1..];
        }
        assert_eq!(Plan::new(&short), Err(PlanError::Inconsistent { index: 2 }));
    }
}
