//! Pieces of the page: numbers in words, pictures, tables.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use shared::input::InputShape;

use crate::dataset::photo::Photo;
use crate::evaluate::classification::{ClassificationReport, Scores};
use crate::report::canvas::Canvas;
use crate::report::png;

pub(super) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

/// A number with thin spaces between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A PNG picture in the page; `alt` says what it shows.
pub(super) fn picture(png: &[u8], (width, height): (usize, usize), alt: &str) -> Markup {
    let address = format!("data:image/png;base64,{}", STANDARD.encode(png));
    html! { img src=(address) width=(width) height=(height) alt=(alt); }
}

pub(super) fn canvas(canvas: &Canvas, alt: &str) -> Markup {
    // The encoder writes into memory and fails for sizes of zero only.
    let png = canvas.to_png().unwrap_or_default();
    picture(&png, (canvas.width(), canvas.height()), alt)
}

/// Longer side of a photograph in the page, in pixels.
const PHOTOGRAPH: u32 = 160;

/// A photograph as it is, smaller; nothing where the file cannot be read any more.
pub(super) fn photograph(path: &Path, alt: &str) -> Markup {
    let jpeg = Photo::read(path).ok().and_then(|photo| photo.to_small_jpeg(PHOTOGRAPH).ok());
    html! {
        @if let Some(jpeg) = jpeg {
            img.photograph src={ "data:image/jpeg;base64," (STANDARD.encode(jpeg)) } alt=(alt);
        }
    }
}

pub(super) fn thumbnail(shape: InputShape, pixels: &[u8], alt: &str) -> Markup {
    let size = (shape.width, shape.height);
    picture(&png::encode_image(shape, pixels).unwrap_or_default(), size, alt)
}

/// Own drawings, which hold no foreign text but a model's name.
pub(super) fn drawing(svg: &str) -> Markup {
    html! { (PreEscaped(svg)) }
}

/// Whether a column holds words: they stand to the left and may be broken.
fn is_text(column: usize, rows: &[Vec<String>]) -> bool {
    let is_number = |cell: &String| {
        let figures = cell.strip_prefix("about ").unwrap_or(cell);
        figures == "–" || figures.starts_with(|first: char| first.is_ascii_digit() || "-±".contains(first))
    };
    !rows.iter().filter_map(|row| row.get(column)).all(is_number)
}

/// A table in a frame that scrolls on narrow screens. The first cell of a row is its heading.
pub(super) fn table(caption: &str, header: &[&str], rows: &[Vec<String>]) -> Markup {
    let texts: Vec<bool> = (0..header.len()).map(|column| column > 0 && is_text(column, rows)).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for (cell, text) in header.iter().zip(&texts) { th class=[text.then_some("text")] scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } }
                                @else { td class=[texts.get(at).filter(|is| **is).map(|_| "text")] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn classification(report: &ClassificationReport) -> Markup {
    let row = |name: &str, scores: &Scores| {
        let cell = |value: f64| format!("{value:.4}");
        vec![
            name.to_owned(),
            cell(scores.precision),
            cell(scores.recall),
            cell(scores.f1),
            scores.support.to_string(),
        ]
    };
    let mut rows: Vec<Vec<String>> =
        report.classes.iter().map(|line| row(&line.class, &line.scores)).collect();
    rows.push(row("macro average", &report.macro_avg));
    rows.push(row("weighted average", &report.weighted_avg));
    let caption = format!("Accuracy {} of {} images", percent(report.accuracy), report.macro_avg.support);
    table(&caption, &["class", "precision", "recall", "F1", "images"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn columns_of_words_stand_to_the_left() {
        let rows = [
            vec!["a".to_owned(), "no mirror".into(), "–".into()],
            vec!["b".into(), "4 bits".into(), "3".into()],
        ];
        let text = table("x", &["run", "what differs", "runs"], &rows).into_string();
        assert!(text.contains("<td class=\"text\">no mirror</td>") && text.contains("<td>–</td>"), "{text}");
    }

    #[test]
    fn a_picture_tells_its_size_and_what_it_shows() {
        let text = thumbnail(shared::fashion_mnist::SHAPE, &[7; 784], "a \"bag\"").into_string();
        assert!(text.contains("width=\"28\" height=\"28\" alt=\"a &quot;bag&quot;\""), "{text}");
        assert!(text.starts_with("<img src=\"data:image/png;base64,iVBOR"), "{text}");
    }
}
