//! SIGTERMs at random moments of a running campaign: whoever gets one ends within its grace, and leaves nothing that
//! it had finished to be delivered again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reliability::Section;

use crate::{Campaign, Plan, Stage, World, millis, secs, until};

/// Payouts between two SIGTERMs: a third of a second or more.
const APART: u32 = 150;
/// `PAYOUT_SHUTDOWN_GRACE` of the run.
const GRACE: Duration = secs(10);
/// What a wait may take at worst.
const LONG: Duration = secs(90);

/// What came of a run.
#[derive(Debug, Default)]
pub struct Terminated {
    /// How long each process took to end, by stage.
    pub took: BTreeMap<String, Vec<Duration>>,
    /// Payouts in all.
    pub payouts: u32,
}

/// Runs a campaign while stages get SIGTERMs, one by one, and are started again.
///
/// # Panics
/// When one does not end with 0 within its grace, leaves an entry behind under its name, or when something was
/// delivered again that was paid, or anything else is wrong with the books.
pub fn run(times: u32, seed: u64) -> Terminated {
    println!("{times} SIGTERMs, seed {seed}");
    let world = World::build()
        .money(&["--latency-ms", "20", "--jitter-ms", "40", "--too-many", "0.02", "--refuse", "0.01"])
        .set("PAYOUT_SHUTDOWN_GRACE", &format!("{}s", GRACE.as_secs()))
        .set("PAYOUT_MONEY_CONCURRENCY", "8")
        .set("PAYOUT_DISPATCHER_WINDOW", "400")
        .unhurried()
        // What a payer finishes while it drains is less than what lies between two SIGTERMs.
        .set("PAYOUT_PAYER_BATCH", "50")
        .set("PAYOUT_PAYER_IN_FLIGHT", "100")
        .start();
    // Enough is left when the last one comes.
    let targets = (times + 10) * APART;
    let campaign = world.write(&Plan::points("SPRING", targets));
    let stages = world.run(2).ready();
    let all: Vec<&Stage> = stages.all().collect();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut terminated = Terminated { payouts: targets, ..Terminated::default() };
    for number in 1..=times {
        until(&format!("{} payouts are settled", number * APART), LONG, || {
            (world.cache.counts(&campaign).settled() >= i64::from(number * APART)).then_some(())
        });
        // Any moment between two batches, not only the one at which a payment shows.
        std::thread::sleep(millis(dice.random_range(0..60)));
        let stage = all[dice.random_range(0..all.len())];
        stage.ready();
        let took = one(&world, &campaign, stage);
        let kind = stage.name().trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()).to_owned();
        terminated.took.entry(kind).or_default().push(took);
        stage.again();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
    // Every outcome was known: nothing that was sent once had to be asked for or sent again.
    assert_eq!(world.money.stat("/charge/outcomes/replayed"), 0, "what was paid was sent again");
    assert_eq!(world.money.stat("/lookup/total"), 0, "what was recorded was delivered again without its row");
    terminated
}

fn one(world: &World, campaign: &Campaign, stage: &Stage) -> Duration {
    assert_eq!(world.status(campaign).as_deref(), Some("IN_PROGRESS"), "it was over before the last SIGTERM");
    let began = Instant::now();
    // An error, when it has not ended within the grace.
    let code = stage.finish(GRACE);
    let took = began.elapsed();
    assert_eq!(code, Some(0), "{}", stage.log());
    // Consumers are called by their process; the retrier's name says what it is.
    let held = world.cache.held(campaign);
    let left: i64 = held.iter().filter(|(name, _)| name.split('.').next() == Some(stage.name())).map(|(_, n)| n).sum();
    assert_eq!(left, 0, "{} left entries behind that will be delivered again: {held:?}", stage.name());
    took
}

impl Terminated {
    /// The run as a part of the report.
    ///
    /// # Errors
    /// The section cannot be written.
    pub fn save(&self, mut section: Section) -> anyhow::Result<()> {
        let all: Vec<&Duration> = self.took.values().flatten().collect();
        section.say(format!(
            "{} SIGTERMs at random moments of a campaign of {} payouts, to two payers, retrier, dispatcher and summarizer, each \
             started again. Every process ended with 0 within its grace of {} s; none left an entry pending under its name; \
             nothing that was sent once had to be looked up or sent again; the books were closed.",
            all.len(),
            self.payouts,
            GRACE.as_secs(),
        ));
        let shown = |duration: Duration| format!("{} ms", duration.as_millis());
        let row = |(stage, took): (&String, &Vec<Duration>)| {
            let mut sorted = took.clone();
            sorted.sort();
            let (median, longest) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
            [stage.clone(), sorted.len().to_string(), shown(median), shown(longest)]
        };
        section.table(
            "From SIGTERM to the end of the process",
            ["stage", "SIGTERMs", "median", "longest"],
            self.took.iter().map(row).collect(),
        );
        println!("{}", section.save()?.display());
        Ok(())
    }
}
