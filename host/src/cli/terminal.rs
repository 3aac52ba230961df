//! What a terminal can show: pictures in half blocks, colour where it is wanted.

use std::io::IsTerminal;

use shared::{PIXELS, SIDE};

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

/// Shows an image in 14 lines: half blocks in colour, or shades of characters, two a pixel, in 28.
pub(super) fn picture(image: &[u8; PIXELS], has_color: bool) -> String {
    let at = |row: usize, column: usize| image[row * SIDE + column];
    let mut text = String::new();
    if has_color {
        for row in (0..SIDE).step_by(2) {
            for column in 0..SIDE {
                let (above, below) = (at(row, column), at(row + 1, column));
                text += &format!("\x1b[38;2;{above};{above};{above}m\x1b[48;2;{below};{below};{below}m▀");
            }
            text += "\x1b[0m\n";
        }
    } else {
        const SHADES: &[u8; 10] = b" .:-=+*#%@";
        for row in 0..SIDE {
            let line: String = (0..SIDE)
                .flat_map(|column| {
                    let shade = SHADES[usize::from(at(row, column)) * SHADES.len() / 256];
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
    use super::*;

    #[test]
    fn a_picture_has_one_cell_a_pixel() {
        let mut image = [0; PIXELS];
        image[SIDE] = 255;
        let color = picture(&image, true);
        assert_eq!((color.lines().count(), color.matches('▀').count()), (14, PIXELS / 2));
        assert!(color.starts_with("\x1b[38;2;0;0;0m\x1b[48;2;255;255;255m▀"), "{color:?}");
        let plain = picture(&image, false);
        assert_eq!((plain.lines().count(), plain.lines().nth(1)), (28, Some("@@")));
    }
}
