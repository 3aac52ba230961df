//! Pictures and tables of results.

pub mod ablations;
pub mod arena;
pub mod canvas;
pub mod card;
pub mod chart;
pub mod garments;
pub mod heatmap;
pub mod kernels;
pub mod models;
pub mod page;
pub mod plans;
pub mod png;
pub mod table;

/// Draws a model's training curves, where its history is kept.
pub fn curves(dir: &crate::model_dir::ModelDir, entry: &models::Entry) -> Option<String> {
    let text = std::fs::read_to_string(dir.history()).ok()?;
    let rounding = entry.manifest.recipe.quantization.map_or(0, |rounding| rounding.epochs);
    Some(chart::curves_svg(&crate::train::history::from_csv(&text)?, rounding, &entry.manifest.name))
}
