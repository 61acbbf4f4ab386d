//! `cargo xtask bench`: builds the stages and the benchmark in release, and runs it. Everything else is in `tools/bench`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::install;
use crate::steps::cargo;

/// Every program that the benchmark starts, and itself.
const PACKAGES: [&str; 8] =
    ["bench", "money-sandbox", "promoctl", "loader", "dispatcher", "payer", "retrier", "summarizer"];

/// Everything is handed on: `cargo xtask bench --help` shows the benchmark's own help.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What the benchmark is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure()?;
    let mut build = cargo();
    build.args(["build", "--quiet", "--release"]);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if !build.status().context("cannot run cargo")?.success() {
        bail!("the build failed");
    }
    let mut bench = Command::new(servers::target_dir().join("release/bench"));
    let status = bench.args(&options.arguments).current_dir(servers::workspace_dir()).status();
    let status = status.context("cannot run the benchmark")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
