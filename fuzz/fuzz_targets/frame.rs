//! Any frame: preprocessing never reads outside, fills its input, and gives the same by rows as at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::image::{Frame, PixelFormat};
use shared::input::InputShape;
use shared::preprocess::square::{Cell, Square};
use shared::preprocess::{Preprocessing, Seen, frame_to_input, seen};

fuzz_target!(|bytes: &[u8]| {
    let [format, width, height, rows, columns, flags, stride, pixels @ ..] = bytes else { return };
    let format = PixelFormat::ALL[usize::from(*format) % 4];
    let (width, height) = (u16::from(*width), u16::from(*height));
    let channels = if flags & 1 == 0 { 1 } else { 3 };
    let shape =
        InputShape::new(usize::from(*rows % 64) + 1, usize::from(*columns % 64) + 1, channels).unwrap();
    let row = usize::from(width) * format.bytes_per_pixel();
    let stride = if flags & 2 == 0 { row } else { row + usize::from(*stride) };
    let Ok(frame) = Frame::with_stride(format, width, height, stride, pixels) else {
        let need = stride * usize::from(height).saturating_sub(1) + row;
        let is_odd = format == PixelFormat::Yuv422 && width % 2 != 0;
        assert!(width == 0 || height == 0 || is_odd || need != pixels.len(), "a sound frame is refused");
        return;
    };
    let input = |rule, shape: InputShape| {
        let mut pixels = vec![77; shape.len()];
        let found = frame_to_input(rule, shape, &frame, &mut pixels);
        (found, pixels)
    };
    let (found, whole) = input(Preprocessing::Square, shape);
    assert_eq!(found, seen(&whole), "what is seen");
    let mut square = Square::new(shape, format, width, height).unwrap();
    let mut cells = vec![Cell::EMPTY; Square::cells(shape)];
    let mut streamed = vec![0; shape.len()];
    (0..frame.height()).for_each(|y| square.push(frame.row(y), &mut cells, &mut streamed));
    assert!(square.is_complete() && streamed == whole, "by rows");
    let side = usize::from(*rows % 64) + 1;
    let gray = InputShape::new(side, side, 1).unwrap();
    let (found, garment) = input(Preprocessing::Garment, gray);
    // What is found shows something; where nothing is found the central square is taken, whatever it shows.
    assert!(found == Seen::Nothing || seen(&garment) == Seen::Something);
    assert_eq!(input(Preprocessing::Garment, gray), (found, garment), "the same again");
});
