//! The confusion matrix as a heat map.

use std::fmt::Write;

use crate::evaluate::classification::ConfusionMatrix;

/// Side of a cell in the picture's units.
const CELL: f64 = 44.0;
/// Left edge of the cells.
const LEFT: f64 = 110.0;
/// Upper edge of the cells.
const TOP: f64 = 108.0;

/// Draws the matrix: labels down, answers across, darker where more images fall.
///
/// Colours follow the square root of a row's share, so that rare mistakes are seen beside the diagonal.
pub fn svg(matrix: &ConfusionMatrix, name: &str) -> String {
    let side = CELL * matrix.classes.len() as f64;
    let (width, height) = (LEFT + side + 44.0, TOP + side + 20.0);
    let (report, title) = (matrix.report(), escaped(name));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>Confusion matrix of {title}</title>\n\
         <desc>{images} images, {accuracy:.2} % on the diagonal. Rows are true classes, columns predicted ones.</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"var(--paper, #fff)\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\" fill=\"var(--ink, #222)\">{title}: confusion matrix</text>\n\
         <text x=\"12\" y=\"40\" fill=\"var(--soft, #555)\">rows: true class · columns: predicted class</text>\n",
        images = report.macro_avg.support,
        accuracy = 100.0 * report.accuracy,
    );
    let name_of = |class: usize| escaped(&matrix.classes[class]);
    for class in 0..matrix.classes.len() {
        let middle = CELL * (class as f64 + 0.5);
        let name = shortened(&name_of(class));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"var(--ink, #222)\">{name}</text>\n\
             <text transform=\"translate({:.1} {:.1}) rotate(-40)\" fill=\"var(--ink, #222)\">{name}</text>",
            LEFT - 8.0,
            TOP + middle + 4.0,
            LEFT + middle - 4.0,
            TOP - 6.0,
        );
    }
    for (label, row) in matrix.counts.iter().enumerate() {
        let support = matrix.support(label).max(1) as f64;
        for (predicted, &count) in row.iter().enumerate() {
            let heat = (count as f64 / support).sqrt();
            let (x, y) = (LEFT + CELL * predicted as f64, TOP + CELL * label as f64);
            let is_right = label == predicted;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" {} stroke=\"var(--paper, #fff)\"><title>{} predicted as {}: {count}</title></rect>",
                fill(heat, is_right),
                name_of(label),
                name_of(predicted),
            );
            if count > 0 {
                let ink = if heat > 0.55 { "#fff" } else { "var(--ink, #222)" };
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{count}</text>",
                    x + CELL / 2.0,
                    y + CELL / 2.0 + 4.0
                );
            }
        }
    }
    svg + "</svg>\n"
}

/// Letters of a name beside the cells; the cells' titles have it whole.
const LETTERS: usize = 15;

fn shortened(name: &str) -> String {
    match name.chars().count() > LETTERS && !name.contains('&') {
        true => name.chars().take(LETTERS - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// From the page's own colour to blue on the diagonal, to red beside it; an empty cell is a little darker than the page.
fn fill(heat: f64, is_right: bool) -> String {
    let color = if is_right { "#08528f" } else { "#a01c1c" };
    match heat > 0.0 {
        true => format!("fill=\"{color}\" fill-opacity=\"{:.2}\"", 0.08 + 0.92 * heat.min(1.0)),
        false => "fill=\"var(--wash, #f3f5f7)\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    #[test]
    fn names_are_no_markup() {
        let classes = ["<b>", "a & b"].map(str::to_owned);
        let svg = svg(&ConfusionMatrix::new(&classes, &[0], &[1]), "x<y");
        assert!(!svg.contains("<b>") && svg.contains("a &amp; b") && svg.contains("x&lt;y"), "{svg}");
    }

    #[test]
    fn every_count_stands_in_the_picture() {
        let svg = svg(&ConfusionMatrix::new(&Task::fashion_mnist().classes, &[3, 4, 4], &[3, 4, 2]), "test");
        assert_eq!(svg.matches("<rect").count(), 1 + 10 * 10);
        assert!(svg.contains("Pullover predicted as Coat: 1"), "{svg}");
        assert_eq!(svg.matches(">1</text>").count(), 3);
    }

    #[test]
    fn the_more_images_the_stronger_the_colour() {
        assert_eq!(fill(0.0, true), "fill=\"var(--wash, #f3f5f7)\"");
        assert_eq!(fill(1.0, true), "fill=\"#08528f\" fill-opacity=\"1.00\"");
        assert_eq!(fill(2.0, false), "fill=\"#a01c1c\" fill-opacity=\"1.00\"");
    }
}
