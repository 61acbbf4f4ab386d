use pipeline::domain::{Counter, Counts, EntryId};
use pipeline::keys;
use pipeline::streams::{Rebuilt, Settle, StreamsError};

use crate::support::{AT, P, Space, ids, paid, partition, published_ids, record};

async fn refused(space: &Space, batch: Settle) -> String {
    match space.streams.settle(vec![batch], AT).await {
        Err(StreamsError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn settling_acknowledges_deletes_and_counts_by_outcome() {
    let mut space = Space::fresh().await;
    space.publish(1..=6).await;
    let read = space.read("a", 6).await;
    let by_counter = vec![
        (Counter::Success, read[..3].to_vec()),
        (Counter::Fail, read[3..4].to_vec()),
        (Counter::RetrySuccess, read[4..].to_vec()),
    ];
    let batch = Settle { partition: P, by_counter, dead: Vec::new() };
    assert_eq!(space.streams.settle(vec![batch], AT).await, Ok(vec![6]));
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!(state.counts, Counts { published: 6, success: 3, fail: 1, retry_success: 2 });
    assert_eq!((state.len(), state.pending), (0, 0));
    assert_eq!(state.last_completed_at.as_deref(), Some(AT));
}

#[tokio::test]
async fn an_entry_is_counted_once_whoever_settles_it_and_how_often() {
    let mut space = Space::fresh().await;
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    space.streams.take(P, "b", &read[..1], std::time::Duration::ZERO).await.unwrap();
    assert_eq!(space.settle(&read).await, 2, "one of them is another's");
    assert_eq!(space.settle(&read).await, 0);
    assert_eq!(space.counted("success_count").await, 2);
}

#[tokio::test]
async fn settling_where_stream_or_group_is_missing_does_nothing() {
    let mut space = Space::fresh().await;
    assert_eq!(space.settle(&published_ids([1])).await, 0);
    space.publish([1]).await;
    let read = space.read("a", 1).await;
    space.say(&format!("XGROUP DESTROY {} {}", keys::targets(P), keys::GROUP)).await;
    assert_eq!(space.settle(&read).await, 0);
    assert_eq!(space.number(&format!("XLEN {}", keys::targets(P))).await, 1);
    assert_eq!(space.counted("success_count").await, 0);
}

#[tokio::test]
async fn an_entry_that_was_published_again_stays_until_it_is_delivered() {
    let mut space = Space::fresh().await;
    space.publish(1..=3).await;
    let read = space.read("a", 3).await;
    space.say(&format!("UNLINK {}", keys::targets(P))).await;
    assert_eq!(space.settle(&read).await, 0, "the stream is gone");
    space.publish(1..=3).await;
    assert_eq!(space.settle(&read).await, 0, "published again, not delivered");
    assert_eq!(space.read("b", 1).await, read[..1]);
    assert_eq!(space.settle(&read).await, 1, "one is delivered");
    assert_eq!(space.read("b", 10).await, read[1..], "the others stayed");
    assert_eq!(space.settle(&read).await, 2);
    assert_eq!(space.counted("success_count").await, 3);
}

#[tokio::test]
async fn a_late_settle_after_a_rebuild_counts_nothing() {
    let mut space = Space::fresh().await;
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    let counts = Counts { published: 2, ..Counts::default() };
    assert_eq!(
        space.streams.rebuild(P, read[1], None, &counts, None, &[record(1), record(2)]).await,
        Ok(Rebuilt::Done)
    );
    assert_eq!(space.settle(&read).await, 0);
    let again = space.read("b", 10).await;
    assert_eq!(again.len(), 2);
    assert_eq!(space.settle(&again).await, 2);
    assert_eq!(space.counted("success_count").await, 2);
}

#[tokio::test]
async fn a_pending_entry_that_was_deleted_from_outside_is_counted() {
    let mut space = Space::fresh().await;
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    space.say(&format!("XDEL {} {}", keys::targets(P), read[0])).await;
    assert_eq!(space.settle(&read).await, 2);
    assert_eq!(space.counted("success_count").await, 2);
}

#[tokio::test]
async fn a_dead_letter_is_written_only_for_a_newly_acknowledged_entry() {
    let mut space = Space::fresh().await;
    space.publish(1..=4).await;
    let read = space.read("a", 4).await;
    let dead = |range: std::ops::Range<usize>| {
        read[range].iter().map(|id| (*id, id.to_string().into_bytes())).collect::<Vec<_>>()
    };
    let batch = Settle { partition: P, by_counter: vec![(Counter::Fail, read[..3].to_vec())], dead: dead(0..2) };
    assert_eq!(space.streams.settle(vec![batch], AT).await, Ok(vec![3]));
    let batch = Settle { partition: P, by_counter: vec![(Counter::Fail, read.clone())], dead: dead(0..4) };
    assert_eq!(space.streams.settle(vec![batch], AT).await, Ok(vec![1]));
    assert_eq!(space.counted("fail_count").await, 4);
    let letters = format!("{:?}", space.say(&format!("XRANGE {} - +", keys::dead(P))).await);
    let times = |id: EntryId| letters.matches(&format!("\"{id}\"")).count();
    assert_eq!(read.iter().map(|id| times(*id)).collect::<Vec<_>>(), [1, 1, 0, 1], "{letters}");
}

#[tokio::test]
async fn a_dead_letter_without_its_entry_is_refused() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    let read = space.read("a", 1).await;
    let dead = vec![(EntryId { first: 9, second: 0 }, b"letter".to_vec())];
    let why = refused(&space, Settle { dead, ..paid(&read) }).await;
    assert!(why.contains("9-0"), "{why}");
    assert_eq!(space.pending("a").await.len(), 1);
}

#[tokio::test]
async fn dead_letters_are_trimmed_and_the_dropped_ones_counted() {
    let mut space = Space::fresh().await;
    space.publish(1..=12_000).await;
    let read = space.read("a", 12_000).await;
    let dead = read.iter().map(|id| (*id, b"letter".to_vec())).collect();
    let batch = Settle { partition: P, by_counter: vec![(Counter::Fail, read)], dead };
    assert_eq!(space.streams.settle(vec![batch], AT).await, Ok(vec![12_000]));
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert!((10_000..10_200).contains(&state.dead), "{}", state.dead);
    assert_eq!(state.dead + state.dead_dropped, 12_000);
    assert_eq!(state.counts.fail, 12_000);
}

#[tokio::test]
async fn a_large_batch_is_split_and_settled_whole() {
    let mut space = Space::fresh().await;
    space.publish(1..=9_001).await;
    let read = space.read("a", 9_001).await;
    let by_counter = vec![(Counter::Success, read[..4_500].to_vec()), (Counter::RetrySuccess, read[4_500..].to_vec())];
    let batch = Settle { partition: P, by_counter, dead: Vec::new() };
    let other = Settle { partition: partition(1), by_counter: vec![(Counter::Fail, read)], dead: Vec::new() };
    assert_eq!(space.streams.settle(vec![other, batch], AT).await, Ok(vec![0, 9_001]));
    assert_eq!((space.counted("success_count").await, space.counted("retry_success_count").await), (4_500, 4_501));
}

#[tokio::test]
async fn the_completion_time_never_goes_back() {
    let mut space = Space::fresh().await;
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    space.streams.settle(vec![paid(&read[..1])], "20261120120001").await.unwrap();
    space.streams.settle(vec![paid(&read[1..])], "20261120120000").await.unwrap();
    assert_eq!(space.text(&format!("HGET {} last_completed_at", keys::counts(P))).await, "20261120120001");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_acknowledged_and_deleted_uncounted() {
    let mut space = Space::fresh().await;
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    assert_eq!(space.streams.acknowledge_undecodable(P, &read).await, Ok(2));
    assert_eq!(space.streams.acknowledge_undecodable(P, &read).await, Ok(0));
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!(state.counts, Counts { published: 2, ..Counts::default() });
    assert_eq!((state.len(), state.pending, state.last_completed_at), (0, 0, None));
}

#[tokio::test]
async fn keys_of_another_type_and_counters_that_are_none_are_refused_before_any_write() {
    for (harm, with_letter) in [
        ("SET counts x", false),
        ("SET dead x", true),
        ("HSET counts fail_count 1.5", false),
        ("HSET counts dead_dropped_count x", true),
    ] {
        let mut space = Space::fresh().await;
        space.publish([1]).await;
        let read = space.read("a", 1).await;
        space.say(&harm.replace("counts", &keys::counts(P)).replace("dead ", &format!("{} ", keys::dead(P)))).await;
        let dead = if with_letter { vec![(read[0], b"letter".to_vec())] } else { Vec::new() };
        let why = refused(&space, Settle { dead, ..paid(&read) }).await;
        assert!(why.contains("WRONGTYPE") || why.contains("BADCOUNT"), "{harm}: {why}");
        assert_eq!(space.pending("a").await.len(), 1, "{harm}");
    }
}

#[tokio::test]
async fn a_body_comes_back_as_it_was_published() {
    let mut space = Space::fresh().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut batch = crate::support::batch(P, 0, [1]);
    batch.entries[0].1.clone_from(&every_byte);
    space.streams.publish(&[batch]).await.unwrap().remove(0).unwrap();
    let read = space.reader.read("a", &[P], 1, None).await.unwrap();
    assert_eq!(read[0].body.as_ref(), Some(&every_byte));
    let taken = space.streams.take(P, "b", &ids(&read), std::time::Duration::ZERO).await.unwrap();
    assert_eq!(taken, read);
}
