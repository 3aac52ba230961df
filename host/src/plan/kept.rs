//! Where outputs are kept that later layers read: copies whose lives do not meet share memory.

use firmware::nn::ends::is_kept;
use firmware::nn::layer::Layer;

/// A copy: the layers from which and up to which it is needed, and its place.
struct Kept {
    layer: usize,
    last: usize,
    start: usize,
    len: usize,
}

/// Lays out all copies, each at the lowest place that no copy alive with it has.
fn laid_out(layers: &[Layer<'_>]) -> Vec<Kept> {
    let mut all: Vec<Kept> = Vec::new();
    for layer in (0..layers.len()).filter(|&layer| is_kept(layers, layer)) {
        let readers = (0..layers.len()).filter(|&reader| layers[reader].other() == Some(layer));
        let last = readers.max().unwrap_or(layer);
        let len = layers[layer].output_len().next_multiple_of(4);
        // A copy is made after its layer has run, so the layer may be the last to read another one.
        let mut alive: Vec<(usize, usize)> = all
            .iter()
            .filter(|other| layer < other.last)
            .map(|other| (other.start, other.start + other.len))
            .collect();
        alive.sort_unstable();
        let mut start = 0;
        for (from, to) in alive {
            if start + len <= from {
                break;
            }
            start = start.max(to);
        }
        all.push(Kept { layer, last, start, len });
    }
    all
}

/// First byte of the copy of a layer's output.
pub(super) fn kept_at(layers: &[Layer<'_>], layer: usize) -> usize {
    laid_out(layers).into_iter().find(|kept| kept.layer == layer).map_or(0, |kept| kept.start)
}

/// Bytes that all copies need.
pub(super) fn kept_bytes(layers: &[Layer<'_>]) -> usize {
    laid_out(layers).into_iter().map(|kept| kept.start + kept.len).max().unwrap_or(0)
}
