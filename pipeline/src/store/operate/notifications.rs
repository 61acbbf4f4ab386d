//! What the outside was told, as operators see it.

use chrono::NaiveDateTime;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::{OperatorAct, write_act};
use crate::domain::{Event, NotificationState, PromotionId};
use crate::store::notifications::{event_of, state_of};
use crate::store::sql::{maybe_text, text};
use crate::store::{Store, StoreError};

/// A message and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Its row.
    pub id: i64,
    /// What receivers know it by.
    pub event_id: String,
    /// About which promotion.
    pub promotion: PromotionId,
    /// What it tells.
    pub event: Event,
    /// Where it stands.
    pub state: NotificationState,
    /// How often it was taken to be sent.
    pub attempts: u32,
    /// The answer to the last attempt: a status, or why there was none.
    pub last_answer: Option<String>,
    /// When it happened.
    pub created_at: NaiveDateTime,
    /// When it last moved.
    pub updated_at: NaiveDateTime,
}

const SELECT: &str = "SELECT notification_id, event_id, promotion_id, event, state, attempts, last_answer, created_at, updated_at \
    FROM payout_notifications";

impl Store {
    /// Messages, newest first: those below `before`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notifications(
        &self,
        promotion: Option<PromotionId>,
        state: Option<NotificationState>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Notification>, StoreError> {
        let of_promotion = if promotion.is_some() { "AND promotion_id = ?" } else { "" };
        let in_state = if state.is_some() { "AND state = ?" } else { "" };
        let sql = format!(
            "{SELECT} WHERE notification_id < ? {of_promotion} {in_state} ORDER BY notification_id DESC LIMIT ?"
        );
        let mut query = sqlx::query(&sql).bind(before.unwrap_or(i64::MAX));
        if let Some(promotion) = promotion {
            query = query.bind(promotion.0);
        }
        if let Some(state) = state {
            query = query.bind(state.code());
        }
        query.bind(limit).fetch_all(&self.pool).await?.iter().map(notification).collect()
    }

    /// One message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notification(&self, id: i64) -> Result<Option<Notification>, StoreError> {
        let sql = format!("{SELECT} WHERE notification_id = ?");
        sqlx::query(&sql).bind(id).fetch_optional(&self.pool).await?.as_ref().map(notification).transpose()
    }

    /// Has a message sent again, from its first attempt on and under the same id. `false` when it is under way already.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is not known when the commit failed. Asking again tells.
    pub async fn resend_notification(&self, id: i64, act: &OperatorAct) -> Result<bool, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE payout_notifications SET state = 'WAITING', attempts = 0, due_at_ms = 0, updated_at = ? \
             WHERE notification_id = ? AND state <> 'WAITING'",
        )
        .bind(now)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn notification(row: &MySqlRow) -> Result<Notification, StoreError> {
    Ok(Notification {
        id: row.try_get(0)?,
        event_id: text(row, 1)?.to_owned(),
        promotion: PromotionId(row.try_get(2)?),
        event: event_of(text(row, 3)?)?,
        state: state_of(text(row, 4)?)?,
        attempts: row.try_get::<i32, _>(5)?.unsigned_abs(),
        last_answer: maybe_text(row, 6)?,
        created_at: row.try_get(7)?,
        updated_at: row.try_get(8)?,
    })
}
