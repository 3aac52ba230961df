//! The arena as a picture: memory across, steps down.

use std::fmt::Write;

use crate::plan::NetworkPlan;

/// Width of the memory axis in the picture's units.
const WIDTH: f64 = 640.0;
/// Left edge of the memory axis; step names stand before it.
const LEFT: f64 = 290.0;
/// Height of a step.
const ROW: f64 = 34.0;
/// Upper edge of the first step.
const TOP: f64 = 64.0;

/// Draws a plan's memory, step by step: input, output and scratch of each. `name` goes into the title.
pub fn svg(plan: &NetworkPlan, name: &str) -> String {
    let decisions = plan.decisions();
    let arena_bytes = plan.arena_bytes();
    let height = TOP + ROW * decisions.len() as f64 + 44.0;
    let total = LEFT + WIDTH + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"{height}\" viewBox=\"0 0 {total} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"var(--ink, #222)\" role=\"img\">\n\
         <title>Arena of {name}, {profile}: {arena_bytes} bytes</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"var(--paper, #fff)\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{name} ({profile}): {arena_bytes} bytes of activations and scratch</text>\n",
        profile = plan.options(),
    );
    let scale = WIDTH / arena_bytes.max(1) as f64;
    let bar = |svg: &mut String,
               row: f64,
               (offset, bytes): (usize, usize),
               (top, tall): (f64, f64),
               fill: &str,
               what: &str| {
        if bytes > 0 {
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall}\" fill=\"{fill}\" stroke=\"#333\" stroke-width=\"0.5\"><title>{what}: {bytes} bytes from {offset}</title></rect>",
                LEFT + offset as f64 * scale,
                row + top,
                bytes as f64 * scale,
            );
        }
    };
    plan.with_steps(|steps| {
        for (index, (step, decision)) in steps.iter().zip(&decisions).enumerate() {
            let row = TOP + ROW * index as f64;
            let _ = writeln!(
                svg,
                "<text x=\"12\" y=\"{:.1}\">{}</text>\n<text x=\"12\" y=\"{:.1}\" fill=\"var(--soft, #555)\" font-size=\"10\">{}, {} bytes</text>",
                row + 13.0, decision.layers, row + 26.0, decision.kernel, decision.memory_bytes,
            );
            // Input above, output below: where they overlap both are seen.
            bar(&mut svg, row, (step.input, step.operator.input_len()), (3.0, 13.0), "#8ecae6", "input");
            bar(&mut svg, row, (step.output, step.operator.output_len()), (16.0, 13.0), "#ffb703", "output");
            bar(&mut svg, row, (4 * step.scratch, 4 * step.operator.scratch()), (3.0, 26.0), "#ccc", "scratch");
        }
    });
    svg += &axis(TOP + ROW * decisions.len() as f64 + 6.0, arena_bytes);
    svg += &legend();
    svg + "</svg>\n"
}

/// The axis of bytes, at this height.
fn axis(y: f64, arena_bytes: usize) -> String {
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"var(--soft, #555)\"/>",
        LEFT + WIDTH
    );
    for part in 0..=4 {
        let x = LEFT + WIDTH * f64::from(part) / 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y + 18.0,
            arena_bytes * part as usize / 4
        );
    }
    svg
}

/// What the colours mean.
fn legend() -> String {
    let mut svg = String::new();
    for (at, (fill, what)) in
        [("#8ecae6", "input"), ("#ffb703", "output"), ("#ccc", "scratch")].into_iter().enumerate()
    {
        let x = LEFT + 90.0 * at as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"38\" width=\"14\" height=\"12\" fill=\"{fill}\" stroke=\"#333\" stroke-width=\"0.5\"/><text x=\"{}\" y=\"48\">{what}</text>",
            x + 20.0
        );
    }
    svg
}
