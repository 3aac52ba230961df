//! Icons of 5×5 dots, for the smallest of screens.

use shared::protocol::Verdict;

use super::result::Result;

/// Five rows of five dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icon(u32);

impl Icon {
    /// Before the first picture: a heart.
    pub const READY: Self = Self::drawn([".#.#.", "#####", "#####", ".###.", "..#.."]);
    /// The weights are damaged: a cross.
    pub const DAMAGED: Self = Self::drawn(["#...#", ".#.#.", "..#..", ".#.#.", "#...#"]);
    /// The answer is not sure: a question mark.
    pub const UNSURE: Self = Self::drawn([".##..", "...#.", "..#..", ".....", "..#.."]);
    /// Nothing is there: a dash.
    pub const NOTHING: Self = Self::drawn([".....", ".....", ".###.", ".....", "....."]);

    /// Reads a drawing: `#` is lit.
    const fn drawn(rows: [&str; 5]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < 25 {
            if rows[at / 5].as_bytes()[at % 5] == b'#' {
                bits |= 1 << at;
            }
            at += 1;
        }
        Self(bits)
    }

    /// Returns the dots: bit 5 × row + column.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// Parts of class names and what stands for them; the first that a name contains counts.
const GARMENTS: [(&[&str], Icon); 13] = [
    (&["t-shirt", "tee"], Icon::drawn(["##.##", "#####", ".###.", ".###.", ".###."])),
    (&["pullover", "longsleeve", "sweat"], Icon::drawn(["##.##", "#####", "#####", "#####", ".###."])),
    (&["shirt", "blouse"], Icon::drawn(["#...#", "##.##", ".#.#.", ".#.#.", ".###."])),
    (&["dress"], Icon::drawn([".#.#.", ".###.", "..#..", ".###.", "#####"])),
    (&["coat", "outwear", "jacket", "hood"], Icon::drawn(["#.#.#", "##.##", "##.##", "##.##", "##.##"])),
    (&["trouser", "pants", "jeans"], Icon::drawn(["#####", "##.##", "##.##", "##.##", "##.##"])),
    (&["shorts"], Icon::drawn([".....", "#####", "#####", "##.##", "....."])),
    (&["skirt"], Icon::drawn([".....", ".###.", ".###.", "#####", "#####"])),
    (&["sandal"], Icon::drawn([".....", ".#...", "#.#..", "#..##", "#####"])),
    (&["boot"], Icon::drawn(["###..", "###..", "###..", "#####", "#####"])),
    (&["sneaker", "shoe", "trainer"], Icon::drawn([".....", "#....", "##...", "####.", "#####"])),
    (&["bag"], Icon::drawn([".###.", ".#.#.", "#####", "#####", "#####"])),
    (&["hat", "cap"], Icon::drawn([".....", ".###.", ".###.", "#####", "....."])),
];

/// Returns an answer's icon: a question mark where it is not sure, a dash where nothing is there.
pub fn of(result: &Result<'_>) -> Icon {
    match result.verdict {
        Verdict::Nothing => Icon::NOTHING,
        Verdict::Unsure => Icon::UNSURE,
        Verdict::Sure => of_class(result.class, result.name(result.class)),
    }
}

/// Returns a class's icon: a garment's where the name tells it, else as many dots as the class's number plus one.
pub fn of_class(class: usize, name: &str) -> Icon {
    let found = GARMENTS.iter().find(|(parts, _)| parts.iter().any(|part| contains(name, part)));
    found.map_or(Icon((1 << (class + 1).min(25)) - 1), |(_, icon)| *icon)
}

/// Whether a text contains another; letters of ASCII in either case are the same.
fn contains(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use shared::fashion_mnist::Label;

    use super::*;

    #[test]
    fn classes_of_the_committed_models_have_icons_of_their_own() {
        let photos = [
            "dress",
            "hat",
            "longsleeve",
            "outwear",
            "pants",
            "shirt",
            "shoes",
            "shorts",
            "skirt",
            "t-shirt",
        ];
        for names in [Label::NAMES, photos] {
            let icons: Vec<Icon> = names.iter().map(|name| of_class(0, name)).collect();
            for (at, icon) in icons.iter().enumerate() {
                assert!(!icons[..at].contains(icon) && icon.bits() != 1, "{}", names[at]);
            }
        }
    }

    #[test]
    fn other_classes_are_counted_in_dots() {
        assert_eq!(of_class(0, "apple").bits(), 0b1);
        assert_eq!(of_class(6, "pear").bits(), 0b111_1111);
        assert_eq!(of_class(31, "plum").bits(), (1 << 25) - 1);
    }
}
