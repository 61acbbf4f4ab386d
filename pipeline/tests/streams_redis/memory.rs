//! A Redis that has reached maxmemory.

use std::time::Duration;

use pipeline::domain::{Counter, Counts, EntryId, SummaryId, TargetId};
use pipeline::keys;
use pipeline::streams::{Breaker, BreakerPolicy, Lease, Park, Parking, Settle, StreamsError};

use crate::support::{AT, P, Space, batch, partition, record};

/// A private server with entries, whose memory is then full.
async fn full() -> (servers::Redis, Space, Vec<EntryId>) {
    let server = servers::Redis::start(servers::RedisOptions::default()).unwrap();
    let mut space = Space::at(&server.url()).await;
    space.publish(1..=20).await;
    let read = space.read("a", 10).await;
    space.say("CONFIG SET maxmemory 1").await;
    (server, space, read)
}

fn is_oom<T: std::fmt::Debug>(result: Result<T, StreamsError>) -> bool {
    result.unwrap_err().is_oom()
}

#[tokio::test]
async fn what_adds_entries_is_refused_before_its_first_write() {
    let (_server, mut space, _) = full().await;
    let result = space.streams.publish(&[batch(P, 20, 21..=22), batch(partition(1), 0, [])]).await.unwrap();
    assert!(result.into_iter().all(is_oom));
    let last = EntryId { first: 20, second: 0 };
    assert!(is_oom(space.streams.rebuild(P, last, None, &Counts::default(), None, &[record(1)]).await));
    assert!(is_oom(space.streams.requeue(P, last, &[record(1)]).await));
    assert!(is_oom(space.streams.seed(partition(2), TargetId(5), &Counts::default()).await));
    assert!(is_oom(space.streams.write_summary(SummaryId(1), 1, Counts::default(), None, None).await));
    let states = space.streams.partition_states(&[P, partition(1), partition(2)]).await.unwrap();
    assert_eq!((states[0].len(), states[0].pending, states[0].counts.published), (20, 10, 20));
    assert!(states[1].position.is_none() && states[2].position.is_none());
    assert_eq!(space.counted("published_count").await, 20);
}

#[tokio::test]
async fn what_releases_runs_so_that_a_full_redis_drains() {
    let (_server, mut space, read) = full().await;
    let parks = vec![Park { partition: P, to: Parking::Retry, entries: vec![(read[0], 1, 90_000)] }];
    assert_eq!(space.streams.park(parks, "a").await, Ok(1));
    assert_eq!(space.streams.make_due(P, Parking::Retry, &read).await, Ok(1));
    assert_eq!(space.streams.take(P, "b", &read[..1], Duration::ZERO).await.unwrap().len(), 1);
    let batch =
        Settle { partition: P, by_counter: vec![(Counter::Fail, read.clone())], dead: vec![(read[0], record(1))] };
    assert_eq!(space.streams.settle(vec![batch], AT).await, Ok(vec![10]));
    let rest = space.read("b", 100).await;
    assert_eq!(space.streams.acknowledge_undecodable(P, &rest).await, Ok(10));
    assert_eq!(space.streams.prune(P, "a", Duration::ZERO).await, Ok(true));
    assert_eq!(space.streams.reserve(100, 5, Duration::from_secs(1)).await.unwrap().count, 5);
    space.streams.hold_back(Duration::from_millis(1)).await.unwrap();
    let second = Duration::from_secs(1);
    let policy =
        BreakerPolicy { window: second, min_failures: 5, failure_percent: 50, open_for: second, open_cap: second };
    assert_eq!(space.streams.breaker_report(1, 0, &policy, "a").await, Ok(Breaker::Closed));
    assert_eq!(space.streams.lease("a", "token", second).await, Ok(Lease::Held));
    assert_eq!(space.streams.remove_partitions(&[P], second).await, Ok(3));
    assert_eq!(space.number(&format!("EXISTS {}", keys::targets(P))).await, 0);
}
