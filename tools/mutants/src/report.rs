//! The table: what was broken, and who noticed.

use anyhow::Result;
use comfy_table::{Table, presets};
use reliability::Section;

use crate::run::Trial;

/// The section's run begins now.
pub(crate) fn begin() -> Section {
    Section::begin("chaos-mutants", "Mutants of the product", "cargo xtask mutants")
}

/// Prints it; gives whether all were noticed.
pub(crate) fn print(trials: &[Trial]) -> bool {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["mutant", "noticed by", "at run", "seconds", "which said"]);
    for trial in trials {
        let [mutant, _, test, run, seconds, said] = row(trial);
        table.add_row([mutant, test, run, seconds, said]);
    }
    println!("\n{table}");
    let noticed = trials.iter().filter(|trial| trial.noticed.is_some()).count();
    println!("\n{noticed} of {} mutants noticed", trials.len());
    noticed == trials.len()
}

/// Saves it for the document.
pub(crate) fn save(section: &mut Section, trials: &[Trial]) -> Result<()> {
    let noticed = trials.iter().filter(|trial| trial.noticed.is_some()).count();
    section.say(format!(
        "{} rules were broken in the product's own code, one at a time, by `PAYOUT_MUTANT`; {noticed} were noticed. Each \
         test had passed on the product as it is just before.",
        trials.len()
    ));
    section.table(
        "Who notices which broken rule",
        ["mutant", "what is broken", "noticed by", "at run", "seconds", "which said"],
        trials.iter().map(row).collect(),
    );
    println!("saved {}", section.save()?.display());
    Ok(())
}

fn row(trial: &Trial) -> [String; 6] {
    let (run, said) = match &trial.noticed {
        Some((run, said)) => (run.to_string(), said.clone()),
        None => ("NOT NOTICED".to_owned(), String::new()),
    };
    let seconds = format!("{:.1}", trial.took.as_secs_f64());
    [format!("{:?}", trial.mutant), broken(trial), trial.test.to_string(), run, seconds, said]
}

/// The sentence that stands at the mutant.
fn broken(trial: &Trial) -> String {
    let source = include_str!("../../../pipeline/src/mutant.rs");
    let mutant = format!("{:?},", trial.mutant);
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| *line == mutant);
    let sentence = at.and_then(|at| lines.get(at.checked_sub(1)?)?.strip_prefix("/// "));
    sentence.unwrap_or_default().to_owned()
}
