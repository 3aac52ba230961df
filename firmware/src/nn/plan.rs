//! A plan: what an inference does step by step, and where in memory.
//!
//! The host turns a network into a plan: it fuses layers, chooses a kernel for each, repacks weights and
//! lays out the arena. Here a plan is only run, and checked: [`Plan::new`] proves that every step finds
//! its input unharmed, in a `const` at compile time.
//!
//! The arena is one run of words. A step's input and output lie at bytes of its lower part and may
//! overlap as far as the kernel allows ([`Overlap`]); its scratch is everything from a word above them.

mod operator;

pub use operator::{Operator, Overlap};

use super::MAX_CLASSES;
use super::ends::{Place, pair};
use super::kernel::packed::{Memory, branch, pool, spread};
use crate::bytes::of_words_mut;

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
            Overlap::InPlaceOrApart => {
                self.input == self.output
                    || self.output + written <= self.input
                    || self.output >= self.input + read
            }
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
            Operator::Columns(columns) => {
                columns.write(image, activations.get_mut(output..output + columns.len()).unwrap_or_default());
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
            Operator::Keep { len, kept } => branch::copy(activations, input, *kept, *len),
            Operator::Recall { len, kept } => branch::copy(activations, *kept, output, *len),
            Operator::Add { layer, kept } => {
                branch::add(layer, *kept, Memory { activations, input, output, scratch });
            }
            Operator::Product { layer, kept } => {
                branch::product(layer, *kept, Memory { activations, input, output, scratch });
            }
            Operator::Concat { layer, kept } => {
                branch::concat(layer, *kept, Memory { activations, input, output, scratch });
            }
            Operator::Lookup(layer) => {
                layer.apply(activations.get_mut(input..input + layer.len).unwrap_or_default());
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
        // Copies kept for later steps lie below everything else.
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
            let begins_anew = matches!(step.operator, Operator::Recall { .. });
            let connected = begins_anew || (step.input == have.0 && step.operator.input_len() == have.1);
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

/// Whether a step writes nothing that is kept, and reads only what is: the last copy to its bytes is its own.
const fn is_apart_from_kept(steps: &[Step<'_>], index: usize, reserved: usize) -> bool {
    let step = &steps[index];
    let writes_above = step.operator.output_len() == 0 || step.output >= reserved;
    if !writes_above || 4 * step.scratch < reserved {
        return false;
    }
    let Some((kept, needed)) = step.operator.kept() else { return true };
    // Backwards to the copy; another one in between must not touch its bytes.
    let mut before = index;
    while before > 0 {
        before -= 1;
        if let Operator::Keep { len, kept: other } = steps[before].operator {
            if other == kept && len == needed {
                return true;
            }
            if other < kept + needed && kept < other + len {
                return false;
            }
        }
    }
    false
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
    use crate::nn::layer::{Dense, Layer, MaxPool};
    use crate::nn::requantize::Requantization;
    use crate::nn::window::Window;

    const WEIGHTS: [i8; 160] = [1; 160];

    /// The image pooled 7×7 and summed up, with the reference kernels.
    fn steps() -> [Step<'static>; 3] {
        let window = Window::new([28, 28], [7, 7], [7, 7], [0; 4]).unwrap();
        let none = Requantization { multipliers: &[], shift: 0, zero_point: 0, min: -128, max: 127 };
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
