//! The rules of the product, each held by whole runs of the real stages.

mod campaigns;
mod crashes;
mod foreign;
mod judge;
mod limits;
mod operators;
mod outside;
mod processes;
mod scaling;
mod secrets;
mod unknown;

/// What most tests may take, at worst, on a machine that does other things as well.
const LONG: std::time::Duration = std::time::Duration::from_secs(90);
