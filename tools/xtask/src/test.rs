//! `cargo xtask test`: what must pass before anything is merged, and all that continuous integration runs.

use std::process::ExitCode;
use std::thread;

use anyhow::Result;

use crate::install;
use crate::steps::{self, Step};

/// Tests start servers of their own: more of them at once than this only wait for the disk.
const MAX_TEST_THREADS: usize = 4;

/// Installs what tests need, then runs every check, the quickest to fail first.
pub(crate) fn run() -> Result<ExitCode> {
    install::ensure()?;
    steps::run(vec![
        Step::cargo("format", ["fmt", "--all", "--check"]),
        Step::cargo("clippy", ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        // Tests start these as processes and take what is there: it must be what was written.
        Step::cargo("binaries", ["build", "--workspace", "--bins"]),
        Step::cargo("tests", ["test", "--workspace", "--no-fail-fast"]).env("RUST_TEST_THREADS", &test_threads()),
        Step::cargo("docs", ["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    ])
}

fn test_threads() -> String {
    std::env::var("RUST_TEST_THREADS").unwrap_or_else(|_| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        cores.min(MAX_TEST_THREADS).to_string()
    })
}
