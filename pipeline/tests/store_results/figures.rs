//! What boards and alerts are made of.

use chrono::{NaiveDate, NaiveDateTime};
use pipeline::domain::outcome::Effect;
use pipeline::domain::{Counts, PayoutType, ProcessStatus, PromotionId, PromotionStatus};
use pipeline::store::Claim;

use crate::support::{ANOTHERS, MINE, PROMOTION, store, tables};

fn at(second: u32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 1, 2).and_then(|day| day.and_hms_opt(3, 4, second)).unwrap()
}

#[tokio::test]
async fn an_outcome_is_unknown_since_its_key_was_first_sent_however_often_it_is_recorded_again() {
    let tables = tables(PayoutType::point(), 5).await;
    let promotion = tables.store.promotion(PROMOTION).await.unwrap().unwrap();
    // Being paid, waiting for another attempt, final: none of them is unknown.
    tables.begin(&[1], MINE, Claim::First).await;
    tables.row(2, "RETRYING", 1, true, ANOTHERS).await;
    tables.row(3, "SUCCESS", 0, true, ANOTHERS).await;
    let proof = tables.store.prove(&promotion).await.unwrap();
    assert_eq!((proof.unknown(), proof.oldest_unknown()), (0, None));
    // `row` says when it was first sent.
    tables.row(4, "PENDING", 0, true, ANOTHERS).await;
    for again in 0..2 {
        let row = tables.read(4).await;
        let row = tables.record(row, 4, MINE, Effect::Unknown(None), true).await;
        assert_eq!((row.status, row.may_have_executed), (ProcessStatus::Pending, true), "{again}");
        let proof = tables.store.prove(&promotion).await.unwrap();
        assert_eq!((proof.unknown(), proof.oldest_unknown()), (1, Some(at(5))), "{again}");
    }
}

#[tokio::test]
async fn the_end_is_proved_over_every_span_of_ids_with_the_connections_that_can_be_had() {
    // More than two spans of 50,000.
    const TARGETS: u64 = 100_002;
    let tables = tables(PayoutType::point(), 0).await;
    let digits = "JSON_TABLE('[0,1,2,3,4,5,6,7,8,9]', '$[*]' COLUMNS (d INT PATH '$'))";
    let ids = "1 + a.d + 10*b.d + 100*c.d + 1000*d.d + 10000*e.d + 100000*f.d";
    tables
        .sql(&format!(
            "INSERT INTO campaign_promotion_point_targets (point_target_id, promotion_id, customer_uid, amount, partition_key, publish_status) \
             SELECT {ids}, 1, {ids}, 10, 0, 'PUBLISHED' FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e, {digits} f \
             WHERE {ids} <= {TARGETS}; \
             INSERT INTO campaign_promotion_point_results (point_target_id, promotion_id, process_status, retry_count) \
             SELECT point_target_id, 1, IF(point_target_id % 3 = 0, 'FAILED', 'SUCCESS'), point_target_id % 2 \
             FROM campaign_promotion_point_targets; \
             UPDATE campaign_promotions SET total_count = {TARGETS} WHERE promotion_id = 1; \
             INSERT INTO campaign_promotion_summary (promotion_id) VALUES (1)"
        ))
        .await;
    let alone = store(&tables.url, 1);
    // The other of two is taken, and is not given back.
    let busy = store(&tables.url, 2);
    let other = tables.store.promotion(PromotionId(2)).await.unwrap().unwrap();
    let _taken = busy.begin_requeue(&other).await.unwrap().unwrap();
    let promotion = tables.store.promotion(PROMOTION).await.unwrap().unwrap();
    for open in [1, 50_000, 50_001, TARGETS] {
        let status = |status: &str| {
            format!(
                "UPDATE campaign_promotion_point_results SET process_status = '{status}' WHERE point_target_id = {open}"
            )
        };
        tables.sql(&status("PENDING")).await;
        for store in [&tables.store, &alone, &busy] {
            assert_eq!(store.complete(&promotion).await.unwrap(), None, "{open} is not final");
        }
        tables.sql(&status(if open % 3 == 0 { "FAILED" } else { "SUCCESS" })).await;
    }
    // The first completes it, the others find it completed.
    for store in [&tables.store, &alone, &busy] {
        let proof = store.complete(&promotion).await.unwrap().unwrap();
        let counts = Counts { published: TARGETS, success: 33_334, fail: 33_334, retry_success: 33_334 };
        assert_eq!(proof.counts(), counts);
        assert_eq!(proof.amount(ProcessStatus::Failed).decimal(), 333_340.into());
    }
}

#[tokio::test]
async fn promotions_are_counted_by_their_status_and_one_is_due_since_its_reservation_or_its_last_change() {
    let tables = tables(PayoutType::point(), 0).await;
    let none = tables.store.census().await.unwrap();
    assert_eq!(none.due_since, None);
    let promotion = |id: u32, status: &str, reserved: &str, changed: u32| {
        format!(
            "INSERT INTO campaign_promotions (promotion_id, campaign_code, external_id, promotion_type, promotion_status, reservation_at, updated_at) \
             VALUES ({id}, 'C{id}', 'x{id}', 'POINT', '{status}', {reserved}, '2026-01-02 03:04:{changed:02}')"
        )
    };
    for (id, status, reserved, changed) in [
        (11, "FAILED", "NULL", 1),
        (12, "COMPLETED", "NULL", 1),
        (13, "READY", "'2999-01-01 00:00:00'", 1),
        (14, "READY", "'2026-01-02 03:04:20'", 10),
        (15, "READY", "'2026-01-02 03:04:20'", 30),
    ] {
        tables.sql(&promotion(id, status, reserved, changed)).await;
    }
    let census = tables.store.census().await.unwrap();
    use PromotionStatus::{Failed, InProgress, Loading, Ready, Stopped};
    assert_eq!(census.counts, [(Loading, 0), (Ready, 3), (InProgress, 2), (Stopped, 0), (Failed, 1)]);
    assert_eq!(census.due_since, Some(at(20)), "one that is not due yet is not overdue");
    tables.sql(&promotion(16, "READY", "NULL", 15)).await;
    assert_eq!(tables.store.census().await.unwrap().due_since, Some(at(15)), "without a reservation it is due at once");
}
