//! What is published, and what happens when streams do not stay as they were.

use acceptance::{Cache, Plan, World, until};

use crate::{BOUND, ended, published, unswept};

#[test]
fn a_lost_group_is_made_again_before_what_is_left() {
    let world = unswept().start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _others = ["dispatcher", "summarizer"].map(|stage| world.stage(stage, stage));
    published(&world, &campaign);
    for partition in 0..campaign.partitions {
        world.cache.run::<i64>(&["XGROUP", "DESTROY", &Cache::stream(&campaign, partition), "payers"]);
    }
    let _payer = world.stage("payer", "payer-1");
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_stream_that_was_lost_after_the_last_batch_is_filled_again() {
    let world = unswept().start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _others = ["dispatcher", "summarizer"].map(|stage| world.stage(stage, stage));
    published(&world, &campaign);
    world.cache.run::<i64>(&["DEL", &Cache::stream(&campaign, 1), &Cache::counts_key(&campaign, 1)]);
    let _payer = world.stage("payer", "payer-1");
    world.completed(&campaign, BOUND);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn what_is_marked_as_published_is_on_its_stream() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let dispatcher = world.launch("dispatcher", "dispatcher").env("PAYOUT_CRASH_POINT", "dispatcher.marked");
    let dispatcher = dispatcher.start().expect("start the dispatcher");
    until("the dispatcher dies", BOUND, || (!dispatcher.is_running()).then_some(()));
    let lasts: Vec<i64> =
        (0..campaign.partitions).map(|partition| world.cache.position(&campaign, partition).0).collect();
    let books = world.books(&campaign);
    let marked: Vec<_> = books.rows.iter().filter(|row| row.publish_status == "PUBLISHED").collect();
    assert!(!marked.is_empty());
    for row in marked {
        let last = lasts[usize::try_from(row.partition).expect("a partition")];
        assert!(row.id <= last, "{} is marked, and its stream ends with {last}", row.id);
    }
}

#[test]
fn a_promotion_that_does_not_add_up_is_not_begun() {
    let world = World::build().set("PAYOUT_DISPATCHER_SETTLE_CHECK", "1s").start();
    let campaign = world.write(&Plan::points("SPRING", 100).claims_more(3));
    let _stages = world.run(1);
    assert_eq!(ended(&world, &campaign), "FAILED");
    assert_eq!(world.money.stat("/charge/total"), 0);
}
