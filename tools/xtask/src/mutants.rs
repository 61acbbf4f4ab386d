//! `cargo xtask mutants`: builds the stages and `tools/mutants`, and runs it. Everything else is there.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::install;
use crate::steps::cargo;

/// Everything is handed on: `cargo xtask mutants --help` shows its own help.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What it is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure()?;
    // For development: that is where rules can be broken.
    let built = cargo().args(["build", "--quiet", "--workspace", "--bins"]).status().context("cannot run cargo")?;
    ensure!(built.success(), "the build failed");
    let mut mutants = Command::new(servers::target_dir().join("debug/mutants"));
    let status = mutants.args(&options.arguments).current_dir(servers::workspace_dir()).status();
    let status = status.context("cannot run the mutants")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
