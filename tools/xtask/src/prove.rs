//! `cargo xtask prove`: the long runs behind what the tests hold in short. Each leaves a section of
//! `docs/reliability.md` under `.run/reliability/`.

mod fuzz;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::install;
use crate::steps::cargo;

/// What can be proved.
#[derive(Debug, Subcommand)]
pub(crate) enum Prove {
    /// Hands millions of hostile inputs to whatever reads a stranger's bytes (libFuzzer)
    Fuzz(fuzz::Options),
    /// Ends stages by SIGTERM at random moments: within the grace, and nothing recorded is delivered again
    Sigterm(Handed),
    /// Kills and freezes stages before a money service that does not honour idempotency keys
    WeakerMoney(Handed),
    /// Audits a large campaign, and again with discrepancies, all of which it must name
    Audit(Audit),
}

/// Everything is handed on: `--help` shows the program's own.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Handed {
    /// What the program is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// How large the audited campaign is.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Targets; one in a hundred is wrong in the end, up to 1,000
    #[arg(long, default_value_t = 1_000_000)]
    targets: u32,
}

/// Builds what is needed and runs it.
pub(crate) fn run(what: &Prove) -> Result<ExitCode> {
    match what {
        Prove::Fuzz(options) => fuzz::run(options),
        Prove::Sigterm(handed) => acceptance("sigterm", handed),
        Prove::WeakerMoney(handed) => acceptance("weaker-money", handed),
        Prove::Audit(options) => audit(options),
    }
}

/// The stages of the profile that tests run, and the program that starts them.
fn acceptance(name: &str, handed: &Handed) -> Result<ExitCode> {
    install::ensure()?;
    done(cargo().args(["build", "--quiet", "--workspace", "--bins"]), "the build")?;
    let mut prove = Command::new(servers::target_dir().join("debug/prove"));
    ended(prove.arg(name).args(&handed.arguments).current_dir(servers::workspace_dir()))
}

/// In release: what an operator runs.
fn audit(options: &Audit) -> Result<ExitCode> {
    install::ensure()?;
    done(
        cargo().args(["build", "--quiet", "--release", "--package", "promoctl", "--package", "money-sandbox"]),
        "the build",
    )?;
    let mut test = cargo();
    test.args([
        "test",
        "--quiet",
        "--release",
        "--package",
        "promoctl",
        "--test",
        "operator",
        "audit_scale",
        "--",
        "--nocapture",
    ]);
    ended(test.env("AUDIT_TARGETS", options.targets.to_string()))
}

/// A command without which there is nothing to run.
fn done(command: &mut Command, what: &str) -> Result<()> {
    if !command.status().with_context(|| format!("cannot start {what}"))?.success() {
        bail!("{what} failed");
    }
    Ok(())
}

fn ended(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().context("cannot start it")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
