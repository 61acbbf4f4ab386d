//! The outcome, and how results stand.

use std::sync::atomic::Ordering;

use chrono::NaiveDateTime;
use sqlx::mysql::MySqlRow;
use sqlx::{MySqlPool, Row};

use super::error::{BATCH, repeated, within};
use super::json::{self, Rows};
use super::sql::{TypeSql, maybe_text, text};
use super::{Store, StoreError};
use crate::domain::decide::Write;
use crate::domain::outcome::{Effect, Receipt};
use crate::domain::result::AttemptToken;
use crate::domain::{PayoutType, ProcessStatus, PromotionId, ResultRow, Shape, TargetId, Waits};
use crate::mutant::{self, Mutant};

/// An outcome of one target, ready to be written.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The target.
    pub target: TargetId,
    /// The row as it was when the decision was made: its generation and retry count guard the write.
    pub row: ResultRow,
    /// Of the attempt that answered. Only a row that still carries it can become RETRYING or FAILED by an answer
    /// that says "not executed": the answer speaks for no other attempt.
    pub token: AttemptToken,
    /// What it does to the row.
    pub write: Write,
    /// With [`Effect::Paid`].
    pub receipt: Option<Receipt>,
    /// `error_code`, at most 50 characters.
    pub code: Option<String>,
    /// `error_message`, at most 500 characters.
    pub message: Option<String>,
}

impl Store {
    /// Writes outcomes, guarded, and tells how each row stands afterwards: as the statement proves, or read
    /// back where it does not. Repeating it is harmless: a final row is not changed again, and attempts are
    /// counted once.
    ///
    /// # Errors
    /// [`StoreError`]; the outcomes may or may not be committed then. Call again with the same.
    pub async fn record(
        &self,
        kind: &PayoutType,
        promotion: PromotionId,
        outcomes: &mut [Outcome],
    ) -> Result<Vec<(TargetId, ResultRow)>, StoreError> {
        outcomes.sort_by_key(|outcome| outcome.target);
        let sql = self.sql_of(kind)?;
        if let Some(receipt) = outcomes.iter().find_map(|outcome| outcome.receipt.as_ref()) {
            self.room.store(bytes_in_row(receipt), Ordering::Relaxed);
        }
        let (paid, other): (Vec<&Outcome>, Vec<&Outcome>) =
            outcomes.iter().partition(|outcome| is_plain_payment(outcome));
        let mut unproved = other;
        let mut rows = Vec::with_capacity(paid.len() + unproved.len());
        if !paid.is_empty() {
            if self.record_paid(&sql, &paid).await? == paid.len() as u64 {
                rows.extend(paid.iter().map(|outcome| (outcome.target, paid_row(outcome))));
            } else {
                unproved.extend(paid);
                unproved.sort_by_key(|outcome| outcome.target);
            }
        }
        if !unproved.is_empty() {
            // Each statement is repeated whole by whoever repeats this: neither changes a final row.
            crate::crash::point("charging.paid_recorded");
            self.record_any(&sql, promotion, &unproved).await?;
            rows.extend(read_results(&self.pool, &sql, unproved.iter().map(|outcome| outcome.target)).await?);
        }
        Ok(rows)
    }

    /// How results stand.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn results(
        &self,
        kind: &PayoutType,
        targets: &[TargetId],
    ) -> Result<Vec<(TargetId, ResultRow)>, StoreError> {
        read_results(&self.pool, &*self.sql_of(kind)?, targets.iter().copied()).await
    }

    async fn record_any(&self, sql: &TypeSql, promotion: PromotionId, outcomes: &[&Outcome]) -> Result<(), StoreError> {
        let mut rows = Rows::new();
        for outcome in outcomes {
            let (row, write) = (&outcome.row, &outcome.write);
            rows.row(outcome.target.0)
                .number(outcome.token.0)
                .number(row.generation)
                .number(u8::from(write.another_attempt));
            rows.text(Some(effect_code(write.effect)));
            rows.text(outcome.receipt.as_ref().map(|receipt| receipt.money_key.as_str()));
            rows.text(outcome.code.as_deref()).text(outcome.message.as_deref());
            rows.text(waits_code(write.effect));
            rows.text(row.first_sent_at.map(local_text).as_deref()).number(row.retry_count);
            rows.text(row.updated_at.map(local_text).as_deref());
            self.voucher_fields(&mut rows, sql, outcome);
            rows.end();
        }
        let json = rows.finish();
        let now = self.now();
        let at = local_text(now);
        repeated(|| {
            let query = sqlx::query(&sql.outcome).bind(promotion.0).bind(now).bind(&at).bind(now).bind(now).bind(&json);
            query.execute(&self.pool)
        })
        .await?;
        Ok(())
    }

    pub(super) fn voucher_fields(&self, rows: &mut Rows, sql: &TypeSql, outcome: &Outcome) {
        match sql.kind.shape {
            Shape::Point => {}
            Shape::Voucher => {
                let receipt = outcome.receipt.as_ref();
                let pin = receipt.and_then(|receipt| receipt.voucher_pin.as_ref());
                let sealed =
                    pin.zip(self.pins.as_ref()).map(|(pin, cipher)| hex::encode(cipher.seal(outcome.target, pin)));
                let expiry = receipt.and_then(|receipt| receipt.voucher_expiry_at).map(local_text);
                rows.text(receipt.and_then(|receipt| receipt.voucher_code.as_deref()));
                rows.text(sealed.as_deref()).text(expiry.as_deref());
            }
        }
    }
}

/// What a receipt adds to the length of its row.
fn bytes_in_row(receipt: &Receipt) -> u32 {
    const EXPIRY: usize = 5;
    const SEALED: usize = 32;
    let voucher = receipt.voucher_code.as_ref().map_or(0, String::len)
        + receipt.voucher_pin.as_ref().map_or(0, |pin| pin.0.len() + SEALED)
        + receipt.voucher_expiry_at.map_or(0, |_| EXPIRY);
    u32::try_from(receipt.money_key.len() + voucher).unwrap_or(0).min(255)
}

fn local_text(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Paid without a remark, by an attempt that nobody else has touched as far as we know.
fn is_plain_payment(outcome: &Outcome) -> bool {
    let paid = outcome.write.effect == Effect::Paid && outcome.message.is_none();
    paid && !outcome.write.another_attempt && outcome.row.token == outcome.token
}

/// What `paid.sql` and `paid_range.sql` prove where they matched.
fn paid_row(outcome: &Outcome) -> ResultRow {
    ResultRow { status: ProcessStatus::Success, updated_at: None, ..outcome.row }
}

fn effect_code(effect: Effect) -> &'static str {
    match effect {
        Effect::Unknown(Some(Waits::UnknownOutcome)) if mutant::is(Mutant::ExhaustedMeansFailed) => "FAILED",
        Effect::Paid => "PAID",
        Effect::Failed => "FAILED",
        Effect::NotExecuted => "NOT_EXECUTED",
        Effect::GiveUp => "GIVE_UP",
        Effect::NotCalled => "NOT_CALLED",
        Effect::Unknown(_) => "UNKNOWN",
        Effect::Reopened => "REOPENED",
    }
}

fn waits_code(effect: Effect) -> Option<&'static str> {
    match effect {
        Effect::Unknown(waits) => waits.map(Waits::code),
        Effect::Paid | Effect::Failed | Effect::NotExecuted | Effect::GiveUp | Effect::NotCalled | Effect::Reopened => {
            None
        }
    }
}

async fn read_results(
    pool: &MySqlPool,
    sql: &TypeSql,
    targets: impl Iterator<Item = TargetId>,
) -> Result<Vec<(TargetId, ResultRow)>, StoreError> {
    let ids = json::ids(targets);
    let rows = within(BATCH, sqlx::query(&sql.read_results).bind(&ids).fetch_all(pool)).await?;
    rows.iter().map(|row| Ok((TargetId(row.try_get(0)?), result_row(row, 1)?))).collect()
}

pub(super) fn result_row(row: &MySqlRow, at: usize) -> Result<ResultRow, StoreError> {
    let status = text(row, at)?;
    let waits = maybe_text(row, at + 6)?;
    let unknown = |what: &str| StoreError::Data(format!("a result row holds a {what} that this product does not know"));
    Ok(ResultRow {
        status: ProcessStatus::from_code(status).ok_or_else(|| unknown("process_status"))?,
        retry_count: row.try_get::<i32, _>(at + 1)?.cast_unsigned(),
        may_have_executed: row.try_get(at + 2)?,
        generation: row.try_get::<i32, _>(at + 3)?.cast_unsigned(),
        requeues: row.try_get::<i32, _>(at + 4)?.cast_unsigned(),
        first_sent_at: row.try_get::<Option<NaiveDateTime>, _>(at + 5)?,
        waits: waits.map(|code| Waits::from_code(&code).ok_or_else(|| unknown("waits_for"))).transpose()?,
        token: AttemptToken(row.try_get::<i64, _>(at + 7)?.cast_unsigned()),
        updated_at: row.try_get::<Option<NaiveDateTime>, _>(at + 8)?,
    })
}
