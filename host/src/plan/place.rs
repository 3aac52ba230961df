//! Where a plan's activations and scratch lie: the smallest arena for a chain of steps.
//!
//! Each output can begin just below its input or at it, as far as the kernel needs, or above it. That is two
//! choices a step; all of them are tried for up to 14 steps, beyond which a step keeps the
//! better one as it goes. Scratch lies above the activations of its step.

use firmware::nn::plan::{Operator, Overlap};

/// Steps up to which every combination is tried.
const EXHAUSTIVE: usize = 14;

/// First byte of input and output and first word of scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// First byte of the input.
    pub input: usize,
    /// First byte of the output.
    pub output: usize,
    /// First word of the scratch.
    pub scratch: usize,
}

/// Lays out steps above `reserved` bytes of copies; returns a place for each step.
pub fn place(operators: &[Operator<'_>], reserved: usize) -> Vec<Place> {
    let mut places = Vec::with_capacity(operators.len());
    // A recalled output begins a chain of its own: nothing before it lies in its way.
    for chain in operators.chunk_by(|_, next| !matches!(next, Operator::Recall { .. })) {
        let choices = chain.len().min(EXHAUSTIVE);
        let all = (0..1u32 << choices).map(|above| lay_out(chain, above));
        places.extend(all.min_by_key(|places| peak_words(chain, places)).unwrap_or_default());
    }
    for (operator, place) in operators.iter().zip(&mut places) {
        place.input += if operator.input_len() > 0 { reserved } else { 0 };
        place.output += if operator.output_len() > 0 { reserved } else { 0 };
        place.scratch += reserved / 4;
    }
    places
}

/// Lays out the chain; bit `i` of `above` puts the output of step `i` above its input.
fn lay_out(operators: &[Operator<'_>], above: u32) -> Vec<Place> {
    let mut offsets = vec![0i64];
    for (index, operator) in operators.iter().enumerate() {
        let input = offsets[index];
        let goes_above = index < EXHAUSTIVE && above >> index & 1 == 1;
        offsets.push(match operator.overlap() {
            Overlap::Free => 0,
            Overlap::Below(_) | Overlap::InPlaceOrApart if goes_above => {
                input + operator.input_len().next_multiple_of(4) as i64
            }
            Overlap::InPlace | Overlap::InPlaceOrApart => input,
            Overlap::Below(bytes) => input - bytes.next_multiple_of(4) as i64,
        });
    }
    // A first step without input leaves offset 0 unused, a last one without output likewise.
    let used = offsets.iter().copied().min().unwrap_or(0);
    let at = |index: usize| (offsets[index] - used) as usize;
    let places = operators.iter().enumerate().map(|(index, operator)| {
        let (input, output) = (at(index), at(index + 1));
        let mut end = 0;
        if operator.input_len() > 0 {
            end = input + operator.input_len();
        }
        if operator.output_len() > 0 {
            end = end.max(output + operator.output_len());
        }
        let unused = |len: usize, offset: usize| if len > 0 { offset } else { 0 };
        Place {
            input: unused(operator.input_len(), input),
            output: unused(operator.output_len(), output),
            scratch: end.div_ceil(4),
        }
    });
    places.collect()
}

/// Words of the arena that a layout needs.
pub fn peak_words(operators: &[Operator<'_>], places: &[Place]) -> usize {
    let ends = operators.iter().zip(places).map(|(operator, place)| place.scratch + operator.scratch());
    ends.max().unwrap_or(0)
}
