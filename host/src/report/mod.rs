//! Pictures and tables of results.

pub mod models;
pub mod png;
pub mod table;
