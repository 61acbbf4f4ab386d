//! Rebuilding a partition, with a real MySQL and a real Redis.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use pipeline::domain::{Counts, EntryId, Partition, Promotion, PromotionId, TargetId};
use pipeline::keys;
use pipeline::rebuild::{RebuildOutcome, rebuild};
use pipeline::record::Record;
use pipeline::store::{PollScope, Store, StoreSettings};
use pipeline::streams::{Publish, Published, Streams};
use servers::Fixture;

const P: Partition = Partition { promotion: PromotionId(1), number: 0 };

async fn store(targets: i64) -> (Store, sqlx::MySqlPool, Promotion) {
    let url = Fixture::shared().fresh_database().unwrap();
    let settings = StoreSettings {
        url: &url,
        zone: chrono_tz::Asia::Seoul,
        connections: 2,
        acquire_timeout: Duration::from_secs(5),
        lock_wait: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(60),
        pins: None,
    };
    let store = Store::new(settings).unwrap();
    store.migrate().await.unwrap();
    let pool = sqlx::MySqlPool::connect(&url).await.unwrap();
    let sql = format!(
        "INSERT INTO campaign_promotions (promotion_id, campaign_code, external_id, promotion_type, promotion_status, \
         total_count, partition_count) VALUES (1, 'C', 'x', 'POINT', 'IN_PROGRESS', {targets}, 1)"
    );
    sqlx::raw_sql(&sql).execute(&pool).await.unwrap();
    for id in 1..=targets {
        let sql = format!(
            "INSERT INTO campaign_promotion_point_targets (point_target_id, promotion_id, customer_uid, amount, partition_key) \
             VALUES ({id}, 1, {id}, 10, 0)"
        );
        sqlx::raw_sql(&sql).execute(&pool).await.unwrap();
    }
    let promotion = store.promotions(PollScope::Running).await.unwrap().remove(0);
    (store, pool, promotion)
}

fn record(target: i64) -> Vec<u8> {
    Record { kind: "POINT".into(), promotion: P.promotion, target: TargetId(target), published_at_ms: 0 }.encode()
}

async fn publish(streams: &Streams, expected: u64, targets: impl IntoIterator<Item = i64>) -> Published {
    let entries = targets.into_iter().map(|target| (TargetId(target), record(target))).collect();
    streams.publish(&[Publish { partition: P, expected, window: 0, entries }]).await.unwrap().remove(0).unwrap()
}

/// A stranger's entry under an id of the server's clock lies behind every target: the whole partition passes for published.
#[tokio::test]
async fn a_partition_with_too_much_for_one_script_goes_back_to_what_was_added_and_the_dispatcher_goes_on_from_there() {
    let (store, pool, promotion) = store(10).await;
    let url = Fixture::shared().fresh_redis_db().unwrap();
    let streams = Streams::new(&url).unwrap();
    assert_eq!(publish(&streams, 0, 1..=3).await, Published::Done);
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut stray = redis::cmd("XADD");
    let stray: String = stray.arg(keys::targets(P)).arg("*").arg("d").arg("x").query_async(&mut redis).await.unwrap();
    let sql = "INSERT INTO campaign_promotion_point_results (point_target_id, promotion_id, process_status, attempt_token) \
               VALUES (2, 1, 'SUCCESS', 1), (9, 1, 'FAILED', 1)";
    sqlx::raw_sql(sql).execute(&pool).await.unwrap();

    // Unfinished: 1, 3, 4, 5, …; the first three go up to target 4.
    let done = rebuild(&store, &streams, &promotion, P, 3).await.unwrap();
    let counts = Counts { published: 4, success: 1, ..Counts::default() };
    assert_eq!(done, RebuildOutcome::Done { counts, entries: 3, cut: true });
    let state = streams.partition_states(&[P]).await.unwrap().remove(0);
    assert_eq!((state.counts, state.len(), state.undelivered), (counts, 3, 3));
    let last = streams.positions(&[P]).await.unwrap()[0].unwrap().last;
    assert!(last.first == 4 && last.second > 0, "{last} instead of {stray}");
    let read = streams.reader().read("a", &[P], 10, None).await.unwrap();
    let bodies: Vec<_> = read.iter().map(|delivery| delivery.body.clone().unwrap()).collect();
    let targets: Vec<_> = bodies.iter().map(|body| Record::decode(body).unwrap().target.0).collect();
    assert_eq!(targets, [1, 3, 4]);

    // The dispatcher is told where the stream stands, and publishes what follows.
    let believed = stray.split_once('-').unwrap().0.parse().unwrap();
    assert_eq!(publish(&streams, believed, []).await, Published::Last { first: 4, last, len: 3 });
    assert_eq!(publish(&streams, 4, 5..=10).await, Published::Done);

    // All of it fits: the last id stays where the dispatcher has published to.
    let counts = Counts { published: 10, success: 1, fail: 1, ..Counts::default() };
    let done = rebuild(&store, &streams, &promotion, P, 8).await.unwrap();
    assert_eq!(done, RebuildOutcome::Done { counts, entries: 8, cut: false });
    let last = streams.positions(&[P]).await.unwrap()[0].unwrap().last;
    assert!(last > EntryId { first: 10, second: 0 } && last.first == 10, "{last}");
    assert_eq!(store.count_partition(&promotion, P, TargetId(10)).await.unwrap(), counts);
}
