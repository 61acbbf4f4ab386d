use pipeline::domain::Counts;
use serde_json::Value;

use crate::field::{Field, Shape, counts, stream};

const SHAPE: Shape = Shape { targets: 10, partitions: 2, status: "COMPLETED", started: true };

/// 1001 is paid; 1002 to 1004 never reached execution, 1005 and 1006 were refused, 1007 has no amount; 1008 is unknown,
/// 1009 waits for a person, 1010 is tried again by itself.
async fn promotion(field: &Field) -> i64 {
    let id = field.promotion(SHAPE).await;
    let statuses =
        ["SUCCESS", "FAILED", "FAILED", "FAILED", "FAILED", "FAILED", "FAILED", "PENDING", "PENDING", "RETRYING"];
    for (target, status) in (1001..).zip(statuses) {
        field.result(id, target, status).await;
    }
    let set = async |what: &str, targets: &str| {
        let sql = format!("UPDATE campaign_promotion_point_results SET {what} WHERE point_target_id IN ({targets})");
        field.sql(&sql).await;
    };
    set("error_code = 'HTTP_429'", "1002, 1003, 1004").await;
    set("error_code = 'NO_AMOUNT'", "1007").await;
    set("may_have_executed = 1, error_code = 'TIMEOUT'", "1008, 1009").await;
    set("waits_for = 'UNKNOWN_OUTCOME'", "1009").await;
    id
}

/// As one that ended.
async fn ended(field: &Field) -> i64 {
    let id = promotion(field).await;
    field
        .sql(
            "UPDATE campaign_promotion_point_results SET process_status = 'SUCCESS', transaction_key = 'mk', error_code = NULL, \
             waits_for = NULL WHERE point_target_id > 1007",
        )
        .await;
    field.sql("UPDATE campaign_promotion_summary SET completed_at = NOW()").await;
    id
}

/// Exit code and result of a command that may ask money, which is away.
fn run(field: &Field, args: &[&str]) -> (i32, Value, String) {
    let launch = field.launch(args).args(["-o", "json"]);
    let launch = launch.env("MONEY_URL", "http://127.0.0.1:9").env("MONEY_TOKEN", "token");
    let finished = launch.run(std::time::Duration::from_secs(60)).unwrap();
    let value = serde_json::from_str(&finished.stdout).unwrap_or(Value::Null);
    (finished.status.code().unwrap(), value, finished.stderr)
}

fn plan(field: &Field, promotion: i64, more: &[&str]) -> Value {
    let id = promotion.to_string();
    let mut args = vec!["retry", "plan", "--promotion", &id];
    args.extend(more);
    let (code, plan, error) = run(field, &args);
    assert_eq!(code, 0, "{error}");
    plan
}

fn apply(field: &Field, plan: &Value, more: &[&str]) -> (i32, Value, String) {
    let id = plan["plan_id"].to_string();
    let mut args = vec!["retry", "apply", &id, "--reason", "mended", "--yes"];
    args.extend(more);
    run(field, &args)
}

async fn row(field: &Field, target: i64) -> (String, i32, i32, i32, i64, bool) {
    let sql = format!(
        "SELECT CAST(process_status AS CHAR), key_generation, requeues, retry_count, attempt_token, first_sent_at IS NOT NULL \
         FROM campaign_promotion_point_results WHERE point_target_id = {target}"
    );
    sqlx::query_as(&sql).fetch_one(&field.pool).await.unwrap()
}

#[tokio::test]
async fn a_plan_says_what_it_would_try_again_and_why_not_the_rest() {
    let field = Field::new().await;
    let id = promotion(&field).await;
    let plan = plan(&field, id, &[]);
    assert_eq!((&plan["targets"], &plan["amount"], &plan["status"]), (&5.into(), &"502.50".into(), &"READY".into()));
    let eligible = &plan["eligible"];
    assert_eq!((&eligible[0]["error_code"], &eligible[0]["key"]), (&"HTTP_429".into(), &"same".into()), "{plan}");
    assert_eq!((&eligible[1]["error_code"], &eligible[1]["key"]), (&"REFUSED".into(), &"next generation".into()));
    let mut left: Vec<(String, u64)> = plan["not_eligible"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["reason"].as_str().unwrap().to_owned(), group["targets"].as_u64().unwrap()))
        .collect();
    left.sort();
    let expected = ["ALREADY_PAID", "CANNOT_BE_PAID", "OUTCOME_UNKNOWN", "STILL_RETRYING", "WAITS_FOR_A_PERSON"];
    assert_eq!(left, expected.map(|reason| (reason.to_owned(), 1)));
    assert_eq!(plan["hash"].as_str().unwrap().len(), 64);
    // A plan changes no target.
    assert_eq!(field.number("SELECT COUNT(*) FROM campaign_promotion_point_results WHERE requeues > 0").await, 0);
    let list = field.json(&["retry", "list", "--promotion", &id.to_string()]);
    assert_eq!(list["data"][0]["plan_id"], plan["plan_id"]);
}

#[tokio::test]
async fn a_plan_of_very_many_codes_still_adds_up() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 203, ..SHAPE }).await;
    field
        .sql(&format!(
            "INSERT INTO campaign_promotion_point_results (point_target_id, promotion_id, process_status, error_code, \
             attempt_token, first_sent_at, updated_at) SELECT point_target_id, {id}, 'FAILED', \
             CONCAT('CODE_', point_target_id), 77, NOW(), NOW() FROM campaign_promotion_point_targets"
        ))
        .await;
    let plan = plan(&field, id, &[]);
    let groups = plan["eligible"].as_array().unwrap();
    let targets: u64 = groups.iter().map(|group| group["targets"].as_u64().unwrap()).sum();
    assert_eq!((groups.len(), targets, &plan["targets"]), (201, 203, &203.into()));
    let rest = &groups[200];
    assert_eq!((&rest["error_code"], &rest["targets"]), (&"(others)".into(), &3.into()));
    assert_eq!(rest["amount"], "301.50");
}

#[tokio::test]
async fn a_filter_means_exactly_what_it_says() {
    let field = Field::new().await;
    let id = promotion(&field).await;
    field.sql("UPDATE campaign_promotion_point_results SET updated_at = NOW() - INTERVAL 2 DAY WHERE point_target_id = 1003").await;
    for (more, targets) in [
        (vec!["--error-code", "REFUSED"], 2),
        (vec!["--error-code", "REFUSED", "--error-code", "HTTP_429"], 5),
        (vec!["--older-than", "1day"], 1),
        (vec!["--customer", "7000002"], 1),
        (vec!["--target", "1002", "--target", "1005", "--target", "1001"], 2),
        (vec!["--error-code", "REFUSED", "--target", "1002"], 0),
    ] {
        assert_eq!(plan(&field, id, &more)["targets"], targets, "{more:?}");
    }
}

#[tokio::test]
async fn applying_moves_exactly_the_planned_rows_and_reopens_the_promotion() {
    let mut field = Field::new().await;
    let id = ended(&field).await;
    let plan = plan(&field, id, &["--error-code", "HTTP_429"]);
    let (code, done, error) = apply(&field, &plan, &[]);
    assert_eq!(code, 0, "{error}");
    assert_eq!((&done["requeued"], &done["same_key"], &done["amount"]), (&3.into(), &3.into(), &"301.50".into()));
    assert_eq!(field.status(id).await.unwrap(), "IN_PROGRESS");
    for target in 1002..=1004 {
        let (status, generation, requeues, retries, token, sent) = row(&field, target).await;
        assert_eq!((status.as_str(), generation, requeues, retries, sent), ("RETRYING", 1, 1, 0, true));
        assert!(token != 77 && token > 0, "an old attempt's answer would pass for this row's");
    }
    for target in 1005..=1007 {
        assert_eq!(row(&field, target).await.0, "FAILED");
    }
    assert_eq!(field.number("SELECT COUNT(*) FROM campaign_promotion_summary WHERE completed_at IS NOT NULL").await, 0);
    // Streams and counts as MySQL has them: three entries, and the dispatcher has nothing to publish again.
    let mut redis = redis::Client::open(field.redis_url()).unwrap().get_connection().unwrap();
    let (mut entries, mut settled) = (0, Counts::default());
    for partition in 0..2 {
        let length: i64 = redis::cmd("XLEN").arg(stream(id, partition)).query(&mut redis).unwrap();
        let hash: std::collections::HashMap<String, u64> =
            redis::cmd("HGETALL").arg(counts(id, partition)).query(&mut redis).unwrap();
        entries += length;
        settled.published += hash["published_count"];
        settled.fail += hash["fail_count"];
        settled.success += hash["success_count"];
    }
    assert_eq!((entries, settled.published, settled.fail, settled.success), (3, 10, 3, 4));
    // Their entries have ids of a requeue, and are listed by target and row like all others.
    for partition in 0..2 {
        field.deliver(id, partition, "payer-1", 10);
    }
    let list = field.json(&["pending", "list", "--promotion", &id.to_string()]);
    let listed = list["data"].as_array().unwrap().iter().map(|line| (&line["target_id"], &line["process_status"]));
    let mut listed: Vec<_> = listed.map(|(target, row)| (target.as_i64().unwrap(), row.as_str().unwrap())).collect();
    listed.sort_unstable();
    assert_eq!(listed, [1002, 1003, 1004].map(|target| (target, "RETRYING")), "{list}");
    let acts = field.acts("retry slice").await;
    assert_eq!(acts, [("tester".to_owned(), "mended".to_owned(), 3, "301.50".to_owned())]);
    assert_eq!(field.acts("retry apply").await.len(), 1);
    assert_eq!(apply(&field, &plan, &[]).0, 2, "applied twice");
    let shown = field.json(&["retry", "show", &plan["plan_id"].to_string()]);
    assert_eq!((&shown["status"], &shown["eligible"][0]["became"]), (&"APPLIED".into(), &"REQUEUED".into()));
}

#[tokio::test]
async fn without_moneys_word_no_target_gets_a_later_key() {
    let field = Field::new().await;
    let id = ended(&field).await;
    let plan = plan(&field, id, &["--error-code", "REFUSED"]);
    let (code, done, error) = apply(&field, &plan, &[]);
    assert_eq!(code, 3, "{error}");
    assert_eq!((&done["requeued"], &done["unproved"]["NO_ANSWER"]["targets"]), (&0.into(), &2.into()), "{done}");
    assert_eq!((row(&field, 1005).await.0, row(&field, 1005).await.1), ("FAILED".to_owned(), 1));
    assert_eq!(field.status(id).await.unwrap(), "COMPLETED");
    // It goes on where money is there again: the same plan is not used up.
    assert_eq!(field.json(&["retry", "show", &plan["plan_id"].to_string()])["status"], "APPLYING");
}

#[tokio::test]
async fn where_nothing_can_prove_it_a_later_key_needs_a_person_who_takes_the_risk() {
    let field = Field::new().await;
    let id = ended(&field).await;
    let plan = plan(&field, id, &["--error-code", "REFUSED"]);
    let name = plan["plan_id"].to_string();
    let neither = |more: &[&str]| {
        let mut args = vec!["retry", "apply", &name, "--reason", "asked the bank", "--yes", "-o", "json"];
        args.extend(more);
        let launch = field.launch(&args).env("MONEY_URL", "http://127.0.0.1:9").env("MONEY_TOKEN", "token");
        let launch = launch.env("PAYOUT_MONEY_LOOKUP", "false").env("PAYOUT_MONEY_CANCEL", "false");
        launch.run(std::time::Duration::from_secs(60)).unwrap().status.code().unwrap()
    };
    assert_eq!(neither(&[]), 2);
    assert_eq!(row(&field, 1005).await.0, "FAILED");
    assert_eq!(neither(&["--accept-double-pay-risk"]), 0);
    let (status, generation, requeues, _, _, sent) = row(&field, 1005).await;
    assert_eq!((status.as_str(), generation, requeues, sent), ("RETRYING", 2, 1, false));
}

#[tokio::test]
async fn nothing_is_applied_that_was_not_meant() {
    let field = Field::new().await;
    let id = ended(&field).await;
    let plan = plan(&field, id, &["--error-code", "HTTP_429"]);
    let name = plan["plan_id"].to_string();
    assert_eq!(run(&field, &["retry", "apply", &name, "--reason", "r"]).0, 2, "no terminal, no --yes");
    assert_eq!(run(&field, &["retry", "apply", &name, "--yes"]).0, 2, "no reason");
    assert_eq!(apply(&field, &plan, &["--max-amount", "301.49"]).0, 2, "too much money");
    assert_eq!(run(&field, &["retry", "apply", "99", "--reason", "r", "--yes"]).0, 2, "no such plan");
    let (code, dry, _) = apply(&field, &plan, &["--dry-run"]);
    assert_eq!((code, &dry["targets"], &dry["amount"]), (0, &3.into(), &"301.50".into()));
    for status in ["STOPPED", "FAILED"] {
        field.sql(&format!("UPDATE campaign_promotions SET promotion_status = '{status}'")).await;
        assert_eq!(apply(&field, &plan, &[]).0, 2, "{status}");
    }
    field.sql("UPDATE campaign_promotions SET promotion_status = 'COMPLETED'").await;
    // One of its targets has changed since.
    field.sql("UPDATE campaign_promotion_point_results SET requeues = 1 WHERE point_target_id = 1003").await;
    let (code, _, error) = apply(&field, &plan, &[]);
    assert_eq!(code, 2);
    assert!(error.contains("1003"), "{error}");
    assert_eq!(row(&field, 1002).await.0, "FAILED");
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
}

#[tokio::test]
async fn a_plan_that_was_begun_leaves_alone_what_has_changed_and_says_so() {
    let field = Field::new().await;
    let id = ended(&field).await;
    let plan = plan(&field, id, &["--error-code", "HTTP_429"]);
    // As one that died behind its first step, while somebody else requeued 1003.
    field.sql("UPDATE payout_retry_plans SET plan_status = 'APPLYING'").await;
    field.sql("UPDATE campaign_promotion_point_results SET requeues = 1 WHERE point_target_id = 1003").await;
    let (code, done, error) = apply(&field, &plan, &[]);
    assert_eq!(code, 3, "{error}");
    assert_eq!((&done["requeued"], &done["changed"]["for_example"][0]), (&2.into(), &1003.into()), "{done}");
    assert_eq!(row(&field, 1003).await.0, "FAILED");
}
