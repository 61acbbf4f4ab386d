//! How many promotions there are in each status, and whether one is overdue: for the boards and alerts, which see those
//! that do not run by nothing else.

use chrono::NaiveDateTime;
use sqlx::Row;

use super::error::{FEW_ROWS, within};
use super::promotions::status_of;
use super::sql::text;
use super::{Store, StoreError};
use crate::domain::PromotionStatus;

/// All promotions that are not COMPLETED: those only ever grow in number, and counting them would cost more each year.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Census {
    /// Each status but COMPLETED, and how many promotions are in it.
    pub counts: Vec<(PromotionStatus, u64)>,
    /// Since when the READY promotion that has waited longest has been due: its reservation, or its last change where that
    /// was later. Nothing when none is due.
    pub due_since: Option<NaiveDateTime>,
}

impl Store {
    /// Counts promotions, on the index of their status.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn census(&self) -> Result<Census, StoreError> {
        let counted = sqlx::query(
            "SELECT promotion_status, COUNT(*) FROM campaign_promotions \
             WHERE promotion_status IN ('LOADING', 'READY', 'IN_PROGRESS', 'STOPPED', 'FAILED') GROUP BY promotion_status",
        );
        let open = PromotionStatus::ALL.into_iter().filter(|status| *status != PromotionStatus::Completed);
        let mut counts: Vec<(PromotionStatus, u64)> = open.map(|status| (status, 0)).collect();
        for row in within(FEW_ROWS, counted.fetch_all(&self.pool)).await? {
            let status = status_of(text(&row, 0)?)?;
            let number = row.try_get::<i64, _>(1)?.unsigned_abs();
            counts.iter_mut().filter(|(of, _)| *of == status).for_each(|(_, count)| *count = number);
        }
        let due = sqlx::query_scalar(
            "SELECT MIN(GREATEST(COALESCE(reservation_at, updated_at, created_at), COALESCE(updated_at, created_at, reservation_at))) \
             FROM campaign_promotions WHERE promotion_status = 'READY' AND (reservation_at IS NULL OR reservation_at <= ?)",
        );
        let due_since = within(FEW_ROWS, due.bind(self.now()).fetch_one(&self.pool)).await?;
        Ok(Census { counts, due_since })
    }
}
