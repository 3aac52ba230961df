//! Height, width and channels of what steps write, for those who look at activations.

use firmware::nn::layer::Layer;
use firmware::nn::plan::{Operator, Step};
use firmware::nn::window::Window;
use shared::input::InputShape;

/// Height, width, channels; activations lie in that order.
pub type Shape = [usize; 3];

/// Returns the shape of each step's output; none for rearranged images and for the logits.
///
/// * `input`: of the network.
pub fn shapes(steps: &[Step<'_>], input: InputShape) -> Vec<Option<Shape>> {
    let mut before = [input.height, input.width, input.channels];
    let mut kept = Vec::new();
    let mut shapes = Vec::new();
    for Step { operator, .. } in steps {
        let other = operator.kept().and_then(|(place, _)| find(&kept, place));
        if let Operator::Keep { kept: place, .. } = operator {
            kept.push((*place, before));
        }
        let shape = of_operator(operator, before, other);
        before = shape.unwrap_or(before);
        shapes.push(shape);
    }
    shapes
}

/// Shape of the last copy to a place.
fn find(kept: &[(usize, Shape)], place: usize) -> Option<Shape> {
    kept.iter().rev().find(|(at, _)| *at == place).map(|(_, shape)| *shape)
}

fn of_operator(operator: &Operator<'_>, before: Shape, other: Option<Shape>) -> Option<Shape> {
    let pooled = |window: &Window, pool: bool, channels: usize| {
        let half = if pool { 2 } else { 1 };
        Some([window.out_height / half, window.out_width / half, channels])
    };
    match operator {
        Operator::Spread(_) | Operator::Columns(_) | Operator::Logits(_) | Operator::ScalarLogits(_) => None,
        Operator::Copy(_) | Operator::Keep { .. } | Operator::Add { .. } | Operator::Lookup(_) => {
            Some(before)
        }
        Operator::Image(layer) | Operator::Depthwise(layer) => {
            pooled(&layer.window, layer.pool, layer.channels)
        }
        Operator::Chain(layer) => pooled(&layer.second.window, layer.second.pool, layer.second.out_channels),
        Operator::Conv(layer) => pooled(&layer.window, layer.pool, layer.out_channels),
        Operator::Winograd(layer) => pooled(&layer.window, false, layer.out_channels),
        Operator::Dense(layer) => Some([1, 1, layer.out_features]),
        Operator::Recall { .. } => other,
        // One of the two may be one value a channel.
        Operator::Product { layer, .. } => [Some(before), other]
            .into_iter()
            .flatten()
            .find(|[height, width, _]| height * width == layer.pixels)
            .map(|[height, width, _]| [height, width, layer.channels]),
        Operator::Concat { layer, .. } => Some([before[0], before[1], layer.out_channels()]),
        Operator::MaxPool(layer) => pooled(&layer.window, false, layer.channels),
        Operator::AveragePool(layer) => pooled(&layer.window, false, layer.channels),
        Operator::Scalar(layer) => of_layer(layer, before),
    }
}

/// Shape of what a layer on the reference kernels writes.
fn of_layer(layer: &Layer<'_>, before: Shape) -> Option<Shape> {
    let of = |window: &Window, channels| Some([window.out_height, window.out_width, channels]);
    match layer {
        Layer::Conv2d(layer) => of(&layer.window, layer.out_channels),
        Layer::DepthwiseConv2d(layer) => of(&layer.window, layer.channels),
        Layer::MaxPool(layer) => of(&layer.window, layer.channels),
        Layer::AveragePool(layer) => of(&layer.window, layer.channels),
        Layer::Dense(layer) => Some([1, 1, layer.out_features]),
        Layer::Lookup(_) => Some(before),
        // Branches have operators of their own.
        Layer::Add(_) | Layer::Product(_) | Layer::Concat(_) | Layer::Recall(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::networks;
    use crate::plan::{NetworkPlan, Profile};

    #[test]
    fn every_shape_holds_what_its_step_writes() {
        let mut seen = 0;
        for name in ["A", "C", "D", "resnet-8", "ds-cnn", "mobilenet"] {
            let network = networks::network(name).unwrap().to_firmware().unwrap();
            for profile in [Profile::Speed, Profile::Size, Profile::Scalar] {
                let plan = NetworkPlan::new(&network, profile).unwrap();
                let input = network.quantized().task.input;
                plan.with_steps(|steps| {
                    for (step, shape) in steps.iter().zip(shapes(steps, input)) {
                        let Some(shape) = shape else { continue };
                        let written = step.operator.output_len();
                        assert_eq!(
                            shape.iter().product::<usize>(),
                            written,
                            "{name}: {}",
                            step.operator.kernel()
                        );
                        seen += 1;
                    }
                });
            }
        }
        assert!(seen > 100, "{seen}");
    }
}
