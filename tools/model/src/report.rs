//! What an exploration adds to the report on reliability.

use anyhow::Result;
use reliability::Section;

use crate::explore::Report;
use crate::mutants::{Expected, Outcome};

/// Saves the scopes that were explored.
///
/// # Errors
/// The section cannot be written.
pub fn save_scopes(mut section: Section, reports: &[Report]) -> Result<()> {
    let states: usize = reports.iter().map(|report| report.states).sum();
    let transitions: u64 = reports.iter().map(|report| report.transitions).sum();
    let holds = reports.iter().all(|report| report.complete && report.counterexample.is_none());
    section.say(format!(
        "A model that executes `domain/decide.rs` was explored breadth first, every state of it: {states} states (up to \
         symmetry) and {transitions} transitions in {} scopes. In each state every rule is checked, and that the end can \
         still be reached without further faults: {}.",
        reports.len(),
        if holds { "all hold in all of them" } else { "NOT PROVED" }
    ));
    section.say(
        "What is not asked, because nothing that a client does could hold it: whether a target is paid twice or FAILED and \
         paid, once MySQL has lost the commit that holds a key's first use and money has forgotten the key; whether FAILED is \
         unpaid, where there is no cancel and MySQL has lost a committed intent; and whether RETRYING is unpaid behind such a \
         loss.",
    );
    let row = |report: &Report| {
        [
            report.scope.to_owned(),
            report.states.to_string(),
            report.transitions.to_string(),
            report.depth.to_string(),
            report.stuck.to_string(),
            format!("{:.1}", report.took.as_secs_f64()),
            found(report).to_owned(),
        ]
    };
    let columns = ["scope", "states", "transitions", "depth", "stuck", "seconds", "result"];
    section.table("Scopes", columns, reports.iter().map(row).collect());
    println!("saved {}", section.save()?.display());
    Ok(())
}

/// Saves what was found without each rule.
///
/// # Errors
/// The section cannot be written.
pub fn save_mutants(mut section: Section, outcomes: &[Outcome]) -> Result<()> {
    let caught = outcomes.iter().filter(|outcome| shown(outcome).is_some()).count();
    section.say(format!(
        "{} rules of the protocol were taken away in the model, one at a time: {caught} give a counterexample; for the \
         others another rule holds what they hold, and it is said which.",
        outcomes.len()
    ));
    let row = |outcome: &Outcome| {
        let states: usize = outcome.reports.iter().map(|report| report.states).sum();
        let result = match (shown(outcome), outcome.expected) {
            (Some(found), _) => found,
            (None, Expected::Redundant(why) | Expected::RedundantFence(why)) => format!("redundant: {why}"),
            (None, Expected::Caught(_)) => "NOT CAUGHT".to_owned(),
        };
        [format!("{:?}", outcome.mutant), states.to_string(), result]
    };
    section.table("Without a rule", ["mutant", "states", "result"], outcomes.iter().map(row).collect());
    println!("saved {}", section.save()?.display());
    Ok(())
}

fn found(report: &Report) -> &'static str {
    match (&report.counterexample, report.complete) {
        (Some(found), _) => found.rule,
        (None, true) => "holds",
        (None, false) => "NOT COMPLETE",
    }
}

/// The counterexample in a few words.
fn shown(outcome: &Outcome) -> Option<String> {
    outcome.reports.iter().find_map(|report| {
        let found = report.counterexample.as_ref()?;
        Some(format!("{} after {} steps ({})", found.rule, found.steps.len(), report.scope))
    })
}
