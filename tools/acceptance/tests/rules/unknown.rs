//! Outcomes that nobody knows: looked up, sent again under the same key, cancelled, and in the end left to a
//! person. Never FAILED without proof.

use std::collections::HashMap;

use acceptance::{Build, Plan, Row, Visit, World, secs, until};
use serde_json::json;

use crate::LONG;

/// A money that fails all the time must not open the breaker: attempts are to run out.
fn patient() -> Build {
    World::build().set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000").set("PAYOUT_RETRY_MAX_ATTEMPTS", "3")
}

/// Requests of each key, in the order of their arrival.
fn by_key(world: &World) -> HashMap<String, Vec<Visit>> {
    let mut keys: HashMap<String, Vec<Visit>> = HashMap::new();
    for visit in world.money.journal() {
        keys.entry(visit.key.clone()).or_default().push(visit);
    }
    keys.values_mut().for_each(|visits| visits.sort_by_key(|visit| visit.at_us));
    keys
}

#[test]
fn a_lost_answer_is_looked_up_before_it_is_paid_again() {
    let world = World::build().money(&["--lose", "0.1", "--fail-before", "0.05"]).start();
    let campaign = world.write(&Plan::points("SPRING", 1000));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    let lost = world.money.stat("/charge/faults/lose");
    assert!(lost > 50, "{lost} answers were lost");
    assert_eq!(world.money.stat("/charge/outcomes/replayed"), 0, "what was paid was sent again");
    for (key, visits) in by_key(&world) {
        for pair in visits.windows(2).filter(|pair| pair[1].kind == "charge") {
            assert_eq!(pair[0].kind, "lookup", "{key}: {visits:?}");
        }
    }
}

#[test]
fn a_charge_behind_a_slow_look_up_is_still_sent() {
    // What the timers leave for waiting is 100 ms, and a look-up takes longer.
    let world = World::build()
        .money(&["--fail-before", "1"])
        .set("PAYOUT_MONEY_TIMEOUT", "1s")
        .set("PAYOUT_STORE_WRITE_TIME", "500ms")
        .set("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "3600ms")
        .set("PAYOUT_MONEY_LIMITER_WAIT", "50ms")
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 20));
    let _stages = world.run(1);
    until("every first attempt has failed", LONG, || {
        (world.money.stat("/charge/faults/fail_before") >= 20).then_some(())
    });
    world.money.faults(json!({"latency_ms": 200}));
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn without_a_look_up_a_lost_answer_is_sent_again_under_the_same_key() {
    let world = World::build().money(&["--lose", "0.1", "--no-lookup"]).set("PAYOUT_MONEY_LOOKUP", "false").start();
    let campaign = world.write(&Plan::points("SPRING", 1000));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    assert!(world.money.stat("/charge/outcomes/replayed") > 50);
    assert_eq!(world.money.stat("/lookup/total"), 0);
}

#[test]
fn without_a_cancel_a_lost_answer_is_found_as_well() {
    let world = World::build().money(&["--lose", "0.1", "--no-cancel"]).set("PAYOUT_MONEY_CANCEL", "false").start();
    let campaign = world.write(&Plan::vouchers("SPRING", 1000));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    assert_eq!(world.money.stat("/cancel/total"), 0);
}

#[test]
fn without_a_cancel_attempts_that_run_out_wait_for_a_person_and_are_never_failed() {
    let world = patient().money(&["--fail-before", "1", "--no-cancel"]).set("PAYOUT_MONEY_CANCEL", "false").start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(2);
    until("all entries are held for a person", LONG, || {
        (world.cache.held(&campaign).get("held") == Some(&300)).then_some(())
    });
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert_eq!(books.with(Some("PENDING")).len(), 300, "{:?}", books.overview());
    assert!(books.rows.iter().all(|row| row.waits_for.as_deref() == Some("UNKNOWN_OUTCOME")), "{:?}", books.overview());
    assert_eq!(world.status(&campaign).as_deref(), Some("IN_PROGRESS"));
    // A person finds out that one was paid after all and that the others were not.
    world.money.heal();
    let id = campaign.id.to_string();
    for row in &books.rows[..2] {
        let target = row.id.to_string();
        let args = ["resolve", &target, "--promotion", &id, "--not-paid", "--reason", "asked the bank", "--yes"];
        world.promoctl(&args).ok().unwrap();
    }
    until("two are settled", LONG, || (world.cache.counts(&campaign).fail == 2).then_some(()));
    world.books(&campaign).assert_exactly_once();
}

#[test]
fn keys_that_are_never_answered_for_are_a_persons_until_they_are_and_hold_up_no_other_promotion() {
    let world = patient().start();
    // Half of the charges are executed, the others are not; no answer says so.
    world.money.faults(json!({"on": ["charge", "lookup"], "fail_before": 0.5, "fail_after": 0.5}));
    let sick = world.write(&Plan::points("SICK", 40));
    let _stages = world.run(1);
    until("nobody knows of anyone", LONG, || (sick.unknown(&world.sql) == 40).then_some(()));
    sick.age(&world.sql, "2 HOUR");
    until("all wait for a person", LONG, || {
        let rows = world.books(&sick).rows;
        rows.iter().all(|row| row.waits_for.as_deref() == Some("UNKNOWN_OUTCOME")).then_some(())
    });
    let books = world.books(&sick);
    books.assert_exactly_once();
    let paid = books.ledger.count("paid");
    assert!(paid > 5 && paid < 35, "{:?}", books.overview());
    // One promotion may run at a time, and this one gives its place up.
    world.money.faults(json!({"on": ["lookup"], "fail_after": 1.0}));
    let other = world.write(&Plan::points("SPRING", 40));
    world.completed(&other, LONG);
    assert_eq!(sick.unknown(&world.sql), 40);
    // A person finds out about one at `money`; the others are asked on.
    let is_paid = |row: &&Row| !books.ledger.paid(&sick.key(row.customer, 1)).is_empty();
    let row = books.rows.iter().find(is_paid).unwrap();
    let key = &books.ledger.paid(&sick.key(row.customer, 1))[0].money_key;
    let (target, id) = (row.id.to_string(), sick.id.to_string());
    let args = ["resolve", &target, "--promotion", &id, "--paid", key, "--reason", "asked the bank", "--yes"];
    world.promoctl(&args).ok().unwrap();
    until("it is settled", LONG, || (world.cache.counts(&sick).settled() == 1).then_some(()));
    // Answers come in the end: who was paid is settled, and who was not is taken back from the person, and paid.
    world.money.heal();
    world.completed(&sick, LONG);
    for campaign in [&sick, &other] {
        world.books(campaign).assert_paid_and_closed();
    }
    let results = sick.results_table();
    let reopened =
        format!("SELECT COUNT(*) FROM {results} WHERE promotion_id = {} AND attempts LIKE '%REOPENED%'", sick.id);
    assert_eq!(world.sql.number(&reopened), 40 - i64::try_from(paid).unwrap());
}

#[test]
fn with_a_cancel_attempts_that_run_out_become_failed_only_when_the_key_is_burnt() {
    let world = patient().money(&["--fail-before", "1"]).unhurried().start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.with(Some("FAILED")).len(), 300, "{:?}", books.overview());
    assert!(books.rows.iter().all(|row| books.ledger.is_closed(&campaign.key(row.customer, 1))));
    assert_eq!(world.money.stat("/cancel/outcomes/cancelled"), 300);
}

#[test]
fn a_cancel_without_an_answer_fails_nobody() {
    let world = patient().money(&["--fail-before", "1", "--on", "charge,cancel"]).start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(1);
    until("everybody's cancel was tried", LONG, || (world.money.stat("/cancel/total") > 900).then_some(()));
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert_eq!(books.with(Some("PENDING")).len(), 300, "{:?}", books.overview());
    assert!(books.rows.iter().all(|row| row.waits_for.is_none()), "{:?}", books.overview());
    // In the end a person is told, and it is asked on.
    campaign.age(&world.sql, "2 HOUR");
    until("all wait for a person", LONG, || (world.cache.held(&campaign).get("held") == Some(&300)).then_some(()));
    world.money.heal();
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.with(Some("FAILED")).len(), books.ledger.count("cancelled"), "{:?}", books.overview());
}

#[test]
fn a_request_that_executes_late_is_never_both_paid_and_failed() {
    // Far longer than a row's attempts take: a request on its way meets a key that was paid or burnt meanwhile.
    let world = patient().money(&["--late", "0.5", "--late-ms", "10000"]).start();
    let campaign = world.write(&Plan::points("SPRING", 1000));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.late_charges_arrived(LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert!(!books.with(Some("FAILED")).is_empty(), "{:?}", books.overview());
    assert!(world.money.stat("/late_stopped") > 0, "no late request met a burnt or used key");
}

#[test]
fn attempts_that_never_reached_execution_may_fail_without_a_cancel() {
    let world =
        patient().money(&["--too-many", "1", "--no-cancel"]).set("PAYOUT_MONEY_CANCEL", "false").unhurried().start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.with(Some("FAILED")).len(), 300, "{:?}", books.overview());
    assert_eq!(world.money.stat("/cancel/total"), 0);
    assert_eq!(books.ledger.count("paid"), 0);
}

#[test]
fn one_unknown_attempt_among_rejected_ones_keeps_a_row_from_failing_without_a_cancel() {
    // Half of the requests are lost before execution, the others rejected: rows with a lost one among their
    // attempts must wait, the others may fail.
    let world = patient()
        .money(&["--too-many", "0.5", "--reset", "0.5", "--no-cancel"])
        .set("PAYOUT_MONEY_CANCEL", "false")
        .unhurried()
        .start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(2);
    until("every row is failed or waits", LONG, || {
        let (held, counts) = (world.cache.held(&campaign), world.cache.counts(&campaign));
        (held.get("held").unwrap_or(&0) + counts.fail == 300).then_some(())
    });
    let books = world.books(&campaign);
    books.assert_exactly_once();
    let resets: HashMap<String, bool> = by_key(&world)
        .into_iter()
        .map(|(key, visits)| (key, visits.iter().any(|visit| visit.fault == "reset")))
        .collect();
    for row in &books.rows {
        let unknown = resets[&campaign.key(row.customer, 1)];
        let expected = if unknown { "PENDING" } else { "FAILED" };
        assert_eq!(row.status.as_deref(), Some(expected), "{row:?}");
    }
    assert!(!books.with(Some("FAILED")).is_empty() && !books.with(Some("PENDING")).is_empty());
}

#[test]
fn every_broken_answer_of_a_payment_ends_in_the_one_payment() {
    let world = World::build().start();
    world.money.faults(json!({
        "fail_after": 0.05, "hang_after": 0.03, "hang_ms": 2000, "garbage": 0.05, "truncate": 0.05, "oversize": 0.02,
        "drip": 0.02, "drip_ms": 50, "unavailable": 0.03, "too_many": 0.03, "reset": 0.03, "hang_before": 0.03,
        "on": ["charge", "lookup", "cancel"]
    }));
    let campaign = world.write(&Plan::vouchers("SPRING", 600));
    let _stages = world.run(2);
    until("most are paid", LONG, || (world.money.paid() >= 550).then_some(()));
    world.money.heal();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
}

#[test]
fn nothing_is_sent_once_money_may_have_forgotten_the_key() {
    // Money forgets after 6 s; five are the product's limit: a minute less the margin.
    let world = World::build()
        .money(&["--lose", "0.3", "--too-many", "0.1", "--forget-keys-after", "6s"])
        .set("PAYOUT_MONEY_KEY_RETENTION", "1m")
        .set("PAYOUT_MONEY_KEY_RETENTION_MARGIN", "55s")
        .unhurried()
        .start();
    let campaign = world.write(&Plan::points("SPRING", 400));
    let _others = ["dispatcher", "payer", "summarizer"].map(|stage| world.stage(stage, stage));
    until("everybody was called once", LONG, || (world.money.stat("/charge/total") == 400).then_some(()));
    std::thread::sleep(secs(7));
    let _retrier = world.stage("retrier", "retrier");
    let open = 400 - world.books(&campaign).with(Some("SUCCESS")).len() as i64;
    until("what is open waits for a person", LONG, || {
        (world.cache.held(&campaign).get("held") == Some(&open)).then_some(())
    });
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert!(books.with(Some("FAILED")).is_empty(), "{:?}", books.overview());
    let waiting = books.rows.iter().filter(|row| row.waits_for.as_deref() == Some("KEY_EXPIRED")).count();
    assert_eq!(waiting as i64, open, "{:?}", books.overview());
    assert_eq!(world.money.stat("/charge/total"), 400, "a key was sent after its time");
}

#[test]
fn a_promotion_that_waits_for_people_keeps_no_other_from_being_paid() {
    // As many streams as one read takes, each with something that nobody but a person can close.
    let world = World::build().money(&["--refuse", "1"]).set("PAYOUT_MONEY_FINAL_ERROR_CODES", "").start();
    let waiting = world.write(&Plan::points("WAITS", 640).partitions(64));
    let _stages = world.run(1);
    until("all of it is held", LONG, || (world.cache.held(&waiting).get("held") == Some(&640)).then_some(()));
    world.money.heal();
    let next = world.write(&Plan::points("SPRING", 100));
    world.completed(&next, LONG);
    world.books(&next).assert_paid_and_closed();
    assert_eq!(world.status(&waiting).as_deref(), Some("IN_PROGRESS"));
}

#[test]
fn look_ups_that_never_end_keep_the_retrier_from_no_other_entry() {
    // As many keys as keep all of its connections asking, again and again, at one pace for as long as it lasts.
    let world = patient()
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "100")
        .set("PAYOUT_MONEY_CONCURRENCY", "4")
        .set("PAYOUT_DISPATCHER_MAX_ACTIVE", "2")
        .set("PAYOUT_RETRY_BACKOFF_CAP", "100ms")
        .start();
    world.money.faults(json!({"on": ["charge", "lookup"], "hang_after": 1.0}));
    let sick = world.write(&Plan::points("SICK", 40));
    let _stages = world.run(1);
    until("each was charged", LONG, || (world.money.stat("/charge/faults/hang_after") >= 40).then_some(()));
    // What is known not to have been executed is charged again without a look-up.
    world.money.faults(json!({"on": ["charge", "lookup"], "too_many": 1.0}));
    let other = world.write(&Plan::points("SPRING", 40));
    until("each of the other was turned away", LONG, || {
        (world.money.stat("/charge/faults/too_many") >= 40).then_some(())
    });
    world.money.faults(json!({"on": ["lookup"], "hang_before": 1.0}));
    world.completed(&other, LONG);
    world.books(&other).assert_paid_and_closed();
    assert_eq!(world.status(&sick).as_deref(), Some("IN_PROGRESS"));
}

#[test]
fn look_ups_that_never_end_keep_the_retrier_from_nothing_else_in_their_partition() {
    let world = patient()
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "100")
        .set("PAYOUT_MONEY_CONCURRENCY", "4")
        .set("PAYOUT_RETRY_BACKOFF_CAP", "100ms")
        .start();
    world.money.faults(json!({"on": ["charge", "lookup"], "hang_after": 0.4, "too_many": 0.6}));
    let campaign = world.write(&Plan::points("SPRING", 120).partitions(1));
    let _stages = world.run(1);
    let results = campaign.results_table();
    let count = |rows: &str| world.sql.number(&format!("SELECT COUNT(*) FROM {results} WHERE {rows}"));
    until("each was begun", LONG, || (count("TRUE") == 120).then_some(()));
    world.money.faults(json!({"on": ["lookup"], "hang_before": 1.0}));
    // Those whose charge may have been executed are looked up for ever, and there are more of them than connections.
    until("all others are paid", LONG, || {
        (count("process_status = 'SUCCESS' OR (process_status = 'PENDING' AND may_have_executed = 1)") == 120)
            .then_some(())
    });
    let unknown = count("process_status = 'PENDING'");
    assert!(unknown > 16 && count("process_status = 'SUCCESS'") > 16, "{unknown} unknown");
}

/// Pauses between each look-up of a key and the next, in ms.
fn pauses(visits: &[Visit]) -> Vec<(&Visit, u64)> {
    let look_ups: Vec<&Visit> = visits.iter().filter(|visit| visit.kind == "lookup").collect();
    look_ups.windows(2).map(|pair| (pair[0], (pair[1].at_us - pair[0].at_us) / 1000)).collect()
}

#[test]
fn look_ups_without_an_answer_come_less_and_less_often_and_are_never_taken_for_poison() {
    // The fourth wait and all after it are 800 ms, less a jitter of a quarter: as far as a quarter of twelve goes.
    let world = patient()
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "100")
        .set("PAYOUT_RETRY_POISON_DELIVERIES", "12")
        .set("PAYOUT_RETRY_BACKOFF_CAP", "10s")
        .unhurried()
        .set("PAYOUT_MONEY_TIMEOUT", "200ms")
        .start();
    world.money.faults(json!({"on": ["charge", "lookup"], "hang_after": 1.0}));
    let campaign = world.write(&Plan::points("SPRING", 20));
    let stages = world.run(1);
    until("each was looked up more often than would show that it crashes consumers", LONG, || {
        let keys = by_key(&world);
        (keys.len() == 20 && keys.values().all(|visits| pauses(visits).len() > 13)).then_some(())
    });
    for (key, visits) in by_key(&world) {
        for ((_, pause), least) in pauses(&visits).into_iter().zip([150, 300, 600].into_iter().chain([600].repeat(100)))
        {
            assert!(pause >= least, "{key}: {pause} ms, {visits:?}");
        }
    }
    assert_eq!(stages.retrier.metric("payout_quarantined_total", ""), 0.0);
    world.money.heal();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_key_that_is_executing_is_left_alone_for_as_long_as_money_asks() {
    let world = patient().set("PAYOUT_RETRY_BACKOFF_CAP", "10s").unhurried().start();
    // The charges have drawn their latency when the look-ups come.
    world.money.faults(json!({"latency_ms": 12000}));
    let campaign = world.write(&Plan::points("SPRING", 20));
    let _stages = world.run(1);
    until("all are executing", LONG, || (world.money.rate()["total"].as_u64() >= Some(20)).then_some(()));
    world.money.faults(json!({"retry_after_s": 2}));
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    let keys = by_key(&world);
    let told: Vec<(&Visit, u64)> =
        keys.values().flat_map(|visits| pauses(visits)).filter(|(visit, _)| visit.outcome == "in_progress").collect();
    assert!(told.len() >= 20, "{} look-ups found a key executing", told.len());
    assert!(told.iter().all(|(_, pause)| *pause >= 2000), "{told:?}");
}

#[test]
fn a_refusal_that_is_not_on_the_list_waits_and_is_judged_again_when_it_is() {
    let world = patient().money(&["--refuse", "0.3", "--refuse-code", "ACCOUNT_CLOSED"]).start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let stages = world.run(2);
    until("all others are paid, and the refused ones wait", LONG, || {
        let open = 300 - world.cache.counts(&campaign).settled();
        (open > 0 && world.cache.held(&campaign).get("held") == Some(&open)).then_some(())
    });
    let books = world.books(&campaign);
    books.assert_exactly_once();
    let refused = books.ledger.count("declined");
    let waiting = books.rows.iter().filter(|row| row.waits_for.as_deref() == Some("REFUSAL_NOT_FINAL")).count();
    assert_eq!((waiting, books.with(Some("FAILED")).len()), (refused, 0), "{:?}", books.overview());
    stages.retrier.kill();
    let listed = world.launch("retrier", "retrier-2").env("PAYOUT_MONEY_FINAL_ERROR_CODES", "ACCOUNT_CLOSED");
    let _retrier = listed.start().unwrap();
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.with(Some("FAILED")).len(), refused, "{:?}", books.overview());
}
