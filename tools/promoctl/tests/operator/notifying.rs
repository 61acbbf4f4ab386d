//! What the outside is told: the outbox, and the operators' view of it.

use std::time::Duration;

use pipeline::domain::{PromotionId, PromotionStatus};
use pipeline::store::{Attempted, Store, StoreSettings};

use crate::field::{Field, Shape};

fn store(field: &Field) -> Store {
    Store::new(StoreSettings {
        url: field.database_url(),
        zone: chrono_tz::Asia::Seoul,
        connections: 4,
        acquire_timeout: Duration::from_secs(5),
        lock_wait: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(60),
        pins: None,
    })
    .unwrap()
}

const RUNNING: Shape = Shape { targets: 3, partitions: 1, status: "IN_PROGRESS", started: true };

#[tokio::test]
async fn every_change_is_told_once_and_waiting_once_for_as_long_as_it_lasts() {
    let field = Field::new().await;
    let id = field.promotion(RUNNING).await;
    let store = store(&field);
    let promotion = store.promotion(PromotionId(id)).await.unwrap().unwrap();
    let events = async || -> Vec<String> {
        sqlx::query_scalar("SELECT CAST(event AS CHAR) FROM payout_notifications ORDER BY notification_id")
            .fetch_all(&field.pool)
            .await
            .unwrap()
    };
    field.result(id, 1001, "PENDING").await;
    field.sql("UPDATE campaign_promotion_point_results SET waits_for = 'UNKNOWN_OUTCOME'").await;
    let proof = store.prove(&promotion).await.unwrap();
    let told = tokio::join!(store.needs_person(&promotion, &proof), store.needs_person(&promotion, &proof));
    assert_eq!(u8::from(told.0.unwrap()) + u8::from(told.1.unwrap()), 1, "two replicas, one message");
    assert!(!store.needs_person(&promotion, &proof).await.unwrap());
    store.needs_nobody(promotion.id).await.unwrap();
    assert!(store.needs_person(&promotion, &proof).await.unwrap(), "it began again");
    assert!(store.fail(promotion.id, PromotionStatus::InProgress, "x").await.unwrap());
    assert!(!store.fail(promotion.id, PromotionStatus::InProgress, "x").await.unwrap());
    assert!(!store.needs_person(&promotion, &proof).await.unwrap(), "it does not run");
    field.sql("UPDATE campaign_promotions SET promotion_status = 'IN_PROGRESS'").await;
    field.sql("UPDATE campaign_promotion_point_results SET waits_for = NULL, process_status = 'SUCCESS'").await;
    field.result(id, 1002, "SUCCESS").await;
    field.result(id, 1003, "FAILED").await;
    for _ in 0..2 {
        assert!(store.complete(&promotion).await.unwrap().is_some());
    }
    let (waits, failed, completed) = ("promotion.needs_person", "promotion.failed", "promotion.completed");
    assert_eq!(events().await, [waits, waits, failed, completed]);
    let open = "SELECT COUNT(*) FROM payout_notifications WHERE open_period IS NOT NULL";
    assert_eq!(field.number(open).await, 0, "the end ends the waiting");
    let body: String =
        sqlx::query_scalar("SELECT CAST(body AS CHAR) FROM payout_notifications ORDER BY notification_id DESC LIMIT 1")
            .fetch_one(&field.pool)
            .await
            .unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["type"], completed);
    let data = &body["data"];
    assert_eq!((data["promotion_id"].as_i64(), data["promotion_status"].as_str()), (Some(id), Some("COMPLETED")));
    assert_eq!((data["counts"]["success"].as_u64(), data["counts"]["fail"].as_u64()), (Some(2), Some(1)));
    assert_eq!(
        (data["amounts"]["planned"].as_str(), data["amounts"]["success"].as_str()),
        (Some("301.50"), Some("201.00"))
    );
    assert!(body["timestamp"].as_str().unwrap().ends_with("+09:00"), "{body}");
}

#[tokio::test]
async fn a_message_is_taken_by_one_and_due_again_when_that_one_dies() {
    let field = Field::new().await;
    let id = PromotionId(field.promotion(RUNNING).await);
    let store = store(&field);
    store.fail(id, PromotionStatus::InProgress, "x").await.unwrap();
    let due = store.due_notifications(1000, 10).await.unwrap().remove(0);
    let taken = tokio::join!(store.claim_notification(&due, 5000), store.claim_notification(&due, 5000));
    assert_eq!(u8::from(taken.0.unwrap()) + u8::from(taken.1.unwrap()), 1);
    assert!(store.due_notifications(4999, 10).await.unwrap().is_empty(), "it is being sent");
    let again = store.due_notifications(5000, 10).await.unwrap().remove(0);
    assert_eq!((again.event_id.as_str(), again.attempts), (due.event_id.as_str(), 1));
    assert!(store.claim_notification(&again, 9000).await.unwrap());
    // The first wakes up late: it is not his any more.
    assert!(!store.attempted_notification(&due, &Attempted::GivenUp, "HTTP 500").await.unwrap());
    assert!(store.attempted_notification(&again, &Attempted::Again(7000), "HTTP 500").await.unwrap());
    assert!(store.due_notifications(6999, 10).await.unwrap().is_empty());
    assert_eq!(store.due_notifications(7000, 10).await.unwrap().len(), 1);
    assert_eq!(store.notification_backlog().await.unwrap().waiting, 1);
    assert_eq!(store.skip_notifications(&[]).await.unwrap(), 1);
    assert_eq!(store.notification_backlog().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn operators_see_what_was_told_and_have_it_sent_again() {
    let field = Field::new().await;
    let id = field.promotion(RUNNING).await;
    store(&field).fail(PromotionId(id), PromotionStatus::InProgress, "x").await.unwrap();
    let list = field.json(&["notifications", "list", "--promotion", &id.to_string(), "--state", "waiting"]);
    let line = &list["data"][0];
    assert_eq!((line["event"].as_str(), line["attempts"].as_u64()), (Some("promotion.failed"), Some(0)));
    let number = line["notification_id"].to_string();
    let resend = ["notifications", "resend", &number, "--reason", "receiver was away"];
    assert_eq!(field.code(&[&resend[..], &["--yes"]].concat()), 2, "it is waiting already");
    field.sql("UPDATE payout_notifications SET state = 'GIVEN_UP', attempts = 16, last_answer = 'HTTP 500'").await;
    assert_eq!(field.code(&resend), 2, "nobody is there to ask");
    assert_eq!(field.code(&[&resend[..], &["--dry-run"]].concat()), 0);
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_notifications WHERE state = 'GIVEN_UP'").await, 1);
    field.ctl(&[&resend[..], &["--yes"]].concat()).ok().unwrap();
    assert_eq!(
        field.number("SELECT COUNT(*) FROM payout_notifications WHERE state = 'WAITING' AND attempts = 0").await,
        1
    );
    assert_eq!(field.acts("notifications resend").await.len(), 1);
    assert_eq!(field.code(&["notifications", "resend", "999", "--reason", "x", "--yes"]), 2);
}
