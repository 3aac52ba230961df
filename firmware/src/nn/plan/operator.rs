//! What a step can compute, and what each kernel needs of memory.

use crate::nn::kernel::packed::chain::ChainConv;
use crate::nn::kernel::packed::conv::PackedConv;
use crate::nn::kernel::packed::dense::PackedDense;
use crate::nn::kernel::packed::plane::PlaneConv;
use crate::nn::kernel::packed::pool;
use crate::nn::kernel::packed::spread::Columns;
use crate::nn::kernel::packed::winograd::WinogradConv;
use crate::nn::kernel::routines::Packing;
use crate::nn::layer::{Add, AveragePool, Concat, Dense, Layer, Lookup, MaxPool, Product};

/// What a step computes, and with which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator<'a> {
    /// Copies the image, so many values, into the arena, for kernels that read it there.
    Copy(usize),
    /// Copies an image of so many pixels with three channels into the arena with four, for kernels that read
    /// whole words; the fourth is black and meets weights of zero.
    Spread(usize),
    /// Copies the pixels under each column of windows over a gray image into the arena.
    Columns(Columns),
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
    /// Copies its input to byte `kept`, for a later step; the input stays the activation.
    Keep {
        /// Activations.
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
    /// Product with what was kept at byte `kept`.
    Product {
        /// The product.
        layer: Product,
        /// First byte of the other operand.
        kept: usize,
    },
    /// The channels of its input and of what was kept at byte `kept`, side by side.
    Concat {
        /// The channels.
        layer: Concat,
        /// First byte of the other operand.
        kept: usize,
    },
    /// What was kept at byte `kept` becomes the activation; the one before it is dropped.
    Recall {
        /// Activations.
        len: usize,
        /// First byte.
        kept: usize,
    },
    /// A function of each activation, in place.
    Lookup(Lookup<'a>),
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
    /// They begin at the same byte, or lie apart.
    InPlaceOrApart,
    /// The output begins at least so many bytes below the input, or above its end.
    Below(usize),
    /// There is no input in the arena, or no output.
    Free,
}

impl Operator<'_> {
    /// Returns the activations read from the arena.
    pub const fn input_len(&self) -> usize {
        match self {
            Operator::Copy(_)
            | Operator::Spread(_)
            | Operator::Columns(_)
            | Operator::Image(_)
            | Operator::Recall { .. } => 0,
            Operator::Chain(layer) => layer.buffer_len(),
            Operator::Depthwise(layer) => layer.window.in_pixels() * layer.channels,
            Operator::Conv(layer) => layer.input_len(),
            Operator::Winograd(layer) => layer.input_len(),
            Operator::Dense(layer) | Operator::Logits(layer) => layer.in_features,
            Operator::Keep { len, .. } => *len,
            Operator::Add { layer, .. } => layer.len,
            Operator::Product { layer, .. } => layer.operand_len(0),
            Operator::Concat { layer, .. } => layer.pixels * layer.channels[0],
            Operator::Lookup(layer) => layer.len,
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
            Operator::Columns(columns) => columns.len(),
            Operator::Image(layer) | Operator::Depthwise(layer) => layer.output_len(),
            Operator::Chain(layer) => layer.second.output_len(),
            Operator::Conv(layer) => layer.output_len(),
            Operator::Winograd(layer) => layer.output_len(),
            Operator::Dense(layer) => layer.out_features,
            Operator::Keep { len, .. } | Operator::Recall { len, .. } => *len,
            Operator::Add { layer, .. } => layer.len,
            Operator::Product { layer, .. } => layer.pixels * layer.channels,
            Operator::Concat { layer, .. } => layer.pixels * layer.out_channels(),
            Operator::Lookup(layer) => layer.len,
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
            | Operator::Columns(_)
            | Operator::Image(_)
            | Operator::Recall { .. }
            | Operator::Logits(_)
            | Operator::ScalarLogits(_) => Overlap::Free,
            Operator::Depthwise(_) => Overlap::InPlaceOrApart,
            Operator::Keep { .. } | Operator::Add { .. } | Operator::Lookup(_) => Overlap::InPlace,
            Operator::Product { layer, .. } if layer.are_single[0] => {
                Overlap::Below(layer.pixels * layer.channels)
            }
            Operator::Product { .. } => Overlap::InPlace,
            // Pixel by pixel: what is written must stay below what is read next.
            Operator::Concat { layer, .. } => Overlap::Below(layer.pixels * layer.channels[1]),
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
            Operator::Columns(columns) => !columns.is_empty(),
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
            Operator::Keep { len, .. } | Operator::Recall { len, .. } => *len > 0,
            Operator::Add { layer, .. } => layer.is_consistent(),
            Operator::Product { layer, .. } => layer.is_consistent(),
            Operator::Concat { layer, .. } => layer.is_consistent(),
            Operator::Lookup(layer) => layer.is_consistent(),
            Operator::MaxPool(layer) => pool::fits(layer.channels, layer.window.taps()),
            Operator::AveragePool(layer) => {
                pool::fits(layer.channels, layer.window.taps())
                    && !layer.requantization.multipliers.is_empty()
                    && layer.requantization.shift == 0
            }
            // A second input needs an operator that says where it is kept.
            Operator::Scalar(layer) => layer.is_consistent() && layer.other().is_none(),
            Operator::ScalarLogits(layer) => layer.is_consistent() && is_class_count(layer.out_features),
        }
    }

    /// Whether this is a first step.
    pub const fn reads_image(&self) -> bool {
        matches!(
            self,
            Operator::Copy(_)
                | Operator::Spread(_)
                | Operator::Columns(_)
                | Operator::Image(_)
                | Operator::Chain(_)
        )
    }

    /// Returns the values of the network's input that a first step reads; 0 for any other step.
    pub const fn image_len(&self) -> usize {
        match self {
            Operator::Copy(len) => *len,
            Operator::Spread(pixels) => 3 * *pixels,
            Operator::Columns(columns) => columns.window.in_pixels(),
            Operator::Image(layer) => layer.window.in_pixels(),
            Operator::Chain(layer) => layer.first.window.in_pixels(),
            _ => 0,
        }
    }

    /// Returns what a step reads of what a [`Operator::Keep`] before it copied: first byte and length.
    pub const fn kept(&self) -> Option<(usize, usize)> {
        match self {
            Operator::Add { layer, kept } => Some((*kept, layer.len)),
            Operator::Product { layer, kept } => Some((*kept, layer.operand_len(1))),
            Operator::Concat { layer, kept } => Some((*kept, layer.pixels * layer.channels[1])),
            Operator::Recall { len, kept } => Some((*kept, *len)),
            _ => None,
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
            Operator::Columns(_) => "copy columns",
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
            Operator::Product { .. } => "product",
            Operator::Concat { .. } => "concat",
            Operator::Recall { .. } => "recall",
            Operator::Lookup(_) => "table",
            Operator::MaxPool(_) => "max-pool",
            Operator::AveragePool(_) => "average-pool",
            Operator::Scalar(_) | Operator::ScalarLogits(_) => "scalar",
        }
    }
}

/// Whether a classifier can have so many classes.
const fn is_class_count(count: usize) -> bool {
    2 <= count && count <= crate::nn::MAX_CLASSES
}
