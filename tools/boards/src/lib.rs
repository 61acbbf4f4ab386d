//! The boards of Grafana, without Grafana.
//!
//! [`run`] pays real promotions with the stages' own binaries under Debian's Prometheus, first in health, then with
//! every fault that a board must show. [`panel`] reads the boards as Grafana would and asks Prometheus what they would ask;
//! [`expect`] says which queries have nothing to show there, and why. [`draw`] makes pictures of what they show, so that a
//! person can look at boards which were never opened in Grafana.

pub mod draw;
pub mod expect;
pub mod panel;
pub mod prometheus;
pub mod run;

use std::path::PathBuf;

/// Seconds between two samples: of a scrape, and of what is drawn.
pub const STEP_S: u32 = 1;

/// A file of the workspace.
fn path(name: &str) -> PathBuf {
    servers::workspace_dir().join(name)
}
