//! Stopping and resuming a promotion.

use sqlx::MySqlConnection;

use super::{OperatorAct, cut, write_act};
use crate::domain::{PromotionId, PromotionStatus};
use crate::store::promotions::move_status;
use crate::store::sql::text;
use crate::store::{Store, StoreError};

/// What became of a change that an operator asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// It is done, and audited.
    Yes {
        /// Status before.
        from: PromotionStatus,
        /// Status now.
        to: PromotionStatus,
    },
    /// Nothing was written.
    No(Refusal),
}

/// Why a change is not possible.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such promotion.
    NotThere,
    /// Its status does not allow it.
    Status(PromotionStatus),
    /// It was started: payouts may have been made.
    Started,
    /// It is being discarded: a part of its targets may be gone already.
    Discarding,
    /// It was never started, and has results all the same: somebody wrote them by hand.
    HasResults,
    /// Its reservation is not as it was shown: somebody else changed it meanwhile.
    Changed,
}

/// The act that begins a discard. Its row in the audit trail is what keeps the promotion from being resumed.
pub(super) const DISCARD: &str = "promotion discard";

/// Where a promotion goes when it is resumed.
pub fn resumes_to(status: PromotionStatus, started: bool) -> Option<PromotionStatus> {
    match status {
        PromotionStatus::Stopped | PromotionStatus::Failed if started => Some(PromotionStatus::InProgress),
        PromotionStatus::Stopped | PromotionStatus::Failed => Some(PromotionStatus::Ready),
        PromotionStatus::Loading
        | PromotionStatus::Ready
        | PromotionStatus::InProgress
        | PromotionStatus::Completed => None,
    }
}

/// A promotion's row, locked by the caller's transaction.
pub(super) struct Locked {
    pub(super) status: PromotionStatus,
    pub(super) started: bool,
    pub(super) discarding: bool,
}

impl Store {
    /// READY or IN_PROGRESS → STOPPED, with the memo. Stages see it at their next look, within a second.
    /// Nothing is discarded; what is in flight is recorded.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is not known when the commit failed. Asking again tells.
    pub async fn stop(&self, id: PromotionId, act: &OperatorAct) -> Result<Changed, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let Some(locked) = lock(&mut transaction, id).await? else { return Ok(Changed::No(Refusal::NotThere)) };
        let from = locked.status;
        if !matches!(from, PromotionStatus::Ready | PromotionStatus::InProgress) {
            return Ok(Changed::No(Refusal::Status(from)));
        }
        let to = PromotionStatus::Stopped;
        if !move_status(&mut transaction, id, from, to, now).await? {
            return Ok(Changed::No(Refusal::Status(from)));
        }
        sqlx::query(
            "INSERT INTO campaign_promotion_summary (promotion_id, stopped_at, stopped_memo, created_by, created_at, updated_by, \
             updated_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE stopped_at = VALUES(stopped_at), \
             stopped_memo = VALUES(stopped_memo), updated_by = VALUES(updated_by), updated_at = VALUES(updated_at)",
        )
        .bind(id.0)
        .bind(now)
        .bind(cut(&act.reason, 500))
        .bind(cut(&act.actor, 50))
        .bind(now)
        .bind(cut(&act.actor, 50))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(Changed::Yes { from, to })
    }

    /// STOPPED or FAILED → IN_PROGRESS, or READY when it was never started. The memo goes; the audit trail keeps it.
    ///
    /// # Errors
    /// As [`Store::stop`].
    pub async fn resume(&self, id: PromotionId, act: &OperatorAct) -> Result<Changed, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let Some(locked) = lock(&mut transaction, id).await? else { return Ok(Changed::No(Refusal::NotThere)) };
        if locked.discarding {
            return Ok(Changed::No(Refusal::Discarding));
        }
        let from = locked.status;
        let Some(to) = resumes_to(from, locked.started) else { return Ok(Changed::No(Refusal::Status(from))) };
        if !move_status(&mut transaction, id, from, to, now).await? {
            return Ok(Changed::No(Refusal::Status(from)));
        }
        sqlx::query(
            "UPDATE campaign_promotion_summary SET stopped_at = NULL, stopped_memo = NULL, updated_by = ?, updated_at = ? \
             WHERE promotion_id = ?",
        )
        .bind(cut(&act.actor, 50))
        .bind(now)
        .bind(id.0)
        .execute(&mut *transaction)
        .await?;
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(Changed::Yes { from, to })
    }
}

/// Locks a promotion's row first, as completion does, and reads what decides about changes.
pub(super) async fn lock(connection: &mut MySqlConnection, id: PromotionId) -> Result<Option<Locked>, StoreError> {
    let row = sqlx::query("SELECT promotion_status FROM campaign_promotions WHERE promotion_id = ? FOR UPDATE")
        .bind(id.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let status = text(&row, 0)?;
    let status = PromotionStatus::from_code(status)
        .ok_or_else(|| StoreError::Data(format!("promotion_status is {status:?}, which this product does not know")))?;
    let started: Option<i64> = sqlx::query_scalar(
        "SELECT promotion_id FROM campaign_promotion_summary WHERE promotion_id = ? AND started_at IS NOT NULL",
    )
    .bind(id.0)
    .fetch_optional(&mut *connection)
    .await?;
    let discarding: Option<i64> =
        sqlx::query_scalar("SELECT audit_id FROM payout_audit WHERE promotion_id = ? AND action = ? LIMIT 1")
            .bind(id.0)
            .bind(DISCARD)
            .fetch_optional(connection)
            .await?;
    Ok(Some(Locked { status, started: started.is_some(), discarding: discarding.is_some() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stopped_or_failed_resumes_and_where_it_was() {
        use PromotionStatus::{Completed, Failed, InProgress, Loading, Ready, Stopped};
        for status in [Stopped, Failed] {
            assert_eq!(resumes_to(status, true), Some(InProgress));
            assert_eq!(resumes_to(status, false), Some(Ready));
        }
        for status in [Loading, Ready, InProgress, Completed] {
            assert_eq!(resumes_to(status, true), None);
            assert_eq!(resumes_to(status, false), None);
        }
    }
}
