//! What a step costs: instructions on Armv7E-M, and bytes of constants.
//!
//! The formulas count the routines' instructions and what was measured around them in the
//! emulator; `host bench kernels` prints the measured figures beside these.

use firmware::nn::kernel::packed::{conv::PackedConv, plane::PlaneConv, winograd::WinogradConv};
use firmware::nn::kernel::routines::Packing;
use firmware::nn::plan::Operator;

/// Estimated instructions of a step.
pub fn instructions(operator: &Operator<'_>) -> usize {
    match operator {
        Operator::Copy(len) => len + 16,
        Operator::Spread(pixels) => 8 * pixels + 16,
        Operator::Columns(columns) => 6 * columns.len() + 16,
        Operator::Image(layer) => plane(layer, layer.window.in_pixels() * 3),
        Operator::Chain(layer) => {
            // A call a channel and row of outputs, and the last pixel of odd rows twice.
            let [rows, width] = layer.second.out_size();
            let calls = rows * (layer.first.channels * 75 + 700);
            plane(&layer.first, layer.first.window.in_pixels() * 6)
                + conv(&layer.second) * width.next_multiple_of(2) / width
                + calls
        }
        Operator::Depthwise(layer) => plane(layer, layer.window.in_pixels() * layer.channels * 5 / 2),
        Operator::Conv(layer) => conv(layer),
        Operator::Winograd(layer) => winograd(layer),
        Operator::Dense(layer) | Operator::Logits(layer) => {
            let weights = layer.in_features * layer.out_features;
            weights + 70 * layer.out_features * layer.in_features.div_ceil(512) / 8 + 30 * layer.out_features
        }
        Operator::Keep { len, .. } | Operator::Recall { len, .. } => 3 * len + 30,
        Operator::Product { layer, .. } => 20 * layer.pixels * layer.channels + 40,
        Operator::Concat { layer, .. } => 14 * layer.pixels * layer.out_channels() + 40,
        Operator::Lookup(layer) => 8 * layer.len + 40,
        Operator::Add { layer, .. } => 14 * layer.len + 40,
        Operator::MaxPool(layer) => {
            layer.window.out_pixels() * layer.channels / 4 * (20 + 12 * layer.window.taps())
        }
        Operator::AveragePool(layer) => {
            layer.window.out_pixels() * layer.channels / 4 * (60 + 10 * layer.window.taps())
        }
        Operator::Scalar(layer) => 6 * layer.macs() + 20 * layer.output_len(),
        Operator::ScalarLogits(layer) => 6 * layer.in_features * layer.out_features,
    }
}

fn plane(layer: &PlaneConv<'_>, copying: usize) -> usize {
    let [height, width] = layer.out_size();
    let per_output = match (layer.pool, layer.window.stride_x) {
        (true, _) => 46,
        (false, 1) => 12,
        (false, _) => 14,
    };
    let row = width * per_output + 20;
    layer.channels * (height * row + 60) + copying
}

fn conv(layer: &PackedConv<'_>) -> usize {
    let [height, width] = layer.out_size();
    let pairs = if layer.pool { 2 * height * width } else { (height * width).div_ceil(2) };
    // Twelve instructions for sixteen products, three for eight steps, 48 a block.
    // Wide: eleven, and eight less to part the sums of paired weights. Nibbles: fourteen, seven to take off
    // what their offsets add, and five a step for the sum of the patch.
    let (fixed, eight, summing) = match layer.packing {
        Packing::Nibble => (55, 115, 5),
        Packing::Paired => (50, 99, 0),
        Packing::Wide => (42, 91, 0),
    };
    let block = fixed + layer.steps() * eight / 8;
    let gathering = layer.steps() * (4 + summing) + 40 * layer.window.kernel_height + 60;
    let pooling = if layer.pool { height * width * (layer.out_channels / 4 * 24 + 30) } else { 0 };
    pairs * (layer.out_channels / 4 * block + gathering) + pooling
}

fn winograd(layer: &WinogradConv<'_>) -> usize {
    let window = &layer.window;
    let tiles = window.out_height.div_ceil(layer.tile) * window.out_width.div_ceil(layer.tile);
    let positions = layer.positions();
    let steps = layer.in_channels / 2;
    let product = positions * (14 + 11 * steps);
    let (input, output) = if layer.tile == 2 { (150, 92) } else { (430, 310) };
    let gathering = positions * (30 + 4 * steps);
    tiles.div_ceil(2)
        * (layer.out_channels / 4 * product + gathering + 2 * steps * input + 2 * layer.out_channels * output)
}
