//! What follows a convolution, plane by plane: batch statistics, affine, ReLU, pooling, dropout, rounding.
//!
//! Loops over whole vectors of 16 images, compiled for the widest vectors that the CPU has. A pass over an
//! activation costs more than its arithmetic, so scaling, ReLU and 2×2 maximum are one pass each way.

use super::LANES;

/// One pixel of 16 images.
type Lane = [f32; LANES];

/// Values that one task of dropout and rounding takes.
const RUN: usize = 4_096;

fn lanes(values: &[f32]) -> &[Lane] {
    values.as_chunks().0
}

fn lanes_mut(values: &mut [f32]) -> &mut [Lane] {
    values.as_chunks_mut().0
}

/// Defines a function whose loops are compiled for the widest vectors of the CPU that it runs on.
///
/// pulp inlines a task's body into a function with the CPU's features; a closure's it may leave outside. A body that
/// names the vectors, `[simd: S]`, works on them itself: where vectors have fewer lanes than 16, the compiler turns
/// longer loops over the lanes into gathers.
macro_rules! vectorized {
    ($(#[$attribute:meta])* fn $name:ident<$life:lifetime>($($operand:ident: $type:ty),* $(,)?) -> $output:ty
     $body:block) => {
        vectorized! { $(#[$attribute])* fn $name<$life>[_simd: S]($($operand: $type),*) -> $output $body }
    };
    ($(#[$attribute:meta])* fn $name:ident<$life:lifetime>[$simd:ident: $vectors:ident]
     ($($operand:ident: $type:ty),* $(,)?) -> $output:ty $body:block) => {
        $(#[$attribute])*
        fn $name<$life>($($operand: $type),*) -> $output {
            struct Task<$life>($($type,)* std::marker::PhantomData<&$life ()>);
            impl<$life> pulp::WithSimd for Task<$life> {
                type Output = $output;
                #[inline(always)]
                fn with_simd<$vectors: pulp::Simd>(self, $simd: $vectors) -> $output {
                    let Self($($operand,)* _) = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Task($($operand,)* std::marker::PhantomData))
        }
    };
}

mod average;
mod dropout;
mod moments;
mod rounding;
mod stage;

pub use average::AveragePool;
pub use dropout::dropout;
pub use moments::{combine, moments};
pub use rounding::{fake_quantize, fake_quantize_backward};
pub use stage::{Stage, backward, forward};
