//! One iteration: load, start, break, heal, wait, judge.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::artifact::{self, Place};
use crate::fault::Fault;
use crate::hazard::{Hazard, Hazards};
use crate::lane::Lane;
use crate::plan::Plan;
use crate::stand::Stand;
use crate::weather::LATE_MS;

/// From the healing to COMPLETED, at most (I-26). Two sweeps of 1 s, a lease of 1 s, and what an outcome that was
/// tried ten times takes at the slowest pace of 0.3 s are 6 s; the rest is for a machine that other builds share.
pub const RECOVERY_BOUND: Duration = Duration::from_secs(30);
/// More for each half of a window that the targets fill: the dispatcher goes on when half of it has room, and until then
/// a few payouts may be tried again and again, some three times at the slowest pace.
pub const EACH_HALF_WINDOW: Duration = Duration::from_secs(1);
/// A person looks at what waits when nothing can be under way any more: the slowest request and the slowest pace.
const RESOLVE_AFTER: Duration = Duration::from_millis(LATE_MS + 900);
/// Between two looks of that person.
const RESOLVE_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to end a fault whose server another fault has taken away.
const TRIES_TO_HEAL: u32 = 3;

/// How an iteration ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was broken; empty when every invariant held.
    pub breaches: Vec<String>,
    /// Breaches of exactly once: paid twice, FAILED and paid, SUCCESS and not paid, paid wrongly.
    pub wrong: u64,
    /// What was met.
    pub hazards: Hazards,
    /// Faults that were carried out, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Crash points at which a process died, and of which stage it was.
    pub points: BTreeMap<Place, u64>,
    /// Targets that were paid.
    pub paid: u64,
    /// Targets that failed for good.
    pub failed: u64,
    /// Targets without a final result at the end.
    pub open: u64,
    /// Rows that a person had to close.
    pub resolved: u64,
    /// From the healing to COMPLETED.
    pub recovery: Duration,
    /// From the first server to the verdict.
    pub took: Duration,
    /// Where a failure left everything.
    pub artifact: Option<PathBuf>,
}

/// What is done to an iteration between its end and its judgement: nothing, but for a test of the judge.
pub type Tamper<'t> = &'t dyn Fn(&Stand<'_>);

/// Runs a plan. A failure leaves an artifact.
///
/// # Errors
/// The servers of the iteration do not start.
pub fn run(lane: &Lane, plan: &Plan, tamper: Option<Tamper<'_>>) -> Result<Outcome> {
    let begun = Instant::now();
    let mut stand = Stand::build(lane, plan)?;
    let mut outcome = Outcome::default();
    let played = unless_it_panics(|| play(&mut stand, &mut outcome, tamper));
    let counted = unless_it_panics(|| count(&stand, &mut outcome));
    for error in [played.err(), counted.err()].into_iter().flatten() {
        outcome.breaches.push(format!("the iteration broke off: {error:#}"));
    }
    outcome.breaches.append(&mut stand.crew.breaches);
    outcome.hazards = std::mem::take(&mut stand.crew.hazards);
    outcome.hazards.of_journal(&stand.money.journal());
    outcome.points = artifact::points_hit(&stand.dir);
    outcome.resolved = stand.resolved;
    outcome.took = begun.elapsed();
    if !outcome.breaches.is_empty() {
        outcome.artifact = Some(artifact::write(&stand, &outcome.breaches)?);
    }
    Ok(outcome)
}

fn play(stand: &mut Stand<'_>, outcome: &mut Outcome, tamper: Option<Tamper<'_>>) -> Result<()> {
    stand.load()?;
    let plan = stand.plan;
    stand.crew.start_all(plan)?;
    let unfinished = break_things(stand, plan, &mut outcome.faults)?;
    heal(stand, &unfinished)?;
    let healed = Instant::now();
    wait_for_the_end(stand, healed)?;
    outcome.recovery = healed.elapsed();
    // What was put off executes by then, and would show.
    let late = stand.calm_since + Duration::from_millis(LATE_MS);
    servers::poll(Duration::from_secs(5), || (Instant::now() >= late).then_some(()));
    if let Some(tamper) = tamper {
        tamper(stand);
    }
    let (breaches, wrong) = stand.judge()?;
    outcome.breaches.extend(breaches);
    outcome.wrong = wrong;
    stand.crew.scrape_all();
    stand.crew.hazards.met(Hazard::LateChargeStopped, stand.money.stat("/late_stopped"));
    Ok(())
}

/// What the books add up to, also after a failure.
fn count(stand: &Stand<'_>, outcome: &mut Outcome) -> Result<()> {
    let books = stand.books()?;
    let with = |status| books.with(Some(status)).len() as u64;
    outcome.paid = books.ledger.payments().count() as u64;
    outcome.failed = with("FAILED");
    outcome.open = books.rows.len() as u64 - with("SUCCESS") - outcome.failed;
    Ok(())
}

/// The judge panics when a server does not answer.
fn unless_it_panics(step: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        bail!("{}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic"))
    })
}

#[derive(Clone, Copy)]
enum Step {
    Begin(usize),
    End(usize),
}

/// Carries out the plan's faults; gives those that have begun and not ended, oldest first.
fn break_things(stand: &mut Stand<'_>, plan: &Plan, done: &mut BTreeMap<&'static str, u64>) -> Result<Vec<Fault>> {
    let begun = Instant::now();
    let mut steps: Vec<(u64, Step)> = Vec::new();
    for (number, event) in plan.events.iter().enumerate() {
        steps.push((event.at_ms, Step::Begin(number)));
        steps.extend(event.fault.lasts_ms().map(|for_ms| (event.at_ms + for_ms, Step::End(number))));
    }
    steps.sort_by_key(|(at_ms, _)| *at_ms);
    let mut open: Vec<usize> = Vec::new();
    for (at_ms, step) in steps {
        let at = begun + Duration::from_millis(at_ms);
        while Instant::now() < at {
            stand.crew.tend()?;
            std::thread::sleep(at.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)));
        }
        match step {
            Step::Begin(number) => {
                let fault = &plan.events[number].fault;
                // A fault that cannot be carried out, because another one has taken its server away, has missed.
                if matches!(stand.begin(fault), Ok(true)) {
                    *done.entry(fault.name()).or_insert(0) += 1;
                    open.push(number);
                }
            }
            Step::End(number) => {
                if open.contains(&number) && stand.end(&plan.events[number].fault).is_ok() {
                    open.retain(|other| *other != number);
                }
            }
        }
    }
    Ok(open.into_iter().map(|number| plan.events[number].fault.clone()).collect())
}

/// Everything back as it should be: servers first, then processes, then the promotion.
fn heal(stand: &mut Stand<'_>, unfinished: &[Fault]) -> Result<()> {
    for fault in unfinished {
        let mut tries = 0;
        while let Err(error) = stand.end(fault) {
            tries += 1;
            if tries == TRIES_TO_HEAL {
                bail!("{} cannot be ended: {error:#}", fault.name());
            }
        }
    }
    // The judge's own connection may have died with Redis: then this fails, and the next command makes a new one.
    let _ = stand.cache.ask::<String>(&["PING"]);
    stand.money.faults(stand.plan.weather.faults());
    stand.calm_since = Instant::now();
    stand.crew.heal()
}

/// Waits for COMPLETED; resumes what was stopped, and closes what waits for a person.
fn wait_for_the_end(stand: &mut Stand<'_>, healed: Instant) -> Result<()> {
    let mut looked = healed + RESOLVE_AFTER;
    let bound = RECOVERY_BOUND + EACH_HALF_WINDOW * stand.plan.targets.div_ceil(stand.plan.window / 2);
    while healed.elapsed() < bound {
        stand.crew.tend()?;
        match stand.status().as_deref() {
            Some("COMPLETED") => return Ok(()),
            Some("STOPPED" | "FAILED") => {
                stand.change("resume")?;
            }
            Some(_) | None => {}
        }
        if Instant::now() > looked {
            stand.resolve_waiting()?;
            looked = Instant::now() + RESOLVE_EVERY;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let books = stand.books()?;
    let paid_right = books.exactly_once();
    bail!(
        "not COMPLETED {bound:?} after everything was healed (status {:?}, rows {:?}; breaches of exactly once: {paid_right:?})",
        stand.status(),
        books.overview()
    )
}
