//! `promotion watch`.

use std::time::Duration;

use pipeline::domain::Counts;
use serde_json::Value;
use servers::Process;

use crate::field::{Field, Shape};

const BOUND: Duration = Duration::from_secs(30);

fn watch(field: &Field, id: i64, more: &[&str]) -> Process {
    let id = id.to_string();
    let args = [&["promotion", "watch", &id, "--interval", "100ms"], more].concat();
    field.launch(&args).start().unwrap()
}

/// Waits until its output says so.
fn says(process: &Process, what: &str) {
    let found = servers::poll(BOUND, || process.log().contains(what).then_some(()));
    assert!(found.is_some(), "never said {what:?}:\n{}", process.log());
}

async fn set(field: &Field, status: &str) {
    field.sql(&format!("UPDATE campaign_promotions SET promotion_status = '{status}'")).await;
}

const SHAPE: Shape = Shape { targets: 10, partitions: 1, status: "IN_PROGRESS", started: true };

#[tokio::test]
async fn programs_get_an_object_each_time_until_the_promotion_is_completed() {
    let field = Field::new().await;
    let id = field.promotion(SHAPE).await;
    field.publish(id, 0).await;
    field.result(id, 1001, "SUCCESS").await;
    field.write_hash(id, 10, Counts { published: 10, success: 1, fail: 0, retry_success: 0 }).await;
    let watch = watch(&field, id, &["-o", "json"]);
    says(&watch, "\"paid_amount\":\"100.50\"");
    field.write_hash(id, 10, Counts { published: 10, success: 4, fail: 1, retry_success: 2 }).await;
    says(&watch, "\"paid\":6");
    for target in 1002..=1009 {
        field.result(id, target, "SUCCESS").await;
    }
    field.result(id, 1010, "FAILED").await;
    field
        .sql("UPDATE campaign_promotion_summary SET published_count = 10, success_count = 9, fail_count = 1, completed_at = NOW()")
        .await;
    set(&field, "COMPLETED").await;
    assert_eq!(watch.wait(BOUND).unwrap().code(), Some(0));
    let log = watch.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((last["paid"].as_u64(), last["failed"].as_u64()), (Some(9), Some(1)));
    assert_eq!((last["paid_amount"].as_str(), last["planned_amount"].as_str()), (Some("904.50"), Some("1005.00")));
    assert_eq!((last["promotion_status"].as_str(), last["remaining_seconds"].as_u64()), (Some("COMPLETED"), Some(0)));
}

#[tokio::test]
async fn what_is_unknown_is_told_apart_from_what_is_under_way_and_from_what_waits() {
    let field = Field::new().await;
    let id = field.promotion(SHAPE).await;
    field.publish(id, 0).await;
    for target in 1001..=1006 {
        field.result(id, target, "PENDING").await;
    }
    field.result(id, 1007, "RETRYING").await;
    field
        .sql("UPDATE campaign_promotion_point_results SET may_have_executed = 1 WHERE point_target_id IN (1001, 1002, 1003, 1007)")
        .await;
    // Of the unknown ones, one waits for a person; so does one that was refused.
    field
        .sql("UPDATE campaign_promotion_point_results SET waits_for = 'UNKNOWN_OUTCOME' WHERE point_target_id IN (1003, 1004)")
        .await;
    let objects = watch(&field, id, &["-o", "json"]);
    says(&objects, "\"unknown\":3");
    let lines = watch(&field, id, &[]);
    says(&lines, " unknown 3 of 10 ");
}

#[tokio::test]
async fn without_a_terminal_there_is_a_line_each_time_and_the_exit_code_says_how_it_ended() {
    let field = Field::new().await;
    let id = field.promotion(SHAPE).await;
    for (status, code) in [("STOPPED", 3), ("FAILED", 1), ("COMPLETED", 0)] {
        set(&field, "IN_PROGRESS").await;
        let watch = watch(&field, id, &[]);
        says(&watch, "IN_PROGRESS published 0 paid 0");
        set(&field, status).await;
        assert_eq!(watch.wait(BOUND).unwrap().code(), Some(code), "{status}:\n{}", watch.log());
        assert!(!watch.log().contains('\u{1b}'), "control sequences without a terminal");
    }
    set(&field, "STOPPED").await;
    let patient = watch(&field, id, &["--until-done"]);
    says(&patient, "STOPPED");
    set(&field, "FAILED").await;
    says(&patient, "FAILED");
    assert!(patient.is_running());
    set(&field, "COMPLETED").await;
    assert_eq!(patient.wait(BOUND).unwrap().code(), Some(0));
}

#[tokio::test]
async fn an_interrupted_watch_leaves_at_once_and_does_not_claim_the_end() {
    let field = Field::new().await;
    let id = field.promotion(SHAPE).await;
    let watch = watch(&field, id, &[]);
    says(&watch, "IN_PROGRESS");
    let done = std::process::Command::new("kill").args(["-INT", &watch.pid().to_string()]).status().unwrap();
    assert!(done.success());
    assert_eq!(watch.wait(BOUND).unwrap().code(), Some(3));
    assert_eq!(field.code(&["promotion", "watch", "999"]), 2);
}
