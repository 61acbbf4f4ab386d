//! Closing an outcome that waits for a person.

use super::issues::{WAITING, Waiting, waiting};
use super::{OperatorAct, cut, write_act};
use crate::domain::requeue::RESOLVED_NOT_PAID;
use crate::domain::{PayoutType, ProcessStatus, TargetId, Waits};
use crate::store::sql::fill;
use crate::store::{Store, StoreError};

/// What a person found out about a payout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// It was paid, under this key of `money`.
    Paid(String),
    /// It was not paid, and never will be under this key.
    NotPaid,
}

/// Why a row was not closed. Nothing was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unresolved {
    /// No such target.
    NotThere,
    /// The row does not wait for a person (any more).
    NotWaiting(Option<ProcessStatus>),
    /// The row is not as it was shown: it was tried again meanwhile.
    Changed,
}

impl Store {
    /// A target with its result, whatever they are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing(&self, kind: &PayoutType, target: TargetId) -> Result<Option<Waiting>, StoreError> {
        let sql = fill(&format!("{WAITING} WHERE t.{{key}} = ?"), kind);
        sqlx::query(&sql).bind(target.0).fetch_optional(&self.pool).await?.as_ref().map(waiting).transpose()
    }

    /// PENDING and waiting for a person → SUCCESS or FAILED, by compare-and-set on the row as it was shown. The
    /// row is final then, whatever attempt still comes back.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is not known when the commit failed. Asking again tells.
    pub async fn resolve(
        &self,
        kind: &PayoutType,
        shown: &Waiting,
        resolution: &Resolution,
        act: &OperatorAct,
    ) -> Result<Option<Unresolved>, StoreError> {
        let now = self.now();
        let (status, key, code, message) = match resolution {
            Resolution::Paid(key) => (ProcessStatus::Success, Some(key.as_str()), None, None),
            Resolution::NotPaid => (ProcessStatus::Failed, None, Some(RESOLVED_NOT_PAID), Some(cut(&act.reason, 500))),
        };
        let mut transaction = self.pool.begin().await?;
        let sql = "UPDATE {results} SET transaction_key = ?, error_code = ?, error_message = ?, waits_for = NULL, updated_at = ?, \
            process_status = ? WHERE {key} = ? AND process_status = 'PENDING' AND waits_for IS NOT NULL AND key_generation = ? \
            AND retry_count = ? AND (waits_for <> ? OR updated_at <=> ?)";
        let done = sqlx::query(&fill(sql, kind))
            .bind(key)
            .bind(code)
            .bind(message)
            .bind(now)
            .bind(status.code())
            .bind(shown.target.0)
            .bind(shown.generation)
            .bind(shown.retry_count)
            // What waits for a refusal is written at every question; this only when it was taken back meanwhile.
            .bind(Waits::UnknownOutcome.code())
            .bind(shown.updated_at)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            drop(transaction);
            return Ok(Some(match self.standing(kind, shown.target).await? {
                None => Unresolved::NotThere,
                Some(row) if row.waits.is_some() => Unresolved::Changed,
                Some(row) => Unresolved::NotWaiting(row.status),
            }));
        }
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(None)
    }
}
