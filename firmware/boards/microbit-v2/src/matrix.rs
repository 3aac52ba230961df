//! The 5×5 LEDs: five rows lit in turn, two milliseconds a row.
//!
//! Source: micro:bit v2.2 schematic, "LED matrix"; a LED is lit where its row is high and its column low.

use core::sync::atomic::{AtomicU32, Ordering};

use board_support::display::Display;
use embassy_executor::InterruptExecutor;
use embassy_nrf::gpio::{AnyPin, Level, Output, OutputDrive};
use embassy_nrf::interrupt::{InterruptExt, Priority};
use embassy_nrf::{Peri, interrupt};
use embassy_time::Timer;
use firmware::app::App;
use firmware::model::Model;
use firmware::ui::icon::{self, Icon};

/// Five rows of five bits, the lowest five for the top row.
static LIT: AtomicU32 = AtomicU32::new(0);
/// Runs the task below in an interrupt that nothing else uses.
static EXECUTOR: InterruptExecutor = InterruptExecutor::new();

#[interrupt]
unsafe fn EGU0_SWI0() {
    // SAFETY: this is the executor's interrupt, which only `start` enables.
    unsafe { EXECUTOR.on_interrupt() }
}

/// The LEDs, lit row by row in the background.
pub struct Matrix(());

/// Starts them.
pub fn start(rows: [Peri<'static, AnyPin>; 5], columns: [Peri<'static, AnyPin>; 5]) -> Matrix {
    let rows = rows.map(|pin| Output::new(pin, Level::Low, OutputDrive::HighDrive));
    let columns = columns.map(|pin| Output::new(pin, Level::High, OutputDrive::Standard));
    interrupt::EGU0_SWI0.set_priority(Priority::P6);
    let spawner = EXECUTOR.start(interrupt::EGU0_SWI0);
    spawner.spawn(light(rows, columns).expect("spawned once"));
    Matrix(())
}

#[embassy_executor::task]
async fn light(mut rows: [Output<'static>; 5], mut columns: [Output<'static>; 5]) -> ! {
    loop {
        for (number, row) in rows.iter_mut().enumerate() {
            let bits = LIT.load(Ordering::Relaxed) >> (5 * number);
            for (at, column) in columns.iter_mut().enumerate() {
                column.set_level((bits >> at & 1 == 0).into());
            }
            row.set_high();
            Timer::after_millis(2).await;
            row.set_low();
        }
    }
}

impl Display for Matrix {
    fn show(&mut self, app: &App<Model>) {
        let icon = match (app.is_damaged(), app.result()) {
            (true, _) => Icon::DAMAGED,
            (false, None) => Icon::READY,
            (false, Some(result)) => icon::of(&result),
        };
        LIT.store(icon.bits(), Ordering::Relaxed);
    }
}
