//! The layers of the graph as a list, each reading the one before it.

use super::graph::{Built, Importer};
use crate::onnx::OnnxError;
use crate::onnx::branch::Join;
use crate::onnx::float::{Activation, FloatLayer, FloatOp};
use crate::onnx::order::{self, Order, Placed, Reads};
use crate::onnx::pointwise::Function;

impl Importer<'_> {
    /// Puts the layers that the logits depend on in a list.
    pub(super) fn in_a_list(&mut self) -> Result<Vec<FloatLayer>, OnnxError> {
        self.copy_image();
        let order = order::in_order(&reads(&self.layers));
        let mut list: Vec<FloatLayer> = Vec::with_capacity(order.entries.len());
        for (position, entry) in order.entries.iter().enumerate() {
            let (Placed::Layer { at, .. } | Placed::Recall { at }) = *entry;
            let layer = &self.layers[at];
            let (op, activation) = match *entry {
                Placed::Layer { is_swapped, .. } => {
                    (with_operands(&layer.op, is_swapped, layer.input, &order), layer.activation)
                }
                Placed::Recall { .. } => {
                    let other = order.positions[at].unwrap_or_default();
                    (FloatOp::Branch { join: Join::Recall { shape: layer.shape }, other }, Activation::Linear)
                }
            };
            if let (Some(remark), Placed::Layer { .. }) = (layer.remark, entry) {
                self.remarks.push(format!("layer {position}: {remark}"));
            }
            list.push(FloatLayer { op, activation, output: layer.output.clone() });
        }
        self.check_planes(&list)?;
        let is_truth =
            |layer: &FloatLayer| matches!(&layer.op, FloatOp::Lookup { function, .. } if function.is_truth());
        if list.iter().any(is_truth) {
            return self.refuse_at("the graph", "it computes with truth values as if they were numbers");
        }
        Ok(list)
    }

    /// Where several layers read the image, makes it a layer that they read.
    fn copy_image(&mut self) {
        let needed = order::needed(&reads(&self.layers));
        let reading =
            self.layers.iter().zip(&needed).filter(|(layer, needed)| **needed && layer.input.is_none());
        if reading.count() < 2 {
            return;
        }
        let shape = self.input;
        for layer in &mut self.layers {
            layer.input = Some(layer.input.map_or(0, |at| at + 1));
            set_other(&mut layer.op, |other| *other += 1);
        }
        let copy = Built {
            op: FloatOp::Lookup { shape, function: Function::Input },
            activation: Activation::Linear,
            input: None,
            shape,
            is_shared: true,
            output: String::new(),
            remark: Some("the image, which several layers read, is copied"),
        };
        self.layers.insert(0, copy);
        // Copies that sums asked for are this one.
        let is_copy = |layer: &Built| {
            layer.input == Some(0)
                && matches!(&layer.op, FloatOp::Lookup { function, .. } if *function == Function::Input)
        };
        let copies: Vec<bool> = self.layers.iter().map(is_copy).collect();
        let first = |at: &mut usize| *at = if copies[*at] { 0 } else { *at };
        for layer in &mut self.layers {
            layer.input.iter_mut().for_each(first);
            set_other(&mut layer.op, first);
        }
    }

    /// Refuses kernels that slide over what a dense layer yields.
    fn check_planes(&self, list: &[FloatLayer]) -> Result<(), OnnxError> {
        let flat = order::flatness(list.iter().map(|layer| layer.op.form()));
        let slides = |op: &FloatOp| {
            matches!(op, FloatOp::Conv { .. } | FloatOp::MaxPool { .. } | FloatOp::AveragePool { .. })
        };
        match list.iter().skip(1).zip(&flat).any(|(layer, &is_flat)| is_flat && slides(&layer.op)) {
            true => self.refuse_at(
                "the graph",
                "planes are made of what a dense layer yields; no convolution or pool may follow one",
            ),
            false => Ok(()),
        }
    }
}

fn set_other(op: &mut FloatOp, work: impl Fn(&mut usize)) {
    if let FloatOp::Branch { other, .. } = op {
        work(other);
    }
}

fn reads(layers: &[Built]) -> Vec<Reads> {
    layers.iter().map(|layer| Reads { input: layer.input, other: layer.op.other() }).collect()
}

/// The operation with its other operand's position in the list; both change places where `is_swapped`.
fn with_operands(op: &FloatOp, is_swapped: bool, input: Option<usize>, order: &Order) -> FloatOp {
    let position = |in_graph: usize| order.positions[in_graph].unwrap_or_default();
    match op {
        FloatOp::Branch { join, other } if is_swapped => {
            FloatOp::Branch { join: join.swapped(), other: position(input.unwrap_or(*other)) }
        }
        FloatOp::Branch { join, other } => FloatOp::Branch { join: *join, other: position(*other) },
        plain => plain.clone(),
    }
}
