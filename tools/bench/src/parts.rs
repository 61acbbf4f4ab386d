//! What is measured, one file a part.

pub mod alone;
pub mod idle;
pub mod latency;
pub mod limiter;
pub mod pairs;
pub mod scaling;
pub mod settled;
pub mod size;
