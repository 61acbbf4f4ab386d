//! Hostile input: one function for each kind of bytes that strangers can hand to the product.
//!
//! A target takes any bytes and panics when the product breaks a rule on them, not only when the product itself
//! panics. The normal test run tries each with some thousand inputs near its seeds (`tests/targets.rs`);
//! `cargo xtask prove fuzz` hands the same functions to libFuzzer (`libfuzzer/`), millions of times.

mod input;
mod scratch;
pub mod seeds;
pub mod targets;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its module, and of its libFuzzer binary.
    pub name: &'static str,
    /// Tries these bytes.
    pub run: fn(&[u8]),
    /// Inputs to begin from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target { name: "record", run: targets::record::run, seeds: seeds::record },
    Target { name: "csv", run: targets::csv::run, seeds: seeds::csv },
    Target { name: "answer", run: targets::answer::run, seeds: seeds::answer },
    Target { name: "config", run: targets::config::run, seeds: seeds::config },
    Target { name: "entry", run: targets::entry::run, seeds: seeds::entry },
];
