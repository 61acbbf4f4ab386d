//! Discarding a promotion that was never started, which frees its campaign code.
//!
//! It is first moved to STOPPED together with the audit row that keeps it from being resumed, so that nobody
//! pays what is being removed; then its targets go in slices; then the promotion itself. Whatever is left
//! after a crash is removed by the same command.

use rust_decimal::Decimal;
use sqlx::Row;

use super::change::{self, Changed, DISCARD, Refusal};
use super::{OperatorAct, Overview, write_act};
use crate::domain::{Amount, PayoutType, PromotionId, PromotionStatus};
use crate::store::promotions::move_status;
use crate::store::sql::fill;
use crate::store::{Store, StoreError};

impl Store {
    /// Targets of a promotion that are there, and what they add up to; a missing amount counts as the default.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn loaded(&self, promotion: &Overview, kind: &PayoutType) -> Result<(u64, Amount), StoreError> {
        let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(COALESCE(amount, ?)), 0) AS DECIMAL(30,2)) FROM {targets} WHERE promotion_id = ?";
        let row = sqlx::query(&fill(sql, kind))
            .bind(promotion.default_amount.map(Amount::decimal))
            .bind(promotion.id.0)
            .fetch_one(&self.pool)
            .await?;
        Ok((row.try_get::<i64, _>(0)?.unsigned_abs(), Amount::from_row(row.try_get::<Decimal, _>(1)?)))
    }

    /// Begins a discard, or goes on with one: LOADING, READY, STOPPED or FAILED, never started → STOPPED for ever.
    ///
    /// # Errors
    /// [`StoreError`]; asking again is harmless.
    pub async fn begin_discard(
        &self,
        id: PromotionId,
        kind: Option<&PayoutType>,
        act: &OperatorAct,
    ) -> Result<Changed, StoreError> {
        debug_assert_eq!(act.action, DISCARD, "the row in the audit trail is the mark");
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let Some(locked) = change::lock(&mut transaction, id).await? else { return Ok(Changed::No(Refusal::NotThere)) };
        let (from, to) = (locked.status, PromotionStatus::Stopped);
        if locked.discarding && from == to {
            return Ok(Changed::Yes { from, to });
        }
        if matches!(from, PromotionStatus::InProgress | PromotionStatus::Completed) {
            return Ok(Changed::No(Refusal::Status(from)));
        }
        if locked.started {
            return Ok(Changed::No(Refusal::Started));
        }
        if let Some(kind) = kind {
            let sql = "SELECT r.{key} FROM {targets} t JOIN {results} r ON r.{key} = t.{key} WHERE t.promotion_id = ? LIMIT 1";
            let result: Option<i64> =
                sqlx::query_scalar(&fill(sql, kind)).bind(id.0).fetch_optional(&mut *transaction).await?;
            if result.is_some() {
                return Ok(Changed::No(Refusal::HasResults));
            }
        }
        if from != to && !move_status(&mut transaction, id, from, to, now).await? {
            return Ok(Changed::No(Refusal::Status(from)));
        }
        // A loader that is still at work commits its position with each batch; without the row it notices.
        sqlx::query("DELETE FROM campaign_promotion_loads WHERE promotion_id = ?")
            .bind(id.0)
            .execute(&mut *transaction)
            .await?;
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(Changed::Yes { from, to })
    }

    /// Removes at most `limit` targets of a promotion that is being discarded; gives how many. Small
    /// transactions: other promotions go on being paid.
    ///
    /// # Errors
    /// [`StoreError`]; asking again is harmless.
    pub async fn discard_slice(&self, id: PromotionId, kind: &PayoutType, limit: u32) -> Result<u64, StoreError> {
        // Locks no promotion that is not being discarded, and repeats what a crash left.
        let sql = "DELETE FROM {targets} WHERE promotion_id = ? AND EXISTS (SELECT 1 FROM payout_audit a \
            WHERE a.promotion_id = ? AND a.action = 'promotion discard') LIMIT ?";
        let done = sqlx::query(&fill(sql, kind)).bind(id.0).bind(id.0).bind(limit).execute(&self.pool).await?;
        Ok(done.rows_affected())
    }

    /// Removes the promotion itself with its summary and load; says whether it is gone by this call. `false`
    /// when it is not being discarded, or targets are still there (a loader that had not noticed yet): then
    /// remove another slice.
    ///
    /// # Errors
    /// [`StoreError`]; asking again is harmless.
    pub async fn finish_discard(
        &self,
        id: PromotionId,
        kind: Option<&PayoutType>,
        act: &OperatorAct,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let Some(locked) = change::lock(&mut transaction, id).await? else { return Ok(false) };
        if !locked.discarding || locked.status != PromotionStatus::Stopped {
            return Ok(false);
        }
        if let Some(kind) = kind {
            // The foreign key of a built-in type's targets would refuse the delete below; an added type's too.
            let sql = fill("SELECT {key} FROM {targets} WHERE promotion_id = ? LIMIT 1", kind);
            let left: Option<i64> = sqlx::query_scalar(&sql).bind(id.0).fetch_optional(&mut *transaction).await?;
            if left.is_some() {
                return Ok(false);
            }
        }
        for table in ["campaign_promotion_loads", "campaign_promotion_summary", "campaign_promotions"] {
            let sql = format!("DELETE FROM {table} WHERE promotion_id = ?");
            sqlx::query(&sql).bind(id.0).execute(&mut *transaction).await?;
        }
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
