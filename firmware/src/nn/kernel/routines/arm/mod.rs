//! Calls into the assembly beside this file. The doors in the parent module have checked every length.
#![allow(unsafe_code)]

use super::{ConvTask, GatherTask, PLANE_WORDS, PlaneTask, SplitTask, WinogradOutput, WinogradTask};

/// Names the core to the assembler where the architecture alone does not have the instructions: link-time
/// optimization assembles without the compiler's `target-cpu`.
#[cfg(armv8m)]
macro_rules! core_of_target {
    () => {
        " .cpu cortex-m33"
    };
}
#[cfg(not(armv8m))]
macro_rules! core_of_target {
    () => {
        ""
    };
}

// `common` first, for its macros; `conv` before `winograd`, which shares a step.
core::arch::global_asm!(
    core_of_target!(),
    include_str!("common.s"),
    include_str!("gather.s"),
    include_str!("conv.s"),
    include_str!("winograd.s"),
    include_str!("dense.s"),
    include_str!("pool.s"),
    include_str!("plane.s"),
    options(raw)
);

unsafe extern "C" {
    fn firmware_gather_2(first: *const i8, second: *const i8, words: *mut u32, task: *mut GatherTask);
    fn firmware_conv_2x4(patch: *const u32, constants: *const u32, output: *mut i8, task: *const ConvTask);
    fn firmware_conv_2x4_wide(
        patch: *const u32,
        constants: *const u32,
        output: *mut i8,
        task: *const ConvTask,
    );
    fn firmware_conv_2x4_nibble(
        patch: *const u32,
        constants: *const u32,
        output: *mut i8,
        task: *const ConvTask,
    );
    fn firmware_winograd_2x4(
        tiles: *const u32,
        weights: *const u32,
        products: *mut i32,
        task: *const WinogradTask,
    );
    fn firmware_winograd_input_4(tiles: *mut u32, words: usize);
    fn firmware_winograd_input_6(tiles: *mut u32, words: usize);
    fn firmware_winograd_output_4(
        products: *const i32,
        tables: *const u32,
        task: *const WinogradOutput,
        output: *mut i8,
    );
    fn firmware_winograd_output_6(
        products: *const i32,
        tables: *const u32,
        task: *const WinogradOutput,
        output: *mut i8,
    );
    fn firmware_split_4(input: *const i8, planes: *mut u32, task: *const SplitTask);
    fn firmware_sum_4(input: *const i8, stride: usize, count: usize, sums: *mut u32);
    fn firmware_dense_8(input: *const i8, weights: *const u32, sums: *mut i32, quads: usize);
    fn firmware_dense_2(input: *const i8, weights: *const u32, sums: *mut i32, quads: usize);
}

#[inline(always)]
pub fn gather_2(input: &[i8], padding: &[i8], words: &mut [u32], task: &mut GatherTask) {
    task.padding = padding.as_ptr() as usize as u32;
    let start = |at: usize| {
        let row = task.row[at].wrapping_mul(task.pitch);
        let offset = row.wrapping_add(task.column[at].wrapping_mul(task.channels));
        // May point outside; the routine reads it only where row and column are inside.
        input.as_ptr().wrapping_offset(offset as i32 as isize)
    };
    // SAFETY: the door checked that the words hold all runs and the padding one, and that the input holds
    // all its rows; runs outside of them are read from the padding.
    unsafe { firmware_gather_2(start(0), start(1), words.as_mut_ptr(), task) }
}

#[inline(always)]
pub fn conv_2x4(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    // SAFETY: the door checked the slices against the task's counts, none of which is zero.
    unsafe { firmware_conv_2x4(patch.as_ptr(), constants.as_ptr(), output.as_mut_ptr(), task) }
}

#[inline(always)]
pub fn conv_2x4_wide(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    // SAFETY: as for `conv_2x4`; the door counted the wider weights.
    unsafe { firmware_conv_2x4_wide(patch.as_ptr(), constants.as_ptr(), output.as_mut_ptr(), task) }
}

#[inline(always)]
pub fn conv_2x4_nibble(patch: &[u32], constants: &[u32], output: &mut [i8], task: &ConvTask) {
    // SAFETY: as for `conv_2x4`; the door counted the narrower weights.
    unsafe { firmware_conv_2x4_nibble(patch.as_ptr(), constants.as_ptr(), output.as_mut_ptr(), task) }
}

#[inline(always)]
pub fn winograd_2x4(tiles: &[u32], weights: &[u32], products: &mut [i32], task: &WinogradTask) {
    // SAFETY: the door checked the slices against the task's counts; steps is at least 2.
    unsafe { firmware_winograd_2x4(tiles.as_ptr(), weights.as_ptr(), products.as_mut_ptr(), task) }
}

#[inline(always)]
pub fn winograd_input_4(tiles: &mut [u32], words: usize) {
    // SAFETY: the door checked that the tiles hold 16 positions of so many words, at least one.
    unsafe { firmware_winograd_input_4(tiles.as_mut_ptr(), words) }
}

#[inline(always)]
pub fn winograd_input_6(tiles: &mut [u32], words: usize) {
    // SAFETY: the door checked that the tiles hold 36 positions of so many words, at least one.
    unsafe { firmware_winograd_input_6(tiles.as_mut_ptr(), words) }
}

#[inline(always)]
pub fn winograd_output_4(products: &[i32], tables: &[u32], output: &mut [i8], task: &WinogradOutput) {
    // SAFETY: the door checked products and tables, and that every output of both tiles lies inside.
    unsafe { firmware_winograd_output_4(products.as_ptr(), tables.as_ptr(), task, output.as_mut_ptr()) }
}

#[inline(always)]
pub fn winograd_output_6(products: &[i32], tables: &[u32], output: &mut [i8], task: &WinogradOutput) {
    // SAFETY: the door checked products and tables, and that every output of both tiles lies inside.
    unsafe { firmware_winograd_output_6(products.as_ptr(), tables.as_ptr(), task, output.as_mut_ptr()) }
}

#[inline(always)]
pub fn split_4(input: &[i8], planes: &mut [u32], task: &SplitTask) {
    // SAFETY: the door checked that all rows lie inside the input and inside each of the four planes.
    unsafe { firmware_split_4(input.as_ptr(), planes.as_mut_ptr(), task) }
}

#[inline(always)]
pub fn dense_8(input: &[i8], weights: &[u32], sums: &mut [i32], quads: usize) {
    // SAFETY: the door checked input and weights, quads > 0, and its `sums` has eight places.
    unsafe { firmware_dense_8(input.as_ptr(), weights.as_ptr(), sums.as_mut_ptr(), quads) }
}

#[inline(always)]
pub fn dense_2(input: &[i8], weights: &[u32], sums: &mut [i32], quads: usize) {
    // SAFETY: the door checked input and weights, quads > 0, and its `sums` has two places.
    unsafe { firmware_dense_2(input.as_ptr(), weights.as_ptr(), sums.as_mut_ptr(), quads) }
}

#[inline(always)]
pub fn sum_4(input: &[i8], stride: usize, count: usize, mut sums: [u32; 2]) -> [u32; 2] {
    // SAFETY: the door checked that the last pixel's four bytes lie inside and that there is one.
    unsafe { firmware_sum_4(input.as_ptr(), stride, count, sums.as_mut_ptr()) };
    sums
}

macro_rules! plane {
    ($($name:ident, $routine:ident;)+) => {$(
        #[inline(always)]
        pub fn $name(plane: &[u32], constants: &[u32; PLANE_WORDS], output: &mut [i8], task: &PlaneTask) {
            unsafe extern "C" {
                fn $routine(
                    plane: *const u32, constants: *const u32, output: *mut i8, task: *const PlaneTask,
                );
            }
            // SAFETY: the door checked that the plane holds the rows and that the last output lies inside.
            unsafe { $routine(plane.as_ptr(), constants.as_ptr(), output.as_mut_ptr(), task) }
        }
    )+};
}

plane! {
    plane_stride1_32, firmware_plane_stride1_32;
    plane_stride1_64, firmware_plane_stride1_64;
    plane_stride1_128, firmware_plane_stride1_128;
    plane_stride1_256, firmware_plane_stride1_256;
    plane_stride2_32, firmware_plane_stride2_32;
    plane_stride2_64, firmware_plane_stride2_64;
    plane_stride2_128, firmware_plane_stride2_128;
    plane_stride2_256, firmware_plane_stride2_256;
    plane_pool_32, firmware_plane_pool_32;
    plane_pool_64, firmware_plane_pool_64;
    plane_pool_128, firmware_plane_pool_128;
    plane_pool_256, firmware_plane_pool_256;
}
