//! The audit of a large campaign: fast, in bounded memory, and complete.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::audit::Ledger;
use crate::field::{CODE, CUSTOMER, Field, Shape};

/// A completed promotion of `targets`, all paid, and its ledger in another order than the targets.
async fn campaign(targets: i64) -> (Field, Ledger, i64) {
    let (field, id) = paid(targets).await;
    let ledger = Ledger::start();
    for step in 0..7 {
        for target in (1001..=1000 + targets).filter(|target| target % 7 == step) {
            ledger.pay(target, CUSTOMER + target - 1000);
        }
    }
    (field, ledger, id)
}

/// A completed promotion of `targets`, all paid.
pub(crate) async fn paid(targets: i64) -> (Field, i64) {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 0, partitions: 8, status: "IN_PROGRESS", started: true }).await;
    let mut first = 1;
    while first <= targets {
        let last = (first + 99_999).min(targets);
        let numbers = format!(
            "(SELECT {first} + a.n + b.n * 1000 AS n FROM (WITH RECURSIVE s AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 999) \
             SELECT n FROM s) a JOIN (WITH RECURSIVE s AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 99) SELECT n FROM s) b) q \
             WHERE n <= {last}"
        );
        field
            .sql(&format!(
                "INSERT INTO campaign_promotion_point_targets (point_target_id, promotion_id, customer_uid, amount, partition_key) \
                 SELECT 1000 + n, {id}, {CUSTOMER} + n, 100.50, MOD(CRC32(CONCAT({id}, {CUSTOMER} + n)), 8) FROM {numbers}"
            ))
            .await;
        field
            .sql(&format!(
                "INSERT INTO campaign_promotion_point_results (point_target_id, promotion_id, process_status, transaction_key, \
                 attempt_token, first_sent_at, created_at, updated_at) \
                 SELECT 1000 + n, {id}, 'SUCCESS', CONCAT('mk', 1000 + n), 77, NOW(), NOW(), NOW() FROM {numbers}"
            ))
            .await;
        first = last + 1;
    }
    field
        .sql(&format!("UPDATE campaign_promotion_loads SET first_target_id = 1001, last_target_id = 1000 + {targets}"))
        .await;
    field
        .sql(&format!(
            "UPDATE campaign_promotions SET promotion_status = 'COMPLETED', total_count = {targets}, total_amount = {targets} * 100.50"
        ))
        .await;
    field
        .sql(&format!("UPDATE campaign_promotion_summary SET published_count = {targets}, success_count = {targets}, completed_at = NOW()"))
        .await;
    let counts = pipeline::domain::Counts {
        published: targets.unsigned_abs(),
        success: targets.unsigned_abs(),
        fail: 0,
        retry_success: 0,
    };
    field.write_hash(id, targets.unsigned_abs(), counts).await;
    (field, id)
}

/// What the audit said and took.
struct Found {
    clean_ms: i64,
    broken_ms: i64,
    found: usize,
}

async fn finds_all(targets: i64, discrepancies: i64) -> Found {
    let (field, ledger, id) = campaign(targets).await;
    let id = id.to_string();
    let begun = Instant::now();
    let report = field.json(&["audit", &id, "--ledger", &ledger.url]);
    assert_eq!(report["held"], true, "{report:#}");
    println!("{targets} targets: {:.1} s, {} ms by its own clock", begun.elapsed().as_secs_f64(), report["elapsed_ms"]);
    let clean_ms = report["elapsed_ms"].as_i64().unwrap();
    // A tenth of each kind, spread over all targets.
    let mut expected = BTreeSet::new();
    let step = targets / discrepancies;
    for number in 0..discrepancies {
        let target = 1001 + number * step + number % step;
        expected.insert(target);
        let row = format!("WHERE point_target_id = {target}");
        let results = "UPDATE campaign_promotion_point_results SET";
        match number % 7 {
            0 => ledger.remove(&format!("\"mk{target}\"")),
            1 => ledger.pay(target, CUSTOMER + target - 1000),
            2 => drop(field.sql(&format!("{results} process_status = 'FAILED', transaction_key = NULL {row}")).await),
            3 => drop(field.sql(&format!("{results} transaction_key = 'other' {row}")).await),
            4 => drop(field.sql(&format!("UPDATE campaign_promotion_point_targets SET amount = 100.51 {row}")).await),
            5 => drop(field.sql(&format!("{results} attempt_token = 0 {row}")).await),
            _ => drop(field.sql(&format!("DELETE FROM campaign_promotion_point_results {row}")).await),
        }
    }
    let report = field.json(&["audit", &id, "--ledger", &ledger.url, "--patience", "0s", "--name", "100000"]);
    let mut found = BTreeSet::new();
    for line in report["invariants"].as_array().unwrap() {
        found.extend(line["target_ids"].as_array().unwrap().iter().map(|target| target.as_i64().unwrap()));
    }
    assert_eq!(found.len(), expected.len(), "{CODE}");
    assert_eq!(found, expected);
    println!("{} of {} discrepancies found, {} ms", found.len(), expected.len(), report["elapsed_ms"]);
    let broken_ms = report["elapsed_ms"].as_i64().unwrap();
    // No index knows a status: one among all of them is found all the same, by one command.
    let rare = 999 + targets;
    let sql = format!(
        "UPDATE campaign_promotion_point_results SET process_status = 'RETRYING' WHERE point_target_id = {rare}"
    );
    field.sql(&sql).await;
    let begun = Instant::now();
    let page = field.json(&["targets", "list", "--promotion", &id, "--status", "RETRYING"]);
    println!("one of {targets} targets listed in {:.1} s", begun.elapsed().as_secs_f64());
    let listed: Vec<i64> =
        page["data"].as_array().unwrap().iter().map(|line| line["target_id"].as_i64().unwrap()).collect();
    assert_eq!((listed, page["next_cursor"].as_i64()), (vec![rare], None));
    Found { clean_ms, broken_ms, found: found.len() }
}

/// Leaves the figures for the report.
fn save(mut section: reliability::Section, targets: i64, discrepancies: i64, figures: &Found) {
    section.say(format!(
        "`promoctl audit` compared {targets} targets of a completed promotion with their rows, the summary, Redis and the \
         ledger; then {discrepancies} discrepancies of seven kinds were injected, and it named all of them and nothing else."
    ));
    let row = |what: &str, ms: i64, found: usize| {
        [what.to_owned(), targets.to_string(), format!("{}.{:03} s", ms / 1000, ms % 1000), found.to_string()]
    };
    let rows =
        vec![row("nothing wrong", figures.clean_ms, 0), row("with discrepancies", figures.broken_ms, figures.found)];
    section.table("Audits", ["books", "targets", "time", "discrepancies found"], rows);
    println!("{}", section.save().unwrap().display());
}

/// More with `cargo xtask prove audit`, which sets `AUDIT_TARGETS`, and then leaves its figures for the report: one in a
/// hundred is wrong, up to 1,000.
#[tokio::test]
async fn every_discrepancy_among_many_targets_is_found_and_named() {
    let ordered = std::env::var("AUDIT_TARGETS").ok();
    let targets = ordered.as_ref().map_or(20_000, |targets| targets.parse().unwrap());
    let discrepancies = (targets / 100).min(1_000);
    let command = format!("cargo xtask prove audit --targets {targets}");
    let section = reliability::Section::begin("audit", "The audit", &command);
    let figures = finds_all(targets, discrepancies).await;
    if ordered.is_some() {
        save(section, targets, discrepancies, &figures);
    }
}
