//! A quantized network with the tables that the firmware runs with.

use firmware::nn::layer::{
    Add, AveragePool, Concat, Conv2d, Dense, DepthwiseConv2d, FACTOR_ONE, Layer, Lookup, MaxPool, Operands,
    Product, Recall, TABLE_LEN,
};
use firmware::nn::requantize::{Requantization, multiplier_from_real, shifted_multiplier};
use firmware::nn::window::Window;
use firmware::nn::{Network, NetworkError};

use super::QuantizeError;
use super::network::{Affine, Computation, QuantizedLayer, QuantizedNetwork};
use crate::onnx::branch::Join;

impl QuantizedLayer {
    /// Factors of the rounding rule, per channel, or per count of padding taps in an average pool.
    fn factors(&self) -> Vec<f64> {
        let (s_in, s_out) = (f64::from(self.input.scale), f64::from(self.output.scale));
        match &self.computation {
            Computation::Branch { join, other_affine, .. } => {
                let s_other = f64::from(other_affine.scale);
                match join {
                    Join::Add { .. } | Join::Concat { .. } => {
                        vec![s_in.max(s_other) / s_out / f64::from(FACTOR_ONE)]
                    }
                    Join::Product { .. } => vec![s_in * s_other / s_out],
                    Join::Recall { .. } => Vec::new(),
                }
            }
            Computation::AveragePool { window, .. } => {
                let full = window.taps();
                let padded = window.out_pixels() > 0 && smallest_count(window) < full;
                let fewest = if padded { smallest_count(window).max(1) } else { full };
                (fewest..=full).rev().map(|count| s_in / (s_out * count as f64)).collect()
            }
            computation => match computation.weights() {
                Some((weights, _)) => {
                    weights.scales.iter().map(|&s_w| s_in * f64::from(s_w) / s_out).collect()
                }
                None => Vec::new(),
            },
        }
    }

    /// Multipliers for the factors, and the shift that the largest one needs.
    fn multipliers(&self, layer: usize) -> Result<(Vec<i32>, u8), QuantizeError> {
        let failed = |source| QuantizeError::Multiplier { layer, source };
        let factors = self.factors();
        let Some(largest) = factors.iter().copied().reduce(f64::max) else { return Ok((Vec::new(), 0)) };
        let (_, shift) = shifted_multiplier(largest).map_err(failed)?;
        let part = f64::from(1u32 << shift);
        let multipliers = factors.into_iter().map(|factor| multiplier_from_real(factor / part));
        Ok((multipliers.collect::<Result<_, _>>().map_err(failed)?, shift))
    }

    /// Answers of a function to all activations, `[256]` or `[channels][256]`; nothing for other layers.
    fn tables(&self, layer: usize) -> Result<Vec<i8>, QuantizeError> {
        let Computation::Lookup { shape, function } = &self.computation else { return Ok(Vec::new()) };
        let channels = if function.is_per_channel() { shape[0] } else { 1 };
        let mut tables = Vec::with_capacity(channels * TABLE_LEN);
        for channel in 0..channels {
            for x_q in i8::MIN..=i8::MAX {
                let steps = f64::from(i32::from(x_q) - i32::from(self.input.zero_point));
                let x = steps * f64::from(self.input.scale);
                let y = function.value(x, channel);
                if y.is_nan() {
                    return Err(QuantizeError::Shape(format!(
                        "layer {layer}: {} is not defined for {x}, which its input may round to",
                        function.name()
                    )));
                }
                let y_q = (y / f64::from(self.output.scale)).round_ties_even();
                tables.push((y_q + f64::from(self.output.zero_point)).clamp(-128.0, 127.0) as i8);
            }
        }
        Ok(tables)
    }
}

/// Fewest taps inside the input that any window has.
fn smallest_count(window: &Window) -> usize {
    let rows = (0..window.out_height).map(|y| window.rows(y).0.len()).min().unwrap_or(0);
    let columns = (0..window.out_width).map(|x| window.columns(x).0.len()).min().unwrap_or(0);
    rows * columns
}

impl QuantizedNetwork {
    /// Computes the tables that the firmware runs with.
    ///
    /// # Errors
    /// [`QuantizeError`] where a factor or a shape does not fit.
    pub fn to_firmware(&self) -> Result<FirmwareNetwork, QuantizeError> {
        self.check_overflow()?;
        let mut tables = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let is_last = index + 1 == self.layers.len();
            let (multipliers, shift) = if is_last { (Vec::new(), 0) } else { layer.multipliers(index)? };
            let bias = layer.folded_bias().into_iter().map(|bias| bias as i32).collect();
            tables.push(Tables { bias, multipliers, shift, answers: layer.tables(index)? });
        }
        let network = FirmwareNetwork { quantized: self.clone(), tables };
        network.check().map_err(|error| QuantizeError::Shape(error.to_string()))?;
        let has = network.with_network(|network| (network.input_len(), network.classes()));
        let needs = (self.task.input.len(), self.task.classes.len());
        if has != needs {
            return Err(QuantizeError::Shape(format!(
                "the layers read {} values and yield {} logits instead of {} and {}",
                has.0, has.1, needs.0, needs.1
            )));
        }
        Ok(network)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Tables {
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    shift: u8,
    answers: Vec<i8>,
}

/// A quantized network with its tables, owning what the firmware's layers borrow.
#[derive(Debug, Clone, PartialEq)]
pub struct FirmwareNetwork {
    quantized: QuantizedNetwork,
    tables: Vec<Tables>,
}

impl FirmwareNetwork {
    /// Returns the network this was made from.
    pub fn quantized(&self) -> &QuantizedNetwork {
        &self.quantized
    }

    /// Borrows all layers but the last, and the last.
    pub fn layers(&self) -> (Vec<Layer<'_>>, Dense<'_>) {
        let mut layers: Vec<Layer<'_>> = self
            .quantized
            .layers
            .iter()
            .zip(&self.tables)
            .map(|(layer, tables)| borrow(layer, tables))
            .collect();
        match layers.pop() {
            Some(Layer::Dense(last)) => (layers, last),
            _ => unreachable!("check() admits a dense last layer only"),
        }
    }

    /// Runs `work` with the checked network, which borrows from `self`.
    pub fn with_network<T>(&self, work: impl FnOnce(&Network<'_>) -> T) -> T {
        let (layers, last) = self.layers();
        work(&Network::new(&layers, last).expect("checked when this was made"))
    }

    fn check(&self) -> Result<(), NetworkError> {
        let ends_dense = matches!(
            self.quantized.layers.last(),
            Some(QuantizedLayer { computation: Computation::Dense { .. }, .. })
        );
        if !ends_dense {
            return Err(NetworkError::BadClassCount { have: 0 });
        }
        let (layers, last) = self.layers();
        Network::new(&layers, last).map(|_| ())
    }

    /// Returns the logits of a quantized image. Panics where it has another length than the task's input.
    pub fn logits(&self, input: &[i8]) -> Vec<i32> {
        self.with_network(|network| {
            let mut arena = vec![0; network.arena_bytes()];
            let mut logits = vec![0; network.classes()];
            network.infer(input, &mut arena, &mut logits).expect("every length is the one asked for");
            logits
        })
    }
}

fn borrow<'a>(layer: &'a QuantizedLayer, tables: &'a Tables) -> Layer<'a> {
    let (min, max) = layer.clamp();
    let requantization = Requantization {
        multipliers: &tables.multipliers,
        shift: tables.shift,
        zero_point: layer.output.zero_point,
        min,
        max,
    };
    let input_zero_point = layer.input.zero_point;
    let bias = &tables.bias[..];
    match &layer.computation {
        Computation::Conv { window, in_channels, out_channels, weights } => Layer::Conv2d(Conv2d {
            window: *window,
            in_channels: *in_channels,
            out_channels: *out_channels,
            weights: &weights.values,
            bias,
            input_zero_point,
            requantization,
        }),
        Computation::Depthwise { window, channels, weights } => Layer::DepthwiseConv2d(DepthwiseConv2d {
            window: *window,
            channels: *channels,
            weights: &weights.values,
            bias,
            input_zero_point,
            requantization,
        }),
        Computation::MaxPool { window, channels } => {
            Layer::MaxPool(MaxPool { window: *window, channels: *channels })
        }
        Computation::AveragePool { window, channels } => Layer::AveragePool(AveragePool {
            window: *window,
            channels: *channels,
            input_zero_point,
            requantization,
        }),
        Computation::Branch { join, other, other_affine } => {
            branch(*join, *other, [&layer.input, other_affine], &requantization)
        }
        Computation::Lookup { shape, .. } => {
            Layer::Lookup(Lookup { len: shape.iter().product(), channels: shape[0], tables: &tables.answers })
        }
        Computation::Dense { input, out_features, weights } => Layer::Dense(Dense {
            in_features: input.iter().product(),
            out_features: *out_features,
            weights: &weights.values,
            bias,
            requantization,
        }),
    }
}

/// A layer that reads an earlier one's output.
///
/// * `affines`: of its input and of the other operand.
fn branch<'a>(join: Join, other: usize, affines: [&Affine; 2], rule: &Requantization<'_>) -> Layer<'a> {
    let zero_points = affines.map(|affine| affine.zero_point);
    let multiplier = rule.multipliers.first().copied().unwrap_or(0);
    let Requantization { shift, zero_point, min, max, .. } = *rule;
    let largest = f64::from(affines[0].scale.max(affines[1].scale));
    let factors = affines.map(|affine| {
        let factor = f64::from(affine.scale) / largest * f64::from(FACTOR_ONE);
        (factor.round() as i32).max(1)
    });
    let operands = Operands { zero_points, factors, multiplier, zero_point, min, max };
    match join {
        Join::Add { shape } => {
            Layer::Add(Add { len: shape.iter().product(), channels: shape[0], other, operands })
        }
        Join::Product { shape: [channels, height, width], are_single } => Layer::Product(Product {
            pixels: height * width,
            channels,
            other,
            are_single,
            zero_points,
            multiplier,
            shift,
            zero_point,
            min,
            max,
        }),
        Join::Concat { size, channels, is_other_first } => {
            Layer::Concat(Concat { pixels: size.iter().product(), channels, other, is_other_first, operands })
        }
        Join::Recall { shape } => {
            Layer::Recall(Recall { len: shape.iter().product(), channels: shape[0], other })
        }
    }
}
