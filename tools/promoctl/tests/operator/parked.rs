//! `pending retry-now` and `consumers prune`.

use serde_json::Value;

use crate::field::{Field, Shape, stream};

const DAY: u64 = 86_400_000;

/// Targets 1001 to 1006: two parked for a retry, one held, two in the hands of a payer, one undelivered.
async fn parked(field: &mut Field) -> i64 {
    let id = field.promotion(Shape { targets: 6, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    field.publish(id, 0).await;
    for (consumer, count) in [("retry", 2), ("held", 1), ("payer-1", 2)] {
        field.deliver(id, 0, consumer, count);
    }
    for target in 1001..=1003 {
        field.result(id, target, "PENDING").await;
    }
    id
}

/// A command with more arguments behind it.
struct Call<'a>(Vec<&'a str>);

impl Call<'_> {
    fn args<'b>(&'b self, more: &[&'b str]) -> Vec<&'b str> {
        self.0.iter().copied().chain(more.iter().copied()).collect()
    }

    fn json(&self, field: &Field, more: &[&str]) -> Value {
        field.json(&self.args(more))
    }

    fn code(&self, field: &Field, more: &[&str]) -> i32 {
        field.code(&self.args(more))
    }
}

/// Target, who holds its entry, and for how many milliseconds.
fn idle(field: &Field, id: &str) -> Vec<(i64, String, u64)> {
    let list = field.json(&["pending", "list", "--promotion", id]);
    let of = |line: &Value| {
        let holder = line["consumer"].as_str().unwrap().to_owned();
        (line["target_id"].as_i64().unwrap(), holder, line["idle_ms"].as_u64().unwrap())
    };
    list["data"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn parked_entries_become_due_and_nothing_is_taken_from_who_works_on_it() {
    let mut field = Field::new().await;
    let id = parked(&mut field).await.to_string();
    let retry = Call(vec!["pending", "retry-now", "--promotion", &id, "--reason", "the bank is back"]);
    assert_eq!(retry.code(&field, &[]), 2, "unasked");
    let dry = retry.json(&field, &["--dry-run"]);
    assert_eq!((dry["dry_run"].as_bool(), dry["targets"].as_u64()), (Some(true), Some(3)));
    assert_eq!((dry["made_due"].as_u64(), dry["amount"].as_str()), (Some(0), Some("301.50")));
    assert!(idle(&field, &id).iter().all(|(_, _, idle)| *idle < DAY));
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
    let held = retry.json(&field, &["--consumer", "held", "--yes"]);
    assert_eq!((held["targets"].as_u64(), held["made_due"].as_u64()), (Some(1), Some(1)));
    assert_eq!(held["not_eligible"], serde_json::json!([]));
    let all = retry.json(&field, &["--yes"]);
    assert_eq!((all["targets"].as_u64(), all["made_due"].as_u64()), (Some(3), Some(3)));
    let other = &all["not_eligible"][0];
    assert_eq!((other["consumer"].as_str(), other["entries"].as_u64()), (Some("payer-1"), Some(2)));
    assert!(other["reason"].as_str().unwrap().contains("30s"), "{other}");
    let after = idle(&field, &id);
    assert_eq!(after.len(), 5);
    for (target, holder, idle) in &after {
        assert_eq!(*idle >= DAY, matches!(holder.as_str(), "retry" | "held"), "{target} {holder}");
    }
    let acts = field.acts("pending retry-now").await;
    assert_eq!(acts[1], ("tester".into(), "the bank is back".into(), 3, "301.50".into()));
}

#[tokio::test]
async fn only_what_matches_becomes_due_and_only_while_the_promotion_runs() {
    let mut field = Field::new().await;
    let id = parked(&mut field).await.to_string();
    let retry = Call(vec!["pending", "retry-now", "--promotion", &id, "--reason", "r", "--yes"]);
    for nothing in [["--min-idle", "1h"], ["--min-deliveries", "2"], ["--consumer", "payer-1"]] {
        assert_eq!(retry.json(&field, &nothing)["made_due"], 0, "{nothing:?}");
    }
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0, "nothing was done");
    assert_eq!(retry.json(&field, &["--consumer", "retry", "--min-deliveries", "1"])["made_due"], 2);
    for status in ["STOPPED", "COMPLETED", "FAILED"] {
        field.sql(&format!("UPDATE campaign_promotions SET promotion_status = '{status}'")).await;
        assert_eq!(retry.code(&field, &[]), 2, "{status}");
    }
    assert_eq!(field.code(&["pending", "retry-now", "--promotion", "99", "--reason", "r", "--yes"]), 2);
}

#[tokio::test]
async fn what_was_settled_meanwhile_is_not_called_done() {
    let mut field = Field::new().await;
    let number = parked(&mut field).await;
    let id = number.to_string();
    // Still pending, and nothing is left to make due.
    redis::cmd("XDEL").arg(stream(number, 0)).arg("1002-0").query::<u64>(&mut field.redis).unwrap();
    let done = field.ctl(&["pending", "retry-now", "--promotion", &id, "--reason", "r", "--yes"]);
    assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
    assert!(done.stdout.contains("2 of 3 entries"), "{}", done.stdout);
}

#[tokio::test]
async fn an_entry_that_was_made_again_is_listed_with_its_target_and_its_row() {
    let mut field = Field::new().await;
    let number = parked(&mut field).await;
    let id = number.to_string();
    field.sql("UPDATE campaign_promotion_point_results SET retry_count = 4 WHERE point_target_id = 1002").await;
    field.ctl(&["repair", &id, "--reason", "a test", "--yes"]).ok().unwrap();
    field.deliver(number, 0, "retry", 3);
    let lines = |more: &[&str]| {
        let list = field.json(&[&["pending", "list", "--promotion", &id], more].concat());
        let of = |line: &Value| {
            assert!(!line["entry_id"].as_str().unwrap().ends_with("-0"), "{line}");
            let row = line["process_status"].as_str().map(str::to_owned);
            (line["target_id"].as_i64(), row, line["retry_count"].as_u64())
        };
        list["data"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let pending = |target, retries| (Some(target), Some("PENDING".to_owned()), Some(retries));
    assert_eq!(lines(&[]), [pending(1001, 0), pending(1002, 4), pending(1003, 0)]);
    assert_eq!(lines(&["--limit", "1"]), [pending(1001, 0)]);
    let due = field.json(&["pending", "retry-now", "--promotion", &id, "--reason", "r", "--yes"]);
    assert_eq!((due["made_due"].as_u64(), due["amount"].as_str()), (Some(3), Some("301.50")), "{due}");
}

#[tokio::test]
async fn consumers_that_hold_nothing_are_removed_and_no_other() {
    let mut field = Field::new().await;
    let number = parked(&mut field).await;
    let id = number.to_string();
    // One that holds nothing any more, and one that asked and got nothing.
    field.deliver(number, 0, "payer-2", 1);
    redis::cmd("XACK").arg(stream(number, 0)).arg("payers").arg("1006-0").query::<u64>(&mut field.redis).unwrap();
    redis::cmd("XGROUP")
        .arg(&["CREATECONSUMER", &stream(number, 0), "payers", "payer-3"])
        .query::<u64>(&mut field.redis)
        .unwrap();
    let names = |field: &Field| -> Vec<String> {
        let list = field.json(&["consumers", "list", "--promotion", &id]);
        list["data"].as_array().unwrap().iter().map(|line| line["consumer"].as_str().unwrap().to_owned()).collect()
    };
    let prune = Call(vec!["consumers", "prune", "--promotion", &id, "--reason", "scaled down"]);
    assert_eq!(prune.json(&field, &["--yes"])["data"], serde_json::json!([]), "nobody is idle for an hour");
    let dry = prune.json(&field, &["--min-idle", "0s", "--dry-run"]);
    assert_eq!((dry["dry_run"].as_bool(), dry["data"][0]["consumer"].as_str()), (Some(true), Some("payer-2")));
    assert_eq!(prune.code(&field, &["--min-idle", "0s"]), 2, "unasked");
    assert_eq!(names(&field).len(), 5, "nothing was removed yet");
    let done = prune.json(&field, &["--min-idle", "0s", "--yes"]);
    let lines = done["data"].as_array().unwrap();
    assert_eq!(lines.iter().map(|line| line["removed"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(names(&field), ["held", "payer-1", "retry"]);
    let page = field.json(&["consumers", "list", "--promotion", &id, "--limit", "1", "--cursor", "held"]);
    assert_eq!((&page["data"][0]["consumer"], &page["next_cursor"]), (&"payer-1".into(), &"payer-1".into()));
    assert_eq!(field.acts("consumers prune").await.len(), 1);
    assert_eq!(field.code(&["consumers", "prune", "--promotion", "99", "--reason", "r", "--yes"]), 2);
}
