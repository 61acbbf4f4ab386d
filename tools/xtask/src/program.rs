//! `cargo xtask bench`, `chaos` and `mutants`: builds a program of ours and what it starts, and runs it with the arguments
//! that it is given. Everything else is in its own folder under `tools/`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::install;
use crate::steps::cargo;

/// Everything is handed on: `cargo xtask bench --help` shows the benchmark's own help.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What the program is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A program, and how it is built.
pub(crate) struct Program {
    name: &'static str,
    /// Where cargo puts it, below its target folder.
    profile_dir: &'static str,
    /// What cargo is told.
    build: &'static [&'static str],
}

/// As users run it.
pub(crate) const BENCH: Program = Program { name: "bench", profile_dir: "release", build: &["--release"] };
/// The development profile: its crash points are there, its own assertions are checked, and the machine waits for
/// timers, not for code.
pub(crate) const CHAOS: Program = Program { name: "chaos", profile_dir: "debug", build: &["--workspace", "--bins"] };
/// For development: that is where rules can be broken.
pub(crate) const MUTANTS: Program =
    Program { name: "mutants", profile_dir: "debug", build: &["--workspace", "--bins"] };

/// Every program that a whole campaign starts.
const STARTED: [&str; 7] = ["money-sandbox", "promoctl", "loader", "dispatcher", "payer", "retrier", "summarizer"];

/// Builds and runs it.
pub(crate) fn run(program: &Program, options: &Options) -> Result<ExitCode> {
    install::ensure()?;
    let mut build = cargo();
    build.args(["build", "--quiet"]).args(program.build);
    if !program.build.contains(&"--workspace") {
        for package in STARTED.into_iter().chain([program.name]) {
            build.args(["--package", package]);
        }
    }
    ensure!(build.status().context("cannot run cargo")?.success(), "the build failed");
    let path = servers::target_dir().join(program.profile_dir).join(program.name);
    let status = Command::new(path).args(&options.arguments).current_dir(servers::workspace_dir()).status();
    let status = status.with_context(|| format!("cannot run {}", program.name))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
