//! What people do to a running campaign.

use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::{Campaign, Plan, World, millis, secs};

use crate::LONG;

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Charges that arrived later than a second after the stop, while it lasted.
fn charges_after(world: &World, stopped_us: u64) -> Vec<u64> {
    let late = stopped_us + 1_000_000;
    let charges = world.money.journal().into_iter().filter(|visit| visit.kind != "lookup" && visit.at_us > late);
    charges.map(|visit| visit.at_us - stopped_us).collect()
}

/// As another system, or an administrator, would do it by hand.
fn move_by_sql(world: &World, campaign: &Campaign, from: &str, to: &str) {
    let moved = world.sql.execute(&format!(
        "UPDATE campaign_promotions SET promotion_status = '{to}', updated_at = NOW() \
         WHERE promotion_id = {} AND promotion_status = '{from}'",
        campaign.id
    ));
    assert_eq!(moved, 1);
}

#[test]
fn nothing_is_sent_a_second_after_a_stop_and_a_resume_goes_on() {
    let world = World::build()
        .money(&["--latency-ms", "40", "--fail-before", "0.1", "--lose", "0.02"])
        .set("PAYOUT_MONEY_CONCURRENCY", "8")
        .set("PAYOUT_DISPATCHER_WINDOW", "500")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 2000));
    let _stages = world.run(2);
    let id = campaign.id.to_string();
    for (at, by_sql) in [(300, true), (900, false)] {
        world.paid(at, LONG);
        if by_sql {
            move_by_sql(&world, &campaign, "IN_PROGRESS", "STOPPED");
        } else {
            world.promoctl(&["promotion", "stop", &id, "--memo", "a wrong amount", "--yes"]).ok().unwrap();
            assert_eq!(world.memo(&campaign), "a wrong amount");
        }
        let stopped = now_us();
        // That nothing happens shows only in time passing: longer than any backoff, timeout or sweep.
        std::thread::sleep(secs(4) + millis(500));
        assert_eq!(world.status(&campaign).as_deref(), Some("STOPPED"));
        let late = charges_after(&world, stopped);
        assert!(late.is_empty(), "charges so many µs after the stop: {late:?}");
        assert!(world.money.paid() < 2000, "all was paid before the stop");
        let books = world.books(&campaign);
        books.assert_exactly_once();
        books.assert_streams_agree();
        if by_sql {
            move_by_sql(&world, &campaign, "STOPPED", "IN_PROGRESS");
        } else {
            world.promoctl(&["promotion", "resume", &id, "--reason", "it was right", "--yes"]).ok().unwrap();
        }
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_promotion_stopped_before_its_start_goes_back_to_the_queue() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let id = campaign.id.to_string();
    world.promoctl(&["promotion", "stop", &id, "--memo", "not yet", "--yes"]).ok().unwrap();
    let _stages = world.run(1).ready();
    assert_eq!(world.status(&campaign).as_deref(), Some("STOPPED"));
    world.promoctl(&["promotion", "resume", &id, "--reason", "now", "--yes"]).ok().unwrap();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn two_dispatchers_at_once_publish_every_target_once() {
    let world = World::build().set("PAYOUT_DISPATCHER_WINDOW", "200").set("PAYOUT_DISPATCHER_PAGE", "100").start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let _second = world.stage("dispatcher", "dispatcher-2");
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_paid_and_closed();
    // With a money that makes no mistakes, an entry that was published twice would show as a second request.
    assert_eq!(world.money.stat("/charge/total"), 3000);
    assert_eq!(books.counts().success, 3000);
}

#[test]
fn two_of_every_stage_at_once_pay_what_one_of_each_would() {
    let world = World::build()
        .money(&["--fail-before", "0.05", "--lose", "0.05", "--refuse", "0.02"])
        .set("PAYOUT_DISPATCHER_WINDOW", "300")
        .start();
    let campaign = world.write(&Plan::vouchers("SPRING", 2000));
    let _others = ["dispatcher", "retrier", "summarizer"].map(|stage| world.stage(stage, &format!("{stage}-b")));
    let _stages = world.run(3);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.with(Some("FAILED")).len(), books.ledger.count("declined"), "{:?}", books.overview());
}

#[test]
fn the_products_own_audit_agrees_with_the_judge() {
    let world = World::build().money(&["--fail-before", "0.05", "--lose", "0.05", "--refuse", "0.02"]).start();
    let campaign = world.write(&Plan::points("SPRING", 1000));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
    let (id, url) = (campaign.id.to_string(), world.money.url());
    world.promoctl(&["audit", &id, "--ledger", &url]).ok().unwrap();
}
