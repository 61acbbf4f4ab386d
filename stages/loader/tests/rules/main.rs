//! The loader as a process, on a real server.
#![allow(clippy::unwrap_used)] // tests, and their own helpers

mod files;
mod killed;
mod repeated;
mod together;
mod whole;
mod world;
