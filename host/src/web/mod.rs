//! The classifier in a web page: the firmware as WebAssembly, with pictures, answers and layers.
//!
//! | module | holds |
//! |---|---|
//! | [`build`] | a model → WebAssembly |
//! | [`page`] | models and test pictures → one HTML file that loads nothing |
//! | [`server`] | that file on 127.0.0.1 |
//!
//! The page's own source lies in `web/page`, the crate that is compiled in `web`.

pub mod build;
pub mod page;
pub mod server;
