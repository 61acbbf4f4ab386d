use pipeline::domain::{Counter, Counts, EntryId};
use pipeline::keys;
use pipeline::streams::{Rebuilt, Requeued, StreamsError};

use crate::support::{AT, P, Space, record};

const COUNTS: Counts = Counts { published: 9, success: 4, fail: 2, retry_success: 1 };

#[tokio::test]
async fn a_rebuild_replaces_counts_and_entries_and_forgets_who_held_what() {
    let mut space = Space::fresh().await;
    space.publish(1..=9).await;
    let read = space.read("a", 5).await;
    space.settle(&read[..2]).await;
    let last = EntryId { first: 9, second: 0 };
    assert_eq!(
        space.streams.rebuild(P, last, None, &COUNTS, Some(AT), &[record(3), record(8)]).await,
        Ok(Rebuilt::Done)
    );
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!((state.counts, state.last_completed_at.as_deref()), (COUNTS, Some(AT)));
    assert_eq!((state.len(), state.pending, state.undelivered), (2, 0, 2));
    let read = space.reader.read("b", &[P], 10, None).await.unwrap();
    let bodies: Vec<_> = read.iter().map(|delivery| delivery.body.clone().unwrap()).collect();
    assert_eq!(bodies, [record(3), record(8)]);
    assert!(read.iter().all(|delivery| delivery.id.first == 9 && delivery.id > last));
}

#[tokio::test]
async fn no_id_is_used_twice_by_any_number_of_rebuilds() {
    let mut space = Space::fresh().await;
    space.publish(1..=3).await;
    let mut last = EntryId { first: 3, second: 0 };
    let mut used = Vec::new();
    for round in 0..50_usize {
        // Many at once outrun the clock; none must leave the last id where it is.
        let records: Vec<_> = (0..[700, 0, 1][round % 3]).map(record).collect();
        assert_eq!(space.streams.rebuild(P, last, None, &COUNTS, None, &records).await, Ok(Rebuilt::Done));
        let position = space.streams.positions(&[P]).await.unwrap()[0].unwrap();
        assert!(position.last > last);
        assert!(position.group);
        used.extend(space.read("a", 1000).await);
        last = position.last;
    }
    let all = used.len();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), all);
}

#[tokio::test]
async fn ids_go_on_ascending_when_the_clock_went_back() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    let future = EntryId { first: 1, second: 5_000_000_000_000_000 };
    space.say(&format!("XSETID {} {future}", keys::targets(P))).await;
    assert_eq!(space.streams.rebuild(P, future, None, &COUNTS, None, &[record(1), record(2)]).await, Ok(Rebuilt::Done));
    let ids = space.read("a", 10).await;
    assert_eq!(ids.iter().map(|id| id.second - future.second).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_rebuild_of_a_stream_that_moved_or_is_missing_writes_nothing() {
    let mut space = Space::fresh().await;
    let seen = EntryId { first: 2, second: 0 };
    assert_eq!(space.streams.rebuild(P, seen, None, &COUNTS, None, &[record(1)]).await, Ok(Rebuilt::Missing));
    assert_eq!(space.streams.existing(&[P]).await, Ok(vec![false]));
    space.publish(1..=3).await;
    let last = EntryId { first: 3, second: 0 };
    assert_eq!(space.streams.rebuild(P, seen, None, &COUNTS, None, &[record(1)]).await, Ok(Rebuilt::Moved(last)));
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!((state.counts, state.len()), (Counts { published: 3, ..Counts::default() }, 3));
    assert_eq!(space.streams.rebuild(P, last, None, &COUNTS, None, &[record(1)]).await, Ok(Rebuilt::Done));
    let again = space.streams.rebuild(P, last, None, &COUNTS, None, &[record(1)]).await.unwrap();
    assert!(matches!(again, Rebuilt::Moved(now) if now > last), "repeated: {again:?}");
}

#[tokio::test]
async fn a_rebuild_without_entries_moves_the_last_id_as_well() {
    let mut space = Space::fresh().await;
    space.publish(1..=3).await;
    let last = EntryId { first: 3, second: 0 };
    assert_eq!(space.streams.rebuild(P, last, None, &COUNTS, None, &[]).await, Ok(Rebuilt::Done));
    // Somebody read an older snapshot before, and comes later: it must not pass for the newer one.
    let late = space.streams.rebuild(P, last, None, &Counts::default(), None, &[record(1)]).await.unwrap();
    assert!(matches!(late, Rebuilt::Moved(now) if now > last && now.first == 3), "{late:?}");
    assert_eq!(space.streams.partition_states(&[P]).await.unwrap()[0].counts, COUNTS);
}

#[tokio::test]
async fn ids_above_2_to_the_53_are_kept() {
    let mut space = Space::fresh().await;
    space.publish([i64::MAX]).await;
    let last = EntryId { first: i64::MAX.unsigned_abs(), second: 0 };
    assert_eq!(space.streams.rebuild(P, last, None, &COUNTS, None, &[record(1)]).await, Ok(Rebuilt::Done));
    assert_eq!(space.read("a", 1).await[0].first, last.first);
}

#[tokio::test]
async fn a_rebuild_heals_counters_and_refuses_other_types() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    let last = EntryId { first: 1, second: 0 };
    space.say(&format!("HSET {} fail_count many", keys::counts(P))).await;
    assert!(matches!(space.streams.partition_states(&[P]).await, Err(StreamsError::Refused(_))));
    assert_eq!(space.streams.rebuild(P, last, None, &COUNTS, None, &[]).await, Ok(Rebuilt::Done));
    assert_eq!(space.streams.partition_states(&[P]).await.unwrap()[0].counts, COUNTS);
    space.say(&format!("SET {} text", keys::counts(P))).await;
    let refused = space.streams.rebuild(P, last, None, &COUNTS, None, &[record(1)]).await;
    assert!(matches!(&refused, Err(StreamsError::Refused(why)) if why.contains("WRONGTYPE")), "{refused:?}");
    assert_eq!(space.streams.positions(&[P]).await.err().map(|_| ()), Some(()));
}

#[tokio::test]
async fn what_is_tried_again_is_added_behind_the_last_id_and_nothing_else_is_touched() {
    let mut space = Space::fresh().await;
    space.publish(1..=9).await;
    let read = space.read("a", 9).await;
    space.settle_as(Counter::Fail, &read[..4]).await;
    let last = EntryId { first: 9, second: 0 };
    assert_eq!(space.streams.requeue(P, last, &[record(1), record(3)]).await, Ok(Requeued::Done));
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!(state.counts, Counts { published: 9, fail: 2, ..Counts::default() });
    assert_eq!((state.len(), state.pending, state.undelivered), (7, 5, 2));
    let added = space.reader.read("b", &[P], 10, None).await.unwrap();
    assert_eq!(added.iter().map(|one| one.body.clone().unwrap()).collect::<Vec<_>>(), [record(1), record(3)]);
    assert!(added.iter().all(|one| one.id.first == 9 && one.id > last));
    // The dispatcher goes on behind them, and does not notice.
    space.publish(10..=11).await;
    assert_eq!(space.streams.positions(&[P]).await.unwrap()[0].unwrap().last, EntryId { first: 11, second: 0 });
}

#[tokio::test]
async fn what_is_tried_again_is_added_once_and_only_where_the_partition_stands_as_it_was_read() {
    let mut space = Space::fresh().await;
    let seen = EntryId { first: 3, second: 0 };
    assert_eq!(space.streams.requeue(P, seen, &[record(1)]).await, Ok(Requeued::Missing));
    assert_eq!(space.streams.existing(&[P]).await, Ok(vec![false]));
    space.publish(1..=3).await;
    let read = space.read("a", 3).await;
    space.settle_as(Counter::Fail, &read[..1]).await;
    let older = EntryId { first: 2, second: 0 };
    assert_eq!(space.streams.requeue(P, older, &[record(1)]).await, Ok(Requeued::Moved(seen)));
    // Somebody has failed whose entry is not settled yet: counting it down would be too early.
    assert_eq!(space.streams.requeue(P, seen, &[record(1), record(2)]).await, Ok(Requeued::Differs));
    assert_eq!(space.streams.requeue(P, seen, &[record(1)]).await, Ok(Requeued::Done));
    let again = space.streams.requeue(P, seen, &[record(1)]).await.unwrap();
    assert!(matches!(again, Requeued::Moved(now) if now > seen && now.first == 3), "repeated: {again:?}");
    let last = space.streams.positions(&[P]).await.unwrap()[0].unwrap().last;
    space.say(&format!("XGROUP DESTROY {} {}", keys::targets(P), keys::GROUP)).await;
    assert_eq!(space.streams.requeue(P, last, &[]).await, Ok(Requeued::Differs));
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!((state.counts.fail, state.len()), (0, 3));
}
