//! Statements that take the same rows at the same time.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use pipeline::domain::result::AttemptToken;
use pipeline::domain::{PayoutType, PromotionId, TargetId};
use pipeline::store::{Claim, Store, StoreSettings};
use servers::{MySql, MySqlOptions};

const TARGETS: i64 = 400;
const CALLERS: u64 = 4;
const ROUNDS: u64 = 10;

/// The store repeats a statement that lost a deadlock, so only the server can tell how many there were.
#[tokio::test]
async fn overlapping_intents_never_deadlock() {
    let server = MySql::start(MySqlOptions::default()).unwrap();
    let url = server.create_database("payout").unwrap();
    let store = Store::new(StoreSettings {
        url: &url,
        zone: chrono_tz::Asia::Seoul,
        connections: u32::try_from(CALLERS).unwrap(),
        acquire_timeout: Duration::from_secs(30),
        lock_wait: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(60),
        pins: None,
    })
    .unwrap();
    store.migrate().await.unwrap();
    let pool = sqlx::MySqlPool::connect(&url).await.unwrap();
    let values: Vec<String> = (1..=TARGETS).map(|id| format!("({id}, 1, {id}, 10, 0)")).collect();
    for sql in [
        format!(
            "INSERT INTO campaign_promotions (promotion_id, campaign_code, external_id, promotion_type, promotion_status, \
             total_count, partition_count) VALUES (1, 'C', 'x', 'POINT', 'IN_PROGRESS', {TARGETS}, 4)"
        ),
        format!(
            "INSERT INTO campaign_promotion_point_targets (point_target_id, promotion_id, customer_uid, amount, partition_key) \
             VALUES {}",
            values.join(",")
        ),
    ] {
        sqlx::raw_sql(&sql).execute(&pool).await.unwrap();
    }
    let targets: Vec<TargetId> = (1..=TARGETS).map(TargetId).collect();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, targets) = (store.clone(), targets.clone());
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let token = AttemptToken(caller * ROUNDS + round);
                    let kind = PayoutType::point();
                    let made = store.begin(&kind, PromotionId(1), &targets, token, Claim::First).await;
                    assert_eq!(made.unwrap().len(), targets.len());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT CAST(count AS SIGNED) FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
}
