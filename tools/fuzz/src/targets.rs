//! The targets, and the rules that each holds.

pub mod answer;
pub mod config;
pub mod csv;
pub mod entry;
pub mod record;
