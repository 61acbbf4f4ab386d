//! Intent and outcome on a real database.

#![allow(clippy::unwrap_used)] // tests, and their own helpers

mod figures;
mod outcomes;
mod payments;
mod support;
