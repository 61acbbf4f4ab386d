//! What boards and alerts are made of.

use chrono::{NaiveDate, NaiveDateTime};
use pipeline::domain::outcome::Effect;
use pipeline::domain::{PayoutType, ProcessStatus, PromotionStatus};
use pipeline::store::Claim;

use crate::support::{ANOTHERS, MINE, PROMOTION, tables};

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
