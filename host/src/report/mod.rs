//! Pictures and tables of results.

pub mod arena;
pub mod card;
pub mod kernels;
pub mod models;
pub mod plans;
pub mod png;
pub mod table;
