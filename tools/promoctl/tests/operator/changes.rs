use crate::field::{CODE, Field, Shape};

const STATUSES: [&str; 6] = ["LOADING", "READY", "IN_PROGRESS", "COMPLETED", "STOPPED", "FAILED"];

fn shape(status: &'static str, started: bool) -> Shape {
    Shape { targets: 3, partitions: 2, status, started }
}

async fn put(field: &Field, id: i64, status: &str, started: bool) {
    field.sql(&format!("UPDATE campaign_promotions SET promotion_status = '{status}' WHERE promotion_id = {id}")).await;
    field.sql(&format!("DELETE FROM campaign_promotion_summary WHERE promotion_id = {id}")).await;
    if started {
        field
            .sql(&format!("INSERT INTO campaign_promotion_summary (promotion_id, started_at) VALUES ({id}, NOW())"))
            .await;
    }
}

#[tokio::test]
async fn stop_and_resume_move_exactly_what_the_state_table_says() {
    let field = Field::new().await;
    let id = field.promotion(shape("READY", false)).await;
    let name = id.to_string();
    for status in STATUSES {
        for started in [false, true] {
            let stopped = matches!(status, "READY" | "IN_PROGRESS").then_some("STOPPED");
            let resumed = match (status, started) {
                ("STOPPED" | "FAILED", true) => Some("IN_PROGRESS"),
                ("STOPPED" | "FAILED", false) => Some("READY"),
                _ => None,
            };
            let stop = ["promotion", "stop", &name, "--memo", "m", "--yes"];
            let resume = ["promotion", "resume", &name, "--reason", "r", "--yes"];
            for (args, to) in [(&stop, stopped), (&resume, resumed)] {
                put(&field, id, status, started).await;
                let code = field.code(args);
                let now = field.status(id).await.unwrap();
                assert_eq!(
                    (code, now.as_str()),
                    (if to.is_some() { 0 } else { 2 }, to.unwrap_or(status)),
                    "{args:?} {status} {started}"
                );
            }
        }
    }
    assert_eq!(field.acts("promotion stop").await.len(), 4);
    assert_eq!(field.acts("promotion resume").await.len(), 4);
}

#[tokio::test]
async fn a_stop_is_audited_with_who_why_how_many_and_how_much() {
    let field = Field::new().await;
    let id = field.promotion(shape("IN_PROGRESS", true)).await;
    field.result(id, 1001, "SUCCESS").await;
    let name = id.to_string();
    let done = field.json(&["promotion", "stop", &name, "--memo", "wrong amounts", "--yes", "--as", "kim"]);
    assert_eq!(done["from"], "IN_PROGRESS");
    assert_eq!(done["to"], "STOPPED");
    assert_eq!(done["targets"], 2);
    assert_eq!(done["amount"], "201.00");
    let acts = field.acts("promotion stop").await;
    assert_eq!(acts, [("kim".to_owned(), "wrong amounts".to_owned(), 2, "201.00".to_owned())]);
    let memo = "SELECT COUNT(*) FROM campaign_promotion_summary WHERE stopped_memo = 'wrong amounts' AND stopped_at IS NOT NULL";
    assert_eq!(field.number(memo).await, 1);
    field.ctl(&["promotion", "resume", &name, "--reason", "mended", "--yes"]).ok().unwrap();
    assert_eq!(field.number("SELECT COUNT(*) FROM campaign_promotion_summary WHERE stopped_memo IS NULL").await, 1);
}

#[tokio::test]
async fn nothing_is_written_unasked_or_on_a_dry_run_or_without_a_reason() {
    let field = Field::new().await;
    let id = field.promotion(shape("IN_PROGRESS", true)).await;
    let name = id.to_string();
    assert_eq!(field.code(&["promotion", "stop", &name, "--memo", "m"]), 2, "no terminal, no --yes");
    assert_eq!(field.code(&["promotion", "stop", &name, "--yes"]), 2, "no memo");
    assert_eq!(field.code(&["promotion", "stop", &name, "--memo", " ", "--yes"]), 2, "an empty memo");
    let dry = field.json(&["promotion", "stop", &name, "--memo", "m", "--dry-run"]);
    assert_eq!((dry["dry_run"].as_bool(), dry["targets"].as_u64()), (Some(true), Some(3)));
    assert_eq!(field.status(id).await.unwrap(), "IN_PROGRESS");
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
    assert_eq!(field.code(&["promotion", "stop", "99", "--memo", "m", "--yes"]), 2, "no such promotion");
}

#[tokio::test]
async fn only_what_was_never_started_is_discarded_and_that_frees_its_campaign_code() {
    let field = Field::new().await;
    for status in STATUSES {
        for started in [false, true] {
            let id = field.promotion(shape(status, started)).await;
            let allowed = !started && !matches!(status, "IN_PROGRESS" | "COMPLETED");
            let code = field.code(&["promotion", "discard", &id.to_string(), "--reason", "r", "--yes"]);
            assert_eq!(code, if allowed { 0 } else { 2 }, "{status} {started}");
            assert_eq!(
                field.status(id).await.as_deref(),
                if allowed { None } else { Some(status) },
                "{status} {started}"
            );
            if !allowed {
                put(&field, id, "READY", false).await;
                assert_eq!(field.code(&["promotion", "discard", &id.to_string(), "--reason", "r", "--yes"]), 0);
            }
            for table in ["campaign_promotion_point_targets", "campaign_promotion_loads", "campaign_promotion_summary"]
            {
                assert_eq!(field.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
            }
        }
    }
    let id = field.promotion(shape("READY", false)).await;
    assert!(field.status(id).await.is_some(), "{CODE} is free again");
    let acts = field.acts("promotion discard").await;
    assert_eq!(acts[0], ("tester".to_owned(), "r".to_owned(), 3, "301.50".to_owned()));
}

#[tokio::test]
async fn a_discard_that_was_killed_is_finished_by_the_same_command_and_never_resumed() {
    let field = Field::new().await;
    let id = field.promotion(shape("READY", false)).await;
    let name = id.to_string();
    // As a crash behind the first slice leaves it.
    field.sql(&format!("UPDATE campaign_promotions SET promotion_status = 'STOPPED' WHERE promotion_id = {id}")).await;
    field
        .sql(&format!("INSERT INTO payout_audit (at, actor, action, promotion_id, reason) VALUES (NOW(), 'x', 'promotion discard', {id}, 'r')"))
        .await;
    field.sql("DELETE FROM campaign_promotion_point_targets WHERE point_target_id = 1001").await;
    assert_eq!(field.code(&["promotion", "resume", &name, "--reason", "r", "--yes"]), 2);
    assert_eq!(field.status(id).await.unwrap(), "STOPPED");
    assert_eq!(field.code(&["promotion", "discard", &name, "--reason", "r", "--yes"]), 0);
    assert_eq!(field.status(id).await, None);
}

#[tokio::test]
async fn a_promotion_with_results_is_not_discarded() {
    let field = Field::new().await;
    let id = field.promotion(shape("READY", false)).await;
    field.result(id, 1001, "PENDING").await;
    assert_eq!(field.code(&["promotion", "discard", &id.to_string(), "--reason", "r", "--yes"]), 2);
    assert_eq!(field.number("SELECT COUNT(*) FROM campaign_promotion_point_targets").await, 3);
}
