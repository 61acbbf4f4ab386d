use std::time::Duration;

use pipeline::domain::{Counter, Counts, EntryId, SummaryId};
use pipeline::keys;
use pipeline::streams::{Park, Parking, PartitionState, Position, Settle, SummaryFields};

use crate::support::{AT, P, Space, partition, published_ids};

#[tokio::test]
async fn the_state_of_a_partition_is_its_counts_its_stream_and_who_holds_what() {
    let mut space = Space::fresh().await;
    space.publish(1..=10).await;
    let read = space.read("a", 7).await;
    space.settle(&read[..2]).await;
    let park = |to, id: EntryId| Park { partition: P, to, entries: vec![(id, 0, 0)] };
    space.streams.park(vec![park(Parking::Retry, read[2]), park(Parking::Held, read[3])], "a").await.unwrap();
    let state = space.streams.partition_states(&[P, partition(1)]).await.unwrap();
    let expected = PartitionState {
        counts: Counts { published: 10, success: 2, ..Counts::default() },
        last_completed_at: Some(AT.into()),
        position: Some(Position { last: EntryId { first: 10, second: 0 }, len: 8, group: true }),
        last_delivered: Some(read[6]),
        pending: 5,
        parked: 1,
        held: 1,
        consumers: vec![("a".into(), 3), ("held".into(), 1), ("retry".into(), 1)],
        undelivered: 3,
        oldest_pending: Some(read[2]),
        oldest_undelivered: Some(published_ids([8])[0]),
        dead: 0,
        dead_dropped: 0,
    };
    assert_eq!(state, [expected.clone(), PartitionState::default()]);
    assert_eq!(space.streams.surveyed(P).await, Ok((expected, true)));
}

#[tokio::test]
async fn undelivered_entries_are_none_when_all_was_delivered_whatever_was_deleted() {
    let mut space = Space::fresh().await;
    space.publish(1..=4).await;
    let read = space.read("a", 4).await;
    space.say(&format!("XACK {} {} {}", keys::targets(P), keys::GROUP, read[0])).await;
    space.say(&format!("XGROUP DELCONSUMER {} {} a", keys::targets(P), keys::GROUP)).await;
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!((state.len(), state.pending, state.undelivered), (4, 0, 0), "what the sweep looks for");
}

#[tokio::test]
async fn a_survey_counts_undelivered_entries_one_by_one() {
    let mut space = Space::fresh().await;
    space.publish(1..=1_700).await;
    let read = space.read("a", 100).await;
    space.say(&format!("XDEL {} {} {}", keys::targets(P), read[0], read[1])).await;
    space.say(&format!("XDEL {} 1500-0", keys::targets(P))).await;
    assert_eq!(space.streams.partition_states(&[P]).await.unwrap()[0].undelivered, 1_597, "an estimate");
    let (state, counted) = space.streams.surveyed(P).await.unwrap();
    assert_eq!((state.len(), state.pending, state.undelivered, counted), (1_697, 100, 1_599, true));
    assert_ne!(state.len(), state.pending + state.undelivered);
}

#[tokio::test]
async fn removing_a_partition_leaves_its_dead_letters_for_a_while() {
    let mut space = Space::fresh().await;
    assert_eq!(space.streams.existing(&[P]).await, Ok(vec![false]));
    space.publish(1..=3).await;
    let read = space.read("a", 3).await;
    let fail = |id: EntryId| Settle {
        partition: P,
        by_counter: vec![(Counter::Fail, vec![id])],
        dead: vec![(id, b"x".to_vec())],
    };
    space.streams.settle(vec![fail(read[0])], AT).await.unwrap();
    assert_eq!(space.streams.existing(&[P, partition(1)]).await, Ok(vec![true, false]));
    assert_eq!(space.streams.remove_partitions(&[P, partition(1)], Duration::from_secs(600)).await, Ok(3));
    assert_eq!(space.streams.existing(&[P]).await, Ok(vec![false]), "nothing is left to do");
    let ttl = space.number(&format!("TTL {}", keys::dead(P))).await;
    assert!((1..=600).contains(&ttl), "{ttl}");
    assert_eq!(space.streams.remove_partitions(&[P], Duration::from_secs(6000)).await, Ok(0), "repeated");
    assert!(space.number(&format!("TTL {}", keys::dead(P))).await <= 600, "repeating does not put it off");

    space.publish([4]).await;
    let read = space.read("a", 1).await;
    space.streams.settle(vec![fail(read[0])], AT).await.unwrap();
    assert_eq!(space.number(&format!("TTL {}", keys::dead(P))).await, -1, "a requeued promotion writes on");
    assert_eq!(space.number(&format!("XLEN {}", keys::dead(P))).await, 2);
    assert_eq!(space.streams.remove_partitions(&[P], Duration::ZERO).await, Ok(3));
    assert_eq!(space.number(&format!("EXISTS {}", keys::dead(P))).await, 0);
}

#[tokio::test]
async fn the_public_hash_is_written_with_absolute_figures_and_its_end() {
    let mut space = Space::fresh().await;
    let id = SummaryId(3);
    assert_eq!(space.streams.read_summary(id).await, Ok(None));
    let counts = Counts { published: 5, success: 2, fail: 1, retry_success: 1 };
    for _ in 0..2 {
        space.streams.write_summary(id, 8, counts, Some(AT), None).await.unwrap();
    }
    let expected = SummaryFields { total: 8, counts, last_completed_at: Some(AT.into()), ttl: None };
    assert_eq!(space.streams.read_summary(id).await, Ok(Some(expected)));
    let fields = space.number("HLEN campaign_promotion_summary:3").await;
    assert_eq!(fields, 6);
    space.streams.write_summary(id, 8, counts, None, Some(Duration::from_secs(90))).await.unwrap();
    let read = space.streams.read_summary(id).await.unwrap().unwrap();
    assert_eq!(read.last_completed_at.as_deref(), Some(AT));
    assert!(read.ttl.is_some_and(|ttl| ttl <= Duration::from_secs(90)));
    space.streams.write_summary(id, 8, counts, None, None).await.unwrap();
    assert_eq!(space.streams.read_summary(id).await.unwrap().unwrap().ttl, None, "a promotion that was reopened");
}

#[tokio::test]
async fn the_server_says_whether_it_may_lose_keys() {
    let space = Space::fresh().await;
    space.streams.ping().await.unwrap();
    let facts = space.streams.server_facts().await.unwrap();
    assert!(facts.major() >= 7 && facts.used_memory > 0, "{facts:?}");
    assert_eq!((facts.may_evict(), facts.persists(), facts.maxmemory), (false, true, 0));
    assert_eq!((facts.appendfsync.as_deref(), facts.snapshots), (Some("everysec"), Some(false)));
}
