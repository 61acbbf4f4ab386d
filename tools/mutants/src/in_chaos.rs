//! Mutants under chaos: faults that nobody chose for them, and the same judges as ever.
//!
//! What a named test shows on purpose need not show here: another rule may hold, or the fault that it takes may not come.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pipeline::mutant::Mutant;

/// Few targets: what is broken shows in a small campaign as well.
const TARGETS: &str = "300..600";
/// How the runner begins the line of an iteration that failed.
const BROKEN: &str = "BROKEN #";

/// Runs chaos with each rule broken, one mutant after the other, and tells of each; gives whether all were noticed.
pub(crate) fn all(mutants: &[Mutant], seed: u64, iterations: u32, lanes: u32) -> Result<bool> {
    let mut noticed = 0;
    for mutant in mutants {
        noticed += usize::from(one(*mutant, seed, iterations, lanes)?);
    }
    println!("{noticed} of {} mutants noticed", mutants.len());
    Ok(noticed == mutants.len())
}

fn one(mutant: Mutant, seed: u64, iterations: u32, lanes: u32) -> Result<bool> {
    let begun = Instant::now();
    let output = Command::new(servers::binary("chaos")?)
        .args(["--seed", &seed.to_string(), "--iterations", &iterations.to_string(), "--lanes", &lanes.to_string()])
        .args(["--targets", TARGETS, "--stop-at-first", "--set", &format!("PAYOUT_MUTANT={mutant:?}")])
        .current_dir(servers::workspace_dir())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run chaos")?;
    let seconds = begun.elapsed().as_secs_f64();
    let told = String::from_utf8_lossy(&output.stdout);
    let mut lines = told.lines().skip_while(|line| !line.starts_with(BROKEN));
    let Some(failure) = lines.next() else {
        ensure!(told.lines().last() == Some("PASS"), "chaos was not run to its end:\n{told}");
        println!("{mutant:?}: not in {iterations} iterations, {seconds:.0} s");
        return Ok(false);
    };
    let number = failure.trim_start_matches(BROKEN).split(' ').next().unwrap_or_default();
    println!("{mutant:?}: iteration {number}, {seconds:.0} s: {}", lines.next().unwrap_or_default().trim());
    Ok(true)
}
