//! What an answer of `money` proves, and what it does not.

use acceptance::{Build, Plan, World, until};
use serde_json::json;

use crate::{BOUND, ended, patient, settled_or_with};

const TARGETS: u32 = 100;

/// Everybody is paid in the end, once.
fn pays_everybody(build: Build) {
    let world = build.start();
    let campaign = world.write(&Plan::points("SPRING", TARGETS));
    let _stages = world.run(1);
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_charge_that_is_not_answered_in_time_has_not_failed() {
    pays_everybody(World::build().money(&["--hang-after", "0.2", "--hang-ms", "3000"]));
}

#[test]
fn a_charge_whose_answer_was_lost_has_not_failed() {
    pays_everybody(World::build().money(&["--lose", "0.3"]));
}

#[test]
fn a_charge_answered_503_has_not_failed() {
    pays_everybody(World::build().money(&["--fail-after", "0.3", "--fail-status", "503"]));
}

#[test]
fn a_charge_answered_500_may_have_been_executed() {
    pays_everybody(patient("2").money(&["--fail-after", "1", "--no-cancel"]).set("PAYOUT_MONEY_CANCEL", "false"));
}

#[test]
fn a_charge_answered_429_is_tried_again() {
    pays_everybody(World::build().money(&["--too-many", "0.3"]));
}

#[test]
fn a_money_that_rejects_us_fails_the_promotion_and_nobody_in_it() {
    let world = World::plain();
    world.money.faults(json!({"unauthorized": true}));
    let campaign = world.write(&Plan::points("SPRING", TARGETS));
    let _stages = world.run(1);
    assert_eq!(ended(&world, &campaign), "FAILED");
    let books = world.books(&campaign);
    assert!(books.with(Some("FAILED")).is_empty(), "{:?}", books.overview());
}

#[test]
fn a_key_that_was_not_seen_may_still_be_paid() {
    // Later than the retrier's first look-up, which may take a second to come.
    let world = World::build().money(&["--late", "0.5", "--late-ms", "2000"]).start();
    let campaign = world.write(&Plan::points("SPRING", TARGETS));
    let _stages = world.run(1);
    world.completed(&campaign, BOUND);
    // The last of them is still on its way when the promotion is completed.
    world.late_charges_arrived(BOUND);
    world.books(&campaign).assert_closed();
}

#[test]
fn a_cancel_that_was_not_answered_fails_nobody() {
    let world = patient("2").money(&["--fail-before", "1", "--on", "charge,cancel"]).start();
    let campaign = world.write(&Plan::points("SPRING", TARGETS));
    let _stages = world.run(1);
    until("cancels were tried again, or taken for acknowledged", BOUND, || {
        let again = world.money.stat("/cancel/total") >= 2 * u64::from(TARGETS);
        (again || world.cache.counts(&campaign).fail > 0 || world.status(&campaign)? == "COMPLETED").then_some(())
    });
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert!(books.with(Some("FAILED")).is_empty(), "{:?}", books.overview());
}

#[test]
fn a_refusal_that_is_not_on_the_list_fails_nobody() {
    let world = patient("2").money(&["--refuse", "0.3", "--refuse-code", "ACCOUNT_CLOSED"]).start();
    let campaign = world.write(&Plan::points("SPRING", TARGETS));
    // Without a summarizer nothing is completed, and its figures stay.
    let _stages = [("dispatcher", "dispatcher"), ("payer", "payer-1"), ("retrier", "retrier-1")]
        .map(|(stage, name)| world.stage(stage, name));
    settled_or_with(&world, &campaign, "held");
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert!(books.with(Some("FAILED")).is_empty(), "{:?}", books.overview());
}

#[test]
fn attempts_that_run_out_fail_nobody_without_a_cancel() {
    let world = patient("2")
        .money(&["--fail-after", "1", "--no-cancel", "--no-lookup"])
        .set("PAYOUT_MONEY_CANCEL", "false")
        .set("PAYOUT_MONEY_LOOKUP", "false")
        .start();
    let campaign = world.write(&Plan::points("SPRING", TARGETS));
    let _stages = [("dispatcher", "dispatcher"), ("payer", "payer-1"), ("retrier", "retrier-1")]
        .map(|(stage, name)| world.stage(stage, name));
    settled_or_with(&world, &campaign, "held");
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert_eq!(books.with(Some("PENDING")).len(), TARGETS as usize, "{:?}", books.overview());
}
