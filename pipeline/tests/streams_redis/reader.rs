use std::collections::HashMap;
use std::time::Duration;

use pipeline::domain::{Counts, EntryId};
use pipeline::keys;
use pipeline::streams::{Published, ReadError, Rebuilt, StreamsError};

use crate::support::{BOUND, P, Space, batch, ids, partition, published, published_ids, record};

const LONG: Option<Duration> = Some(Duration::from_secs(20));

#[tokio::test]
async fn a_read_over_many_partitions_tells_them_apart() {
    let mut space = Space::fresh().await;
    let partitions: Vec<_> = (0..5).map(partition).collect();
    for partition in &partitions {
        let targets = if partition.number % 2 == 0 { vec![i64::from(partition.number) + 1, 100] } else { vec![] };
        assert_eq!(published(&space.streams, batch(*partition, 0, targets)).await, Published::Done);
    }
    let read = space.reader.read("a", &partitions, 10, Some(Duration::from_millis(50))).await.unwrap();
    let got: Vec<_> = read.iter().map(|delivery| (delivery.partition.number, delivery.id.first)).collect();
    assert_eq!(got, [(0, 1), (0, 100), (2, 3), (2, 100), (4, 5), (4, 100)]);
    assert_eq!(space.reader.read("a", &partitions, 10, Some(Duration::from_millis(1))).await, Ok(vec![]));
    assert_eq!(space.reader.read("a", &[], 10, LONG).await, Ok(vec![]));
}

#[tokio::test]
async fn one_missing_stream_or_group_fails_the_read_as_missing() {
    let mut space = Space::fresh().await;
    space.publish([1]).await;
    assert_eq!(space.reader.read("a", &[P, partition(1)], 10, LONG).await, Err(ReadError::Missing));
    assert!(!space.reader.is_connected());
    space.say(&format!("XGROUP DESTROY {} {}", keys::targets(P), keys::GROUP)).await;
    assert_eq!(space.reader.read("a", &[P], 10, None).await, Err(ReadError::Missing));
}

#[tokio::test]
async fn a_stream_that_is_removed_under_a_blocked_reader_is_missing() {
    let mut space = Space::fresh().await;
    space.publish([]).await;
    let mut reader = space.streams.reader();
    let read = tokio::spawn(async move { reader.read("a", &[P], 10, LONG).await });
    space.until_blocked().await;
    space.streams.remove_partitions(&[P], Duration::ZERO).await.unwrap();
    assert_eq!(tokio::time::timeout(BOUND, read).await.unwrap().unwrap(), Err(ReadError::Missing));
}

#[tokio::test]
async fn a_key_of_another_type_is_not_taken_for_missing() {
    let mut space = Space::fresh().await;
    space.say(&format!("SET {} x", keys::targets(P))).await;
    let error = space.reader.read("a", &[P], 10, None).await;
    assert!(matches!(error, Err(ReadError::Failed(StreamsError::Refused(_)))), "{error:?}");
}

#[tokio::test]
async fn a_blocked_reader_does_not_notice_a_rebuild() {
    for records in [vec![], vec![record(1)]] {
        let mut space = Space::fresh().await;
        space.publish([1]).await;
        let old = space.read("a", 1).await;
        let mut reader = space.streams.reader();
        let read = tokio::spawn(async move { reader.read("b", &[P], 10, LONG).await });
        space.until_blocked().await;
        assert_eq!(space.streams.rebuild(P, old[0], None, &Counts::default(), None, &records).await, Ok(Rebuilt::Done));
        if records.is_empty() {
            space.publish([2]).await;
        }
        let read = tokio::time::timeout(BOUND, read).await.unwrap().unwrap().unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(space.settle(&ids(&read)).await, 1);
    }
}

#[tokio::test]
async fn what_was_delivered_to_a_dropped_read_is_found_by_draining() {
    let mut space = Space::fresh().await;
    space.publish([]).await;
    let mut reader = space.streams.reader();
    {
        let mut read = std::pin::pin!(reader.read("a", &[P], 10, LONG));
        tokio::select! {
            early = &mut read => panic!("{early:?}"),
            () = space.until_blocked() => {}
        }
        // From here on nobody looks at the answer.
        space.publish(1..=3).await;
        assert_eq!(space.pending("a").await.len(), 3);
    }
    assert!(!reader.is_connected(), "the connection went with the read");
    assert_eq!(reader.read("a", &[P], 10, None).await, Ok(vec![]), "they are not new any more");
    let mut after = HashMap::new();
    let drained = reader.drain("a", &[P], &mut after, 10).await.unwrap();
    assert_eq!(ids(&drained), published_ids(1..=3));
    assert_eq!(drained[1].body, Some(record(2)));
    assert_eq!(reader.drain("a", &[P], &mut after, 10).await, Ok(vec![]));
}

#[tokio::test]
async fn draining_goes_page_by_page_over_all_partitions_and_leaves_others_entries_alone() {
    let mut space = Space::fresh().await;
    let partitions = [P, partition(1)];
    for partition in partitions {
        published(&space.streams, batch(partition, 0, 1..=7)).await;
    }
    assert_eq!(space.reader.read("a", &partitions, 6, None).await.unwrap().len(), 12);
    assert_eq!(space.reader.read("b", &partitions, 6, None).await.unwrap().len(), 2);
    space.say(&format!("XDEL {} 3-0", keys::targets(P))).await;
    let (mut after, mut seen) = (HashMap::new(), Vec::new());
    loop {
        let page = space.reader.drain("a", &partitions, &mut after, 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen.len(), 12);
    let gone: Vec<_> =
        seen.iter().filter(|delivery| delivery.body.is_none()).map(|gone| (gone.partition, gone.id)).collect();
    assert_eq!(gone, [(P, EntryId { first: 3, second: 0 })]);
}

#[tokio::test]
async fn an_entry_of_somebody_elses_making_has_an_empty_body() {
    let mut space = Space::fresh().await;
    space.publish([]).await;
    space.say(&format!("XADD {} 5-0 other field", keys::targets(P))).await;
    let read = space.reader.read("a", &[P], 10, None).await.unwrap();
    assert_eq!(read[0].body, Some(vec![]));
}
