//! Promotions and their summaries: which run, which are due, and every move between their states.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, Row};

use super::error::{FEW_ROWS, repeated, within};
use super::sql::{maybe_text, text};
use super::{Store, StoreError};
use crate::domain::promotion::{Defaults, is_campaign_code};
use crate::domain::{Amount, Counts, Event, Promotion, PromotionId, PromotionStatus, SummaryId};

/// What a summary row says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SummaryRow {
    /// How far the promotion is, as it was written last.
    pub counts: Counts,
    /// When it was completed, if it was.
    pub completed_at: Option<NaiveDateTime>,
}

/// Which promotions a stage asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PollScope {
    /// IN_PROGRESS, in the order in which they run.
    Running,
    /// The same, and those that became STOPPED or FAILED since this time: what was in flight then is still counted.
    Counted(NaiveDateTime),
    /// Those that run, and those that are READY and due, in the order in which they should start: a thousand in
    /// all at most, what runs first.
    DueOrRunning,
    /// COMPLETED since this time, the latest first, a thousand at most: their keys may still have to be set right.
    CompletedSince(NaiveDateTime),
}

/// What became of the attempt to start a promotion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Started {
    /// It is IN_PROGRESS now, by this call.
    Yes,
    /// Somebody else moved it on, or put it off.
    No,
}

/// How a promotion that another system wrote compares with its targets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// Count, money and partitions agree.
    Agrees,
    /// They do not, and something changed a short while ago: it may still be being written.
    MayBeIncomplete,
    /// They do not, and nothing has changed for a while: what differs.
    Differs(String),
}

const COLUMNS: &str = "p.promotion_id, p.campaign_code, p.promotion_type, p.promotion_status, p.total_count, p.total_amount, \
    p.partition_count, p.reservation_at, p.reservation_priority, p.default_amount, p.default_reason, p.default_expiry_at, \
    COALESCE(s.promotion_summary_id, 0)";
const FROM: &str =
    "FROM campaign_promotions p LEFT JOIN campaign_promotion_summary s ON s.promotion_id = p.promotion_id";
/// NULL sorts first: a promotion without a reservation is due as soon as possible; without a priority, last.
const ORDER: &str = "p.reservation_at, p.reservation_priority IS NULL, p.reservation_priority, p.promotion_id";
/// Promotions that one reading gives where there may be any number.
const MOST: u32 = 1_000;

impl Store {
    /// Promotions in a scope. Those whose type or code the product cannot work with are left out, and made FAILED where
    /// they are READY or IN_PROGRESS.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn promotions(&self, scope: PollScope) -> Result<Vec<Promotion>, StoreError> {
        let rows = match scope {
            PollScope::Running => {
                let sql = format!("SELECT {COLUMNS} {FROM} WHERE p.promotion_status = 'IN_PROGRESS' ORDER BY {ORDER}");
                within(FEW_ROWS, sqlx::query(&sql).fetch_all(&self.pool)).await?
            }
            PollScope::Counted(since) => {
                let sql = format!(
                    "SELECT {COLUMNS} {FROM} WHERE p.promotion_status = 'IN_PROGRESS' \
                     OR (p.promotion_status IN ('STOPPED', 'FAILED') AND p.updated_at >= ?) ORDER BY {ORDER}"
                );
                within(FEW_ROWS, sqlx::query(&sql).bind(since).fetch_all(&self.pool)).await?
            }
            PollScope::DueOrRunning => {
                let sql = format!(
                    "SELECT {COLUMNS} {FROM} WHERE p.promotion_status = 'IN_PROGRESS' OR (p.promotion_status = 'READY' \
                     AND (p.reservation_at IS NULL OR p.reservation_at <= ?)) \
                     ORDER BY p.promotion_status = 'READY', {ORDER} LIMIT {MOST}"
                );
                within(FEW_ROWS, sqlx::query(&sql).bind(self.now()).fetch_all(&self.pool)).await?
            }
            PollScope::CompletedSince(since) => {
                let sql = format!(
                    "SELECT {COLUMNS} {FROM} WHERE p.promotion_status = 'COMPLETED' AND s.completed_at >= ? \
                     ORDER BY s.completed_at DESC LIMIT {MOST}"
                );
                within(FEW_ROWS, sqlx::query(&sql).bind(since).fetch_all(&self.pool)).await?
            }
        };
        let mut promotions = Vec::with_capacity(rows.len());
        for row in &rows {
            if self.payout_type(text(row, 2)?).is_none() {
                self.refresh_types().await?;
            }
            match self.promotion_of(row) {
                Ok(promotion) => promotions.push(promotion),
                Err(StoreError::Data(problem)) => self.fail_unusable(PromotionId(row.try_get(0)?), &problem).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(promotions)
    }

    /// One promotion, whatever its status.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn promotion(&self, id: PromotionId) -> Result<Option<Promotion>, StoreError> {
        let sql = format!("SELECT {COLUMNS} {FROM} WHERE p.promotion_id = ?");
        let row = sqlx::query(&sql).bind(id.0).fetch_optional(&self.pool).await?;
        row.as_ref().map(|row| self.promotion_of(row)).transpose()
    }

    /// Compares a READY promotion with its targets, unless our loader sealed it (then that has been done),
    /// and remembers between which ids they lie.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_foreign(&self, promotion: &Promotion, settled_after: Duration) -> Result<Foreign, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT promotion_id FROM campaign_promotion_loads WHERE promotion_id = ? AND sealed_at IS NOT NULL",
        )
        .bind(promotion.id.0);
        let sealed: Option<i64> = within(FEW_ROWS, query.fetch_optional(&self.pool)).await?;
        if sealed.is_some() {
            return Ok(Foreign::Agrees);
        }
        let measured = self.measure(promotion).await?;
        let mut differences = Vec::new();
        if measured.targets != promotion.total_count {
            differences.push(format!("total_count is {}, targets are {}", promotion.total_count, measured.targets));
        }
        if measured.amount != promotion.total_amount {
            differences
                .push(format!("total_amount is {}, targets add up to {}", promotion.total_amount, measured.amount));
        }
        if measured.out_of_range > 0 {
            differences.push(format!(
                "{} targets have a partition_key outside 0..{}",
                measured.out_of_range, promotion.partition_count
            ));
        }
        if differences.is_empty() {
            self.remember_bounds(promotion.id, measured.bounds).await?;
            return Ok(Foreign::Agrees);
        }
        let changed = self.last_change(promotion.id).await?.max(measured.changed_at);
        let settled = changed.is_none_or(|at| (self.now() - at).to_std().is_ok_and(|age| age >= settled_after));
        Ok(if settled { Foreign::Differs(differences.join("; ")) } else { Foreign::MayBeIncomplete })
    }

    async fn last_change(&self, id: PromotionId) -> Result<Option<NaiveDateTime>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT COALESCE(updated_at, created_at) FROM campaign_promotions WHERE promotion_id = ?",
        )
        .bind(id.0);
        let changed: Option<Option<NaiveDateTime>> = within(FEW_ROWS, query.fetch_optional(&self.pool)).await?;
        Ok(changed.flatten())
    }

    /// READY → IN_PROGRESS by compare-and-set, in one transaction with the summary row. Two dispatchers may
    /// race: one of them starts it. Whether it is due is asked again under the row's lock: an operator may have
    /// put it off since it was seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn start(&self, id: PromotionId) -> Result<Started, StoreError> {
        within(FEW_ROWS, self.started(id)).await
    }

    async fn started(&self, id: PromotionId) -> Result<Started, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT promotion_id FROM campaign_promotions WHERE promotion_id = ? \
             AND (reservation_at IS NULL OR reservation_at <= ?) FOR UPDATE",
        )
        .bind(id.0)
        .bind(now)
        .fetch_optional(&mut *transaction)
        .await?;
        if due.is_none()
            || !move_status(&mut transaction, id, PromotionStatus::Ready, PromotionStatus::InProgress, now).await?
        {
            // Not left to the drop: the lock would stay until this runtime comes to it.
            transaction.rollback().await?;
            return Ok(Started::No);
        }
        sqlx::query(
            "INSERT INTO campaign_promotion_summary (promotion_id, started_at, created_by, created_at, updated_at) \
             VALUES (?, ?, 'dispatcher', ?, ?) ON DUPLICATE KEY UPDATE started_at = COALESCE(started_at, VALUES(started_at)), \
             stopped_at = NULL, stopped_memo = NULL",
        )
        .bind(id.0)
        .bind(now)
        .bind(now)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Started::Yes)
    }

    /// READY or IN_PROGRESS → FAILED, with what went wrong. An operator resumes it. Tells whether this call
    /// moved it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fail(&self, id: PromotionId, from: PromotionStatus, memo: &str) -> Result<bool, StoreError> {
        within(FEW_ROWS, self.failed(id, from, memo)).await
    }

    async fn failed(&self, id: PromotionId, from: PromotionStatus, memo: &str) -> Result<bool, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        if !move_status(&mut transaction, id, from, PromotionStatus::Failed, now).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let memo: String = memo.chars().take(500).collect();
        sqlx::query(
            "INSERT INTO campaign_promotion_summary (promotion_id, stopped_at, stopped_memo, created_by, created_at, updated_at) \
             VALUES (?, ?, ?, 'system', ?, ?) ON DUPLICATE KEY UPDATE stopped_at = VALUES(stopped_at), \
             stopped_memo = VALUES(stopped_memo), updated_at = VALUES(updated_at)",
        )
        .bind(id.0)
        .bind(now)
        .bind(&memo)
        .bind(now)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        self.notify(&mut transaction, id, Event::Failed, None).await?;
        transaction.commit().await?;
        tracing::error!(promotion = %id, memo, "promotion FAILED; resume it when the cause is mended");
        Ok(true)
    }

    /// Whether a promotion is IN_PROGRESS right now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn status(&self, id: PromotionId) -> Result<Option<PromotionStatus>, StoreError> {
        let query = sqlx::query("SELECT promotion_status FROM campaign_promotions WHERE promotion_id = ?").bind(id.0);
        let row = within(FEW_ROWS, query.fetch_optional(&self.pool)).await?;
        row.map(|row| status_of(text(&row, 0)?)).transpose()
    }

    /// Writes absolute counts into the summary of a promotion that is not completed; the figures of a
    /// completed one are those that were proved, and a late flush must not touch them. Gives whether it was not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flush(&self, id: PromotionId, counts: Counts) -> Result<bool, StoreError> {
        let now = self.now();
        let done = repeated(|| {
            sqlx::query(
                "UPDATE campaign_promotion_summary SET published_count = ?, success_count = ?, fail_count = ?, \
                 retry_success_count = ?, updated_at = ? WHERE promotion_id = ? AND completed_at IS NULL",
            )
            .bind(counts.published)
            .bind(counts.success)
            .bind(counts.fail)
            .bind(counts.retry_success)
            .bind(now)
            .bind(id.0)
            .execute(&self.pool)
        })
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// What stands in the summary of a promotion.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn summary(&self, id: PromotionId) -> Result<SummaryRow, StoreError> {
        within(FEW_ROWS, async { summary(&mut *self.pool.acquire().await?, id).await }).await
    }

    async fn fail_unusable(&self, id: PromotionId, problem: &str) -> Result<(), StoreError> {
        for from in [PromotionStatus::Ready, PromotionStatus::InProgress] {
            self.fail(id, from, problem).await?;
        }
        Ok(())
    }

    pub(super) fn promotion_of(&self, row: &MySqlRow) -> Result<Promotion, StoreError> {
        let id = PromotionId(row.try_get(0)?);
        let (code, kind, status) = (text(row, 1)?, text(row, 2)?, text(row, 3)?);
        let total_count: i32 = row.try_get(4)?;
        let partition_count: i32 = row.try_get(6)?;
        let known = self.type_codes();
        let kind = self
            .payout_type(kind)
            .ok_or_else(|| StoreError::Data(format!("promotion_type is {kind:?}; known are {}", known.join(", "))))?;
        if !is_campaign_code(code) {
            return Err(StoreError::Data("campaign_code must match [A-Za-z0-9_-]{1,50}".into()));
        }
        if total_count < 0 || partition_count < 1 {
            return Err(StoreError::Data("total_count must not be negative, partition_count at least 1".into()));
        }
        Ok(Promotion {
            id,
            summary: SummaryId(row.try_get(12)?),
            campaign_code: code.into(),
            kind,
            status: status_of(status)?,
            total_count: u64::from(total_count.unsigned_abs()),
            total_amount: Amount::from_row(row.try_get::<Decimal, _>(5)?),
            partition_count: partition_count.unsigned_abs(),
            reservation_at: row.try_get(7)?,
            reservation_priority: row.try_get(8)?,
            defaults: Defaults {
                amount: row.try_get::<Option<Decimal>, _>(9)?.map(Amount::from_row),
                reason: maybe_text(row, 10)?.map(Arc::from),
                expiry_at: row.try_get(11)?,
            },
        })
    }
}

/// The status with a code that stands in the database.
pub(super) fn status_of(code: &str) -> Result<PromotionStatus, StoreError> {
    let unknown = || StoreError::Data(format!("promotion_status is {code:?}, which this product does not know"));
    PromotionStatus::from_code(code).ok_or_else(unknown)
}

/// The one way in which a promotion changes its status: by compare-and-set. The caller's transaction holds
/// the promotion row from here on.
pub(super) async fn move_status(
    connection: &mut MySqlConnection,
    id: PromotionId,
    from: PromotionStatus,
    to: PromotionStatus,
    now: NaiveDateTime,
) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE campaign_promotions SET promotion_status = ?, updated_at = ? WHERE promotion_id = ? AND promotion_status = ?")
        .bind(to.code())
        .bind(now)
        .bind(id.0)
        .bind(from.code())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn summary(connection: &mut MySqlConnection, id: PromotionId) -> Result<SummaryRow, StoreError> {
    let query = sqlx::query(
        "SELECT published_count, success_count, fail_count, retry_success_count, completed_at \
         FROM campaign_promotion_summary WHERE promotion_id = ?",
    );
    let Some(row) = query.bind(id.0).fetch_optional(connection).await? else { return Ok(SummaryRow::default()) };
    let count = |at: usize| row.try_get::<i32, _>(at).map(|count| u64::from(count.unsigned_abs()));
    let counts = Counts { published: count(0)?, success: count(1)?, fail: count(2)?, retry_success: count(3)? };
    Ok(SummaryRow { counts, completed_at: row.try_get(4)? })
}
