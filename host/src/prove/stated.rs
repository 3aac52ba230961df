//! Figures as they stand in Markdown.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// A text of the project, its lines joined so that sentences are whole.
#[derive(Debug, Clone)]
pub struct Text {
    /// File name below the project's folder.
    pub place: &'static str,
    raw: String,
    joined: String,
}

impl Text {
    /// Reads a file of the project.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(place: &'static str) -> Result<Self> {
        let path = crate::project_root().join(place);
        let raw = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self::of(place, raw))
    }

    fn of(place: &'static str, raw: String) -> Self {
        let joined = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { place, raw, joined }
    }

    /// Returns what stands in the place of `{}` in a sentence, or nothing where the text has no such sentence.
    pub fn figure(&self, sentence: &str) -> Option<String> {
        let (before, after) = sentence.split_once("{}")?;
        let (_, rest) = self.joined.split_once(before)?;
        let (figure, _) = rest.split_once(after)?;
        Some(figure.to_owned())
    }

    /// Returns the rows of the table behind a comment that begins with `<!-- NAME`: cells by heading.
    pub fn rows(&self, name: &str) -> Vec<HashMap<String, String>> {
        let Some((_, rest)) = self.raw.split_once(&format!("<!-- {name}")) else { return Vec::new() };
        let lines: Vec<&str> = rest.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let [head, _, rows @ ..] = &lines[..] else { return Vec::new() };
        let head = cells(head);
        rows.iter().map(|row| head.iter().cloned().zip(cells(row)).collect()).collect()
    }

    /// Returns the figures of the text's sentences: a number with the unit behind it, such as `93.01 %`. Tables,
    /// code and addresses of links are left out.
    pub fn figures(&self) -> Vec<String> {
        let mut prose = String::new();
        let mut is_code = false;
        for line in self.raw.lines() {
            is_code ^= line.starts_with("```");
            if !is_code && !line.starts_with('|') {
                prose += line;
                prose.push(' ');
            }
        }
        let words: Vec<&str> = prose.split_whitespace().collect();
        let mut figures = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let number = word.trim_start_matches(['(', '*', '`']);
            if !number.starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let unit = words.get(at + 1).map_or("", |unit| unit.trim_end_matches(['.', ',', ';', ':', ')']));
            if UNITS.contains(&unit) {
                figures.push(format!("{number} {unit}"));
            }
        }
        figures
    }
}

/// Units of what is measured.
const UNITS: [&str; 12] =
    ["%", "KiB", "KB", "B", "M", "ms", "s", "CPU", "minutes", "photographs", "validation", "×"];

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "# Title\n\nRight on\n41.4 % of 290 photographs, in 64 KiB.\n\n<!-- models: x -->\n| model | int8 |\n|---|---|\n| `a` | 9.5 % |\n<!-- models end -->\n\n```sh\nsleep 5 s\n```\n";

    #[test]
    fn sentences_and_tables_are_read_as_they_stand() {
        let text = Text::of("x.md", EXAMPLE.into());
        assert_eq!(text.figure("Right on {} of").as_deref(), Some("41.4 %"));
        assert_eq!(text.figure("Wrong on {} of"), None);
        let rows = text.rows("models");
        assert_eq!((rows.len(), rows[0]["model"].as_str(), rows[0]["int8"].as_str()), (1, "`a`", "9.5 %"));
        assert!(text.rows("others").is_empty());
    }

    #[test]
    fn figures_are_numbers_with_units_in_sentences() {
        let text = Text::of("x.md", EXAMPLE.into());
        assert_eq!(text.figures(), ["41.4 %", "290 photographs", "64 KiB"]);
    }
}
