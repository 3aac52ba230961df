//! What a terminal can show: pictures in half blocks, colour where it is wanted.

use std::io::IsTerminal;

use shared::image::luma;
use shared::input::InputShape;

/// Whether colour is wanted: `NO_COLOR` (no-color.org) is unset or empty.
pub(super) fn is_color_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard output takes colour.
pub(super) fn stdout_has_color() -> bool {
    std::io::stdout().is_terminal() && is_color_wanted()
}

/// Shows the cursor again that a dashboard may have hidden; for ends that run no destructors.
pub(super) fn show_cursor() {
    if std::io::stderr().is_terminal() {
        eprint!("\x1b[?25h");
    }
}

/// Columns that a picture takes at most.
const COLUMNS: usize = 78;

/// Puts two blocks of lines side by side; the left one is `columns` wide where it is shown.
pub(super) fn beside(left: &str, columns: usize, right: &str) -> String {
    // Plain lines end with their last mark, coloured ones hold escapes: only the former need filling up.
    let filled = |line: &str| match line.contains('\x1b') {
        true => line.to_owned(),
        false => format!("{line:<columns$}"),
    };
    let count = left.lines().count().max(right.lines().count());
    let (mut left, mut right) = (left.lines(), right.lines());
    let mut text = String::new();
    for _ in 0..count {
        let line = left.next().map_or_else(|| " ".repeat(columns), filled);
        text += format!("{line}  {}", right.next().unwrap_or_default()).trim_end();
        text.push('\n');
    }
    text
}

/// Columns of the terminal that [`picture`] takes for a picture of this width.
pub(super) fn columns(width: usize, has_color: bool) -> usize {
    match has_color || width > COLUMNS / 2 {
        true => width.div_ceil(width.div_ceil(COLUMNS).max(1)),
        false => 2 * width,
    }
}

/// Shows an image: half blocks in colour, two pixels a character, or shades of characters, two a pixel.
///
/// An image too wide for that is shown with fewer pixels.
pub(super) fn picture(shape: InputShape, image: &[u8], has_color: bool) -> String {
    let InputShape { height, width, channels } = shape;
    let step = width.div_ceil(COLUMNS).max(1);
    // A character is twice as high as wide.
    let marks = if !has_color && width > COLUMNS / 2 { 1 } else { 2 };
    let row_step = if has_color || marks == 2 { step } else { 2 * step };
    let original = width;
    let (height, width) = (height.div_ceil(row_step), width.div_ceil(step));
    let at = |row: usize, column: usize| -> [u8; 3] {
        let start = (row * row_step * original + column * step) * channels;
        match image.get(start..start + channels) {
            Some(&[red, green, blue]) => [red, green, blue],
            Some(&[gray]) => [gray; 3],
            _ => [0; 3],
        }
    };
    let mut text = String::new();
    if has_color {
        for row in (0..height).step_by(2) {
            for column in 0..width {
                let below = if row + 1 < height { at(row + 1, column) } else { [0; 3] };
                let ([r, g, b], [x, y, z]) = (at(row, column), below);
                text += &format!("\x1b[38;2;{r};{g};{b}m\x1b[48;2;{x};{y};{z}m▀");
            }
            text += "\x1b[0m\n";
        }
    } else {
        const SHADES: &[u8; 10] = b" .:-=+*#%@";
        for row in 0..height {
            let line: String = (0..width)
                .flat_map(|column| {
                    let [red, green, blue] = at(row, column);
                    let gray = if channels == 3 { luma(red, green, blue) } else { red };
                    let shade = SHADES[usize::from(gray) * SHADES.len() / 256];
                    std::iter::repeat_n(char::from(shade), marks)
                })
                .collect();
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use shared::fashion_mnist::SHAPE;

    use super::*;

    #[test]
    fn a_picture_has_one_cell_a_pixel() {
        let mut image = [0; 784];
        image[28] = 255;
        let color = picture(SHAPE, &image, true);
        assert_eq!((color.lines().count(), color.matches('▀').count()), (14, 392));
        assert!(color.starts_with("\x1b[38;2;0;0;0m\x1b[48;2;255;255;255m▀"), "{color:?}");
        let plain = picture(SHAPE, &image, false);
        assert_eq!((plain.lines().count(), plain.lines().nth(1)), (28, Some("@@")));
    }

    #[test]
    fn a_wide_picture_fits_the_terminal() {
        let shape = InputShape::new(64, 64, 3).unwrap();
        let image = vec![255; shape.len()];
        let plain = picture(shape, &image, false);
        assert_eq!((plain.lines().count(), plain.lines().next().map(str::len)), (32, Some(64)));
        assert_eq!((columns(64, false), columns(28, false), columns(64, true)), (64, 56, 64));
        let shape = InputShape::new(256, 256, 1).unwrap();
        let color = picture(shape, &vec![255; shape.len()], true);
        assert_eq!((color.lines().count(), color.matches('▀').count()), (32, 32 * 64));
    }

    #[test]
    fn pictures_stand_side_by_side() {
        assert_eq!(beside("a\nbcd\n", 4, "x\ny\nz\n"), "a     x\nbcd   y\n      z\n");
    }
}
