//! The outbox: what the outside is told, added in the transaction of what it tells about.

use chrono::{SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, Row};

use super::error::{FEW_ROWS, within};
use super::sql::{maybe_text, text};
use super::{Proof, Store, StoreError};
use crate::domain::{Amount, Event, NotificationState, ProcessStatus, Promotion, PromotionId};

/// A message that is to be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// Its row.
    pub id: i64,
    /// The same at every attempt.
    pub event_id: String,
    /// About which promotion.
    pub promotion: PromotionId,
    /// What it tells.
    pub event: Event,
    /// What is sent.
    pub body: String,
    /// How often it had been taken to be sent.
    pub attempts: u32,
}

/// What became of an attempt to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attempted {
    /// It was answered with 2xx.
    Delivered,
    /// It is tried again, not before this time (milliseconds since 1970).
    Again(i64),
    /// The attempts are used up.
    GivenUp,
}

/// How many messages have not reached anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NotificationBacklog {
    /// To be sent.
    pub waiting: u64,
    /// Given up.
    pub given_up: u64,
}

const SELECT: &str = "SELECT p.campaign_code, p.promotion_type, p.promotion_status, p.total_count, p.total_amount, \
    COALESCE(s.published_count, 0), COALESCE(s.success_count, 0), COALESCE(s.retry_success_count, 0), COALESCE(s.fail_count, 0) \
    FROM campaign_promotions p LEFT JOIN campaign_promotion_summary s ON s.promotion_id = p.promotion_id \
    WHERE p.promotion_id = ? FOR UPDATE";

impl Store {
    /// Adds a message in the transaction of what it tells about, which holds the promotion row. The figures are those
    /// of the summary row as this transaction sees it; money and what waits only where there is a proof.
    pub(super) async fn notify(
        &self,
        connection: &mut MySqlConnection,
        id: PromotionId,
        event: Event,
        proof: Option<&Proof>,
    ) -> Result<(), StoreError> {
        let row = sqlx::query(SELECT).bind(id.0).fetch_one(&mut *connection).await?;
        let body = self.body(&row, id, event, proof)?;
        let now = self.now();
        let open = (event == Event::NeedsPerson).then_some(1_i8);
        sqlx::query(
            "INSERT INTO payout_notifications (event_id, promotion_id, event, body, open_period, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(id.0)
        .bind(event.code())
        .bind(body)
        .bind(open)
        .bind(now)
        .bind(now)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// No personal data: it leaves the house.
    fn body(&self, row: &MySqlRow, id: PromotionId, event: Event, proof: Option<&Proof>) -> Result<String, StoreError> {
        // COALESCE widens an INT to BIGINT on one server and leaves it on the other.
        let count = |at: usize| row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from));
        let mut counts = json!({
            "total": row.try_get::<i32, _>(3)?,
            "published": count(5)?,
            "success": count(6)?,
            "retry_success": count(7)?,
            "fail": count(8)?,
        });
        let mut amounts = json!({ "planned": Amount::from_row(row.try_get::<Decimal, _>(4)?) });
        if let Some(proof) = proof {
            counts["waiting_for_a_person"] = json!(proof.waiting());
            amounts["success"] = json!(proof.amount(ProcessStatus::Success));
            amounts["fail"] = json!(proof.amount(ProcessStatus::Failed));
        }
        let at = Utc::now().with_timezone(&self.zone).to_rfc3339_opts(SecondsFormat::Secs, true);
        let body = json!({
            "type": event.code(),
            "timestamp": at,
            "data": {
                "promotion_id": id.0,
                "campaign_code": text(row, 0)?,
                "promotion_type": text(row, 1)?,
                "promotion_status": text(row, 2)?,
                "counts": counts,
                "amounts": amounts,
            },
        });
        Ok(body.to_string())
    }

    /// Payouts of a running promotion wait for a person: told once until [`Store::needs_nobody`]. Gives whether this
    /// call added the message; replicas may race, the unique key decides.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn needs_person(&self, promotion: &Promotion, proof: &Proof) -> Result<bool, StoreError> {
        within(FEW_ROWS, self.told_of_need(promotion, proof)).await
    }

    async fn told_of_need(&self, promotion: &Promotion, proof: &Proof) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let running: Option<i64> = sqlx::query_scalar(
            "SELECT promotion_id FROM campaign_promotions WHERE promotion_id = ? AND promotion_status = 'IN_PROGRESS' FOR UPDATE",
        )
        .bind(promotion.id.0)
        .fetch_optional(&mut *transaction)
        .await?;
        if running.is_none() {
            return Ok(false);
        }
        match self.notify(&mut transaction, promotion.id, Event::NeedsPerson, Some(proof)).await {
            Ok(()) => {}
            Err(error) if error.is_duplicate() => return Ok(false),
            Err(error) => return Err(error),
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// No payout of the promotion waits for a person any more: the next that does is told again. Repeating it
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn needs_nobody(&self, promotion: PromotionId) -> Result<(), StoreError> {
        within(FEW_ROWS, async { close_period(&mut *self.pool.acquire().await?, promotion).await }).await
    }

    /// What is to be sent now, in the order in which it happened.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_notifications(&self, now_ms: i64, limit: u32) -> Result<Vec<Due>, StoreError> {
        let query = sqlx::query(
            "SELECT notification_id, event_id, promotion_id, event, body, attempts FROM payout_notifications \
             WHERE state = 'WAITING' AND due_at_ms <= ? ORDER BY notification_id LIMIT ?",
        )
        .bind(now_ms)
        .bind(limit);
        let rows = within(FEW_ROWS, query.fetch_all(&self.pool)).await?;
        rows.iter().map(due).collect()
    }

    /// Takes a message to send it: until `lease_ms` nobody else does. `false` when somebody else has taken it. Who
    /// takes it and dies leaves it due again at the end of the lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_notification(&self, due: &Due, lease_ms: i64) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE payout_notifications SET attempts = attempts + 1, due_at_ms = ?, updated_at = ? \
             WHERE notification_id = ? AND state = 'WAITING' AND attempts = ?",
        )
        .bind(lease_ms)
        .bind(self.now())
        .bind(due.id)
        .bind(due.attempts);
        let done = within(FEW_ROWS, query.execute(&self.pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Records what became of a message that was claimed. `false` when the lease had run out and somebody else has
    /// taken it: then that attempt decides.
    ///
    /// # Errors
    /// [`StoreError`]; the message is sent again at the end of its lease.
    pub async fn attempted_notification(
        &self,
        due: &Due,
        attempted: &Attempted,
        answer: &str,
    ) -> Result<bool, StoreError> {
        let (state, due_at_ms) = match attempted {
            Attempted::Delivered => (NotificationState::Delivered, 0),
            Attempted::Again(at_ms) => (NotificationState::Waiting, *at_ms),
            Attempted::GivenUp => (NotificationState::GivenUp, 0),
        };
        let query = sqlx::query(
            "UPDATE payout_notifications SET state = ?, due_at_ms = ?, last_answer = ?, updated_at = ? \
             WHERE notification_id = ? AND state = 'WAITING' AND attempts = ?",
        )
        .bind(state.code())
        .bind(due_at_ms)
        .bind(answer.chars().take(100).collect::<String>())
        .bind(self.now())
        .bind(due.id)
        .bind(due.attempts + 1);
        let done = within(FEW_ROWS, query.execute(&self.pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Puts messages aside that nobody wants: all but those of these events. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn skip_notifications(&self, wanted: &[Event]) -> Result<u64, StoreError> {
        let wanted: Vec<&str> = wanted.iter().map(|event| event.code()).collect();
        let query = sqlx::query(
            "UPDATE payout_notifications SET state = 'SKIPPED', updated_at = ? \
             WHERE state = 'WAITING' AND NOT FIND_IN_SET(event, ?)",
        )
        .bind(self.now())
        .bind(wanted.join(","));
        let done = within(FEW_ROWS, query.execute(&self.pool)).await?;
        Ok(done.rows_affected())
    }

    /// How many messages have not reached anybody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notification_backlog(&self) -> Result<NotificationBacklog, StoreError> {
        let query = sqlx::query(
            "SELECT state, COUNT(*) FROM payout_notifications WHERE state IN ('WAITING', 'GIVEN_UP') GROUP BY state",
        );
        let rows = within(FEW_ROWS, query.fetch_all(&self.pool)).await?;
        let mut backlog = NotificationBacklog::default();
        for row in &rows {
            let count = row.try_get::<i64, _>(1)?.unsigned_abs();
            match state_of(text(row, 0)?)? {
                NotificationState::Waiting => backlog.waiting = count,
                NotificationState::GivenUp => backlog.given_up = count,
                NotificationState::Delivered | NotificationState::Skipped => {}
            }
        }
        Ok(backlog)
    }
}

/// Ends the time in which payouts of a promotion wait for a person.
pub(super) async fn close_period(connection: &mut MySqlConnection, promotion: PromotionId) -> Result<(), StoreError> {
    sqlx::query("UPDATE payout_notifications SET open_period = NULL WHERE promotion_id = ? AND open_period = 1")
        .bind(promotion.0)
        .execute(connection)
        .await?;
    Ok(())
}

fn due(row: &MySqlRow) -> Result<Due, StoreError> {
    Ok(Due {
        id: row.try_get(0)?,
        event_id: text(row, 1)?.to_owned(),
        promotion: PromotionId(row.try_get(2)?),
        event: event_of(text(row, 3)?)?,
        body: maybe_text(row, 4)?.unwrap_or_default(),
        attempts: row.try_get::<i32, _>(5)?.unsigned_abs(),
    })
}

pub(super) fn event_of(code: &str) -> Result<Event, StoreError> {
    Event::from_code(code)
        .ok_or_else(|| StoreError::Data(format!("event is {code:?}, which this product does not know")))
}

pub(super) fn state_of(code: &str) -> Result<NotificationState, StoreError> {
    NotificationState::from_code(code)
        .ok_or_else(|| StoreError::Data(format!("state is {code:?}, which this product does not know")))
}
