//! `cargo xtask chaos`: builds the stages and the runner, and runs it. Everything else is in `tools/chaos`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::install;
use crate::steps::cargo;

/// Every program that the runner starts, and itself.
const PACKAGES: [&str; 8] =
    ["chaos", "money-sandbox", "promoctl", "loader", "dispatcher", "payer", "retrier", "summarizer"];

/// Everything is handed on: `cargo xtask chaos --help` shows the runner's own help.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What the runner is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure()?;
    let mut build = cargo();
    // The development profile: its crash points are there, its own assertions are checked, and the machine waits for
    // timers, not for code.
    build.args(["build", "--quiet"]);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if !build.status().context("cannot run cargo")?.success() {
        bail!("the build failed");
    }
    let mut chaos = Command::new(servers::target_dir().join("debug/chaos"));
    let status = chaos.args(&options.arguments).current_dir(servers::workspace_dir()).status();
    let status = status.context("cannot run chaos")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
