//! Everything that is no program is held to the truth: what it names exists, and what it promises is there.

#![allow(clippy::unwrap_used, reason = "the whole crate is tests, their support included")]

mod alerts;
mod boards;
mod compose;
mod documents;
mod exposition;
mod image;
mod kubernetes;
mod promql;
mod support;
