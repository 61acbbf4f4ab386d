//! Explores the protocol: `model [--scope normal|large]`, or the protocol without its rules: `model mutants`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use model::explore::{Search, explore};
use model::model::Model;
use model::mutant::Mutant;
use model::mutants::try_mutant;
use model::{report, scopes};
use reliability::Section;

/// Visits every state of the payout protocol and says whether every rule holds in each.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Which scopes to explore.
    #[arg(long, value_enum, default_value_t = Size::Normal)]
    scope: Size,
    /// Stop a scope after so many states: 30 million take about 3 GB.
    #[arg(long, default_value_t = 30_000_000)]
    most_states: usize,
    /// Leave the figures for docs/reliability.md.
    #[arg(long, global = true)]
    report: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Size {
    /// About a minute.
    Normal,
    /// Some minutes.
    Large,
}

#[derive(Subcommand)]
enum Command {
    /// Takes the rules away one at a time and prints what the checker finds.
    Mutants {
        /// Print the steps to each counterexample.
        #[arg(long)]
        steps: bool,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let holds = match arguments.command {
        Some(Command::Mutants { steps }) => mutants(steps, arguments.report)?,
        None => explorations(arguments.scope, arguments.most_states, arguments.report)?,
    };
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explorations(size: Size, most_states: usize, save: bool) -> Result<bool> {
    let (scopes, name) = match size {
        Size::Normal => (scopes::normal(), "normal"),
        Size::Large => (scopes::large(), "large"),
    };
    let command = format!("cargo run -p model -- --scope {name} --report");
    let section = Section::begin("model", "The model", &command);
    let (mut states, mut transitions, mut holds, mut reports) = (0, 0, true, Vec::new());
    for scope in scopes {
        let report = explore(&Model::new(scope), Search::SafetyAndEnd, most_states);
        println!("{report}");
        if let Some(found) = &report.counterexample {
            println!("{found}");
        }
        states += report.states;
        transitions += report.transitions;
        holds &= report.complete && report.counterexample.is_none();
        reports.push(report);
    }
    println!("{states} states, {transitions} transitions: {}", if holds { "every rule holds" } else { "NOT PROVED" });
    if save {
        report::save_scopes(section, &reports)?;
    }
    Ok(holds)
}

fn mutants(steps: bool, save: bool) -> Result<bool> {
    let section = Section::begin("model-mutants", "Mutants of the model", "cargo run -p model -- mutants --report");
    let (mut as_expected, mut outcomes) = (true, Vec::new());
    for mutant in Mutant::ALL {
        let outcome = try_mutant(mutant);
        println!("{outcome}");
        for found in outcome.reports.iter().filter_map(|report| report.counterexample.as_ref()).filter(|_| steps) {
            println!("{found}\n");
        }
        as_expected &= outcome.as_expected();
        outcomes.push(outcome);
    }
    if save {
        report::save_mutants(section, &outcomes)?;
    }
    Ok(as_expected)
}
