//! Constants of a quantized file: scales, zero points, weights, biases.

use super::super::proto::{self, INT8, NodeProto, UINT8};
use crate::import::tensor::Tensor;
use crate::quantize::network::{Affine, Weights};

/// Largest weight magnitude of an output whose weights are rounded.
const WEIGHT_LIMIT: i64 = 127;
/// Relative difference of scales that rounding of 32-bit products leaves.
const SCALE_ROUNDING: f32 = 1e-6;

/// A constant and its element type in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) tensor: Tensor,
    pub(super) data_type: i32,
}

/// Integer codes with the scales that they count in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) dims: Vec<usize>,
    /// Code − zero point.
    pub(super) steps: Vec<i64>,
    /// One, or one an index of `axis`.
    pub(super) scales: Vec<f32>,
    axis: usize,
}

/// Scale and zero point of an activation as this engine's, −128..=127.
///
/// * `zero_point`: `None` is 0 of `default_type`.
///
/// # Errors
/// What is wrong with them.
pub(super) fn affine(
    scale: Option<&Constant>,
    zero_point: Option<&Constant>,
    default_type: i32,
) -> Result<Affine, String> {
    let scale = scale.and_then(|scale| scale.tensor.scalar());
    let Some(scale) = scale.filter(|&scale| scale > 0.0 && scale.is_finite()) else {
        return Err("its scale is missing, not positive or one a channel; activations have one".into());
    };
    let (data_type, zero) = match zero_point {
        None => (default_type, 0),
        Some(constant) => match (constant.tensor.as_ints(), constant.data_type) {
            (Some(&[zero]), data_type) => (data_type, zero),
            _ => return Err("its zero point is no single whole number".into()),
        },
    };
    let zero = match data_type {
        UINT8 => zero - 128,
        INT8 => zero,
        other => return Err(format!("its element type is {other}; int8 and uint8 activations are read")),
    };
    match i8::try_from(zero) {
        Ok(zero_point) => Ok(Affine { scale, zero_point }),
        Err(_) => Err(format!("its zero point {zero} is out of range")),
    }
}

impl Stored {
    /// Codes, scales and zero points of a DequantizeLinear, or of a QLinear operator's inputs.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn new(
        codes: &Constant,
        scale: Option<&Constant>,
        zero_point: Option<&Constant>,
        axis: i64,
    ) -> Result<Self, String> {
        let values = codes.tensor.as_ints().ok_or("its codes are no whole numbers")?;
        let dims = codes.tensor.dims.clone();
        let scales = scale.ok_or("its scale is no constant")?.tensor.floats();
        if scales.iter().any(|&scale| scale <= 0.0 || !scale.is_finite()) {
            return Err("a scale is not positive".into());
        }
        let zeros = match zero_point {
            None => vec![0],
            Some(zeros) => zeros.tensor.as_ints().ok_or("its zero points are no whole numbers")?.to_vec(),
        };
        let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
        let axis = usize::try_from(axis).unwrap_or(usize::MAX);
        let count = dims.get(axis).copied().unwrap_or(1);
        if ![1, count].contains(&scales.len()) || ![1, scales.len()].contains(&zeros.len()) {
            let (scales, zeros) = (scales.len(), zeros.len());
            return Err(format!("{scales} scales and {zeros} zero points do not fit {dims:?}"));
        }
        let inner: usize = dims.iter().skip(axis.saturating_add(1)).product();
        let of = |at: usize| if zeros.len() == 1 { 0 } else { at / inner % count };
        let steps = values.iter().enumerate().map(|(at, &code)| code - zeros[of(at)]).collect();
        Ok(Self { dims, steps, scales, axis })
    }

    /// Biases of an operator over codes, in steps of input × weights.
    pub(super) fn bias(codes: &Constant, weight_scales: &[f32], input_scale: f32) -> Option<Self> {
        let steps = codes.tensor.as_ints()?.to_vec();
        let scales = weight_scales.iter().map(|scale| input_scale * scale).collect();
        Some(Self { dims: vec![steps.len()], steps, scales, axis: 0 })
    }

    /// Swaps the two axes of a matrix.
    pub(super) fn transposed(self) -> Self {
        let &[rows, columns] = &self.dims[..] else { return self };
        let steps = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
        let steps = steps.map(|(row, column)| self.steps[row * columns + column]).collect();
        let axis = if self.scales.len() > 1 { 1 - self.axis } else { self.axis };
        Self { dims: vec![columns, rows], steps, scales: self.scales, axis }
    }

    /// Real values.
    pub(super) fn reals(&self) -> Vec<f64> {
        let count = self.dims.get(self.axis).copied().unwrap_or(1).max(1);
        let inner: usize = self.dims.iter().skip(self.axis + 1).product();
        let of = |at: usize| if self.scales.len() == 1 { 0 } else { at / inner % count };
        let steps = self.steps.iter().enumerate();
        steps.map(|(at, &step)| step as f64 * f64::from(self.scales[of(at)])).collect()
    }

    /// Weights, outputs first, and biases in steps of input scale × weight scale; whether anything was rounded.
    ///
    /// * `bias`: real values with the steps and scales they are stored in, where they are.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn weights(&self, bias: Option<&Bias>, input_scale: f32) -> Result<(Weights, bool), String> {
        let out = self.dims.first().copied().unwrap_or(0);
        if out == 0 || (self.scales.len() > 1 && self.axis != 0) {
            return Err("its weights have scales along another axis than the outputs".into());
        }
        let inner = self.steps.len() / out;
        let mut scales = if self.scales.len() == 1 { vec![self.scales[0]; out] } else { self.scales.clone() };
        let mut values = Vec::with_capacity(self.steps.len());
        let mut is_rounded = false;
        for (row, scale) in self.steps.chunks_exact(inner.max(1)).zip(&mut scales) {
            if let Some(row) = row.iter().map(|&step| i8::try_from(step).ok()).collect::<Option<Vec<i8>>>() {
                values.extend(row);
                continue;
            }
            let largest = row.iter().map(|step| step.abs()).max().unwrap_or(0);
            // Codes around a zero point reach up to 255 steps: such an output gets steps of its own.
            is_rounded = true;
            let wider = *scale * largest as f32 / WEIGHT_LIMIT as f32;
            values.extend(row.iter().map(|&step| (step as f32 * *scale / wider).round_ties_even() as i8));
            *scale = wider;
        }
        let bias = match bias {
            None => vec![0; out],
            Some(bias) if bias.reals.len() == out => bias.in_steps(&scales, input_scale)?,
            Some(bias) => return Err(format!("it has {} biases for {out} outputs", bias.reals.len())),
        };
        Ok((Weights { values, bias, scales }, is_rounded))
    }
}

/// Biases of a layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bias {
    /// Real values.
    pub(super) reals: Vec<f64>,
    /// Integer steps and their scales, where they are stored so.
    pub(super) stored: Option<Stored>,
}

impl Bias {
    /// In steps of input scale × weight scale.
    ///
    /// # Errors
    /// Where one is beyond 32 bits.
    pub(super) fn in_steps(&self, scales: &[f32], input_scale: f32) -> Result<Vec<i32>, String> {
        let step = |channel: usize| input_scale * scales[channel];
        let exact = self.stored.as_ref().and_then(|stored| {
            let scale = |at: usize| stored.scales[if stored.scales.len() == 1 { 0 } else { at }];
            let is_same = |at: usize| (scale(at) / step(at) - 1.0).abs() <= SCALE_ROUNDING;
            (0..scales.len()).all(is_same).then_some(&stored.steps)
        });
        if let Some(steps) = exact {
            let steps = steps.iter().map(|&step| i32::try_from(step).ok()).collect::<Option<_>>();
            return steps.ok_or("a bias is beyond 32 bits".into());
        }
        let rounded = self.reals.iter().enumerate().map(|(at, real)| {
            let steps = (real / f64::from(step(at))).round_ties_even();
            (steps.abs() <= f64::from(i32::MAX)).then_some(steps as i32)
        });
        rounded.collect::<Option<_>>().ok_or("a bias is beyond 32 bits in steps of its weights".into())
    }
}

/// The element type that a QuantizeLinear without zero point yields.
pub(super) fn default_type(node: &NodeProto) -> i32 {
    match proto::int_of(node, "output_dtype") {
        Some(3) => INT8,
        _ => UINT8,
    }
}
