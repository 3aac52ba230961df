//! Pictures and tables of results.

pub mod ablations;
pub mod arena;
pub mod boards;
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
    let history = crate::train::history::from_csv(&text)?;
    Some(chart::curves_svg(&history, &entry.manifest.recipe, &entry.manifest.name))
}
