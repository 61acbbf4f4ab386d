//! Plain payments, which are written in one pass over the ids between the first and the last.

use pipeline::domain::decide::Write;
use pipeline::domain::outcome::{Effect, Receipt};
use pipeline::domain::result::AttemptToken;
use pipeline::domain::{PayoutType, ProcessStatus, ResultRow, TargetId};
use pipeline::store::{Claim, Outcome};

use crate::support::{ANOTHERS, MINE, PROMOTION, Tables, tables};

fn paid(target: i64, row: ResultRow, key: &str) -> Outcome {
    let receipt = Some(Receipt { money_key: key.to_owned(), ..Receipt::default() });
    let write = Write { effect: Effect::Paid, another_attempt: false };
    Outcome { target: TargetId(target), row, token: row.token, write, receipt, code: None, message: None }
}

/// Records them, and gives the keys and statuses of all rows, in order of their ids.
async fn record(tables: &Tables, mut outcomes: Vec<Outcome>) -> Vec<(i64, String, Option<String>)> {
    let count = outcomes.len();
    let rows = tables.store.record(&tables.kind, PROMOTION, &mut outcomes).await.unwrap();
    assert_eq!(rows.len(), count);
    for (target, row) in rows {
        assert_eq!(row.status, ProcessStatus::Success, "{target}");
        let stands = ResultRow { updated_at: row.updated_at, ..tables.read(target.0).await };
        assert_eq!(row, stands, "what the statement proved is what stands in the row");
    }
    let sql = "SELECT point_target_id, CAST(process_status AS CHAR), CAST(transaction_key AS CHAR) \
               FROM campaign_promotion_point_results ORDER BY point_target_id";
    sqlx::query_as(sql).fetch_all(&tables.pool).await.unwrap()
}

fn row(target: i64, key: &str) -> (i64, String, Option<String>) {
    (target, "SUCCESS".to_owned(), Some(key.to_owned()))
}

fn open(target: i64) -> (i64, String, Option<String>) {
    (target, "PENDING".to_owned(), None)
}

#[tokio::test]
async fn a_batch_with_gaps_leaves_what_lies_between_alone() {
    let tables = tables(PayoutType::point(), 6).await;
    let rows = tables.begin(&[1, 3, 4, 6], MINE, Claim::First).await;
    assert_eq!(rows.len(), 4);
    tables.begin(&[2], ANOTHERS, Claim::First).await;
    tables.begin(&[5], MINE, Claim::First).await;
    let outcomes = vec![paid(6, rows[3], "k6"), paid(1, rows[0], "key-1"), paid(4, rows[2], "k")];
    let expected = [row(1, "key-1"), open(2), open(3), row(4, "k"), open(5), row(6, "k6")];
    assert_eq!(record(&tables, outcomes).await, expected);
}

#[tokio::test]
async fn a_batch_of_ids_that_lie_far_apart_is_begun_and_paid_too() {
    let tables = tables(PayoutType::point(), 40).await;
    let rows = tables.begin(&[1, 40], MINE, Claim::First).await;
    assert_eq!(rows.iter().map(|row| row.token).collect::<Vec<_>>(), [MINE, MINE]);
    let outcomes = vec![paid(1, rows[0], "a"), paid(40, rows[1], "b")];
    assert_eq!(record(&tables, outcomes).await, [row(1, "a"), row(40, "b")]);
}

#[tokio::test]
async fn whatever_a_key_looks_like_it_is_stored_as_it_is() {
    let tables = tables(PayoutType::point(), 3).await;
    let long = "k".repeat(100);
    for keys in [[" a ", "0", long.as_str()], ["\"quoted\\", "한글", "x"]] {
        tables.sql("DELETE FROM campaign_promotion_point_results").await;
        let rows = tables.begin(&[1, 2, 3], MINE, Claim::First).await;
        let outcomes = (1..=3).map(|id| paid(id, rows[id as usize - 1], keys[id as usize - 1])).collect();
        assert_eq!(record(&tables, outcomes).await, [row(1, keys[0]), row(2, keys[1]), row(3, keys[2])]);
    }
}

#[tokio::test]
async fn outcomes_of_many_attempts_are_written_together() {
    let tables = tables(PayoutType::point(), 12).await;
    let mut outcomes = Vec::new();
    for id in 1..=12 {
        let rows = tables.begin(&[id], AttemptToken(100 + id.unsigned_abs()), Claim::First).await;
        outcomes.push(paid(id, rows[0], &format!("k{id}")));
    }
    let expected: Vec<_> = (1..=12).map(|id| row(id, &format!("k{id}"))).collect();
    assert_eq!(record(&tables, outcomes).await, expected);
}

#[tokio::test]
async fn a_payment_counts_for_a_row_that_somebody_else_has_touched_since() {
    let tables = tables(PayoutType::point(), 3).await;
    let rows = tables.begin(&[1, 2, 3], MINE, Claim::First).await;
    // Given back, and taken over by a retrier: another token, one attempt more.
    tables.row(2, "PENDING", 1, false, ANOTHERS).await;
    let outcomes = (1..=3).map(|id| paid(id, rows[id as usize - 1], &format!("k{id}"))).collect();
    assert_eq!(record(&tables, outcomes).await, [row(1, "k1"), row(2, "k2"), row(3, "k3")]);
    assert_eq!(tables.read(2).await.retry_count, 1, "as it stands in the row, not as it was remembered");
}

#[tokio::test]
async fn a_batch_does_not_wait_for_rows_in_between_that_somebody_else_is_writing() {
    let tables = tables(PayoutType::point(), 3).await;
    let rows = tables.begin(&[1, 3], MINE, Claim::First).await;
    tables.begin(&[2], ANOTHERS, Claim::First).await;
    let mut other = tables.pool.begin().await.unwrap();
    let sql = "UPDATE campaign_promotion_point_results SET retry_count = 7 WHERE point_target_id = 2";
    sqlx::raw_sql(sql).execute(&mut *other).await.unwrap();
    let mut outcomes = [paid(1, rows[0], "a"), paid(3, rows[1], "b")];
    // It would wait for as long as the other transaction is open.
    let recorded = tables.store.record(&tables.kind, PROMOTION, &mut outcomes);
    let recorded = tokio::time::timeout(std::time::Duration::from_secs(4), recorded).await;
    assert_eq!(recorded.expect("it waits").unwrap().len(), 2);
    other.commit().await.unwrap();
    assert_eq!(tables.read(2).await.retry_count, 7);
}
