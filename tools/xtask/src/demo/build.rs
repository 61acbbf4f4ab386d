//! The release binaries that the demo starts.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::steps::cargo;

/// Every program of ours that runs in a demo.
const BINARIES: [&str; 7] = ["loader", "dispatcher", "payer", "retrier", "summarizer", "promoctl", "money-sandbox"];

/// Builds them all.
pub(crate) fn release() -> Result<()> {
    super::step("building (release)");
    let mut command = cargo();
    command.args(["build", "--release"]);
    for name in BINARIES {
        command.args(["--bin", name]);
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the build failed");
    }
    Ok(())
}

/// The path of one of them.
pub(crate) fn program(name: &str) -> PathBuf {
    servers::target_dir().join("release").join(name)
}
