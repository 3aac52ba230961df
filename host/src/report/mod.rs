//! Pictures and tables of results.

pub mod png;
pub mod table;
