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

/// Shows an image: half blocks in colour, two pixels a character, or shades of characters, two a pixel.
pub(super) fn picture(shape: InputShape, image: &[u8], has_color: bool) -> String {
    let InputShape { height, width, channels } = shape;
    let at = |row: usize, column: usize| -> [u8; 3] {
        let start = (row * width + column) * channels;
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
                    [char::from(shade); 2]
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
}
