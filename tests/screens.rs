//! What boards show, as pictures in docs/screens: drawn anew and compared, pixel by pixel.
//!
//! `UPDATE_SCREENS=1 cargo test -p host --test screens` draws them again; they are to be looked at.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::image::GetPixel;
use embedded_graphics::pixelcolor::raw::{BigEndian, LittleEndian, RawU1, RawU16};
use embedded_graphics::pixelcolor::{BinaryColor, Gray4, GrayColor, Rgb565, Rgb888, RgbColor};
use firmware::app::Screen;
use firmware::ui::icon::{self, Icon};
use firmware::ui::result::Result as Shown;
use firmware::ui::{colour, mono, result, welcome};
use host::dataset::drawn;
use host::dataset::photo::Photo;
use host::evaluate::compose;
use host::task::Task;
use shared::input::InputShape;
use shared::preprocess::Preprocessing;
use shared::protocol::Verdict;

const NAMES: [&str; 10] =
    ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"];

type Mono = Framebuffer<BinaryColor, RawU1, BigEndian, 128, 64, { buffer_size::<BinaryColor>(128, 64) }>;
type Square = Framebuffer<Rgb565, RawU16, LittleEndian, 240, 240, { buffer_size::<Rgb565>(240, 240) }>;
type Wide = Framebuffer<Rgb565, RawU16, LittleEndian, 320, 240, { buffer_size::<Rgb565>(320, 240) }>;

/// A drawn T-shirt on a table, as `photo-mini` sees it.
fn pixels() -> Vec<u8> {
    let task = Task {
        input: InputShape { height: 48, width: 48, channels: 3 },
        classes: NAMES.map(str::to_owned).to_vec(),
        preprocessing: Preprocessing::Square,
    };
    let samples = drawn::samples(3, 1);
    compose::photo(samples.image(0), 0, 1).to_input(&task).unwrap().0
}

/// Answers that screens are looked at with: sure, unsure, a long name, nothing there.
fn answers(pixels: &[u8]) -> [Shown<'_>; 4] {
    let base = Shown {
        input: InputShape { height: 48, width: 48, channels: 3 },
        pixels,
        names: &NAMES,
        shares: &[2, 0, 8, 1, 0, 16, 0, 0, 1, 228],
        class: 9,
        verdict: Verdict::Sure,
        microseconds: 37_400,
    };
    [
        base,
        Shown {
            shares: &[4, 0, 60, 10, 0, 100, 0, 0, 2, 80],
            class: 5,
            verdict: Verdict::Unsure,
            microseconds: 163_000,
            ..base
        },
        Shown {
            names: &["quilted jacket with a hood", "hat"],
            shares: &[250, 6],
            class: 0,
            microseconds: 2_460_000,
            ..base
        },
        Shown { verdict: Verdict::Nothing, microseconds: 990, ..base },
    ]
}

/// One screen as RGB.
struct Picture {
    size: Size,
    rgb: Vec<u8>,
}

fn picture<S: OriginDimensions + GetPixel>(screen: &S, rgb: impl Fn(S::Color) -> [u8; 3]) -> Picture {
    let size = screen.size();
    let at = |index: u32| Point::new((index % size.width) as i32, (index / size.width) as i32);
    let pixels = (0..size.width * size.height).flat_map(|index| rgb(screen.pixel(at(index)).unwrap()));
    Picture { size, rgb: pixels.collect() }
}

fn bit(colour: BinaryColor) -> [u8; 3] {
    if colour.is_on() { [226, 240, 255] } else { [6, 10, 16] }
}

fn rgb565(colour: Rgb565) -> [u8; 3] {
    let colour = Rgb888::from(colour);
    [colour.r(), colour.g(), colour.b()]
}

/// Puts screens beside each other, each pixel `zoom` times as large, and compares the sheet with the kept one.
fn compare(name: &str, zoom: usize, screens: &[Picture]) {
    let gap = 6;
    let (width, height) = (screens[0].size.width as usize * zoom, screens[0].size.height as usize * zoom);
    let mut sheet = Photo { width: screens.len() * (width + gap) - gap, height, rgb: Vec::new() };
    sheet.rgb = vec![128; 3 * sheet.width * height];
    for (number, screen) in screens.iter().enumerate() {
        for y in 0..height {
            for x in 0..width {
                let from = 3 * (y / zoom * screen.size.width as usize + x / zoom);
                let to = 3 * (y * sheet.width + number * (width + gap) + x);
                sheet.rgb[to..to + 3].copy_from_slice(&screen.rgb[from..from + 3]);
            }
        }
    }
    let path = host::project_root().join("docs/screens").join(format!("{name}.png"));
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        sheet.write(&path).unwrap();
    }
    let kept = Photo::read(&path).unwrap();
    assert_eq!((kept.width, kept.height), (sheet.width, sheet.height), "{name}");
    assert!(
        kept.rgb == sheet.rgb,
        "docs/screens/{name}.png is another picture; UPDATE_SCREENS=1 draws it again"
    );
}

#[test]
fn the_oled_with_16_grays() {
    let pixels = pixels();
    let gray = |level: Gray4| [17 * level.luma(); 3];
    let mut screens: Vec<Picture> = answers(&pixels)
        .iter()
        .map(|answer| {
            let mut screen = Screen::new();
            result::draw(&mut screen, answer).unwrap();
            picture(&screen, gray)
        })
        .collect();
    for draw in [welcome::draw, welcome::draw_damaged] {
        let mut screen = Screen::new();
        draw(&mut screen, "photo-mini").unwrap();
        screens.push(picture(&screen, gray));
    }
    compare("gray", 2, &screens);
}

#[test]
fn the_oled_of_one_bit() {
    let pixels = pixels();
    let mut screens: Vec<Picture> = answers(&pixels)
        .iter()
        .map(|answer| {
            let mut screen = Mono::new();
            mono::draw(&mut screen, answer).unwrap();
            picture(&screen, bit)
        })
        .collect();
    for is_damaged in [false, true] {
        let mut screen = Mono::new();
        mono::draw_welcome(&mut screen, "photo-mini", is_damaged).unwrap();
        screens.push(picture(&screen, bit));
    }
    compare("mono", 2, &screens);
}

/// Draws answers and first screens on colour panels.
fn coloured<S>(new: impl Fn() -> S) -> Vec<Picture>
where
    S: DrawTarget<Color = Rgb565> + OriginDimensions + GetPixel<Color = Rgb565>,
    S::Error: std::fmt::Debug,
{
    let pixels = pixels();
    let mut screens: Vec<Picture> = answers(&pixels)
        .iter()
        .map(|answer| {
            let mut screen = new();
            colour::draw(&mut screen, answer).unwrap();
            picture(&screen, rgb565)
        })
        .collect();
    for is_damaged in [false, true] {
        let mut screen = new();
        colour::draw_welcome(&mut screen, "photo-mini", is_damaged).unwrap();
        screens.push(picture(&screen, rgb565));
    }
    screens
}

#[test]
fn the_panel_of_240_by_240_colours() {
    compare("colour-240", 1, &coloured(Square::new));
}

#[test]
fn the_panel_of_320_by_240_colours() {
    compare("colour-320", 1, &coloured(Wide::new));
}

#[test]
fn the_matrix_of_5_by_5_leds() {
    let fashion = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ];
    let classes = NAMES.iter().chain(&fashion).map(|name| icon::of_class(0, name));
    let states = [Icon::READY, Icon::UNSURE, Icon::NOTHING, Icon::DAMAGED];
    let screens = classes.chain(states).map(|icon| {
        let dot = |at: u32| if icon.bits() >> at & 1 == 1 { [255, 60, 40] } else { [30, 12, 12] };
        // A dark frame of one dot around five by five.
        let framed = (0..49).flat_map(|at| match (at % 7, at / 7) {
            (x @ 1..=5, y @ 1..=5) => dot(5 * (y - 1) + x - 1),
            _ => [8, 8, 8],
        });
        Picture { size: Size::new(7, 7), rgb: framed.collect() }
    });
    compare("icons", 8, &screens.collect::<Vec<_>>());
}
