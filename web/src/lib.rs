//! The firmware in a web page: a board whose camera, clock and screen are the page's.
//!
//! Preprocessing, inference, confidences and screens are those of `firmware` and `shared`, compiled for
//! `wasm32-unknown-unknown` with one network in it, as for a board. The page calls the functions below and reads
//! what their pointers lead to; they hold until the next call.
//!
//! | export | does |
//! |---|---|
//! | [`start`] | checks the network's constants, draws the first screen |
//! | [`look`] | classifies the page's picture, whose rows it asks for |
//! | [`input`], [`take`] | classify an input as it is |
//! | [`class`], [`logits`], [`shares`], [`hash`] | the answer, and whose it is |
//! | [`screen`] | what a board's display shows |
//! | [`repeat`] | infers several times, to be timed |
//! | [`steps`] | runs the first steps of the plan, for a look at the activations |
#![no_std]

extern crate alloc;

mod camera;
mod canvas;
mod network;
mod page;

use core::cell::UnsafeCell;

use page::Page;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic ends the call: the page sees an error.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// The one page.
struct Only(UnsafeCell<Page>);

// SAFETY: WebAssembly without the threads extension runs on one thread.
unsafe impl Sync for Only {}

static PAGE: Only = Only(UnsafeCell::new(Page::new()));

/// Runs `work` with the page.
fn with<T>(work: impl FnOnce(&mut Page) -> T) -> T {
    // SAFETY: one thread, and no export is called within another: what an export calls of the page's functions,
    // `row` and `now`, calls none.
    work(unsafe { &mut *PAGE.0.get() })
}

/// Checks the network's constants and draws the first screen; returns 1 where they are intact.
#[unsafe(no_mangle)]
extern "C" fn start() -> u32 {
    with(Page::start)
}

/// Returns where the `[height][width][channels]` bytes of the network's input lie, 0 = black.
#[unsafe(no_mangle)]
extern "C" fn input() -> *mut u8 {
    with(|page| page.input().as_mut_ptr())
}

/// Classifies the bytes at [`input`]; returns a verdict as [`look`].
#[unsafe(no_mangle)]
extern "C" fn take() -> u32 {
    with(Page::take)
}

/// Classifies the page's picture of that size, whose rows are asked for from top to bottom.
///
/// Returns 0 where the picture shows nothing, 1 for an answer that is not sure, 2 for a sure one, 3 for a size that
/// is no frame's, 4 for damaged constants.
#[unsafe(no_mangle)]
extern "C" fn look(width: u32, height: u32) -> u32 {
    with(|page| page.look(width, height))
}

/// Returns the index of the last answer's class; 0 before the first.
#[unsafe(no_mangle)]
extern "C" fn class() -> u32 {
    with(|page| page.class())
}

/// Returns where the last answer's `[classes]` logits lie, i32; empty before the first.
#[unsafe(no_mangle)]
extern "C" fn logits() -> *const i32 {
    with(|page| page.logits().as_ptr())
}

/// Returns where the last answer's `[classes]` probabilities lie, u16 in 256ths; empty before the first.
#[unsafe(no_mangle)]
extern "C" fn shares() -> *const u16 {
    with(|page| page.shares().as_ptr())
}

/// Returns where the first eight bytes of the quantized network's sha256 lie.
#[unsafe(no_mangle)]
extern "C" fn hash() -> *const u8 {
    firmware::model::NETWORK_HASH.as_ptr()
}

/// Draws a display and returns where its red, green, blue and alpha bytes lie.
///
/// * `kind`: 0 for 128×64 grays, 1 for 128×64 dots, 2 for 240×240 in colour.
#[unsafe(no_mangle)]
extern "C" fn screen(kind: u32) -> *const u8 {
    with(|page| page.screen(kind).as_ptr())
}

/// Infers the present input so many times; the answer stays.
#[unsafe(no_mangle)]
extern "C" fn repeat(times: u32) {
    with(|page| page.repeat(times));
}

/// Runs the first `count` steps of the plan on the present input and returns where the arena lies, whose places
/// the page knows.
#[unsafe(no_mangle)]
extern "C" fn steps(count: u32) -> *const u8 {
    with(|page| page.steps(count).as_ptr().cast())
}
