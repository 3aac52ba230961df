//! A camera with an OV7670 on the PIO: 320×240 in YUV 4:2:2, row by row.
//!
//! | camera | board | | camera | board |
//! |---|---|---|---|---|
//! | D0 … D7 | GP6 … GP13 | | XCLK | GP22 |
//! | PCLK | GP14 | | SIOC | GP27 |
//! | HREF | GP15 | | SIOD | GP26 |
//! | VSYNC | GP16 | | RESET, 3V3 / PWDN, GND | 3.3 V / ground |
//!
//! Source: OmniVision, *OV7670 CMOS VGA CameraChip* data sheet 1.4, tables 5 and figures 5 to 7. The state machine
//! samples a byte at every rising edge of PCLK while HREF is high; two rows are kept, one being received while the
//! other is taken in. Not tried on hardware yet.

use board_support::wait::block_on;
use embassy_futures::join::join;
use embassy_rp::gpio::{Input, Pull};
use embassy_rp::i2c::{self, Blocking, I2c};
use embassy_rp::peripherals::{DMA_CH0, I2C1, PIO0};
use embassy_rp::pio::program::pio_asm;
use embassy_rp::pio::{FifoJoin, Pio, ShiftConfig, ShiftDirection, StateMachine};
use embassy_rp::pwm::{self, Pwm};
use embassy_rp::{Peri, bind_interrupts, dma, peripherals, pio};
use embassy_time::{Duration, Instant};
use firmware::camera::{Camera, NoPicture};
use shared::image::PixelFormat;

const WIDTH: u16 = 320;
const HEIGHT: u16 = 240;
/// Words of a row: four bytes are two pixels.
const ROW_WORDS: usize = WIDTH as usize / 2;
/// Address on the two-wire bus.
const ADDRESS: u8 = 0x21;
/// Clock of the camera in hertz, which the data sheet wants between 10 and 48 MHz.
const XCLK_HZ: u32 = 12_500_000;
/// How long a frame may let wait for itself: a few at the slowest rate.
const PATIENCE: Duration = Duration::from_millis(500);

/// Registers and values (data sheet, table 5): reset first, then QVGA in YUV, scaled down by two.
const SETUP: [(u8, u8); 14] = [
    // CLKRC: half the clock that comes in.
    (0x11, 0x01),
    // COM7: QVGA, YUV.
    (0x12, 0x10),
    // COM3: scale; COM14: scaled pixel clock, divided by two.
    (0x0c, 0x04),
    (0x3e, 0x19),
    // SCALING_XSC, YSC, DCWCTR, PCLK_DIV, PCLK_DELAY: down by two each way.
    (0x70, 0x3a),
    (0x71, 0x35),
    (0x72, 0x11),
    (0x73, 0xf1),
    (0xa2, 0x02),
    // TSLB: bytes in the order Y U Y V.
    (0x3a, 0x04),
    // COM10: HREF as it is, the pixel clock only while it is high.
    (0x15, 0x20),
    // COM8: automatic gain, exposure and white balance.
    (0x13, 0xe7),
    // COM15: all values from 0 to 255.
    (0x40, 0xc0),
    // COM13: UV saturation adjusted.
    (0x3d, 0x88),
];

bind_interrupts!(struct Interrupts {
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>;
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
});

/// What the camera takes of the chip.
pub struct Wiring {
    /// Samples the pixels.
    pub pio: Peri<'static, PIO0>,
    /// Moves them to RAM.
    pub dma: Peri<'static, DMA_CH0>,
    /// Sets the camera up.
    pub i2c: Peri<'static, I2C1>,
    /// SIOC and SIOD.
    pub bus: (Peri<'static, peripherals::PIN_27>, Peri<'static, peripherals::PIN_26>),
    /// Makes the camera's clock.
    pub pwm: Peri<'static, peripherals::PWM_SLICE3>,
    /// XCLK.
    pub clock: Peri<'static, peripherals::PIN_22>,
    /// VSYNC.
    pub vsync: Peri<'static, peripherals::PIN_16>,
    /// PCLK and HREF, which the state machine reads by their numbers.
    pub timing: (Peri<'static, peripherals::PIN_14>, Peri<'static, peripherals::PIN_15>),
    /// D0 to D7.
    pub data: (
        Peri<'static, peripherals::PIN_6>,
        Peri<'static, peripherals::PIN_7>,
        Peri<'static, peripherals::PIN_8>,
        Peri<'static, peripherals::PIN_9>,
        Peri<'static, peripherals::PIN_10>,
        Peri<'static, peripherals::PIN_11>,
        Peri<'static, peripherals::PIN_12>,
        Peri<'static, peripherals::PIN_13>,
    ),
}

/// The camera, set up.
pub struct Ov7670 {
    machine: StateMachine<'static, PIO0, 0>,
    channel: dma::Channel<'static>,
    vsync: Input<'static>,
    _clock: Pwm<'static>,
    rows: [[u32; ROW_WORDS]; 2],
}

impl Ov7670 {
    /// Starts the camera; `None` where none answers.
    pub fn new(wiring: Wiring) -> Option<Self> {
        let mut config = pwm::Config::default();
        config.top = (embassy_rp::clocks::clk_sys_freq() / XCLK_HZ) as u16 - 1;
        config.compare_a = config.top.div_ceil(2);
        let clock = Pwm::new_output_a(wiring.pwm, wiring.clock, config);
        let (scl, sda) = wiring.bus;
        let mut bus = I2c::new_blocking(wiring.i2c, scl, sda, i2c::Config::default());
        set_up(&mut bus)?;
        let Pio { mut common, mut sm0, .. } = Pio::new(wiring.pio, Interrupts);
        let (d0, d1, d2, d3, d4, d5, d6, d7) = wiring.data;
        let pins = [
            common.make_pio_pin(d0),
            common.make_pio_pin(d1),
            common.make_pio_pin(d2),
            common.make_pio_pin(d3),
            common.make_pio_pin(d4),
            common.make_pio_pin(d5),
            common.make_pio_pin(d6),
            common.make_pio_pin(d7),
        ];
        // These are read by `wait gpio` and need their input enabled, no more.
        let (pclk, href) = wiring.timing;
        let _ = (common.make_pio_pin(pclk), common.make_pio_pin(href));
        let program = pio_asm!(
            ".wrap_target",
            "wait 1 gpio 15",
            "wait 0 gpio 14",
            "wait 1 gpio 14",
            "in pins, 8",
            ".wrap"
        );
        let mut config = pio::Config::default();
        config.use_program(&common.load_program(&program.program), &[]);
        let [a, b, c, d, e, f, g, h] = &pins;
        config.set_in_pins(&[a, b, c, d, e, f, g, h]);
        // The first byte of four is the lowest, as in memory.
        config.shift_in = ShiftConfig { threshold: 32, direction: ShiftDirection::Right, auto_fill: true };
        config.fifo_join = FifoJoin::RxOnly;
        sm0.set_config(&config);
        Some(Self {
            machine: sm0,
            channel: dma::Channel::new(wiring.dma, Interrupts),
            vsync: Input::new(wiring.vsync, Pull::None),
            _clock: clock,
            rows: [[0; ROW_WORDS]; 2],
        })
    }

    /// Waits until the gap between two frames has this level.
    fn wait_for_gap(&mut self, is_high: bool) -> Result<(), NoPicture> {
        let deadline = Instant::now() + PATIENCE;
        while self.vsync.is_high() != is_high {
            if Instant::now() > deadline {
                return Err(NoPicture);
            }
        }
        Ok(())
    }
}

impl Ov7670 {
    /// Receives all rows of a frame; while one comes, the one before is taken in.
    fn receive(&mut self, row: &mut dyn FnMut(&[u8])) -> Result<(), NoPicture> {
        let [received, taken] = &mut self.rows;
        let (mut received, mut taken) = (received, taken);
        for number in 0..=HEIGHT {
            let take = async {
                if number > 0 {
                    row(bytes(taken));
                }
            };
            if number < HEIGHT {
                let transfer = self.machine.rx().dma_pull(&mut self.channel, &mut received[..], false);
                block_on(embassy_time::with_timeout(PATIENCE, join(transfer, take)))
                    .map_err(|_| NoPicture)?;
            } else {
                block_on(take);
            }
            core::mem::swap(&mut received, &mut taken);
        }
        Ok(())
    }
}

/// Writes the registers; `None` where no OV7670 answers.
fn set_up(bus: &mut I2c<'static, I2C1, Blocking>) -> Option<()> {
    /// Upper half of the product's number.
    const PRODUCT: (u8, u8) = (0x0a, 0x76);
    let mut product = [0];
    // The bus knows no repeated start: a stop between the register's number and its value.
    bus.blocking_write(ADDRESS, &[PRODUCT.0]).ok()?;
    bus.blocking_read(ADDRESS, &mut product).ok()?;
    if product != [PRODUCT.1] {
        return None;
    }
    bus.blocking_write(ADDRESS, &[0x12, 0x80]).ok()?;
    embassy_time::block_for(Duration::from_millis(5));
    for (register, value) in SETUP {
        bus.blocking_write(ADDRESS, &[register, value]).ok()?;
    }
    Some(())
}

impl Camera for Ov7670 {
    fn format(&self) -> PixelFormat {
        PixelFormat::Yuv422
    }

    fn size(&self) -> (u16, u16) {
        (WIDTH, HEIGHT)
    }

    fn capture(&mut self, row: &mut dyn FnMut(&[u8])) -> Result<(), NoPicture> {
        // A frame begins where VSYNC falls; one that is under way is let go by.
        self.wait_for_gap(true)?;
        self.machine.clear_fifos();
        self.machine.restart();
        self.wait_for_gap(false)?;
        let _ = self.machine.rx().stalled();
        self.machine.set_enable(true);
        let received = self.receive(row);
        self.machine.set_enable(false);
        // Bytes were lost where a row was not taken in in time.
        if self.machine.rx().stalled() { Err(NoPicture) } else { received }
    }
}

/// A row's words as bytes, in the order they came.
fn bytes(row: &[u32; ROW_WORDS]) -> &[u8] {
    // SAFETY: u8 has no alignment and takes every bit pattern; the bytes lie inside the row and borrow it.
    unsafe { core::slice::from_raw_parts(row.as_ptr().cast::<u8>(), 4 * ROW_WORDS) }
}
