//! Layers of a graph → a list in which each layer reads the one before it.
//!
//! A branch begins by recalling the layer that it leaves from; what joins branches reads the layer before it
//! and one earlier. Layers that nothing reads are left out.

/// What a layer of a graph reads, by position; `None` is the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Its input.
    pub input: Option<usize>,
    /// The other operand of a sum or of joined channels.
    pub other: Option<usize>,
}

/// An entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// A layer of the graph.
    Layer {
        /// Its position in the graph.
        at: usize,
        /// Whether its operands change places, so that it reads the entry before it.
        is_swapped: bool,
    },
    /// The output of a layer of the graph once more.
    Recall {
        /// That layer's position in the graph.
        at: usize,
    },
}

/// The list and where each layer of the graph stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The entries.
    pub entries: Vec<Placed>,
    /// Position of each layer in `entries`; `None` for those left out.
    pub positions: Vec<Option<usize>>,
}

/// Which layers the last one depends on, itself included.
pub fn needed(layers: &[Reads]) -> Vec<bool> {
    let mut needed = vec![false; layers.len()];
    if let Some(last) = needed.last_mut() {
        *last = true;
    }
    for at in (0..layers.len()).rev() {
        if needed[at] {
            for before in [layers[at].input, layers[at].other].into_iter().flatten() {
                needed[before] = true;
            }
        }
    }
    needed
}

/// Puts layers, each of which reads earlier ones, in a list; the last one stays the last.
///
/// Only the first layer needed may read the image.
pub fn in_order(layers: &[Reads]) -> Order {
    let mut order = Order { entries: Vec::new(), positions: vec![None; layers.len()] };
    let mut before = None;
    for (at, _) in needed(layers).into_iter().enumerate().filter(|(_, is_needed)| *is_needed) {
        let Reads { input, other } = layers[at];
        let is_swapped = input != before && other.is_some() && other == before;
        if let (Some(from), false) = (input, is_swapped || input == before) {
            order.entries.push(Placed::Recall { at: from });
        }
        order.positions[at] = Some(order.entries.len());
        order.entries.push(Placed::Layer { at, is_swapped });
        before = Some(at);
    }
    order
}

/// How a layer's output lies in a file: flat, `[batch][values]`, or as planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Planes.
    Planes,
    /// Flat.
    Flat,
    /// As its input.
    Input,
    /// Flat where its input or this earlier layer's output is.
    Joined(usize),
    /// As this earlier layer's output.
    Of(usize),
}

/// Whether each layer's output is flat.
pub fn flatness(forms: impl IntoIterator<Item = Form>) -> Vec<bool> {
    let mut flat: Vec<bool> = Vec::new();
    for form in forms {
        let before = flat.last().copied().unwrap_or(false);
        let of = |other: usize| flat.get(other).copied().unwrap_or(false);
        flat.push(match form {
            Form::Planes => false,
            Form::Flat => true,
            Form::Input => before,
            Form::Joined(other) => before || of(other),
            Form::Of(other) => of(other),
        });
    }
    flat
}

/// How an operand has to be reshaped before a layer reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reshaping {
    /// It lies as the layer's output does.
    None,
    /// All values in a row.
    Flatten,
    /// A row as planes of one pixel.
    Unsqueeze,
}

/// How an operand comes to the form of a layer's output.
pub fn reshaping(operand_is_flat: bool, output_is_flat: bool) -> Reshaping {
    match (operand_is_flat, output_is_flat) {
        (false, true) => Reshaping::Flatten,
        (true, false) => Reshaping::Unsqueeze,
        _ => Reshaping::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn reads(input: Option<usize>, other: Option<usize>) -> Reads {
        Reads { input, other }
    }

    const fn layer(at: usize) -> Placed {
        Placed::Layer { at, is_swapped: false }
    }

    #[test]
    fn a_chain_stays_as_it_is() {
        let order = in_order(&[reads(None, None), reads(Some(0), None), reads(Some(1), None)]);
        assert_eq!(order.entries, [layer(0), layer(1), layer(2)]);
    }

    #[test]
    fn a_projection_is_recalled_and_what_nothing_reads_is_left_out() {
        // 0 → 1 → sum with 0 → 3 (a projection); 2 leads nowhere.
        let graph = [
            reads(None, None),
            reads(Some(0), None),
            reads(Some(1), None),
            reads(Some(0), None),
            reads(Some(1), Some(3)),
            reads(Some(4), None),
        ];
        let order = in_order(&graph);
        let swapped = Placed::Layer { at: 4, is_swapped: true };
        assert_eq!(
            order.entries,
            [layer(0), layer(1), Placed::Recall { at: 0 }, layer(3), swapped, layer(5)]
        );
        assert_eq!(order.positions, [Some(0), Some(1), None, Some(3), Some(4), Some(5)]);
    }
}
