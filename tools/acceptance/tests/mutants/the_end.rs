//! What repairs, and what ends.

use acceptance::{Cache, Plan, World, until};

use crate::{BOUND, published};

#[test]
fn an_entry_that_was_deleted_from_outside_comes_back() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _others = ["dispatcher", "summarizer"].map(|stage| world.stage(stage, stage));
    published(&world, &campaign);
    let stream = Cache::stream(&campaign, 0);
    let (last, _) = world.cache.position(&campaign, 0);
    assert_eq!(world.cache.run::<i64>(&["XDEL", &stream, &format!("{last}-0")]), 1);
    let _payer = world.stage("payer", "payer-1");
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn counts_alone_complete_nothing() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 100));
    let _dispatcher = world.stage("dispatcher", "dispatcher");
    published(&world, &campaign);
    world.cache.run::<i64>(&["HSET", &Cache::counts_key(&campaign, 0), "success_count", "100"]);
    let _summarizer = world.stage("summarizer", "summarizer");
    until("the counts were believed, or summed up", BOUND, || {
        let summary =
            format!("SELECT success_count FROM campaign_promotion_summary WHERE promotion_id = {}", campaign.id);
        let summed: Vec<(i32,)> = world.sql.rows(&summary);
        (summed == [(100,)]).then_some(())
    });
    let _payer = world.stage("payer", "payer-1");
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn the_keys_go_when_the_end_is_recorded_and_not_before() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 100));
    let _others = [("dispatcher", "dispatcher"), ("payer", "payer-1")].map(|(stage, name)| world.stage(stage, name));
    let summarizer = world.launch("summarizer", "summarizer").env("PAYOUT_CRASH_POINT", "summarizer.keys_removed");
    let summarizer = summarizer.start().expect("start the summarizer");
    until("the summarizer dies", BOUND, || (!summarizer.is_running()).then_some(()));
    assert_eq!(world.status(&campaign).as_deref(), Some("COMPLETED"));
}
