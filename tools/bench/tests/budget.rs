//! What 1,000 payouts of a run without faults may cost in statements, commands and requests. Counts, no times: a change
//! that costs more fails here on any machine.
//!
//! Everything is published before the payer starts, and outcomes wait long for their batch, so that batches are filled
//! by their size; what remains of time (a stage that looks twice a second whether it shall stop) is left out or small.
#![allow(clippy::unwrap_used)] // tests, and their own helpers

use std::ops::RangeInclusive;
use std::time::Duration;

use bench::counters::{self, Counted};
use bench::leg;
use bench::promotion::{Prepared, prepare};
use bench::stages::{Stages, Which};
use bench::stand::{Stand, World};
use pipeline::domain::{Partition, PromotionId};
use pipeline::keys;

const TARGETS: u64 = 20_000;
/// Connections of a payer to money, the default.
const CONCURRENCY: u64 = 128;
/// Longest wait for a condition, on a machine under load.
const BOUND: Duration = Duration::from_secs(180);

/// What `calls` of something come to for 1,000 payouts.
fn per_1000(calls: u64) -> f64 {
    calls as f64 * 1_000.0 / TARGETS as f64
}

/// All that is over its budget, so that one run tells everything, or under what full batches need: then it was not counted.
struct Budget(Vec<String>);

impl Budget {
    fn within(&mut self, what: &str, calls: u64, allowed: RangeInclusive<f64>) {
        let (used, least, most) = (per_1000(calls), allowed.start(), allowed.end());
        println!("{what}: {used:.2} of {least} to {most} per 1,000 payouts");
        if !allowed.contains(&used) {
            self.0.push(format!("{what}: {used:.2} per 1,000 payouts, allowed from {least} to {most}"));
        }
    }

    /// Of money each payout is asked once, on the connections that are configured and one of ours.
    fn requests(&mut self, stats: &serde_json::Value) {
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        self.exactly("charges", number(&stats["charge"]["total"]), TARGETS);
        self.exactly("look-ups", number(&stats["lookup"]["total"]), 0);
        self.exactly("cancels", number(&stats["cancel"]["total"]), 0);
        let connections = number(&stats["connections"]);
        let allowed = per_1000(CONCURRENCY / 2)..=per_1000(CONCURRENCY + 1);
        self.within("connections to money", connections, allowed);
    }

    /// A batch of 500 is 2 per 1,000, a page of 5,000 is 0.2. An intent's batch may be smaller: it takes what has room by
    /// then.
    fn statements(&mut self, published: &Counted, paid: &Counted) {
        let both = |name: &str| published.mysql(name) + paid.mysql(name);
        self.within("intents", paid.mysql("Com_insert_select"), 2.0..=4.0);
        let joined = paid.mysql("Com_update_multi");
        self.within("outcomes", paid.mysql("Com_update") + joined, 2.0..=2.2);
        self.within("outcomes whose ids lie far apart, joined row by row", joined, 0.0..=0.8);
        self.within("pages, and promotions looked up while publishing", published.mysql("Com_select"), 0.2..=1.5);
        self.within("targets read, and promotions looked up while paying", paid.mysql("Com_select"), 2.0..=5.0);
        self.within("marks, a page each", published.mysql("Com_update"), 0.1..=0.4);
        self.within("statements of all kinds", both("Questions"), 6.0..=14.5);
    }

    /// A batch is settled on each of its partitions, four for most: 8 per 1,000.
    fn commands(&mut self, published: &Counted, paid: &Counted) {
        let scripts = |counted: &Counted| counted.calls("evalsha") + counted.calls("eval");
        self.exactly("entries added", published.calls("xadd"), TARGETS);
        self.within("scripts while publishing", scripts(published), 0.2..=3.0);
        self.within("scripts while paying", scripts(paid), 4.0..=12.0);
        self.within("acknowledgements", paid.calls("xack"), 4.0..=8.8);
        self.within("deletions", paid.calls("xdel"), 4.0..=8.8);
        self.within("additions to counts", paid.calls("hincrby"), 4.0..=8.8);
        self.within("reads", paid.calls("xreadgroup"), 0.5..=4.0);
        self.within("connections checked before a question", paid.calls("ping"), 0.0..=0.5);
    }

    fn exactly(&mut self, what: &str, calls: u64, expected: u64) {
        println!("{what}: {calls}");
        if calls != expected {
            self.0.push(format!("{what}: {calls} instead of {expected}"));
        }
    }
}

async fn wait_for(world: &World<'_>, prepared: &Prepared, field: &str) {
    let mut redis = world.redis_connection().unwrap();
    let begun = std::time::Instant::now();
    loop {
        let mut pipe = redis::pipe();
        for number in 0..bench::promotion::PARTITIONS {
            let counts = keys::counts(Partition { promotion: PromotionId(prepared.id), number });
            pipe.cmd("HGET").arg(counts).arg(field);
        }
        let counts: Vec<Option<u64>> = pipe.query(&mut redis).unwrap();
        let count: u64 = counts.into_iter().flatten().sum();
        if count == TARGETS {
            return;
        }
        assert!(begun.elapsed() < BOUND, "{field} is {count} of {TARGETS} after {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs `which` until `field` has counted every target; gives what the servers counted meanwhile.
async fn count(
    world: &World<'_>,
    prepared: &Prepared,
    which: Which,
    settings: &[(&str, &str)],
    field: &str,
) -> Counted {
    let mut mysql = world.connect().await.unwrap();
    let mut redis = world.redis_connection().unwrap();
    let before = counters::read(&mut mysql, Some(&mut redis)).await.unwrap();
    let stages = Stages::start(world, which, settings).unwrap();
    wait_for(world, prepared, field).await;
    // What was begun ends before it is counted: the dispatcher's marks, a batch's last words.
    stages.stop().unwrap();
    counters::read(&mut mysql, Some(&mut redis)).await.unwrap().since(&before)
}

#[tokio::test]
async fn a_thousand_payouts_cost_no_more_statements_commands_and_requests_than_budgeted() {
    let logs = servers::target_dir().join("tmp/bench-budget");
    let stand = Stand::small(&logs).unwrap();
    let world = stand.world("budget", &[]).unwrap();
    let mut mysql = world.connect().await.unwrap();
    let prepared = prepare(&mut mysql, "BUDGET", TARGETS).await.unwrap();
    prepared.seal(&mut mysql).await.unwrap();

    let no_window = [("PAYOUT_DISPATCHER_WINDOW", "1000000")];
    let dispatcher = Which { dispatcher: true, ..Which::NONE };
    let published = count(&world, &prepared, dispatcher, &no_window, "published_count").await;
    let patient = [("PAYOUT_PAYER_OUTCOME_DELAY", "1s")];
    let payer = Which { payers: 1, ..Which::NONE };
    let paid = count(&world, &prepared, payer, &patient, "success_count").await;

    let stats = world.money.stats().unwrap();
    leg::check(&world, &mut mysql, &prepared).await.unwrap();
    world.end().unwrap();

    let mut budget = Budget(Vec::new());
    budget.requests(&stats);
    budget.statements(&published, &paid);
    budget.commands(&published, &paid);
    assert!(budget.0.is_empty(), "over budget:\n{}\n\n{published:?}\n{paid:?}\n{stats}", budget.0.join("\n"));
}
