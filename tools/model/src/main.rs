//! Explores the protocol: `model [--scope normal|large]`, or the protocol without its rules: `model mutants`.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use model::explore::{Search, explore};
use model::model::Model;
use model::mutant::Mutant;
use model::mutants::try_mutant;
use model::scopes;

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let holds = match arguments.command {
        Some(Command::Mutants { steps }) => mutants(steps),
        None => explorations(arguments.scope, arguments.most_states),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explorations(size: Size, most_states: usize) -> bool {
    let scopes = match size {
        Size::Normal => scopes::normal(),
        Size::Large => scopes::large(),
    };
    let (mut states, mut transitions, mut holds) = (0, 0, true);
    for scope in scopes {
        let report = explore(&Model::new(scope), Search::SafetyAndEnd, most_states);
        println!("{report}");
        if let Some(found) = &report.counterexample {
            println!("{found}");
        }
        states += report.states;
        transitions += report.transitions;
        holds &= report.complete && report.counterexample.is_none();
    }
    println!("{states} states, {transitions} transitions: {}", if holds { "every rule holds" } else { "NOT PROVED" });
    holds
}

fn mutants(steps: bool) -> bool {
    let mut as_expected = true;
    for mutant in Mutant::ALL {
        let outcome = try_mutant(mutant);
        println!("{outcome}");
        for found in outcome.reports.iter().filter_map(|report| report.counterexample.as_ref()).filter(|_| steps) {
            println!("{found}\n");
        }
        as_expected &= outcome.as_expected();
    }
    as_expected
}
