use crate::field::{Field, Shape};

async fn waiting(field: &mut Field) -> i64 {
    let id = field.promotion(Shape { targets: 3, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    field.publish(id, 0).await;
    field.result(id, 1001, "PENDING").await;
    field.result(id, 1002, "PENDING").await;
    field.sql("UPDATE campaign_promotion_point_results SET waits_for = 'UNKNOWN_OUTCOME', may_have_executed = 1 WHERE point_target_id = 1001").await;
    field.deliver(id, 0, "held", 1);
    id
}

async fn row(field: &Field) -> (String, Option<String>, Option<String>, Option<String>) {
    sqlx::query_as(
        "SELECT CAST(process_status AS CHAR), CAST(transaction_key AS CHAR), CAST(error_code AS CHAR), CAST(waits_for AS CHAR) \
         FROM campaign_promotion_point_results WHERE point_target_id = 1001",
    )
    .fetch_one(&field.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_outcome_that_waits_for_a_person_is_closed_once_audited_and_its_entry_is_due() {
    let mut field = Field::new().await;
    let id = waiting(&mut field).await.to_string();
    let base = ["resolve", "1001", "--promotion", &id, "--reason", "the bank says so"];
    let with =
        |more: &[&'static str]| base.iter().copied().chain(more.iter().copied()).map(str::to_owned).collect::<Vec<_>>();
    let run = |more: &[&'static str]| {
        let args = with(more);
        field.code(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(run(&["--paid", "mk77"]), 2, "unasked");
    assert_eq!(run(&["--paid", "mk77", "--dry-run"]), 0);
    assert_eq!(row(&field).await.0, "PENDING");
    assert_eq!(run(&["--paid", "mk77", "--yes"]), 0);
    assert_eq!(row(&field).await, ("SUCCESS".into(), Some("mk77".into()), None, None));
    assert_eq!(run(&["--not-paid", "--yes"]), 2, "a final row is not changed");
    assert_eq!(row(&field).await.0, "SUCCESS");
    assert_eq!(field.acts("resolve").await, [("tester".into(), "the bank says so".into(), 1, "100.50".into())]);
    let pending = field.json(&["pending", "list", "--promotion", &id, "--consumer", "held"]);
    assert!(pending["data"][0]["idle_ms"].as_u64().unwrap() > 3_600_000, "{pending}");
}

#[tokio::test]
async fn not_paid_is_failed_with_a_code_of_its_own() {
    let mut field = Field::new().await;
    waiting(&mut field).await;
    assert_eq!(field.code(&["resolve", "1001", "--type", "POINT", "--not-paid", "--reason", "r", "--yes"]), 0);
    assert_eq!(row(&field).await, ("FAILED".into(), None, Some("RESOLVED_NOT_PAID".into()), None));
}

#[tokio::test]
async fn only_a_row_that_waits_for_a_person_is_closed() {
    let mut field = Field::new().await;
    let id = waiting(&mut field).await.to_string();
    for target in ["1002", "1003", "9999"] {
        assert_eq!(
            field.code(&["resolve", target, "--promotion", &id, "--not-paid", "--reason", "r", "--yes"]),
            2,
            "{target}"
        );
    }
    assert_eq!(field.code(&["resolve", "1001", "--promotion", "99", "--not-paid", "--reason", "r", "--yes"]), 2);
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
}
