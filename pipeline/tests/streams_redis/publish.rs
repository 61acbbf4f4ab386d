use pipeline::domain::{Counts, EntryId, TargetId};
use pipeline::keys;
use pipeline::streams::{Park, Parking, Position, Published, Rebuilt, StreamsError};

use crate::support::{P, Space, batch, ids, partition, published, published_ids, record};

fn last(first: u64, second: u64, len: u64) -> Published {
    Published::Last { first, last: EntryId { first, second }, len }
}

#[tokio::test]
async fn an_empty_batch_makes_the_stream_and_its_group() {
    let space = Space::fresh().await;
    assert_eq!(space.streams.positions(&[P]).await.unwrap(), [None]);
    assert_eq!(published(&space.streams, batch(P, 0, [])).await, Published::Done);
    let position = Position { last: EntryId::ZERO, len: 0, group: true };
    assert_eq!(space.streams.positions(&[P]).await.unwrap(), [Some(position)]);
}

#[tokio::test]
async fn a_batch_is_published_once_however_often_it_is_sent() {
    let mut space = Space::fresh().await;
    assert_eq!(published(&space.streams, batch(P, 0, [1, 2, 5])).await, Published::Done);
    assert_eq!(published(&space.streams, batch(P, 0, [1, 2, 5])).await, last(5, 0, 3));
    assert_eq!(space.counted("published_count").await, 3);
    let read = space.reader.read("a", &[P], 10, None).await.unwrap();
    assert_eq!(ids(&read), published_ids([1, 2, 5]));
    assert_eq!(read[2].body.as_deref(), Some(record(5).as_slice()));
}

#[tokio::test]
async fn a_dispatcher_that_is_behind_or_ahead_is_told_the_real_last_id() {
    let space = Space::fresh().await;
    assert_eq!(published(&space.streams, batch(P, 9, [10])).await, last(0, 0, 0), "ahead of a missing stream");
    assert_eq!(space.streams.positions(&[P]).await.unwrap(), [None], "and makes none");
    assert_eq!(published(&space.streams, batch(P, 0, [1, 2, 3])).await, Published::Done);
    assert_eq!(published(&space.streams, batch(P, 2, [4])).await, last(3, 0, 3), "behind");
    assert_eq!(published(&space.streams, batch(P, 4, [5])).await, last(3, 0, 3), "ahead");
}

#[tokio::test]
async fn ids_that_differ_only_above_2_to_the_53_are_told_apart() {
    let space = Space::fresh().await;
    let first = (1_i64 << 53) + 1;
    assert_eq!(published(&space.streams, batch(P, 0, [first])).await, Published::Done);
    let first = first.unsigned_abs();
    assert_eq!(published(&space.streams, batch(P, first - 1, [i64::MAX])).await, last(first, 0, 1));
    assert_eq!(published(&space.streams, batch(P, first, [i64::MAX - 1, i64::MAX])).await, Published::Done);
}

#[tokio::test]
async fn publishing_goes_on_behind_a_rebuilt_partition() {
    let mut space = Space::fresh().await;
    space.publish(1..=3).await;
    let rebuilt =
        space.streams.rebuild(P, EntryId { first: 3, second: 0 }, None, &Counts::default(), None, &[record(2)]).await;
    assert_eq!(rebuilt, Ok(Rebuilt::Done));
    assert_eq!(published(&space.streams, batch(P, 3, [4, 5])).await, Published::Done);
    let read = space.read("a", 10).await;
    assert_eq!(read.iter().map(|id| id.first).collect::<Vec<_>>(), [3, 4, 5]);
}

#[tokio::test]
async fn a_lost_group_is_made_again_and_delivers_exactly_what_is_left() {
    let mut space = Space::fresh().await;
    space.publish(1..=4).await;
    let read = space.read("a", 2).await;
    assert_eq!(space.settle(&read[..1]).await, 1);
    space.say(&format!("XGROUP DESTROY {} {}", keys::targets(P), keys::GROUP)).await;
    assert!(!space.streams.positions(&[P]).await.unwrap()[0].unwrap().group);
    space.publish([5]).await;
    assert_eq!(space.read("a", 10).await, published_ids(2..=5));
}

#[tokio::test]
async fn a_stream_that_was_deleted_is_counted_from_the_beginning_again() {
    let mut space = Space::fresh().await;
    space.publish(1..=3).await;
    let read = space.read("a", 2).await;
    assert_eq!(space.settle(&read).await, 2);
    space.say(&format!("DEL {}", keys::targets(P))).await;
    space.publish(1..=3).await;
    let read = space.read("a", 3).await;
    assert_eq!(space.settle(&read).await, 3);
    assert_eq!((space.counted("published_count").await, space.counted("success_count").await), (3, 3));
}

#[tokio::test]
async fn the_window_bounds_what_is_outstanding() {
    let mut space = Space::fresh().await;
    let windowed = |expected, targets: std::ops::RangeInclusive<i64>| pipeline::streams::Publish {
        window: 4,
        ..batch(P, expected, targets)
    };
    assert_eq!(published(&space.streams, windowed(0, 1..=3)).await, Published::Done);
    assert_eq!(published(&space.streams, windowed(3, 4..=5)).await, Published::Full { outstanding: 3 });
    assert_eq!(published(&space.streams, windowed(3, 4..=4)).await, Published::Done);
    let read = space.read("a", 2).await;
    assert_eq!(
        published(&space.streams, windowed(4, 5..=5)).await,
        Published::Full { outstanding: 4 },
        "delivered is outstanding"
    );
    assert_eq!(space.settle(&read[..1]).await, 1);
    assert_eq!(published(&space.streams, windowed(4, 5..=5)).await, Published::Done);
}

#[tokio::test]
async fn entries_that_wait_for_a_person_do_not_count_for_the_window() {
    let mut space = Space::fresh().await;
    space.publish(1..=4).await;
    let read = space.read("a", 3).await;
    let park = |to, ids: &[EntryId]| Park { partition: P, to, entries: ids.iter().map(|id| (*id, 5, 0)).collect() };
    let parks = vec![park(Parking::Held, &read[..2]), park(Parking::Retry, &read[2..])];
    assert_eq!(space.streams.park(parks, "a").await, Ok(3));
    let windowed =
        |targets: std::ops::RangeInclusive<i64>| pipeline::streams::Publish { window: 4, ..batch(P, 4, targets) };
    assert_eq!(published(&space.streams, windowed(5..=7)).await, Published::Full { outstanding: 2 });
    assert_eq!(published(&space.streams, windowed(5..=6)).await, Published::Done);
}

#[tokio::test]
async fn each_partition_of_a_round_trip_has_its_own_result() {
    let mut space = Space::fresh().await;
    space.say(&format!("SET {} text", keys::targets(partition(1)))).await;
    let batches = [
        batch(partition(0), 0, [1]),
        batch(partition(1), 0, [2]),
        batch(partition(2), 0, [4, 3]),
        batch(partition(3), 9, [10]),
    ];
    let results = space.streams.publish(&batches).await.unwrap();
    assert_eq!(results[0], Ok(Published::Done));
    assert!(matches!(&results[1], Err(StreamsError::Refused(why)) if why.contains("WRONGTYPE")), "{results:?}");
    assert!(matches!(&results[2], Err(StreamsError::Refused(why)) if why.contains("ascend")), "{results:?}");
    assert_eq!(results[3], Ok(last(0, 0, 0)));
    assert_eq!(
        space.streams.positions(&[partition(2)]).await.unwrap(),
        [None],
        "a batch that does not ascend is not begun"
    );
}

#[tokio::test]
async fn a_counter_that_is_no_number_is_refused_before_anything_is_published() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    space.say(&format!("HSET {} published_count many", keys::counts(P))).await;
    let result = space.streams.publish(&[batch(P, 1, [2])]).await.unwrap().pop().unwrap();
    assert!(matches!(&result, Err(StreamsError::Refused(why)) if why.contains("BADCOUNT")), "{result:?}");
    assert_eq!(space.number(&format!("XLEN {}", keys::targets(P))).await, 1);
}

#[tokio::test]
async fn of_two_dispatchers_that_race_one_publishes_each_batch() {
    let mut space = Space::fresh().await;
    let (one, other) = (space.another(), space.another());
    for round in 0..20_i64 {
        let targets = round * 10 + 1..=round * 10 + 10;
        let batch = batch(P, (round * 10).unsigned_abs(), targets);
        let (a, b) = tokio::join!(published(&one, batch.clone()), published(&other, batch.clone()));
        let done = [a, b].into_iter().filter(|result| *result == Published::Done).count();
        assert_eq!(done, 1, "{a:?} {b:?}");
    }
    assert_eq!(space.counted("published_count").await, 200);
    assert_eq!(space.read("a", 1000).await, published_ids(1..=200));
}

#[tokio::test]
async fn a_seeded_partition_goes_on_behind_its_highest_target() {
    let mut space = Space::fresh().await;
    let counts = Counts { published: 8, success: 5, fail: 2, retry_success: 1 };
    assert_eq!(space.streams.seed(P, TargetId(40), &counts).await, Ok(true));
    assert_eq!(space.streams.seed(P, TargetId(99), &Counts::default()).await, Ok(false), "it is there");
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!(state.counts, counts);
    let expected = EntryId { first: 40, second: 0 };
    assert_eq!(state.position, Some(Position { last: expected, len: 0, group: true }));
    assert_eq!(space.streams.rebuild(P, expected, None, &counts, None, &[record(3)]).await, Ok(Rebuilt::Done));
    assert_eq!(space.read("a", 10).await.len(), 1);
    assert_eq!(published(&space.streams, batch(P, 40, [41])).await, Published::Done);
}
