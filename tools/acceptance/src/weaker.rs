//! A money service that does not honour idempotency keys, with a look-up and without one: what the product still
//! promises there, and what it counts where it can promise nothing.

use std::collections::HashSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reliability::Section;

use crate::{Build, Campaign, Plan, Stage, World, secs, until};

/// Payouts between two kills.
const APART: u32 = 150;
/// `money.concurrency` of the runs: what one frozen process may have been about to send.
const CONCURRENCY: u32 = 8;
/// Payouts from one freeze to the next, at most: `CONCURRENCY` answers in 60 ms for some five seconds.
const DURING_A_FREEZE: u32 = 1000;
/// What a wait may take at worst.
const LONG: Duration = secs(120);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was done to the stages.
    pub hazard: String,
    /// Payouts in all.
    pub payouts: u32,
    /// Payments beyond one a payout.
    pub twice: u64,
    /// What the product says may have been sent twice; nothing where those who counted were killed.
    pub counted: Option<u64>,
    /// Most that may be paid twice.
    pub bound: u64,
}

/// A money that answers within so many ms and so many again.
fn weak(latency_ms: &str) -> Build {
    World::build()
        .money(&["--ignore-idempotency-key", "--no-cancel", "--latency-ms", latency_ms, "--jitter-ms", latency_ms])
        .set("PAYOUT_MONEY_IDEMPOTENT", "false")
        .set("PAYOUT_MONEY_CANCEL", "false")
        .set("PAYOUT_MONEY_CONCURRENCY", &CONCURRENCY.to_string())
        .set("PAYOUT_RETRY_BACKOFF_BASE", "1s")
        .set("PAYOUT_RETRY_BACKOFF_CAP", "2s")
        .set("PAYOUT_DISPATCHER_WINDOW", "400")
}

/// Payers and retriers are killed while they work; `money` has a look-up.
///
/// # Panics
/// When anybody is paid twice, or not at all.
pub fn killed(kills: u32, seed: u64) -> Outcome {
    println!("{kills} kills, seed {seed}");
    let world = weak("15").money(&["--lose", "0.01", "--fail-before", "0.01"]).start();
    let payouts = (kills + 1) * APART;
    let campaign = world.write(&Plan::points("SPRING", payouts));
    let stages = world.run(4).ready();
    let second = world.stage("retrier", "retrier-2");
    let retriers = [&stages.retrier, &second];
    let mut dice = StdRng::seed_from_u64(seed);
    for number in 1..=kills {
        world.paid(u64::from(number * APART), LONG);
        assert_eq!(world.status(&campaign).as_deref(), Some("IN_PROGRESS"), "it was over before the last kill");
        // A payer in the middle of its work; every third is a retrier.
        let held = world.cache.held(&campaign);
        let at_work = |payer: &&Stage| held.get(payer.name()).is_some_and(|count| *count > 0);
        let payers: Vec<&Stage> = stages.payers.iter().filter(at_work).collect();
        let victims = if dice.random_range(0..3) == 0 || payers.is_empty() { &retriers[..] } else { &payers };
        victims[dice.random_range(0..victims.len())].kill_and_restart();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    let (hazard, twice) = (format!("{kills} SIGKILLs of payers and retriers"), surplus(&world, &campaign));
    Outcome { hazard, payouts, twice, counted: None, bound: 0 }
}

/// A payer is frozen past the visibility timeout, again and again, and wakes up the moment that its entries have been
/// taken from it; `money` has a look-up.
///
/// # Panics
/// When more is paid twice than the frozen payers can have been about to send, or somebody is not paid.
pub fn frozen(freezes: u32) -> Outcome {
    // The other payer pays on while one is frozen: slowly enough that some are left for the next.
    let world = weak("40").start();
    let payouts = (freezes + 1) * DURING_A_FREEZE;
    let campaign = world.write(&Plan::points("SPRING", payouts));
    let stages = world.run(2).ready();
    for number in 1..=freezes {
        world.paid(world.money.paid() + u64::from(APART), LONG);
        let payer = &stages.payers[(number % 2) as usize];
        world.freeze_holding(payer, &campaign);
        until("its entries are taken", LONG, || {
            (world.cache.held(&campaign).get(payer.name()).copied().unwrap_or(0) == 0).then_some(())
        });
        payer.sigcont().unwrap_or_else(|error| panic!("{error}"));
    }
    world.completed(&campaign, LONG);
    let twice = surplus(&world, &campaign);
    let bound = u64::from(freezes * CONCURRENCY);
    let counted = stages.all().map(|stage| stage.metric("payout_possible_duplicate_charges_total", "") as u64).sum();
    assert!(twice <= bound, "{twice} were paid twice, and frozen payers were about to send {bound} at most");
    Outcome {
        hazard: format!("{freezes} payers frozen past the visibility timeout"),
        payouts,
        twice,
        counted: Some(counted),
        bound,
    }
}

/// Payers are killed and answers are lost; `money` has no look-up either.
///
/// # Panics
/// When more is paid twice than the product has counted, or it does not say at start what it cannot promise.
pub fn without_look_up(kills: u32) -> Outcome {
    let world = weak("15").money(&["--no-lookup", "--lose", "0.02"]).set("PAYOUT_MONEY_LOOKUP", "false").start();
    let payouts = (kills + 1) * APART;
    let campaign = world.write(&Plan::points("SPRING", payouts));
    let stages = world.run(2).ready();
    for number in 1..=kills {
        world.paid(u64::from(number * APART), LONG);
        stages.payers[(number % 2) as usize].kill_and_restart();
    }
    world.completed(&campaign, LONG);
    // Only the retrier sends anything again, and it lived all the time.
    let counted = stages.retrier.metric("payout_possible_duplicate_charges_total", "") as u64;
    for stage in stages.payers.iter().chain([&stages.retrier]) {
        assert!(stage.log().contains("exactly once cannot be promised"), "{}", stage.log());
        assert!(stage.metrics().contains("\npayout_money_exactly_once 0\n"), "{}", stage.name());
    }
    let twice = surplus(&world, &campaign);
    assert!(twice > 0 && twice <= counted, "{twice} were paid twice, and {counted} were counted");
    Outcome {
        hazard: format!("{kills} SIGKILLs of payers, 2 % of the answers lost"),
        payouts,
        twice,
        counted: Some(counted),
        bound: counted,
    }
}

/// Payments beyond one a target. Every target must have one.
fn surplus(world: &World, campaign: &Campaign) -> u64 {
    let books = world.books(campaign);
    assert_eq!(books.with(Some("SUCCESS")).len(), books.rows.len(), "{:?}", books.overview());
    let keys: HashSet<&str> = books.ledger.payments().map(|payment| payment.key.as_str()).collect();
    assert_eq!(keys.len(), books.rows.len(), "somebody is SUCCESS and was not paid");
    (books.ledger.payments().count() - keys.len()) as u64
}

/// Three runs as a part of the report.
///
/// # Errors
/// The section cannot be written.
pub fn save(mut section: Section, outcomes: [(&str, Outcome); 3]) -> anyhow::Result<()> {
    section.say(
        "`money` pays every charge, whatever its key (`money.idempotent = false`). With a look-up an unknown outcome is looked \
         up before it is sent again, so that killed processes pay nobody twice. What a frozen payer can still do: send what it \
         had decided to send between its last look at the clock and the first byte, one request for each of its \
         `money.concurrency` connections at most; everything else that it holds is given back unsent, because its time (the \
         visibility timeout less three deadlines and the write time) is over.",
    );
    section.say(
        "Without a look-up either, exactly once cannot be promised. Payers and retriers say so at start and by \
         `payout_money_exactly_once` 0, and count in `payout_possible_duplicate_charges_total` what may be a second payment.",
    );
    let row = |(deployment, outcome): (&str, Outcome)| {
        let Outcome { hazard, payouts, twice, counted, bound } = outcome;
        let counted = counted.map_or_else(|| "–".to_owned(), |counted| counted.to_string());
        let [payouts, twice, bound] = [u64::from(payouts), twice, bound].map(|number| number.to_string());
        [deployment.to_owned(), hazard, payouts, twice, counted, bound]
    };
    section.table(
        "Money that does not honour keys",
        ["deployment", "hazard", "payouts", "paid twice", "counted as possible", "bound"],
        outcomes.into_iter().map(row).collect(),
    );
    println!("{}", section.save()?.display());
    Ok(())
}
