//! Memory of the reference: activations take turns at the two ends of a run of bytes.
//!
//! In a chain an activation lives from the layer that writes it to the layer that reads it, so two are
//! alive at a time, and the largest neighbouring pair decides the size. What a later layer adds is copied to a
//! place of its own behind them. [Plans](super::plan) do with less.

use super::layer::Layer;

/// Where an activation lies, in bytes from the arena's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub offset: usize,
    /// Number of activations, a byte each.
    pub len: usize,
}

/// Returns the bytes for a chain of layers.
pub const fn arena_bytes(layers: &[Layer<'_>]) -> usize {
    let mut peak = 0;
    let mut index = 0;
    let mut previous = 0;
    while index < layers.len() {
        let len = layers[index].output_len();
        if previous + len > peak {
            peak = previous + len;
        }
        previous = len;
        index += 1;
    }
    peak
}

/// Returns where layer `index` of the chain writes: even layers at the bottom, odd ones at the top.
pub const fn place(layers: &[Layer<'_>], index: usize) -> Place {
    let len = layers[index].output_len();
    let offset = if index.is_multiple_of(2) { 0 } else { arena_bytes(layers) - len };
    Place { offset, len }
}

/// Whether a later layer adds the output of layer `index`.
pub const fn is_kept(layers: &[Layer<'_>], index: usize) -> bool {
    let mut later = index + 1;
    while later < layers.len() {
        if let Some(other) = layers[later].other()
            && other == index
        {
            return true;
        }
        later += 1;
    }
    false
}

/// Returns the bytes of all outputs that later layers add.
pub const fn kept_bytes(layers: &[Layer<'_>]) -> usize {
    kept(layers, layers.len()).start
}

/// Returns where the output of layer `index` is kept, counted from the first output kept.
pub const fn kept(layers: &[Layer<'_>], index: usize) -> core::ops::Range<usize> {
    let (mut start, mut at) = (0, 0);
    while at < index {
        if is_kept(layers, at) {
            start += layers[at].output_len();
        }
        at += 1;
    }
    let len = if index < layers.len() { layers[index].output_len() } else { 0 };
    start..start + len
}

/// Borrows the activation at `from` for reading and the one at `to` for writing.
///
/// Returns `None` where they overlap or leave the arena, which [`place`] excludes.
#[inline(always)]
pub fn pair(arena: &mut [i8], from: Place, to: Place) -> Option<(&[i8], &mut [i8])> {
    if from.offset < to.offset {
        let (low, high) = arena.split_at_mut_checked(to.offset)?;
        Some((low.get(from.offset..from.offset + from.len)?, high.get_mut(..to.len)?))
    } else {
        let (low, high) = arena.split_at_mut_checked(from.offset)?;
        Some((high.get(..from.len)?, low.get_mut(to.offset..to.offset + to.len)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layer::MaxPool;
    use crate::nn::window::Window;

    fn pool(side: usize, size: usize, channels: usize) -> Layer<'static> {
        let window = Window::new([side, side], [size, size], [size, size], [0; 4]).unwrap();
        Layer::MaxPool(MaxPool { window, channels })
    }

    #[test]
    fn neighbours_never_overlap_and_the_peak_is_used() {
        let layers = [pool(8, 1, 4), pool(8, 2, 4), pool(4, 1, 4), pool(4, 4, 4)];
        assert_eq!(arena_bytes(&layers), 256 + 64);
        let mut highest = 0;
        for index in 0..layers.len() {
            let to = place(&layers, index);
            highest = highest.max(to.offset + to.len);
            if index > 0 {
                let from = place(&layers, index - 1);
                assert!(from.offset + from.len <= to.offset || to.offset + to.len <= from.offset);
            }
        }
        assert_eq!(highest, arena_bytes(&layers));
    }

    #[test]
    fn overlapping_or_outlying_places_are_refused() {
        let mut arena = [0; 10];
        let at = |offset, len| Place { offset, len };
        assert!(pair(&mut arena, at(0, 4), at(4, 6)).is_some());
        assert!(pair(&mut arena, at(6, 4), at(0, 6)).is_some());
        assert!(pair(&mut arena, at(0, 5), at(4, 6)).is_none());
        assert!(pair(&mut arena, at(0, 4), at(4, 7)).is_none());
        assert!(pair(&mut arena, at(3, 3), at(3, 3)).is_none_or(|(_, to)| to.is_empty()));
    }
}
