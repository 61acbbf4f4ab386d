//! The loader: a CSV file becomes a promotion that is READY.
//!
//! Two passes. The first reads the whole file and writes nothing ([`survey`]); whoever started the loader is shown
//! what it found and asked. The second stores the targets while the promotion is LOADING (`batches`, `load`) and
//! seals it. A refused file leaves no promotion behind, and a killed load goes on where it stopped.
//!
//! A library, so that what reads a stranger's file ([`csv`], [`survey`]) can be tried with any bytes, without a database.

pub mod arguments;
mod batches;
pub mod csv;
pub mod ending;
mod load;
mod plan;
pub mod progress;
pub mod refusal;
mod rejected;
mod report;
pub mod run;
mod seen;
pub mod survey;
