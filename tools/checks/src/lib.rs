//! The files that are made by a program: the boards of Grafana and the demo's targets.
//!
//! `cargo run -p checks` writes them into the workspace; a test holds what is committed to what would be written.
//! The other tests hold everything that is no program to the truth: the compose file, the manifests, the alerts and
//! the documents name only variables and metrics that there are.

pub mod boards;
pub mod demo;

use std::path::{Path, PathBuf};

/// A file that is made, by its path in the workspace.
pub struct Made {
    /// From the root of the workspace.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// All of them.
pub fn made() -> Vec<Made> {
    let mut files = demo::files();
    files.extend(boards::files());
    files
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
