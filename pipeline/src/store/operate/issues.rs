//! What went wrong, and what waits for a person.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::domain::{Amount, CustomerUid, ProcessStatus, Promotion, PromotionId, TargetId, Waits};
use crate::store::sql::{fill, maybe_text, text};
use crate::store::{Store, StoreError};

/// Targets that are not paid and have the same trouble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssueGroup {
    /// Where they stand.
    pub status: ProcessStatus,
    /// What they wait for, when they wait for a person.
    pub waits: Option<Waits>,
    /// Their error code.
    pub code: Option<String>,
    /// How many.
    pub targets: u64,
    /// How much money.
    pub amount: Amount,
    /// When the one that has waited longest was last touched.
    pub oldest: Option<NaiveDateTime>,
    /// One of them.
    pub example: TargetId,
}

/// A target whose outcome waits for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Its id.
    pub target: TargetId,
    /// Its promotion.
    pub promotion: PromotionId,
    /// Its partition.
    pub partition: u32,
    /// Who is to be paid: personal data.
    pub customer: CustomerUid,
    /// How much.
    pub amount: Option<Amount>,
    /// Where it stands; nothing without a result row.
    pub status: Option<ProcessStatus>,
    /// What it waits for.
    pub waits: Option<Waits>,
    /// Its error code.
    pub code: Option<String>,
    /// Generation of its key.
    pub generation: u32,
    /// Attempts after the first.
    pub retry_count: u32,
    /// When its key was first sent.
    pub first_sent_at: Option<NaiveDateTime>,
    /// When the row was last touched.
    pub updated_at: Option<NaiveDateTime>,
}

const GROUPS: &str = "SELECT r.process_status, r.waits_for, r.error_code, COUNT(*), \
    CAST(COALESCE(SUM(COALESCE(t.amount, ?)), 0) AS DECIMAL(30,2)), MIN(r.updated_at), MIN(r.{key}) \
    FROM {results} r FORCE INDEX (PRIMARY) JOIN {targets} t ON t.{key} = r.{key} \
    WHERE r.promotion_id = ? AND r.{key} BETWEEN ? AND ? AND r.process_status <> 'SUCCESS' \
    AND (r.process_status = 'FAILED' OR r.waits_for IS NOT NULL OR r.error_code IS NOT NULL) \
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 7";

pub(super) const WAITING: &str = "SELECT t.{key}, t.promotion_id, t.partition_key, t.customer_uid, COALESCE(t.amount, p.default_amount), \
    r.process_status, r.waits_for, r.error_code, COALESCE(r.key_generation, 1), COALESCE(r.retry_count, 0), r.first_sent_at, r.updated_at \
    FROM {targets} t LEFT JOIN {results} r ON r.{key} = t.{key} JOIN campaign_promotions p ON p.promotion_id = t.promotion_id";

impl Store {
    /// Everything that is not paid and has a trouble, grouped, most first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issues(&self, promotion: &Promotion) -> Result<Vec<IssueGroup>, StoreError> {
        let Some(bounds) = self.bounds(promotion).await? else { return Ok(Vec::new()) };
        let rows = sqlx::query(&fill(GROUPS, &promotion.kind))
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(promotion.id.0)
            .bind(bounds.first.0)
            .bind(bounds.last.0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(issue).collect()
    }

    /// Targets whose outcome waits for a person, by ascending id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting(
        &self,
        promotion: &Promotion,
        after: TargetId,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        let Some(bounds) = self.bounds(promotion).await? else { return Ok(Vec::new()) };
        let sql = format!(
            "{WAITING} WHERE t.promotion_id = ? AND t.{{key}} > ? AND t.{{key}} <= ? AND r.process_status = 'PENDING' \
             AND r.waits_for IS NOT NULL ORDER BY t.{{key}} LIMIT ?"
        );
        let rows = sqlx::query(&fill(&sql, &promotion.kind))
            .bind(promotion.id.0)
            .bind(after.0)
            .bind(bounds.last.0)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(waiting).collect()
    }
}

fn issue(row: &MySqlRow) -> Result<IssueGroup, StoreError> {
    Ok(IssueGroup {
        status: status(text(row, 0)?)?,
        waits: waits(maybe_text(row, 1)?),
        code: maybe_text(row, 2)?,
        targets: row.try_get::<i64, _>(3)?.unsigned_abs(),
        amount: Amount::from_row(row.try_get::<Decimal, _>(4)?),
        oldest: row.try_get(5)?,
        example: TargetId(row.try_get(6)?),
    })
}

pub(super) fn waiting(row: &MySqlRow) -> Result<Waiting, StoreError> {
    let count = |at: usize| -> Result<u32, StoreError> {
        let count = row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from))?;
        Ok(u32::try_from(count).unwrap_or(0))
    };
    Ok(Waiting {
        target: TargetId(row.try_get(0)?),
        promotion: PromotionId(row.try_get(1)?),
        partition: u32::try_from(row.try_get::<i32, _>(2)?).unwrap_or(0),
        customer: CustomerUid(row.try_get(3)?),
        amount: row.try_get::<Option<Decimal>, _>(4)?.map(Amount::from_row),
        status: maybe_text(row, 5)?.as_deref().map(status).transpose()?,
        waits: waits(maybe_text(row, 6)?),
        code: maybe_text(row, 7)?,
        generation: count(8)?,
        retry_count: count(9)?,
        first_sent_at: row.try_get(10)?,
        updated_at: row.try_get(11)?,
    })
}

pub(super) fn status(code: &str) -> Result<ProcessStatus, StoreError> {
    ProcessStatus::from_code(code)
        .ok_or_else(|| StoreError::Data(format!("process_status is {code:?}, which this product does not know")))
}

pub(super) fn waits(code: Option<String>) -> Option<Waits> {
    code.as_deref().and_then(Waits::from_code)
}
