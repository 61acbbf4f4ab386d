//! What becomes of an entry.

use acceptance::{Cache, Plan, World, until};

use crate::{BOUND, published, settled_or_with};

#[test]
fn nothing_is_settled_before_its_row_says_so() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _dispatcher = world.stage("dispatcher", "dispatcher");
    published(&world, &campaign);
    let payer = world.launch("payer", "payer-1").env("PAYOUT_CRASH_POINT", "charging.before_record");
    let payer = payer.start().expect("start the payer");
    until("the payer dies", BOUND, || (!payer.is_running()).then_some(()));
    world.books(&campaign).assert_streams_agree();
}

#[test]
fn what_is_not_final_is_parked_and_not_settled() {
    let world = World::build().money(&["--fail-before", "0.4"]).start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _stages = [("dispatcher", "dispatcher"), ("payer", "payer-1")].map(|(stage, name)| world.stage(stage, name));
    settled_or_with(&world, &campaign, "retry");
    let books = world.books(&campaign);
    books.assert_exactly_once();
    books.assert_streams_agree();
}

#[test]
fn what_succeeds_later_does_not_count_as_a_first_success() {
    let world = World::build().money(&["--too-many", "0.4"]).start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _stages = [("dispatcher", "dispatcher"), ("payer", "payer-1"), ("retrier", "retrier-1")]
        .map(|(stage, name)| world.stage(stage, name));
    until("all is settled", BOUND, || (world.cache.counts(&campaign).settled() == 200).then_some(()));
    let books = world.books(&campaign);
    assert!(books.counts().retry_success > 0);
    books.assert_streams_agree();
}

#[test]
fn garbage_for_a_target_is_held_for_a_person() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 100));
    let first = world.sql.number(&format!(
        "SELECT MIN(point_target_id) FROM {} WHERE promotion_id = {} AND partition_key = 0",
        campaign.targets_table(),
        campaign.id
    ));
    world.cache.run::<String>(&["XADD", &Cache::stream(&campaign, 0), &format!("{first}-0"), "d", "\x01 not a record"]);
    let _stages = world.run(1);
    until("it is held", BOUND, || (world.cache.held(&campaign).get("held") == Some(&1)).then_some(()));
    world.books(&campaign).assert_exactly_once();
}

#[test]
fn a_payer_takes_up_what_its_name_was_given() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _dispatcher = world.stage("dispatcher", "dispatcher");
    let payer = world.launch("payer", "payer-1").env("PAYOUT_CRASH_POINT", "charging.after_charge:20");
    let payer = payer.start().expect("start the payer");
    until("the payer dies", BOUND, || (!payer.is_running()).then_some(()));
    assert!(world.cache.held(&campaign).get("payer-1").is_some_and(|count| *count > 0));
    // There is no retrier to take it instead.
    let _again = world.stage("payer", "payer-1");
    settled_or_with(&world, &campaign, "retry");
    world.books(&campaign).assert_exactly_once();
}
