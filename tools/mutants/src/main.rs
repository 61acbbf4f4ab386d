//! Breaks the product's rules one at a time and runs, for each, the test that must notice.
//!
//! Every test is run on the product as it is first: a test that fails there proves nothing about a mutant.

mod catalog;
mod in_chaos;
mod programs;
mod report;
mod run;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use pipeline::mutant::Mutant;

/// Breaks the product's rules one at a time and runs the test that must notice
#[derive(Debug, Parser)]
#[command(name = "cargo xtask mutants")]
struct Arguments {
    /// Only mutants whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// How often a test is run before its mutant counts as unnoticed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Tests that run side by side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    lanes: u32,
    /// Instead of the tests: chaos until it notices, at most so many iterations
    #[arg(long)]
    chaos: bool,
    /// Seed of the chaos
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let chosen = |mutant: &Mutant| arguments.only.as_ref().is_none_or(|part| format!("{mutant:?}").contains(part));
    let mutants: Vec<Mutant> = Mutant::ALL.into_iter().filter(chosen).collect();
    ensure!(!mutants.is_empty(), "no mutant is called like that");
    if arguments.chaos {
        let noticed = in_chaos::all(&mutants, arguments.seed, arguments.iterations, arguments.lanes)?;
        return Ok(if noticed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut section = report::begin();
    let programs = programs::build(&catalog::packages())?;
    let trials = run::all(&mutants, &programs, arguments.lanes, arguments.iterations)?;
    let noticed = report::print(&trials);
    // A part of the mutants is no figure for the report.
    if arguments.only.is_none() {
        report::save(&mut section, &trials)?;
    }
    Ok(if noticed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
