//! The intent, and the targets that it concerns.

use std::sync::atomic::Ordering;

use chrono::{NaiveDateTime, Timelike};
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::error::{BATCH, repeated, within};
use super::results::result_row;
use super::sql::{TypeSql, maybe_text};
use super::{Store, StoreError, json};
use crate::domain::result::AttemptToken;
use crate::domain::{Amount, CustomerUid, PayoutType, ProcessStatus, PromotionId, ResultRow, Shape, Target, TargetId};
use crate::mutant::{self, Mutant};

/// Who records the intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// A payer, for entries delivered for the first time: new rows become its own.
    First,
    /// The retrier, for entries it has taken: RETRYING rows become its own too, one attempt more.
    Again,
}

/// A target and its result as the intent left it.
#[derive(Clone, Debug)]
pub struct Payout {
    /// To whom.
    pub target: Target,
    /// Where it stands.
    pub row: ResultRow,
}

/// Ids lie close together when at most this many times as many lie between the first and the last: up to there a range
/// costs less than a list.
const CLOSE: usize = 3;

impl Store {
    /// Commits the intent to pay these targets and gives them with their results. Targets that do not
    /// exist, or belong to another promotion, are absent from the answer. Repeating it under the same token
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]; the intent may or may not be committed then.
    pub async fn begin(
        &self,
        kind: &PayoutType,
        promotion: PromotionId,
        targets: &[TargetId],
        token: AttemptToken,
        claim: Claim,
    ) -> Result<Vec<Payout>, StoreError> {
        debug_assert!(targets.is_sorted(), "unsorted overlapping upserts deadlock by the hundred");
        let sql = self.sql_of(kind)?;
        // Columns hold whole seconds, and round.
        let now = self.now().with_nanosecond(0).unwrap_or_default();
        match claim {
            Claim::First if !mutant::is(Mutant::IntentIsNotCommitted) => {
                if let Some(payouts) = self.begin_new(&sql, promotion, targets, token, now).await? {
                    return Ok(payouts);
                }
                self.begin_any(&sql, &sql.intent, promotion, targets, token, now).await
            }
            Claim::First => self.begin_any(&sql, &sql.intent, promotion, targets, token, now).await,
            Claim::Again => self.begin_any(&sql, &sql.retry_intent, promotion, targets, token, now).await,
        }
    }

    /// The intent for targets without results; nothing when any of them has one.
    async fn begin_new(
        &self,
        sql: &TypeSql,
        promotion: PromotionId,
        targets: &[TargetId],
        token: AttemptToken,
        now: NaiveDateTime,
    ) -> Result<Option<Vec<Payout>>, StoreError> {
        // What is paid does not change any more, so it may be read before the intent.
        let targets = self.read_targets(sql, promotion, targets).await?;
        if targets.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let ids = in_order(targets.iter().map(|target| target.id));
        let room = self.room.load(Ordering::Relaxed);
        let inserted = repeated(|| {
            sqlx::query(&sql.first_intent)
                .bind(promotion.0)
                .bind(token.0.cast_signed())
                .bind(now)
                .bind(now)
                .bind(now)
                .bind(room)
                .bind(&ids)
                .execute(&self.pool)
        });
        match inserted.await {
            Ok(_) => {
                let row = ResultRow {
                    status: ProcessStatus::Pending,
                    retry_count: 0,
                    may_have_executed: false,
                    generation: 1,
                    requeues: 0,
                    first_sent_at: Some(now),
                    waits: None,
                    token,
                    updated_at: Some(now),
                };
                Ok(Some(targets.into_iter().map(|target| Payout { target, row }).collect()))
            }
            // Paid before, or in somebody's hands. Nothing was written.
            Err(error) if error.is_duplicate() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The intent for targets that may have results, which are read back.
    async fn begin_any(
        &self,
        sql: &TypeSql,
        statement: &str,
        promotion: PromotionId,
        targets: &[TargetId],
        token: AttemptToken,
        now: NaiveDateTime,
    ) -> Result<Vec<Payout>, StoreError> {
        let ids = in_order(targets.iter().copied());
        let room = self.room.load(Ordering::Relaxed);
        let intent = || {
            sqlx::query(statement)
                .bind(token.0.cast_signed())
                .bind(now)
                .bind(now)
                .bind(now)
                .bind(room)
                .bind(&ids)
                .bind(promotion.0)
        };
        let read = || sqlx::query(&sql.read).bind(&ids).bind(promotion.0);
        let rows = if mutant::is(Mutant::IntentIsNotCommitted) {
            let mut transaction = self.pool.begin().await?;
            intent().execute(&mut *transaction).await?;
            read().fetch_all(&mut *transaction).await?
        } else {
            repeated(|| intent().execute(&self.pool)).await?;
            within(BATCH, read().fetch_all(&self.pool)).await?
        };
        let first_of_result = columns_of_target(sql.kind.shape);
        rows.iter()
            .map(|row| Ok(Payout { target: target(row, sql.kind.shape)?, row: result_row(row, first_of_result)? }))
            .collect()
    }

    async fn read_targets(
        &self,
        sql: &TypeSql,
        promotion: PromotionId,
        targets: &[TargetId],
    ) -> Result<Vec<Target>, StoreError> {
        let shape = sql.kind.shape;
        let Some((first, last)) = targets.first().zip(targets.last()) else { return Ok(Vec::new()) };
        if !are_close(*first, *last, targets.len()) {
            let ids = json::ids(targets.iter().copied());
            let query = sqlx::query(&sql.read_targets).bind(&ids).bind(promotion.0);
            let rows = within(BATCH, query.fetch_all(&self.pool)).await?;
            return rows.iter().map(|row| target(row, shape)).collect();
        }
        let query = sqlx::query(&sql.read_target_range).bind(promotion.0).bind(first.0).bind(last.0);
        let rows = within(BATCH, query.fetch_all(&self.pool)).await?;
        let mut found = Vec::with_capacity(targets.len());
        for row in &rows {
            if targets.binary_search(&TargetId(row.try_get(0)?)).is_ok() {
                found.push(target(row, shape)?);
            }
        }
        Ok(found)
    }
}

/// The ids as a statement takes them.
fn in_order(ids: impl Iterator<Item = TargetId>) -> String {
    if mutant::is(Mutant::UnsortedIntents) {
        let mut ids: Vec<TargetId> = ids.collect();
        ids.sort_by_cached_key(|_| rand::random::<u32>());
        return json::ids(ids);
    }
    json::ids(ids)
}

/// Whether `count` ids between these two lie close together.
pub(super) fn are_close(first: TargetId, last: TargetId, count: usize) -> bool {
    last.0.abs_diff(first.0) < (count * CLOSE) as u64
}

fn columns_of_target(shape: Shape) -> usize {
    match shape {
        Shape::Point => 6,
        Shape::Voucher => 8,
    }
}

fn target(row: &MySqlRow, shape: Shape) -> Result<Target, StoreError> {
    let (voucher_number, is_withdrawal) = match shape {
        Shape::Point => (None, false),
        Shape::Voucher => (maybe_text(row, 6)?, row.try_get(7)?),
    };
    Ok(Target {
        id: TargetId(row.try_get(0)?),
        customer: CustomerUid(row.try_get(1)?),
        amount: row.try_get::<Option<Decimal>, _>(2)?.map(Amount::from_row),
        reason: maybe_text(row, 3)?,
        expired_at: maybe_text(row, 4)?,
        merchant_code: maybe_text(row, 5)?,
        voucher_number,
        is_withdrawal,
    })
}
