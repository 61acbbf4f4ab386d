//! What is sent to `money`, and when.

use acceptance::{Plan, World, millis, secs, until};
use serde_json::json;

use crate::{BOUND, ended, patient, settled_or_with};

#[test]
fn whoever_died_after_a_call_charges_nobody_blindly() {
    // A money that ignores the key pays whatever is sent to it, so only the look-up keeps anybody from being paid twice.
    let world = World::build().money(&["--ignore-idempotency-key"]).start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _others = [("dispatcher", "dispatcher"), ("retrier", "retrier-1"), ("summarizer", "summarizer")]
        .map(|(stage, name)| world.stage(stage, name));
    let payer = world.launch("payer", "payer-1").env("PAYOUT_CRASH_POINT", "charging.after_charge:20");
    let payer = payer.start().expect("start the payer");
    until("the payer dies", BOUND, || (!payer.is_running()).then_some(()));
    let _again = world.stage("payer", "payer-1");
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_target_without_an_amount_is_never_called() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 100).without_default());
    let _stages = world.run(1);
    assert_eq!(ended(&world, &campaign), "COMPLETED");
    assert_eq!(world.money.stat("/charge/total"), 90);
    world.books(&campaign).assert_exactly_once();
}

#[test]
fn with_a_cancel_attempts_that_run_out_end() {
    let world = patient("2").money(&["--fail-before", "1"]).start();
    let campaign = world.write(&Plan::points("SPRING", 100));
    let _stages = world.run(1);
    world.completed(&campaign, BOUND);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.ledger.count("cancelled"), 100, "{:?}", books.overview());
}

#[test]
fn a_key_that_is_never_answered_for_is_left_to_a_person() {
    let world = patient("100").start();
    world.money.faults(json!({"on": ["charge", "lookup"], "fail_after": 1.0}));
    let campaign = world.write(&Plan::points("SPRING", 40));
    let _stages = world.run(1);
    until("nobody knows of anyone", BOUND, || (campaign.unknown(&world.sql) == 40).then_some(()));
    campaign.age(&world.sql, "2 HOUR");
    settled_or_with(&world, &campaign, "held");
    world.books(&campaign).assert_exactly_once();
}

#[test]
fn a_key_that_money_may_have_forgotten_is_not_sent() {
    // Money forgets after 3 s; two are the product's limit: a minute less the margin.
    let world = World::build()
        .money(&["--lose", "0.3", "--forget-keys-after", "3s"])
        .set("PAYOUT_MONEY_KEY_RETENTION", "1m")
        .set("PAYOUT_MONEY_KEY_RETENTION_MARGIN", "58s")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 100));
    let _others = ["dispatcher", "payer"].map(|stage| world.stage(stage, stage));
    until("everybody was called once", BOUND, || (world.money.stat("/charge/total") == 100).then_some(()));
    // That a key is forgotten shows in time passing.
    std::thread::sleep(secs(4));
    let _retrier = world.stage("retrier", "retrier");
    settled_or_with(&world, &campaign, "held");
    world.books(&campaign).assert_exactly_once();
}

#[test]
fn nothing_is_sent_a_second_after_a_stop() {
    let world = World::build()
        .money(&["--latency-ms", "50"])
        .set("PAYOUT_MONEY_CONCURRENCY", "2")
        .set("PAYOUT_DISPATCHER_WINDOW", "1000")
        // Or what waits for its turn would be given back before the stop could show.
        .set("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "1m")
        .set("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "10m")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 1000));
    let _stages = world.run(1);
    // A payer takes on what it has shown to send in time: by now some seconds' worth, at 40 a second.
    world.paid(200, BOUND);
    let id = campaign.id.to_string();
    world.promoctl(&["promotion", "stop", &id, "--memo", "a wrong amount", "--yes"]).ok().unwrap();
    std::thread::sleep(secs(1));
    let by_then = world.money.stat("/charge/total");
    // That nothing happens shows only in time passing.
    std::thread::sleep(secs(1) + millis(500));
    assert_eq!(world.money.stat("/charge/total"), by_then);
    assert!(by_then < 1000, "it was over before it was stopped");
    world.books(&campaign).assert_exactly_once();
}

#[test]
fn what_a_payer_works_on_is_left_to_it() {
    let world = World::build()
        .money(&["--latency-ms", "300"])
        .set("PAYOUT_MONEY_TIMEOUT", "10s")
        .set("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "1m")
        .set("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "10m")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _stages = world.run(1);
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
    assert_eq!((world.money.stat("/lookup/total"), world.money.stat("/charge/total")), (0, 200));
}
