//! `cargo xtask`: everything that a developer runs on this project, in one place.

mod boards;
mod demo;
mod down;
mod http;
mod install;
mod program;
mod prove;
mod reliability;
mod run_dir;
mod steps;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A command could not be carried out because it may not be: the user has to do something first.
const EXIT_NOT_ALLOWED: u8 = 2;

/// The project's own commands
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs the packages that tests and the demo need and that are missing
    Install,
    /// Checks everything: format, clippy, tests, documentation
    Test,
    /// Pays a real campaign with all stages, faults and a killed payer, and compares every row with the ledger
    Demo(demo::Options),
    /// Measures the pipeline against the bare loop, each stage against its ceiling, latency and idle cost
    Bench(program::Options),
    /// Breaks the pipeline in every way with real processes, heals it, and lets the ledger judge
    Chaos(program::Options),
    /// Breaks the product's rules one at a time and runs the test that must notice
    Mutants(program::Options),
    /// Runs at length what the tests hold in short, and leaves the figures for docs/reliability.md
    #[command(subcommand)]
    Prove(prove::Prove),
    /// Draws what Grafana's boards show of a real run of a minute, with every fault
    Boards(boards::Options),
    /// Makes docs/reliability.md of what chaos, model and fuzzing left behind
    Reliability,
    /// Ends what a demo left running
    Down,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Install => install::run(),
        Command::Test => test::run(),
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => program::run(&program::BENCH, &options),
        Command::Chaos(options) => program::run(&program::CHAOS, &options),
        Command::Mutants(options) => program::run(&program::MUTANTS, &options),
        Command::Prove(what) => prove::run(&what),
        Command::Boards(options) => boards::run(&options),
        Command::Reliability => reliability::run(),
        Command::Down => down::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let not_allowed = error.downcast_ref::<install::NotAllowed>().is_some();
            if not_allowed { ExitCode::from(EXIT_NOT_ALLOWED) } else { ExitCode::FAILURE }
        }
    }
}
