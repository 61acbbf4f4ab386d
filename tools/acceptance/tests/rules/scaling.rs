//! Replicas come and go, share one request limit and one circuit breaker, and nothing has to be told.

use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::{Plan, Stage, Visit, World, secs, until};
use serde_json::json;

use crate::LONG;

/// A second, as the journal of money counts.
const SECOND_US: u64 = 1_000_000;

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Arrivals at money, in order.
fn arrivals(visits: &[Visit]) -> Vec<u64> {
    let mut arrivals: Vec<u64> = visits.iter().map(|visit| visit.at_us).collect();
    arrivals.sort_unstable();
    arrivals
}

/// The most requests that any second held, wherever it began.
fn busiest_second(arrivals: &[u64]) -> usize {
    let within = |first: usize| arrivals[first..].partition_point(|at| *at < arrivals[first] + SECOND_US);
    (0..arrivals.len()).map(within).max().unwrap_or(0)
}

#[test]
fn every_stage_is_doubled_and_halved_twice_during_a_run() {
    let world = World::build()
        .money(&["--latency-ms", "60", "--lose", "0.03", "--fail-before", "0.05"])
        .set("PAYOUT_DISPATCHER_WINDOW", "400")
        .set("PAYOUT_MONEY_CONCURRENCY", "8")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let set = |number: u32| -> Vec<Stage> {
        ["dispatcher", "payer", "retrier", "summarizer"]
            .map(|stage| world.stage(stage, &format!("{stage}-{number}")))
            .into()
    };
    let mut running = set(1);
    for (number, at) in (2..).zip([400, 1300]) {
        world.paid(at, LONG);
        let more = set(number);
        more.iter().for_each(Stage::ready);
        world.paid(at + 400, LONG);
        // Those that were there before go, and finish what they hold.
        for stage in &running {
            assert_eq!(stage.finish(secs(30)), Some(0), "{}", stage.log());
        }
        running = more;
        assert!(world.money.paid() < 3000, "all was paid before replicas came and went");
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    assert!(running.iter().all(|stage| stage.is_running()));
}

#[test]
fn payers_and_retriers_keep_one_limit_with_look_ups_and_cancels_counted() {
    const LIMIT: usize = 200;
    let world = World::build()
        .money(&["--lose", "0.1", "--too-many", "0.5", "--on", "charge"])
        .set("PAYOUT_MONEY_MAX_RPS", &LIMIT.to_string())
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "2")
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 1200));
    let _stages = world.run(3);
    let _retriers = [world.stage("retrier", "retrier-2"), world.stage("retrier", "retrier-3")];
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
    let visits = world.money.journal();
    for kind in ["charge", "lookup", "cancel"] {
        let count = visits.iter().filter(|visit| visit.kind == kind).count();
        assert!(count >= 40, "{count} of kind {kind} do not show that they count");
    }
    let busiest = busiest_second(&arrivals(&visits));
    assert!(busiest <= LIMIT * 102 / 100, "{busiest} requests in one second");
}

#[test]
fn all_replicas_stop_when_the_breaker_opens_and_money_sees_probes_alone_until_they_all_go_on() {
    const PROBES: usize = 3;
    let world = World::build()
        .money(&["--latency-ms", "20"])
        .set("PAYOUT_MONEY_CONCURRENCY", "8")
        .set("PAYOUT_BREAKER_WINDOW", "2s")
        .set("PAYOUT_BREAKER_OPEN_FOR", "1s")
        .set("PAYOUT_BREAKER_OPEN_CAP", "1s")
        // Most is not taken yet when it opens, so that payers have something to go on with. What answers 503 answers
        // at once, and the breaker hears of it four times a second.
        .set("PAYOUT_MONEY_MAX_RPS", "1000")
        .set("PAYOUT_PAYER_BATCH", "50")
        .set("PAYOUT_PAYER_IN_FLIGHT", "100")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let stages = world.run(2);
    let other = world.stage("retrier", "retrier-2");
    let replicas = || stages.payers.iter().chain([&stages.retrier, &other]);
    world.paid(400, LONG);
    world.money.faults(json!({"unavailable": 1.0, "on": ["charge", "lookup", "cancel"]}));
    let states =
        |wanted: fn(f64) -> bool| replicas().all(|stage| wanted(stage.metric("payout_money_breaker_state", "")));
    until("all replicas see it open", LONG, || states(|state| state >= 1.0).then_some(()));
    // What was under way has come back a second later, as after a stop.
    let quiet = now_us() + SECOND_US;
    let probes = |until_us: u64| {
        let alone = |visit: &&Visit| visit.at_us > quiet && visit.at_us <= until_us;
        world.money.journal().iter().filter(alone).count()
    };
    until("that second is over", LONG, || (now_us() > quiet).then_some(()));
    let attempts = || {
        let sql = format!("SELECT CAST(COALESCE(SUM(retry_count), 0) AS SIGNED) FROM {}", campaign.results_table());
        world.sql.number(&sql)
    };
    let before = attempts();
    until("money was probed", LONG, || (probes(now_us()) >= PROBES).then_some(()));
    let (ended, used) = (now_us(), attempts() - before);
    let (seen, seconds) = (probes(ended), (ended - quiet).div_ceil(SECOND_US) as usize);
    // One at a time, and after each a second of rest.
    assert!(seen <= seconds + 1, "{seen} requests in {seconds} s");
    assert!(used <= seen as i64, "{used} attempts were used up by {seen} probes");
    let paid = || replicas().map(|stage| stage.metric("payout_stage_items_completed_total", "outcome=\"success\""));
    let paid_before: Vec<f64> = paid().collect();
    // As slow as before: what the retriers hold does not keep up with what nobody has taken.
    world.money.faults(json!({"latency_ms": 20}));
    world.completed(&campaign, LONG);
    let payers: Vec<(f64, f64)> = paid().zip(paid_before).take(stages.payers.len()).collect();
    assert!(payers.iter().all(|(now, before)| now > before), "a payer did not go on: {payers:?}");
    assert!(states(|state| state == 0.0), "a replica still sees it open");
    world.books(&campaign).assert_paid_and_closed();
}
