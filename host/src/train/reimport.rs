//! reimport
