use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::field::{Field, Shape};

const SHAPE: Shape = Shape { targets: 6, partitions: 2, status: "IN_PROGRESS", started: true };

async fn promotion(field: &Field) -> i64 {
    let id = field.promotion(SHAPE).await;
    for target in 1001..=1005 {
        field.result(id, target, "FAILED").await;
    }
    field.result(id, 1006, "SUCCESS").await;
    field
        .sql("UPDATE campaign_promotion_point_results SET error_message = '=HYPERLINK(\"x\")' WHERE point_target_id = 1002")
        .await;
    field
        .sql(
            "UPDATE campaign_promotion_point_results SET error_message = 'customer 7000003 is closed' \
              WHERE point_target_id = 1003",
        )
        .await;
    id
}

#[tokio::test]
async fn failed_targets_are_listed_page_by_page_with_customers_masked() {
    let field = Field::new().await;
    let id = promotion(&field).await.to_string();
    let page = field.json(&["dead", "list", "--promotion", &id, "--limit", "3"]);
    let targets: Vec<i64> =
        page["data"].as_array().unwrap().iter().map(|row| row["target_id"].as_i64().unwrap()).collect();
    assert_eq!((targets, &page["next_cursor"]), (vec![1001, 1002, 1003], &1003.into()));
    assert_eq!((&page["data"][0]["customer_uid"], &page["data"][0]["amount"]), (&"*****01".into(), &"100.50".into()));
    assert_eq!(page["data"][2]["error_message"], "customer *****03 is closed");
    let rest = field.json(&["dead", "list", "--promotion", &id, "--limit", "3", "--cursor", "1003", "--show-pii"]);
    assert_eq!(rest["data"].as_array().unwrap().len(), 2);
    assert_eq!((&rest["data"][0]["customer_uid"], &rest["next_cursor"]), (&"7000004".into(), &Value::Null));
}

#[tokio::test]
async fn an_export_is_whole_and_safe_to_open() {
    let field = Field::new().await;
    let id = promotion(&field).await.to_string();
    let lines = field.ctl(&["dead", "export", "-", "--promotion", &id]).ok().unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!((&rows[1]["target_id"], &rows[1]["customer_uid"]), (&1002.into(), &"*****02".into()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dead.csv");
    let name = file.to_str().unwrap();
    field.ctl(&["dead", "export", name, "--promotion", &id]).ok().unwrap();
    let csv = std::fs::read_to_string(&file).unwrap();
    assert!(csv.starts_with("\u{feff}target_id,customer_uid,"), "{csv}");
    assert_eq!(csv.matches("\r\n").count(), 6);
    assert!(csv.contains("\"'=HYPERLINK(\"\"x\"\")\""), "a formula is guarded: {csv}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(field.code(&["dead", "export", name, "--promotion", &id]), 2, "nothing is overwritten");
    field.ctl(&["dead", "export", name, "--promotion", &id, "--force"]).ok().unwrap();
    // One that cannot be finished leaves nothing behind, and nothing is written through a link that waits there.
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("link.csv")).unwrap();
    let link = dir.path().join("link.csv");
    assert_eq!(field.code(&["dead", "export", link.to_str().unwrap(), "--promotion", &id]), 1);
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["dead.csv", "link.csv"]);
}

#[tokio::test]
async fn a_file_of_the_dead_runs_nothing_and_loses_no_digit() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 5, ..SHAPE }).await;
    let corpus = ["\n=1", "\u{3000}=1", "\u{200b}@x", "＝1", "9007199254740993"];
    for (target, text) in (1001..).zip(corpus) {
        field.result(id, target, "FAILED").await;
        let sql =
            "UPDATE campaign_promotion_point_results SET error_code = ?, error_message = ? WHERE point_target_id = ?";
        sqlx::query(sql).bind(text).bind(text).bind(target).execute(&field.pool).await.unwrap();
    }
    let file = field.path("evil.csv");
    field.ctl(&["dead", "export", file.to_str().unwrap(), "--promotion", &id.to_string()]).ok().unwrap();
    let mut reader = csv::Reader::from_path(&file).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), corpus.len());
    for (row, text) in rows.iter().zip(corpus) {
        assert_eq!((&row[4], &row[5]), (format!("'{text}").as_str(), format!("'{text}").as_str()));
    }
}

#[tokio::test]
async fn a_requeue_of_the_dead_shows_count_and_money_and_asks() {
    let field = Field::new().await;
    let id = promotion(&field).await.to_string();
    let run = |more: &[&str]| {
        let mut args = vec!["dead", "requeue", "--promotion", &id, "--reason", "r", "-o", "json"];
        args.extend(more);
        let launch = field.launch(&args).env("MONEY_URL", "http://127.0.0.1:9").env("MONEY_TOKEN", "token");
        launch.run(std::time::Duration::from_secs(60)).unwrap()
    };
    let dry = run(&["--dry-run"]).ok().unwrap();
    let dry: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!((&dry["targets"], &dry["amount"], &dry["dry_run"]), (&5.into(), &"502.50".into(), &true.into()));
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("5 targets, 502.50"), "{}", refused.stderr);
    for (why, more) in [
        ("too much money", &["--max-amount", "502.49", "--yes"][..]),
        ("nothing to try", &["--error-code", "NONE_SUCH", "--yes"]),
    ] {
        assert_eq!(run(more).status.code(), Some(2), "{why}");
    }
    for table in ["payout_audit", "payout_retry_plans", "payout_retry_plan_targets"] {
        assert_eq!(field.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    // Asked, it makes a plan of exactly that; without money's word no target gets a later key.
    assert_eq!(run(&["--yes"]).status.code(), Some(3));
    assert_eq!(field.number("SELECT CAST(target_count AS SIGNED) FROM payout_retry_plans").await, 5);
}
