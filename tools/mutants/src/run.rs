//! Running tests: on the product as it is, and with a rule broken.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pipeline::mutant::Mutant;
use servers::Launch;

use crate::catalog::{self, Test};
use crate::programs::Programs;

/// Longer than any of these tests waits for anything, on a machine that does other things as well.
const BOUND: Duration = Duration::from_secs(300);

/// How much of a failure's message is kept, in characters.
const SAID: usize = 160;

/// A mutant and what became of it.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) mutant: Mutant,
    pub(crate) test: Test,
    /// At which run of the test it was noticed, and what the test said.
    pub(crate) noticed: Option<(u32, String)>,
    pub(crate) took: Duration,
}

/// Runs each test without, then each mutant with its rule broken.
pub(crate) fn all(mutants: &[Mutant], programs: &Programs, lanes: u32, iterations: u32) -> Result<Vec<Trial>> {
    let mut tests: Vec<Test> = mutants.iter().map(|mutant| catalog::noticed_by(*mutant)).collect();
    tests.sort_unstable();
    tests.dedup();
    println!("{} tests on the product as it is", tests.len());
    in_lanes(tests, lanes, |test| holds(test, programs))?;
    println!("{} mutants", mutants.len());
    let mut trials = in_lanes(mutants.to_vec(), lanes, |mutant| try_mutant(mutant, programs, iterations))?;
    trials.sort_by_key(|trial| Mutant::ALL.iter().position(|mutant| *mutant == trial.mutant));
    Ok(trials)
}

fn holds(test: Test, programs: &Programs) -> Result<()> {
    match once(test, None, programs)? {
        Ended::Passed => Ok(()),
        Ended::Failed(said) => bail!("{test} fails on the product as it is: {said}"),
    }
}

fn try_mutant(mutant: Mutant, programs: &Programs, iterations: u32) -> Result<Trial> {
    let (test, began) = (catalog::noticed_by(mutant), Instant::now());
    let mut noticed = None;
    for iteration in 1..=iterations {
        if let Ended::Failed(said) = once(test, Some(mutant), programs)? {
            noticed = Some((iteration, said));
            break;
        }
    }
    let trial = Trial { mutant, test, noticed, took: began.elapsed() };
    println!("{mutant:?}: {}", if trial.noticed.is_some() { "noticed" } else { "NOT NOTICED" });
    Ok(trial)
}

enum Ended {
    Passed,
    /// With what the test said first.
    Failed(String),
}

fn once(test: Test, mutant: Option<Mutant>, programs: &Programs) -> Result<Ended> {
    let program = programs.of(test.package, test.target)?;
    let mut launch = Launch::program(program.path.clone(), test.name, &program.folder)?.args(["--exact", test.name]);
    launch = launch.env("RUST_BACKTRACE", "0");
    if let Some(mutant) = mutant {
        launch = launch.env("PAYOUT_MUTANT", format!("{mutant:?}"));
    }
    let finished = launch.run(BOUND).with_context(|| format!("run {test}"))?;
    if finished.stdout.contains("1 passed; 0 failed") {
        return Ok(Ended::Passed);
    }
    if finished.stdout.contains("0 passed; 1 failed") {
        return Ok(Ended::Failed(said(&finished.stdout)));
    }
    bail!("{test} was not run:\n{}{}", finished.stdout, finished.stderr)
}

/// The first lines of the first panic, as far as they tell anything.
fn said(output: &str) -> String {
    let lines = output.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    let message = lines.take(3).map(str::trim).take_while(|line| !line.is_empty() && !line.starts_with("note:"));
    message.collect::<Vec<_>>().join(" ").chars().take(SAID).collect()
}

/// Does something with each, side by side. The first error ends every lane at its next item.
fn in_lanes<T: Send, R: Send>(items: Vec<T>, lanes: u32, act: impl Fn(T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let queue = Mutex::new(VecDeque::from(items));
    let lane = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(item) = next else { return Ok(done) };
            match act(item) {
                Ok(result) => done.push(result),
                Err(error) => {
                    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    return Err(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        let mut all = Vec::new();
        for lane in lanes {
            match lane.join() {
                Ok(done) => all.extend(done?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}
