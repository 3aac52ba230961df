//! The graph's input: which image it is, in which order, in which range.

use shared::input::InputShape;

use super::graph::Importer;
use super::view::{Affine, View};
use super::{Feed, InputRange, Options};
use crate::onnx::OnnxError;
use crate::onnx::proto::{self, GraphProto, dimension, type_proto};

impl<'a> Importer<'a> {
    /// Finds the one input and makes it a view of the image.
    pub(super) fn begin(
        &mut self,
        graph: &'a GraphProto,
        options: &Options,
    ) -> Result<(InputShape, Feed), OnnxError> {
        let inputs: Vec<_> =
            graph.input.iter().filter(|input| !self.constants.contains_key(&input.name)).collect();
        let &[input] = &inputs[..] else {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            return self.refuse_at(
                "the input",
                format!("there are {} ({}), one is read", names.len(), names.join(", ")),
            );
        };
        let what = format!("the input {}", input.name);
        let tensor = match input.r#type.as_ref().and_then(|of| of.value.as_ref()) {
            Some(type_proto::Value::TensorType(tensor)) => tensor,
            _ => return self.refuse_at(&what, "it is no tensor"),
        };
        if !matches!(tensor.elem_type, 1 | 2 | 10 | 11) {
            return self.refuse_at(
                &what,
                format!("its element type is {}; floats and uint8 are read", tensor.elem_type),
            );
        }
        let sizes: Vec<Option<usize>> = match &tensor.shape {
            Some(shape) => shape.dim.iter().map(size_of).collect(),
            None => return self.refuse_at(&what, "the file does not tell its shape; export it with one"),
        };
        let Some((shape, dims, map)) = image_of(&sizes, options.input) else {
            let told: Vec<String> =
                sizes.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
            return self.refuse_at(
                &what,
                format!(
                    "its shape is [{}]; one image of 1 or 3 channels and sides up to {} is read: [batch, channels, height, width], [batch, height, width, channels], [batch, height, width] or [batch, pixels]; say --input HxW or HxWx3 where the file leaves sizes open",
                    told.join(", "),
                    InputShape::MAX_SIDE
                ),
            );
        };
        let range = match options.range {
            InputRange::Unit if tensor.elem_type == proto::UINT8 => &InputRange::Bytes,
            ref range => range,
        };
        let (scale, shift) = range.over(shape).or_else(|problem| self.refuse_at(&what, problem))?;
        self.input = [shape.channels, shape.height, shape.width];
        let affine = Affine { scale: scale.clone(), shift: shift.clone() };
        let view = View {
            layer: None,
            dims: dims.clone(),
            map: map.clone(),
            affine,
            pending: None,
            name: input.name.clone(),
        };
        self.named.insert(&input.name);
        self.views.insert(input.name.clone(), view);
        Ok((shape, Feed { dims, map, scale, shift, element: tensor.elem_type }))
    }
}

fn size_of(dim: &proto::Dimension) -> Option<usize> {
    match dim.value {
        Some(dimension::Value::DimValue(value)) => usize::try_from(value).ok().filter(|&size| size > 0),
        _ => None,
    }
}

/// The image that an input of these sizes is, with its dimensions (batch 1) and the order of its values.
fn image_of(
    sizes: &[Option<usize>],
    told: Option<InputShape>,
) -> Option<(InputShape, Vec<usize>, Vec<usize>)> {
    let in_order = |shape: InputShape, dims: Vec<usize>| (shape, dims, (0..shape.len()).collect());
    let is_batch = |size: Option<usize>| matches!(size, None | Some(1));
    let known = |size: Option<usize>, of: fn(&InputShape) -> usize| size.or(told.as_ref().map(of));
    let (height, width) = (|of: &InputShape| of.height, |of: &InputShape| of.width);
    let channels = |of: &InputShape| of.channels;
    let agrees = |shape: &InputShape| told.is_none_or(|told| told == *shape);
    let found = match *sizes {
        [batch, c, h, w] if is_batch(batch) && matches!(known(c, channels), Some(1 | 3)) => {
            let shape = InputShape::new(known(h, height)?, known(w, width)?, known(c, channels)?)?;
            Some(in_order(shape, vec![1, shape.channels, shape.height, shape.width]))
        }
        [batch, h, w, Some(c @ (1 | 3))] if is_batch(batch) => {
            let shape = InputShape::new(known(h, height)?, known(w, width)?, c)?;
            let map = (0..shape.len()).map(|at| at % c * shape.pixels() + at / c).collect();
            Some((shape, vec![1, shape.height, shape.width, c], map))
        }
        [Some(c @ (1 | 3)), Some(h), Some(w)] => Some(in_order(InputShape::new(h, w, c)?, vec![c, h, w])),
        [None, h, w] => {
            let shape = InputShape::new(known(h, height)?, known(w, width)?, 1)?;
            Some(in_order(shape, vec![1, shape.height, shape.width]))
        }
        [batch, Some(pixels)] if is_batch(batch) => {
            let side = (1..=InputShape::MAX_SIDE).find(|side| side * side == pixels);
            let shape = told.or(side.and_then(|side| InputShape::new(side, side, 1)))?;
            (shape.len() == pixels).then(|| in_order(shape, vec![1, pixels]))
        }
        _ => None,
    };
    found.filter(|(shape, ..)| agrees(shape))
}
