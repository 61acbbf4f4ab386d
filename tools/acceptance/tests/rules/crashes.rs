//! Processes and servers that die in the middle: nothing is lost, nothing is paid twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use acceptance::{Build, Cache, Campaign, Plan, World, millis, secs, until};
use servers::RedisOptions;

use crate::LONG;

/// Targets of the run in which everything dies; `ACCEPTANCE_TARGETS=200000` with `--release` is the whole of it.
const TARGETS: u32 = 20_000;

/// Slow enough to be interrupted: two payers make some thousand payouts a second.
fn slow() -> Build {
    World::build().money(&["--latency-ms", "10", "--jitter-ms", "20"]).set("PAYOUT_DISPATCHER_WINDOW", "400")
}

#[test]
fn a_payer_that_was_killed_and_restarted_under_its_name_pays_on() {
    let world = slow().start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let stages = world.run(2);
    for at in [500, 1000, 1500] {
        world.paid(at, LONG);
        stages.payers[0].kill_and_restart();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn what_a_dead_payer_held_is_taken_over_by_the_retrier() {
    let world = slow().set("PAYOUT_MONEY_CONCURRENCY", "8").start();
    let campaign = world.write(&Plan::vouchers("SPRING", 2000));
    let stages = world.run(2);
    world.paid(500, LONG);
    let left = world.freeze_holding(&stages.payers[1], &campaign);
    stages.payers[1].kill();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    let taken = stages.retrier.metric("payout_retries_total", "reason=\"abandoned\"");
    assert!(taken >= left as f64 / 2.0, "the retrier took {taken} of {left}");
}

#[test]
fn dispatcher_retrier_and_summarizer_may_die_at_any_time() {
    let world = slow().money(&["--fail-before", "0.1", "--lose", "0.05"]).start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let stages = world.run(2);
    for (at, stage) in [
        (300, &stages.dispatcher),
        (600, &stages.retrier),
        (900, &stages.summarizer),
        (1200, &stages.dispatcher),
        (1800, &stages.retrier),
        (2400, &stages.summarizer),
    ] {
        world.paid(at, LONG);
        stage.kill_and_restart();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn what_waits_while_the_database_is_away_does_not_pass_for_an_entry_that_crashes_consumers() {
    nothing_is_quarantined_while(
        World::build().own_mysql().set("PAYOUT_STORE_ACQUIRE_TIMEOUT", "300ms"),
        |world, _| world.mysql().kill9().unwrap(),
        |world, _| world.mysql().restart().unwrap(),
    );
}

#[test]
fn what_waits_while_the_database_takes_no_write_does_not_pass_for_an_entry_that_crashes_consumers() {
    // It answers every question, and refuses each intent.
    let rename = |world: &World, campaign: &Campaign, from: &str, to: &str| {
        world.sql.execute(&format!("ALTER TABLE {} RENAME COLUMN {from} TO {to}", campaign.results_table()));
    };
    nothing_is_quarantined_while(
        World::build(),
        |world, campaign| rename(world, campaign, "room", "gone"),
        |world, campaign| rename(world, campaign, "gone", "room"),
    );
}

/// Breaks the database while entries are being tried again, and mends it.
fn nothing_is_quarantined_while(build: Build, breaks: impl Fn(&World, &Campaign), mends: impl Fn(&World, &Campaign)) {
    let world = build
        .money(&["--fail-before", "1"])
        .set("PAYOUT_RETRY_POISON_DELIVERIES", "2")
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 50));
    let stages = world.run(1);
    until("the retrier has begun", LONG, || (world.money.stat("/charge/faults/fail_before") > 100).then_some(()));
    breaks(&world, &campaign);
    world.money.heal();
    // That nothing is counted shows only in time passing: six visibility timeouts.
    std::thread::sleep(secs(15));
    mends(&world, &campaign);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    assert_eq!(stages.retrier.metric("payout_quarantined_total", ""), 0.0);
}

#[test]
fn a_promotion_whose_keys_somebody_has_broken_keeps_no_other_from_being_paid() {
    let world = World::build().money(&["--latency-ms", "20"]).set("PAYOUT_DISPATCHER_MAX_ACTIVE", "2").start();
    let broken = world.write(&Plan::points("BROKEN", 2000));
    let _stages = world.run(1);
    world.paid(100, LONG);
    world.cache.run::<i64>(&["HSET", &Cache::counts_key(&broken, 0), "success_count", "many"]);
    let other = world.write(&Plan::points("SPRING", 100));
    world.completed(&other, LONG);
    world.books(&other).assert_paid_and_closed();
    world.books(&broken).assert_exactly_once();
}

#[test]
fn marks_that_died_with_the_dispatcher_are_set_when_the_promotion_ends() {
    let world = World::plain();
    let campaign = world.write(&Plan::vouchers("SPRING", 200).without_default());
    let launch = world.launch("dispatcher", "dispatcher").env("PAYOUT_CRASH_POINT", "dispatcher.published:1");
    let armed = launch.start().unwrap();
    let marked = |mark: &str| {
        let table = campaign.targets_table();
        world.sql.number(&format!("SELECT COUNT(*) FROM {table} WHERE publish_status = '{mark}'"))
    };
    until("the dispatcher dies behind the last batch", LONG, || (!armed.is_running()).then_some(()));
    assert_eq!(marked("PENDING"), 200);
    let _others =
        [world.stage("payer", "payer-1"), world.stage("retrier", "retrier"), world.stage("summarizer", "summarizer")];
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    let unpayable = books.with(Some("FAILED")).len() as i64;
    assert!(unpayable > 0);
    assert_eq!((marked("PUBLISHED"), marked("FAILED")), (200 - unpayable, unpayable));
}

#[test]
fn a_redis_that_was_killed_costs_time_and_no_payment() {
    let world = slow().own_redis(RedisOptions::default()).start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let _stages = world.run(2);
    for at in [600, 1800] {
        world.paid(at, LONG);
        world.redis().kill9().unwrap();
        world.redis().restart().unwrap();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_database_that_was_killed_costs_time_and_no_payment() {
    let world = slow().own_mysql().start();
    let campaign = world.write(&Plan::vouchers("SPRING", 3000));
    let _stages = world.run(2);
    for at in [600, 1800] {
        world.paid(at, LONG);
        world.mysql().kill9().unwrap();
        world.mysql().restart().unwrap();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_redis_that_was_emptied_is_filled_again_and_public_counts_never_fall() {
    let world = slow().own_redis(RedisOptions::default()).start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let stages = world.run(2);
    world.paid(300, LONG);
    let falls = watching_the_public_hash(&world, &campaign, || {
        for at in [1000, 2000] {
            world.paid(at, LONG);
            world.cache.run::<()>(&["FLUSHALL"]);
            if at == 2000 {
                // What it has seen dies with it; the summary row still knows.
                stages.summarizer.kill_and_restart();
            }
        }
        world.completed(&campaign, LONG);
    });
    world.books(&campaign).assert_paid_and_closed();
    assert!(falls.is_empty(), "settled targets, by the public hash, fell (from, to): {falls:?}");
}

#[test]
fn the_public_hash_of_an_ended_promotion_comes_back_after_a_flush() {
    let world = slow().own_redis(RedisOptions::default()).start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    let summary = until("it has a summary", LONG, || world.summary_id(&campaign));
    let before = world.cache.public(summary);
    world.cache.run::<()>(&["FLUSHALL"]);
    until("the hash is there again", secs(20), || {
        let after = world.cache.public(summary);
        let same = ["total_count", "published_count", "success_count"]
            .iter()
            .all(|name| after.get(*name) == before.get(*name));
        same.then_some(())
    });
    // Nor does what a replica wrote late, which did not know of the end, stay for ever.
    let key = format!("campaign_promotion_summary:{summary}");
    world.cache.run::<i64>(&["HSET", &key, "success_count", "1"]);
    world.cache.run::<i64>(&["PERSIST", &key]);
    until("the hash is right again, and ends", secs(20), || {
        let same = world.cache.public(summary).get("success_count") == before.get("success_count");
        (same && world.cache.run::<i64>(&["TTL", &key]) > 0).then_some(())
    });
    // One from before a requeue has a time to live, other figures, and the time of the end before.
    world.cache.run::<i64>(&["HSET", &key, "fail_count", "3", "last_completed_at", "20200101000000"]);
    until("the hash has the figures of the end", secs(20), || {
        let hash = world.cache.public(summary);
        let later = hash.get("last_completed_at").is_some_and(|at| at.as_str() > "20200101000000");
        (hash.get("fail_count") == before.get("fail_count") && later).then_some(())
    });
    // Days later, for as long as the hash is promised.
    world.sql.execute(&format!(
        "UPDATE campaign_promotion_summary SET completed_at = completed_at - INTERVAL 3 DAY WHERE promotion_id = {}",
        campaign.id
    ));
    world.cache.run::<()>(&["FLUSHALL"]);
    until("the hash is there again", secs(20), || {
        let after = world.cache.public(summary);
        (after.get("success_count") == before.get("success_count")).then_some(())
    });
    let left = world.cache.run::<i64>(&["TTL", &key]);
    assert!((1..=4 * 86_400).contains(&left), "{left} s of the seven days are left after three");
    world.books(&campaign).assert_paid_and_closed();
}

/// Reads the public hash again and again while `act` runs; gives each fall of what it says is settled.
fn watching_the_public_hash(world: &World, campaign: &Campaign, act: impl FnOnce()) -> BTreeSet<(i64, i64)> {
    let summary = until("it was started", LONG, || world.summary_id(campaign));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut highest, mut falls) = (0, BTreeSet::new());
            while !over.load(Ordering::Relaxed) {
                let hash = world.cache.public(summary);
                let settled: i64 = ["success_count", "retry_success_count", "fail_count"]
                    .iter()
                    .map(|name| hash.get(*name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0))
                    .sum();
                // Right after FLUSHALL there is no hash at all: that is not a figure.
                if !hash.is_empty() && settled < highest {
                    falls.insert((highest, settled));
                }
                highest = highest.max(settled);
                std::thread::sleep(millis(2));
            }
            falls
        });
        // However `act` ends, the watcher must end too, or a failed test would hang.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        over.store(true, Ordering::Relaxed);
        let falls = watcher.join().expect("the watcher reads on");
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        falls
    })
}

/// What the product is for. With 200,000 targets and the binaries that are shipped:
/// `ACCEPTANCE_TARGETS=200000 cargo test --release -p acceptance everything_dies_once`.
#[test]
fn everything_dies_once_and_every_target_is_paid_exactly_once() {
    let targets: u32 = std::env::var("ACCEPTANCE_TARGETS").map_or(TARGETS, |text| text.parse().expect("a number"));
    let bound = secs(90 + u64::from(targets) / 500);
    let world = World::build()
        .own_redis(RedisOptions::default())
        .own_mysql()
        .money(&["--latency-ms", "10", "--fail-before", "0.02", "--refuse", "0.005", "--lose", "0.002"])
        .set("PAYOUT_DISPATCHER_MAX_ACTIVE", "2")
        .set("PAYOUT_DISPATCHER_WINDOW", &(targets / 16).to_string())
        .start();
    let campaigns =
        [world.write(&Plan::points("SPRING", targets / 2)), world.write(&Plan::vouchers("SUMMER", targets / 2))];
    let stages = world.run(2);
    let acts: [(&str, &dyn Fn()); 7] = [
        ("payer", &|| stages.payers[0].kill_and_restart()),
        ("retrier", &|| stages.retrier.kill_and_restart()),
        // While both promotions run: neither can be over at a third of all targets.
        ("FLUSHALL", &|| world.cache.run::<()>(&["FLUSHALL"])),
        ("dispatcher", &|| stages.dispatcher.kill_and_restart()),
        ("Redis", &|| {
            world.redis().kill9().unwrap();
            world.redis().restart().unwrap();
        }),
        ("summarizer", &|| stages.summarizer.kill_and_restart()),
        ("MySQL", &|| {
            world.mysql().kill9().unwrap();
            world.mysql().restart().unwrap();
        }),
    ];
    for (number, (what, act)) in (1..).zip(acts) {
        world.paid(u64::from(targets) * number / 9, bound);
        let running = campaigns.iter().any(|campaign| world.status(campaign).as_deref() == Some("IN_PROGRESS"));
        assert!(running, "all was paid before it was the turn of {what}");
        act();
    }
    for campaign in &campaigns {
        world.completed(campaign, bound);
        let books = world.books(campaign);
        books.assert_closed();
        assert!(
            books.with(Some("FAILED")).iter().all(|row| { books.ledger.is_closed(&campaign.key(row.customer, 1)) })
        );
    }
}
