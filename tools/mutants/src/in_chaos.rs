//! Mutants under chaos: faults that nobody chose for them, and the same judges as ever.
//!
//! What a named test shows on purpose need not show here: another rule may hold, or the fault that it takes may not come.

use std::time::Instant;

use anyhow::Result;
use chaos::plan::Bounds;
use chaos::run::Run;
use pipeline::mutant::Mutant;

/// Few targets: what is broken shows in a small campaign as well.
const TARGETS: (u32, u32) = (300, 600);

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
    let dir = chaos::artifact::dir().join(format!("mutant-{}", std::process::id()));
    let run = Run {
        seed,
        first: 0,
        iterations: iterations.into(),
        lanes,
        bounds: Bounds { targets: TARGETS },
        stop_at_first: true,
        extra: vec![("PAYOUT_MUTANT".to_owned(), format!("{mutant:?}"))],
        artifacts: dir.join("artifacts"),
        dir: dir.clone(),
    };
    let begun = Instant::now();
    let tally = run.go();
    let _ = std::fs::remove_dir_all(&dir);
    let first = tally?.failures.into_iter().min_by_key(|(plan, _)| plan.iteration);
    let seconds = begun.elapsed().as_secs_f64();
    match &first {
        Some((plan, outcome)) => {
            let breach = outcome.breaches.first().map_or("", String::as_str);
            println!("{mutant:?}: iteration {}, {seconds:.0} s: {breach}", plan.iteration + 1);
        }
        None => println!("{mutant:?}: not in {iterations} iterations, {seconds:.0} s"),
    }
    Ok(first.is_some())
}
