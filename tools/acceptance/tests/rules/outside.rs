//! What others do to our keys: strangers' entries, deleted and acknowledged entries, dropped consumers. The
//! partition goes on, and the sweep heals.

use acceptance::{Cache, Campaign, Plan, World, millis, until};

use crate::LONG;

/// Targets of a partition, ascending.
fn targets(world: &World, campaign: &Campaign, partition: u32) -> Vec<i64> {
    let rows: Vec<(i64,)> = world.sql.rows(&format!(
        "SELECT {id} FROM {} WHERE promotion_id = {} AND partition_key = {partition} ORDER BY 1",
        campaign.targets_table(),
        campaign.id,
        id = campaign.id_column(),
    ));
    rows.into_iter().map(|(id,)| id).collect()
}

/// Waits until the dispatcher has published everything.
fn published(world: &World, campaign: &Campaign) {
    until("all is published", LONG, || {
        (world.cache.counts(campaign).published == i64::from(campaign.targets)).then_some(())
    });
}

#[test]
fn garbage_for_a_target_is_quarantined_and_the_partition_goes_on() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 600));
    // Where the dispatcher will continue: behind the first target, whose entry says nothing.
    let first = targets(&world, &campaign, 0)[0];
    let stream = Cache::stream(&campaign, 0);
    world.cache.run::<String>(&["XADD", &stream, &format!("{first}-0"), "d", "\x01 not a record"]);
    let stages = world.run(2);
    until("all others are paid", LONG, || (world.money.paid() == 599).then_some(()));
    until("it is held", LONG, || (world.cache.held(&campaign).get("held") == Some(&1)).then_some(()));
    let books = world.books(&campaign);
    books.assert_exactly_once();
    let row = books.rows.iter().find(|row| row.id == first).unwrap();
    let found = (row.status.as_deref(), row.waits_for.as_deref(), row.error_code.as_deref());
    assert_eq!(found, (Some("PENDING"), Some("POISON"), Some("UNDECODABLE")));
    // Subscribers hear of it once, although it is taken up again and again.
    let taken = || stages.retrier.metric("payout_quarantined_total", "") >= 3.0;
    until("it was taken up again", LONG, || taken().then_some(()));
    let letters: Vec<(String, Vec<Vec<u8>>)> = world.cache.run(&["XRANGE", &Cache::dead(&campaign, 0), "-", "+"]);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].1[1].windows(11).any(|bytes| bytes == b"UNDECODABLE"));
    // A person closes it, and the promotion ends.
    let (target, id) = (first.to_string(), campaign.id.to_string());
    let args = ["resolve", &target, "--promotion", &id, "--not-paid", "--reason", "never sent", "--yes"];
    world.promoctl(&args).ok().unwrap();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
}

#[test]
fn whatever_stands_for_a_target_is_quarantined_under_its_name_or_left_for_a_newer_binary() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 600));
    // Under the id of each partition's first target: a megabyte, an array of four billion elements, the record of
    // another promotion, and one of a later version.
    let long = vec![0x91; 1 << 20];
    let later = b"\x96\x02\xa5POINT\x01\x01\x01\xa3new";
    let values: [&[u8]; 4] = [&long, b"\xdd\xff\xff\xff\xff", b"\x95\x01\xa5POINT\xcd\x27\x0f\xcd\x27\x0f\x00", later];
    let firsts: Vec<i64> = (0..4).map(|partition| targets(&world, &campaign, partition)[0]).collect();
    for ((partition, value), first) in (0..).zip(values).zip(&firsts) {
        let mut command = redis::cmd("XADD");
        command.arg(Cache::stream(&campaign, partition)).arg(format!("{first}-0")).arg("d").arg(value);
        world.cache.send::<String>(&command).unwrap();
    }
    let _stages = world.run(2);
    until("all others are paid", LONG, || (world.money.paid() == 596).then_some(()));
    let holds = |name: &str, count: i64| (world.cache.held(&campaign).get(name) == Some(&count)).then_some(());
    until("three are held", LONG, || holds("held", 3));
    until("the later one is parked", LONG, || holds("retry", 1));
    let books = world.books(&campaign);
    books.assert_exactly_once();
    let found = |id: &i64| {
        let row = books.rows.iter().find(|row| row.id == *id).unwrap();
        (row.status.as_deref(), row.waits_for.as_deref(), row.error_code.as_deref())
    };
    for first in &firsts[..3] {
        assert_eq!(found(first), (Some("PENDING"), Some("POISON"), Some("UNDECODABLE")));
    }
    assert_eq!(found(&firsts[3]), (None, None, None), "nothing is recorded about what only a newer binary can read");
    // No newer binary comes, and somebody deletes the entry: its id still names the target, and that it was put off
    // for so long does not make it look like one that crashes its consumers.
    world.cache.run::<i64>(&["XDEL", &Cache::stream(&campaign, 3), &format!("{}-0", firsts[3])]);
    until("it is paid", LONG, || (world.money.paid() == 597).then_some(()));
    for first in &firsts[..3] {
        let (target, id) = (first.to_string(), campaign.id.to_string());
        let args = ["resolve", &target, "--promotion", &id, "--not-paid", "--reason", "never sent", "--yes"];
        world.promoctl(&args).ok().unwrap();
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
}

#[test]
fn entries_of_strangers_neither_stop_a_partition_nor_skip_a_target() {
    let world = World::build().set("PAYOUT_DISPATCHER_WINDOW", "100").money(&["--latency-ms", "20"]).start();
    let campaign = world.write(&Plan::points("SPRING", 1200));
    let _stages = world.run(2);
    world.paid(200, LONG);
    // Another program's entry, with a time as its id: far above any target's.
    world.cache.run::<String>(&["XADD", &Cache::stream(&campaign, 0), "*", "d", "hello"]);
    // A record of another promotion, without our field, empty, and of a later version.
    let other = b"\x95\x01\xa5POINT\xcd\x27\x0f\xcd\x27\x0f\x00";
    let key = Cache::stream(&campaign, 1);
    let add = |field: &str, value: &[u8]| {
        let mut command = redis::cmd("XADD");
        command.arg(&key).arg("*").arg(field).arg(value);
        world.cache.send::<String>(&command).unwrap()
    };
    add("d", other);
    add("stranger", b"x");
    add("d", b"");
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn entries_deleted_or_acknowledged_from_outside_are_brought_back_by_the_sweep() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 1200));
    let _first = world.run(0);
    published(&world, &campaign);
    let ghost = |partition: u32| {
        let stream = Cache::stream(&campaign, partition);
        let command = ["XREADGROUP", "GROUP", "payers", "ghost", "COUNT", "40", "STREAMS", &stream, ">"];
        world.cache.run::<redis::Value>(&command);
        (stream, world.cache.pending_ids(&campaign, partition, "ghost"))
    };
    // 0: entries that nobody was given are deleted.
    let stream = Cache::stream(&campaign, 0);
    for target in &targets(&world, &campaign, 0)[10..50] {
        world.cache.run::<i64>(&["XDEL", &stream, &format!("{target}-0")]);
    }
    // 1: entries that somebody holds are acknowledged, and stay in the stream.
    let (stream, ids) = ghost(1);
    for id in &ids {
        assert_eq!(world.cache.run::<i64>(&["XACK", &stream, "payers", id]), 1);
    }
    // 2: a consumer is deleted together with what it holds.
    let (stream, ids) = ghost(2);
    assert_eq!(world.cache.run::<usize>(&["XGROUP", "DELCONSUMER", &stream, "payers", "ghost"]), ids.len());
    // 3: entries that somebody holds are deleted, and half of them acknowledged.
    let (stream, ids) = ghost(3);
    for (number, id) in ids.iter().enumerate() {
        world.cache.run::<i64>(&["XDEL", &stream, id]);
        if number % 2 == 0 {
            world.cache.run::<i64>(&["XACK", &stream, "payers", id]);
        }
    }
    let _payers = [world.stage("payer", "payer-1"), world.stage("payer", "payer-2")];
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

/// Whether every stream has its group.
fn grouped(world: &World, campaign: &Campaign) -> bool {
    (0..campaign.partitions).all(|partition| {
        let groups = world.cache.ask::<redis::Value>(&["XINFO", "GROUPS", &Cache::stream(campaign, partition)]);
        matches!(groups, Ok(redis::Value::Array(groups)) if !groups.is_empty())
    })
}

#[test]
fn a_group_that_is_lost_while_the_window_is_full_is_made_again_by_the_dispatcher_or_else_by_the_sweep() {
    let world = World::build().set("PAYOUT_DISPATCHER_WINDOW", "100").start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    let dispatcher = world.stage("dispatcher", "dispatcher");
    let destroy = || {
        for partition in 0..campaign.partitions {
            world.cache.run::<()>(&["XGROUP", "DESTROY", &Cache::stream(&campaign, partition), "payers"]);
        }
        assert!(!grouped(&world, &campaign));
    };
    until("the windows are full", LONG, || {
        let before = world.cache.counts(&campaign).published;
        std::thread::sleep(millis(500));
        (before > 0 && world.cache.counts(&campaign).published == before).then_some(())
    });
    destroy();
    until("the dispatcher makes the groups again", LONG, || grouped(&world, &campaign).then_some(()));
    dispatcher.kill();
    destroy();
    let summarizer = world.stage("summarizer", "summarizer");
    until("the sweep makes the groups again", LONG, || grouped(&world, &campaign).then_some(()));
    drop(summarizer);
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_summary_that_is_made_of_rebuilt_partitions_tells_when_the_last_payout_was_completed() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 50));
    let stages = ["dispatcher", "payer", "retrier"].map(|stage| world.stage(stage, stage));
    until("all is settled", LONG, || (world.cache.counts(&campaign).settled() == 50).then_some(()));
    stages.iter().for_each(|stage| stage.kill());
    // As a FLUSHALL and a rebuild leave them: the counts from MySQL, and no time.
    for partition in 0..campaign.partitions {
        world.cache.run::<i64>(&["HDEL", &Cache::counts_key(&campaign, partition), "last_completed_at"]);
    }
    let _summarizer = world.stage("summarizer", "summarizer");
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_lost_group_wrong_counts_and_a_lost_stream_are_made_good() {
    let world = World::build().money(&["--latency-ms", "20"]).set("PAYOUT_MONEY_CONCURRENCY", "8").start();
    let campaign = world.write(&Plan::points("SPRING", 1500));
    let _stages = world.run(2);
    world.paid(200, LONG);
    world.cache.run::<()>(&["XGROUP", "DESTROY", &Cache::stream(&campaign, 0), "payers"]);
    world.cache.run::<i64>(&["DEL", &Cache::stream(&campaign, 1)]);
    world.cache.run::<i64>(&["DEL", &Cache::counts_key(&campaign, 2)]);
    world.cache.run::<i64>(&["HSET", &Cache::counts_key(&campaign, 3), "fail_count", "7"]);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}
