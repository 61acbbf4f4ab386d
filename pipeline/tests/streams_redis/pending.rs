use std::time::Duration;

use pipeline::domain::{Counts, EntryId};
use pipeline::keys;
use pipeline::streams::{PageRequest, Park, Parking, Rebuilt};

use crate::support::{P, Space, ids, partition, published_ids, record};

fn park(to: Parking, entries: &[(EntryId, u32, u64)]) -> Vec<Park> {
    vec![Park { partition: P, to, entries: entries.to_vec() }]
}

#[tokio::test]
async fn parking_sets_the_delivery_count_to_the_retry_count_and_the_idle_time() {
    let mut space = Space::fresh().await;
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    assert_eq!(space.streams.park(park(Parking::Retry, &[(read[0], 3, 0), (read[1], 0, 50_000)]), "a").await, Ok(2));
    let page = space.streams.pending_page(P, keys::RETRY, None, 10).await.unwrap();
    assert_eq!(page.iter().map(|entry| (entry.id, entry.deliveries)).collect::<Vec<_>>(), [(read[0], 3), (read[1], 0)]);
    assert!(page[0].idle_ms < 20_000 && page[1].idle_ms >= 50_000, "{page:?}");
    let state = space.streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!((state.pending, state.parked, state.held), (2, 2, 0));
}

#[tokio::test]
async fn only_what_the_caller_still_owns_is_parked() {
    let mut space = Space::fresh().await;
    assert_eq!(space.streams.park(park(Parking::Retry, &[(EntryId::ZERO, 0, 0)]), "a").await, Ok(0), "no stream");
    space.publish(1..=4).await;
    let read = space.read("a", 3).await;
    let undelivered = published_ids([4])[0];
    space.streams.take(P, "b", &read[..1], Duration::ZERO).await.unwrap();
    space.settle(&read[1..2]).await;
    let all: Vec<_> = [read.as_slice(), &[undelivered]].concat().into_iter().map(|id| (id, 1, 0)).collect();
    assert_eq!(
        space.streams.park(park(Parking::Retry, &all), "a").await,
        Ok(1),
        "another's, a settled and an undelivered one"
    );
    assert_eq!(space.streams.park(park(Parking::Retry, &all), "a").await, Ok(0), "twice");
    assert_eq!(space.pending("b").await, [(read[0], 2)]);
    assert_eq!(space.pending(keys::RETRY).await, [(read[2], 1)]);
    space.say(&format!("XGROUP DESTROY {} {}", keys::targets(P), keys::GROUP)).await;
    assert_eq!(space.streams.park(park(Parking::Retry, &all), "a").await, Ok(0), "no group");
}

#[tokio::test]
async fn a_late_park_after_a_rebuild_does_nothing() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    let read = space.read("a", 1).await;
    assert_eq!(
        space.streams.rebuild(P, read[0], None, &Counts::default(), None, &[record(1)]).await,
        Ok(Rebuilt::Done)
    );
    assert_eq!(space.streams.park(park(Parking::Held, &[(read[0], 1, 0)]), "a").await, Ok(0));
    assert_eq!(space.read("b", 1).await.len(), 1);
}

#[tokio::test]
async fn a_taken_entry_counts_one_delivery_more_and_parking_sets_it_again() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    let read = space.read("a", 1).await;
    assert_eq!(space.pending("a").await, [(read[0], 1)]);
    space.streams.park(park(Parking::Retry, &[(read[0], 1, 5_000)]), "a").await.unwrap();
    let taken = space.streams.take(P, "b", &read, Duration::from_secs(1)).await.unwrap();
    assert_eq!((ids(&taken), taken[0].body.clone()), (read.clone(), Some(record(1))));
    assert_eq!(space.pending("b").await, [(read[0], 2)]);
    space.streams.park(park(Parking::Retry, &[(read[0], 2, 0)]), "b").await.unwrap();
    assert_eq!(space.pending(keys::RETRY).await, [(read[0], 2)]);
}

#[tokio::test]
async fn of_two_takers_one_gets_an_entry() {
    let mut space = Space::fresh().await;
    space.publish(1..=50).await;
    let read = space.read("a", 50).await;
    let aged: Vec<_> = read.iter().map(|id| (*id, 0, 60_000)).collect();
    space.streams.park(park(Parking::Retry, &aged), "a").await.unwrap();
    let (one, other) = (space.another(), space.another());
    let idle = Duration::from_secs(30);
    let (a, b) = tokio::join!(one.take(P, "b", &read, idle), other.take(P, "c", &read, idle));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.len() + b.len(), 50);
    assert!(ids(&a).iter().all(|id| !ids(&b).contains(id)));
}

#[tokio::test]
async fn taking_an_entry_that_was_deleted_from_outside_gives_it_without_a_body() {
    let mut space = Space::fresh().await;
    assert_eq!(space.streams.take(P, "b", &published_ids([1]), Duration::ZERO).await, Ok(vec![]), "no stream");
    space.publish(1..=2).await;
    let read = space.read("a", 2).await;
    space.say(&format!("XDEL {} {}", keys::targets(P), read[0])).await;
    let taken = space.streams.take(P, "b", &read, Duration::ZERO).await.unwrap();
    let bodies: Vec<_> = taken.iter().map(|delivery| (delivery.id, delivery.body.clone())).collect();
    assert_eq!(bodies, [(read[1], Some(record(2))), (read[0], None)]);
    assert_eq!(
        space.streams.partition_states(&[P]).await.unwrap()[0].pending,
        1,
        "Redis dropped it from the pending list"
    );
}

#[tokio::test]
async fn a_consumer_is_listed_page_by_page_and_nobody_elses_entries_with_it() {
    let mut space = Space::fresh().await;
    assert_eq!(space.streams.pending_page(P, "a", None, 10).await, Ok(vec![]), "no stream");
    assert_eq!(space.streams.consumers(&[P]).await, Ok(vec![vec![]]));
    space.publish(1..=25).await;
    let read = space.read("a", 20).await;
    space.read("b", 5).await;
    let mut seen = Vec::new();
    loop {
        let page = space.streams.pending_page(P, "a", seen.last().copied(), 8).await.unwrap();
        assert!(page.iter().all(|entry| entry.consumer == "a") && page.len() <= 8);
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|entry| entry.id));
    }
    assert_eq!(seen, read);
    let request =
        |partition, consumer: &str| PageRequest { partition, consumer: consumer.into(), after: None, count: 100 };
    let pages = space
        .streams
        .pending_pages(&[request(P, "b"), request(partition(5), "b"), request(P, "nobody")])
        .await
        .unwrap();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 0, 0]);
    let consumers = space.streams.consumers(&[P, partition(5)]).await.unwrap();
    let named: Vec<_> = consumers[0].iter().map(|consumer| (consumer.name.as_str(), consumer.pending)).collect();
    assert_eq!((named, consumers[1].len()), (vec![("a", 20), ("b", 5)], 0));
}

#[tokio::test]
async fn an_operator_makes_parked_entries_due_and_leaves_others_alone() {
    let mut space = Space::fresh().await;
    space.publish(1..=3).await;
    let read = space.read("a", 3).await;
    space.streams.park(park(Parking::Retry, &[(read[0], 4, 0)]), "a").await.unwrap();
    space.streams.park(park(Parking::Held, &[(read[1], 5, 0)]), "a").await.unwrap();
    assert_eq!(space.streams.make_due(P, Parking::Retry, &read).await, Ok(1));
    let page = space.streams.pending_page(P, keys::RETRY, None, 10).await.unwrap();
    assert_eq!((page[0].id, page[0].deliveries), (read[0], 4));
    assert!(page[0].idle_ms > 1_000_000_000, "{page:?}");
    assert_eq!(space.pending(keys::HELD).await, [(read[1], 5)]);
    assert_eq!(space.pending("a").await, [(read[2], 1)]);
}

#[tokio::test]
async fn held_entries_move_to_the_retrier_and_back() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    let read = space.read("a", 1).await;
    space.streams.park(park(Parking::Held, &[(read[0], 5, 0)]), "a").await.unwrap();
    assert_eq!(space.streams.park(park(Parking::Retry, &[(read[0], 0, 0)]), keys::HELD).await, Ok(1));
    assert_eq!(space.pending(keys::RETRY).await, [(read[0], 0)]);
}

#[tokio::test]
async fn only_an_idle_consumer_that_holds_nothing_is_pruned() {
    let mut space = Space::fresh().await;
    assert_eq!(space.streams.prune(P, "a", Duration::ZERO).await, Ok(false), "no stream");
    space.publish(1..=2).await;
    let read = space.read("a", 1).await;
    assert_eq!(space.streams.prune(P, "a", Duration::ZERO).await, Ok(false), "it holds an entry");
    space.streams.park(park(Parking::Retry, &[(read[0], 0, 0)]), "a").await.unwrap();
    assert_eq!(space.streams.prune(P, "a", Duration::from_secs(3600)).await, Ok(false), "it is not idle");
    assert_eq!(space.streams.prune(P, "a", Duration::ZERO).await, Ok(true));
    assert_eq!(space.streams.prune(P, "a", Duration::ZERO).await, Ok(false), "it is gone");
    space.settle(&read).await;
    assert_eq!(space.streams.prune(P, keys::RETRY, Duration::ZERO).await, Ok(false), "parked entries need it");
    assert_eq!(space.pending(keys::RETRY).await, []);
}

#[tokio::test]
async fn a_consumer_that_is_given_an_entry_between_being_listed_and_pruned_stays_with_it() {
    let mut space = Space::fresh().await;
    space.publish(1..=1).await;
    space.say(&format!("XGROUP CREATECONSUMER {} {} a", keys::targets(P), keys::GROUP)).await;
    let listed = space.streams.consumers(&[P]).await.unwrap().remove(0);
    assert_eq!((listed[0].name.as_str(), listed[0].pending), ("a", 0), "it holds nothing when it is listed");
    let held = space.read("a", 1).await;
    assert_eq!(space.streams.prune(P, "a", Duration::ZERO).await, Ok(false));
    assert_eq!(space.pending("a").await, [(held[0], 1)]);
}
