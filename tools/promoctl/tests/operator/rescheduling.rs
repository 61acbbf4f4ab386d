use pipeline::domain::PromotionId;
use pipeline::store::{Started, Store, StoreSettings};

use crate::field::{Field, Shape};

fn shape(status: &'static str, started: bool) -> Shape {
    Shape { targets: 3, partitions: 2, status, started }
}

async fn reservation(field: &Field, id: i64) -> (Option<String>, Option<i32>) {
    sqlx::query_as(
        "SELECT DATE_FORMAT(reservation_at, '%Y-%m-%d %H:%i:%s'), reservation_priority FROM campaign_promotions \
         WHERE promotion_id = ?",
    )
    .bind(id)
    .fetch_one(&field.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn only_what_was_never_started_is_rescheduled() {
    let field = Field::new().await;
    let id = field.promotion(shape("READY", false)).await;
    let name = id.to_string();
    for status in ["LOADING", "READY", "IN_PROGRESS", "COMPLETED", "STOPPED", "FAILED"] {
        for started in [false, true] {
            field
                .sql(&format!("UPDATE campaign_promotions SET promotion_status = '{status}', reservation_at = NULL"))
                .await;
            field.sql("DELETE FROM campaign_promotion_summary").await;
            if started {
                let sql = "INSERT INTO campaign_promotion_summary (promotion_id, started_at) VALUES (?, NOW())";
                sqlx::query(sql).bind(id).execute(&field.pool).await.unwrap();
            }
            let args = ["promotion", "reschedule", &name, "--at", "2031-05-01 09:30", "--reason", "r", "--yes"];
            let allowed = !started && matches!(status, "READY" | "STOPPED");
            assert_eq!(field.code(&args), if allowed { 0 } else { 2 }, "{status} {started}");
            let expected = allowed.then(|| "2031-05-01 09:30:00".to_owned());
            assert_eq!(reservation(&field, id).await.0, expected, "{status} {started}");
            assert_eq!(field.status(id).await.as_deref(), Some(status), "its status stays");
        }
    }
    assert_eq!(field.acts("promotion reschedule").await.len(), 2);
}

#[tokio::test]
async fn what_is_not_mentioned_stays_and_both_reservations_are_told_and_audited() {
    let field = Field::new().await;
    let id = field.promotion(shape("READY", false)).await;
    let name = id.to_string();
    let run = |more: &[&str]| {
        let mut args = vec!["promotion", "reschedule", &name, "--reason", "the bank is closed"];
        args.extend(more);
        field.json(&args)
    };
    let done = run(&["--at", "2031-05-01 09:30:15", "--yes"]);
    assert_eq!(done["before"]["reservation_at"], serde_json::Value::Null);
    assert_eq!(done["after"]["reservation_at"], "2031-05-01T09:30:15");
    assert_eq!((done["targets"].as_u64(), done["amount"].as_str()), (Some(3), Some("301.50")));
    run(&["--priority", "-2", "--yes"]);
    assert_eq!(reservation(&field, id).await, (Some("2031-05-01 09:30:15".to_owned()), Some(-2)));
    let dry = run(&["--now", "--dry-run"]);
    assert_eq!((dry["dry_run"].as_bool(), dry["after"]["reservation_at"].as_str()), (Some(true), None));
    assert_eq!(reservation(&field, id).await.0.as_deref(), Some("2031-05-01 09:30:15"));
    let table = field.ctl(&["promotion", "reschedule", &name, "--now", "--reason", "r", "--dry-run"]).ok().unwrap();
    assert!(table.starts_with("would reschedule") && table.contains(": 3 targets, 301.50"), "{table}");
    run(&["--now", "--yes"]);
    assert_eq!(reservation(&field, id).await, (None, Some(-2)));
    assert_eq!(field.acts("promotion reschedule").await.len(), 3);
    let detail: String = sqlx::query_scalar("SELECT CAST(detail AS CHAR) FROM payout_audit ORDER BY audit_id LIMIT 1")
        .fetch_one(&field.pool)
        .await
        .unwrap();
    assert!(detail.contains("2031-05-01T09:30:15"), "{detail}");
}

#[tokio::test]
async fn a_reservation_is_not_changed_unasked_nor_to_a_time_that_has_passed_or_does_not_exist() {
    let field = Field::new().await;
    let name = field.promotion(shape("READY", false)).await.to_string();
    let code = |more: &[&str]| {
        let mut args = vec!["promotion", "reschedule", &name, "--reason", "r"];
        args.extend(more);
        field.code(&args)
    };
    assert_eq!(code(&["--now"]), 2, "no terminal, no --yes");
    assert_eq!(code(&["--yes"]), 2, "neither a time nor a priority");
    assert_eq!(code(&["--at", "2031-05-01 09:30", "--now", "--yes"]), 2, "both");
    assert_eq!(code(&["--at", "tomorrow", "--yes"]), 2);
    assert_eq!(code(&["--at", "2021-05-01 09:30", "--yes"]), 2, "the past");
    assert_eq!(field.code(&["promotion", "reschedule", "99", "--now", "--reason", "r", "--yes"]), 2);
    // Clocks in Berlin go from 02:00 to 03:00 that night.
    let skipped = ["promotion", "reschedule", &name, "--at", "2031-03-30 02:30", "--reason", "r", "--yes"];
    let refused = field.launch(&skipped).env("PAYOUT_TIME_ZONE", "Europe/Berlin");
    let refused = refused.run(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
}

#[tokio::test]
async fn a_dispatcher_that_saw_the_old_time_does_not_start_what_was_put_off() {
    let field = Field::new().await;
    let id = field.promotion(shape("READY", false)).await;
    // The dispatcher has listed it as due; then it is put off.
    let put_off = ["promotion", "reschedule", &id.to_string(), "--at", "2031-05-01 09:30", "--reason", "r", "--yes"];
    field.ctl(&put_off).ok().unwrap();
    let settings = StoreSettings {
        url: field.database_url(),
        zone: chrono_tz::Asia::Seoul,
        connections: 2,
        acquire_timeout: std::time::Duration::from_secs(5),
        lock_wait: std::time::Duration::from_secs(5),
        statement_timeout: std::time::Duration::from_secs(60),
        pins: None,
    };
    let store = Store::new(settings).unwrap();
    assert_eq!(store.start(PromotionId(id)).await.unwrap(), Started::No);
    assert_eq!(field.status(id).await.as_deref(), Some("READY"));
    let at_once = ["promotion", "reschedule", &id.to_string(), "--now", "--reason", "r", "--yes"];
    field.ctl(&at_once).ok().unwrap();
    assert_eq!(store.start(PromotionId(id)).await.unwrap(), Started::Yes);
}
