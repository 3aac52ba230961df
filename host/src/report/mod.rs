//! Pictures and tables of results.

pub mod arena;
pub mod canvas;
pub mod card;
pub mod chart;
pub mod garments;
pub mod heatmap;
pub mod kernels;
pub mod models;
pub mod plans;
pub mod png;
pub mod table;
