//! `cargo xtask boards`: builds the stages and the program that draws the boards, and runs it. Everything else is in
//! `tools/boards`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::install;
use crate::steps::cargo;

/// Where the pictures go.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the pictures go, one SVG for each board
    #[arg(long, value_name = "DIR", default_value = ".run/boards")]
    render: PathBuf,
}

/// Builds and runs it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure()?;
    let built = cargo().args(["build", "--quiet", "--workspace", "--bins"]).status().context("cannot run cargo")?;
    if !built.success() {
        bail!("the build failed");
    }
    let mut boards = Command::new(servers::target_dir().join("debug/boards"));
    let status = boards.arg("--render").arg(&options.render).status().context("cannot run the boards")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
