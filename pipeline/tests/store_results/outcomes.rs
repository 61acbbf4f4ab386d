//! Intent and outcome: what each write does to each row, whoever else has been there.

use pipeline::domain::decide::Write;
use pipeline::domain::outcome::{Effect, Pin, Receipt};
use pipeline::domain::{PayoutType, ProcessStatus, PromotionId, ResultRow, TargetId, Waits};
use pipeline::store::{Claim, Outcome, PinCipher};
use sqlx::Row;

use crate::support::{ANOTHERS, MINE, PROMOTION, tables};

#[tokio::test]
async fn an_intent_makes_its_own_rows_and_marks_those_of_others() {
    let tables = tables(PayoutType::point(), 4).await;
    tables.row(2, "PENDING", 0, false, ANOTHERS).await;
    tables.row(3, "RETRYING", 1, false, ANOTHERS).await;
    tables.row(4, "SUCCESS", 0, false, ANOTHERS).await;
    let rows = tables.begin(&[1, 2, 3, 4], MINE, Claim::First).await;
    let seen: Vec<_> =
        rows.iter().map(|row| (row.status, row.token == MINE, row.may_have_executed, row.retry_count)).collect();
    use ProcessStatus::{Pending, Retrying, Success};
    assert_eq!(
        seen,
        [(Pending, true, false, 0), (Pending, false, true, 0), (Retrying, false, false, 1), (Success, false, false, 0)]
    );
    let again = tables.begin(&[1, 2, 3, 4], MINE, Claim::First).await;
    assert_eq!(again, rows, "repeating it under the same token changes nothing");
}

#[tokio::test]
async fn the_retriers_intent_takes_a_retrying_row_over_and_counts_the_attempt_once() {
    let tables = tables(PayoutType::point(), 4).await;
    tables.row(1, "RETRYING", 1, false, ANOTHERS).await;
    tables.row(2, "PENDING", 2, false, ANOTHERS).await;
    tables.row(3, "FAILED", 4, false, ANOTHERS).await;
    tables.row(4, "RETRYING", 0, false, ANOTHERS).await;
    tables.sql("UPDATE campaign_promotion_point_results SET first_sent_at = NULL WHERE point_target_id = 4").await;
    let rows = tables.begin(&[1, 2, 3, 4], MINE, Claim::Again).await;
    let seen: Vec<_> =
        rows.iter().map(|row| (row.status, row.token == MINE, row.may_have_executed, row.retry_count)).collect();
    use ProcessStatus::{Failed, Pending};
    assert_eq!(
        seen,
        [(Pending, true, false, 2), (Pending, false, true, 2), (Failed, false, false, 4), (Pending, true, false, 0)],
        "an attempt that was never sent is not counted"
    );
    assert_eq!(tables.begin(&[1, 2, 3, 4], MINE, Claim::Again).await, rows);
}

#[tokio::test]
async fn an_intent_is_recorded_only_for_targets_of_its_promotion() {
    let tables = tables(PayoutType::point(), 1).await;
    assert_eq!(tables.begin(&[1, 999], MINE, Claim::First).await.len(), 1);
    let foreign = tables.store.begin(&tables.kind, PromotionId(2), &[TargetId(1)], MINE, Claim::First).await.unwrap();
    assert!(foreign.is_empty());
    assert!(tables.store.results(&tables.kind, &[TargetId(999)]).await.unwrap().is_empty());
}

/// One row a line: the row before (status, retry_count, may_have_executed, ours), the effect, whether an attempt is
/// added; then the row after (status, retry_count, may_have_executed, waits).
#[tokio::test]
async fn what_each_outcome_does_to_each_row() {
    use Effect::{Failed as Fail, GiveUp, NotCalled, NotExecuted, Paid, Unknown};
    use ProcessStatus::{Failed, Pending, Retrying, Success};
    type Before = (&'static str, u32, bool, bool);
    type After = (ProcessStatus, u32, bool, Option<Waits>);
    const UNKNOWN: Option<Waits> = Some(Waits::UnknownOutcome);
    let table: &[(Before, Effect, bool, After)] = &[
        // Ours, and nobody else has been there: the answer is believed.
        (("PENDING", 0, false, true), Paid, false, (Success, 0, false, None)),
        (("PENDING", 0, false, true), Fail, false, (Failed, 0, false, None)),
        (("PENDING", 1, false, true), NotExecuted, false, (Retrying, 1, false, None)),
        (("PENDING", 4, false, true), GiveUp, false, (Failed, 4, false, None)),
        (("PENDING", 0, false, true), NotCalled, false, (Retrying, 0, false, None)),
        (("PENDING", 2, false, true), NotCalled, false, (Retrying, 1, false, None)),
        (("PENDING", 0, false, true), Unknown(None), false, (Pending, 0, true, None)),
        (("PENDING", 4, false, true), Unknown(UNKNOWN), false, (Pending, 4, true, UNKNOWN)),
        // An attempt may have been executed: "not executed" changes nothing.
        (("PENDING", 1, true, true), NotExecuted, false, (Pending, 1, true, None)),
        (("PENDING", 4, true, true), GiveUp, false, (Pending, 4, true, UNKNOWN)),
        (("PENDING", 1, true, true), NotCalled, false, (Pending, 1, true, None)),
        (("PENDING", 1, true, false), Unknown(None), true, (Pending, 2, true, None)),
        (("PENDING", 1, true, false), Paid, true, (Success, 2, true, None)),
        (("PENDING", 1, true, false), Paid, false, (Success, 1, true, None)),
        // The row carries another attempt by now: our answer speaks only for our own.
        (("PENDING", 1, false, false), NotExecuted, false, (Pending, 1, false, None)),
        (("PENDING", 4, false, false), GiveUp, false, (Pending, 4, false, UNKNOWN)),
        (("PENDING", 0, false, false), NotCalled, false, (Pending, 0, false, None)),
        (("PENDING", 1, false, false), Paid, false, (Success, 1, false, None)),
        (("PENDING", 1, false, false), Fail, false, (Failed, 1, false, None)),
        // A payment is a payment, also when the row had been given back meanwhile.
        (("RETRYING", 1, false, true), Paid, false, (Success, 1, false, None)),
        (("RETRYING", 1, false, true), Unknown(None), false, (Pending, 1, true, None)),
        // What is final stays.
        (("SUCCESS", 0, false, true), Fail, false, (Success, 0, false, None)),
        (("SUCCESS", 0, false, true), Unknown(None), true, (Success, 0, false, None)),
        (("FAILED", 3, false, true), Paid, true, (Failed, 3, false, None)),
        (("FAILED", 3, false, true), NotExecuted, false, (Failed, 3, false, None)),
    ];
    let tables = tables(PayoutType::point(), table.len() as i64).await;
    for (target, ((status, retry_count, mhe, ours), effect, another, after)) in (1..).zip(table) {
        tables.row(target, status, *retry_count, *mhe, if *ours { MINE } else { ANOTHERS }).await;
        let before = tables.read(target).await;
        let row = tables.record(before, target, MINE, *effect, *another).await;
        let seen = (row.status, row.retry_count, row.may_have_executed, row.waits);
        assert_eq!(seen, *after, "line {target}: {status} {effect:?}");
        let stands = tables.read(target).await;
        // When a payment was written is told to nobody.
        let stands = if *effect == Paid { ResultRow { updated_at: row.updated_at, ..stands } } else { stands };
        assert_eq!(row, stands, "line {target}: what is told is what stands there");
    }
}

#[tokio::test]
async fn a_row_is_taken_back_from_a_person_where_that_may_be_and_from_nobody_who_has_closed_it() {
    let waits = Waits::ALL.map(Some).into_iter().chain([None]);
    let tables = tables(PayoutType::point(), 7).await;
    for (target, waits) in (1..).zip(waits) {
        let mut row = tables.begin(&[target], MINE, Claim::First).await[0];
        for effect in [Effect::Unknown(None), Effect::Unknown(waits)] {
            row = tables.record(row, target, MINE, effect, false).await;
        }
        assert_eq!(row.waits, waits);
        let after = tables.record(row, target, ANOTHERS, Effect::Reopened, false).await;
        let left = waits.filter(|waits| !matches!(waits, Waits::UnknownOutcome | Waits::Refusal));
        assert_eq!(after, ResultRow { waits: left, updated_at: after.updated_at, ..row }, "{waits:?}");
    }
    // Who read the row before that tells nobody of it; who read it since does.
    let reopened = tables.read(1).await;
    let earlier = ResultRow { updated_at: Some("2026-01-02T03:04:05".parse().unwrap()), ..reopened };
    let to_person = Effect::Unknown(Some(Waits::UnknownOutcome));
    assert_eq!(tables.record(earlier, 1, MINE, to_person, false).await.waits, None);
    let since = tables.read(1).await;
    assert_eq!(tables.record(since, 1, MINE, to_person, false).await.waits, Some(Waits::UnknownOutcome));
    tables.row(7, "FAILED", 1, true, ANOTHERS).await;
    let closed = tables.read(7).await;
    assert_eq!(tables.record(closed, 7, MINE, Effect::Reopened, false).await, closed);
}

#[tokio::test]
async fn when_a_row_was_last_written_is_read_with_it_and_taking_it_up_again_is_no_news() {
    let tables = tables(PayoutType::point(), 2).await;
    let fresh = tables.begin(&[1], MINE, Claim::First).await[0];
    assert_eq!(fresh, tables.read(1).await, "as it is remembered");
    tables.sql("UPDATE campaign_promotion_point_results SET updated_at = '2026-01-02 03:04:05'").await;
    let unknown = tables.record(fresh, 1, MINE, Effect::Unknown(None), false).await;
    assert!(unknown.updated_at.unwrap() > "2026-01-03T00:00:00".parse().unwrap(), "{unknown:?}");
    tables.sql("UPDATE campaign_promotion_point_results SET updated_at = '2026-01-02 03:04:05'").await;
    // Taken up again and again, to be asked about.
    let again = tables.begin(&[1], ANOTHERS, Claim::Again).await[0];
    assert_eq!(again.updated_at.unwrap().to_string(), "2026-01-02 03:04:05");
    assert_eq!(tables.read(1).await, again);
}

#[tokio::test]
async fn attempts_are_remembered_in_their_order_but_for_a_plain_payment_and_for_what_the_guard_turned_away() {
    let tables = tables(PayoutType::point(), 2).await;
    let plain = tables.begin(&[2], MINE, Claim::First).await[0];
    tables.record(plain, 2, MINE, Effect::Paid, false).await;
    tables.row(1, "PENDING", 0, false, MINE).await;
    let unknown = tables.record(tables.read(1).await, 1, MINE, Effect::Unknown(None), false).await;
    let paid = tables.record(unknown, 1, MINE, Effect::Paid, true).await;
    tables.record(paid, 1, MINE, Effect::Failed, false).await;
    let attempts = |target: i64| {
        let history = tables.store.history(&tables.kind, TargetId(target));
        async move { history.await.unwrap().unwrap().result.unwrap().attempts }
    };
    let seen = attempts(1).await;
    let told: Vec<_> = seen.iter().map(|at| (at.generation, at.effect.as_str(), at.code.as_deref())).collect();
    assert_eq!(told, [(1, "UNKNOWN", Some("CODE")), (1, "PAID", Some("CODE"))]);
    assert!((tables.store.now() - seen[0].at).num_seconds().abs() < 600, "{seen:?}");
    assert_eq!(attempts(2).await, []);
    for _ in 0..80 {
        tables
            .sql("UPDATE campaign_promotion_point_results SET process_status = 'PENDING' WHERE point_target_id = 1")
            .await;
        tables.record(tables.read(1).await, 1, MINE, Effect::Unknown(None), false).await;
    }
    assert!((40..80).contains(&attempts(1).await.len()), "the earliest are dropped");
}

#[tokio::test]
async fn an_outcome_of_another_key_generation_changes_nothing() {
    let tables = tables(PayoutType::point(), 1).await;
    tables.row(1, "PENDING", 0, false, MINE).await;
    let before = tables.read(1).await;
    tables.sql("UPDATE campaign_promotion_point_results SET key_generation = 2").await;
    for effect in [Effect::Paid, Effect::Failed, Effect::GiveUp, Effect::NotExecuted, Effect::Unknown(None)] {
        let row = tables.record(before, 1, MINE, effect, false).await;
        assert_eq!(
            (row.status, row.generation, row.may_have_executed),
            (ProcessStatus::Pending, 2, false),
            "{effect:?}"
        );
    }
}

#[tokio::test]
async fn a_key_that_was_never_sent_begins_its_life_anew() {
    let tables = tables(PayoutType::point(), 1).await;
    let fresh = tables.begin(&[1], MINE, Claim::First).await[0];
    assert!(fresh.first_sent_at.is_some());
    let given_back = tables.record(fresh, 1, MINE, Effect::NotCalled, false).await;
    assert_eq!((given_back.status, given_back.first_sent_at), (ProcessStatus::Retrying, None));
    let taken = tables.begin(&[1], ANOTHERS, Claim::Again).await[0];
    assert_eq!((taken.status, taken.retry_count, taken.token), (ProcessStatus::Pending, 0, ANOTHERS));
    assert!(taken.first_sent_at.is_some());
}

#[tokio::test]
async fn a_row_that_the_database_has_lost_is_made_again_and_never_called_unpaid() {
    let tables = tables(PayoutType::point(), 3).await;
    let mut rows = tables.begin(&[1, 2, 3], MINE, Claim::First).await;
    let first_sent_at = rows[0].first_sent_at;
    tables.sql("DELETE FROM campaign_promotion_point_results").await;
    let paid = tables.record(rows.remove(0), 1, MINE, Effect::Paid, false).await;
    assert_eq!(paid.status, ProcessStatus::Success);
    let unsent = tables.record(rows.remove(0), 2, MINE, Effect::NotExecuted, false).await;
    assert_eq!(
        (unsent.status, unsent.may_have_executed, unsent.first_sent_at),
        (ProcessStatus::Pending, true, first_sent_at)
    );
    assert_eq!(tables.record(rows.remove(0), 3, MINE, Effect::Failed, false).await.status, ProcessStatus::Failed);
}

#[tokio::test]
async fn a_mixed_batch_is_written_whole_and_twice_is_once() {
    let tables = tables(PayoutType::point(), 300).await;
    let ids: Vec<i64> = (1..=300).collect();
    let rows = tables.begin(&ids, MINE, Claim::First).await;
    let effects = [Effect::Paid, Effect::Paid, Effect::NotExecuted, Effect::Failed, Effect::Unknown(None)];
    let mut outcomes: Vec<Outcome> = ids
        .iter()
        .zip(&rows)
        .map(|(id, row)| {
            let effect = effects[*id as usize % effects.len()];
            let receipt =
                (effect == Effect::Paid).then(|| Receipt { money_key: format!("k\"{id}"), ..Receipt::default() });
            let write = Write { effect, another_attempt: false };
            Outcome {
                target: TargetId(*id),
                row: *row,
                token: MINE,
                write,
                receipt,
                code: None,
                message: Some("한글 \\ \"".into()),
            }
        })
        .collect();
    outcomes.reverse();
    let mut first = tables.store.record(&tables.kind, PROMOTION, &mut outcomes).await.unwrap();
    let mut second = tables.store.record(&tables.kind, PROMOTION, &mut outcomes).await.unwrap();
    first.sort_by_key(|(target, _)| *target);
    second.sort_by_key(|(target, _)| *target);
    assert_eq!(first.len(), 300);
    let count = |status| first.iter().filter(|(_, row)| row.status == status).count();
    assert_eq!((count(ProcessStatus::Success), count(ProcessStatus::Failed)), (120, 60));
    assert_eq!((count(ProcessStatus::Retrying), count(ProcessStatus::Pending)), (60, 60));
    let finals = |rows: &[(TargetId, ResultRow)]| {
        rows.iter().filter(|(_, row)| row.status.is_final()).copied().collect::<Vec<_>>()
    };
    assert_eq!(finals(&first), finals(&second));
}

#[tokio::test]
async fn an_outcome_that_is_written_again_counts_no_attempt_again() {
    let tables = tables(PayoutType::point(), 2).await;
    tables.row(1, "PENDING", 1, true, MINE).await;
    tables.row(2, "PENDING", 2, false, MINE).await;
    let before = (tables.read(1).await, tables.read(2).await);
    for _ in 0..3 {
        let unknown = tables.record(before.0, 1, MINE, Effect::Unknown(None), true).await;
        assert_eq!((unknown.status, unknown.retry_count), (ProcessStatus::Pending, 2));
        let given_back = tables.record(before.1, 2, MINE, Effect::NotCalled, false).await;
        assert_eq!((given_back.status, given_back.retry_count), (ProcessStatus::Retrying, 1));
        assert_eq!(given_back.first_sent_at, before.1.first_sent_at, "it was sent before");
    }
}

#[tokio::test]
async fn a_vouchers_pin_is_stored_encrypted_and_its_other_fields_plainly() {
    let tables = tables(PayoutType::voucher(), 2).await;
    let rows = tables.begin(&[1, 2], MINE, Claim::First).await;
    let expiry = chrono::NaiveDate::from_ymd_opt(2027, 2, 28).unwrap().and_hms_opt(23, 59, 59);
    let receipt = |id: i64| Receipt {
        money_key: format!("m{id}"),
        voucher_code: Some("CODE-1".into()),
        voucher_pin: Some(Pin("4711-0815".into())),
        voucher_expiry_at: expiry,
    };
    let outcome = |id: i64, row: ResultRow, token| Outcome {
        target: TargetId(id),
        row,
        token,
        write: Write { effect: Effect::Paid, another_attempt: token != MINE },
        receipt: Some(receipt(id)),
        code: None,
        message: None,
    };
    // One by each statement.
    let mut outcomes = [outcome(1, rows[0], MINE), outcome(2, rows[1], ANOTHERS)];
    tables.store.record(&tables.kind, PROMOTION, &mut outcomes).await.unwrap();
    let rows = sqlx::query(
        "SELECT voucher_target_id, CONVERT(voucher_code USING latin1), voucher_pin, voucher_expiry_at FROM campaign_promotion_voucher_results",
    )
    .fetch_all(&tables.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2);
    let cipher = PinCipher::from_hex(&"0f".repeat(32)).unwrap();
    for row in rows {
        let (id, column): (i64, Vec<u8>) = (row.get(0), row.get(2));
        assert_eq!((row.get_unchecked::<String, _>(1), row.get(3)), ("CODE-1".to_owned(), expiry));
        assert!(!column.windows(4).any(|bytes| bytes == b"4711"));
        assert_eq!(cipher.open(TargetId(id), &column), Ok(Pin("4711-0815".into())));
    }
}
