//! Putting a promotion's start off, or forward.

use chrono::NaiveDateTime;

use super::change::lock;
use super::{Changed, OperatorAct, Overview, Refusal, cut, write_act};
use crate::domain::PromotionStatus;
use crate::store::{Store, StoreError};

/// When a promotion is due, and before whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Not before; as soon as possible without one. Local time of the configured zone.
    pub at: Option<NaiveDateTime>,
    /// Lower goes first among promotions due at the same time; last without one.
    pub priority: Option<i32>,
}

/// Whether a reservation still has a meaning: nothing was started yet.
///
/// # Errors
/// Why it has none.
pub fn may_be_rescheduled(status: PromotionStatus, started: bool) -> Result<(), Refusal> {
    match status {
        PromotionStatus::Ready | PromotionStatus::Stopped if started => Err(Refusal::Started),
        PromotionStatus::Ready | PromotionStatus::Stopped => Ok(()),
        PromotionStatus::Loading
        | PromotionStatus::InProgress
        | PromotionStatus::Completed
        | PromotionStatus::Failed => Err(Refusal::Status(status)),
    }
}

impl Store {
    /// Gives a promotion that was never started another reservation, by compare-and-set on the one that was shown.
    /// Its status stays. A dispatcher that has seen the old one asks again before it starts anything.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is not known when the commit failed. Asking again tells.
    pub async fn reschedule(
        &self,
        shown: &Overview,
        reservation: Reservation,
        act: &OperatorAct,
    ) -> Result<Changed, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let Some(locked) = lock(&mut transaction, shown.id).await? else { return Ok(Changed::No(Refusal::NotThere)) };
        if locked.discarding {
            return Ok(Changed::No(Refusal::Discarding));
        }
        if let Err(refusal) = may_be_rescheduled(locked.status, locked.started) {
            return Ok(Changed::No(refusal));
        }
        let done = sqlx::query(
            "UPDATE campaign_promotions SET reservation_at = ?, reservation_priority = ?, updated_by = ?, updated_at = ? \
             WHERE promotion_id = ? AND promotion_status = ? AND reservation_at <=> ? AND reservation_priority <=> ?",
        )
        .bind(reservation.at)
        .bind(reservation.priority)
        .bind(cut(&act.actor, 50))
        .bind(now)
        .bind(shown.id.0)
        .bind(locked.status.code())
        .bind(shown.reservation_at)
        .bind(shown.reservation_priority)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(Changed::No(Refusal::Changed));
        }
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(Changed::Yes { from: locked.status, to: locked.status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_started_and_can_still_start_is_rescheduled() {
        for status in PromotionStatus::ALL {
            let waits = matches!(status, PromotionStatus::Ready | PromotionStatus::Stopped);
            assert_eq!(may_be_rescheduled(status, false).is_ok(), waits, "{status:?}");
            assert!(may_be_rescheduled(status, true).is_err(), "{status:?}");
        }
    }
}
