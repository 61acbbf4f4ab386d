//! Promotions as operators list them: also those that no stage can work with.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::domain::{Amount, Counts, PromotionId, PromotionStatus};
use crate::store::sql::{maybe_text, text};
use crate::store::{Store, StoreError};

/// A promotion and its summary as they stand in their rows.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Its id.
    pub id: PromotionId,
    /// Its campaign.
    pub campaign_code: String,
    /// Code of what is paid, known or not.
    pub kind: String,
    /// Where it stands.
    pub status: PromotionStatus,
    /// Targets that were sealed.
    pub total_count: u64,
    /// Money that was sealed.
    pub total_amount: Amount,
    /// Its partitions.
    pub partition_count: u32,
    /// Not before.
    pub reservation_at: Option<NaiveDateTime>,
    /// Lower first.
    pub reservation_priority: Option<i32>,
    /// What a target without an amount gets.
    pub default_amount: Option<Amount>,
    /// Who loaded it.
    pub created_by: Option<String>,
    /// When.
    pub created_at: Option<NaiveDateTime>,
    /// The counts in its summary row: at most one flush behind.
    pub counts: Counts,
    /// When it was started; nothing when it never was.
    pub started_at: Option<NaiveDateTime>,
    /// When everything was final.
    pub completed_at: Option<NaiveDateTime>,
    /// When it was stopped, or failed, the last time.
    pub stopped_at: Option<NaiveDateTime>,
    /// Why.
    pub stopped_memo: Option<String>,
}

const SELECT: &str = "SELECT p.promotion_id, p.campaign_code, p.promotion_type, p.promotion_status, p.total_count, \
    p.total_amount, p.partition_count, p.reservation_at, p.reservation_priority, p.default_amount, p.created_by, p.created_at, \
    COALESCE(s.published_count, 0), COALESCE(s.success_count, 0), COALESCE(s.fail_count, 0), COALESCE(s.retry_success_count, 0), \
    s.started_at, s.completed_at, s.stopped_at, s.stopped_memo \
    FROM campaign_promotions p LEFT JOIN campaign_promotion_summary s ON s.promotion_id = p.promotion_id";

impl Store {
    /// Promotions, newest first: those below `before`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overviews(
        &self,
        status: Option<PromotionStatus>,
        before: Option<PromotionId>,
        limit: u32,
    ) -> Result<Vec<Overview>, StoreError> {
        let filter = if status.is_some() { "AND p.promotion_status = ?" } else { "" };
        let sql = format!("{SELECT} WHERE p.promotion_id < ? {filter} ORDER BY p.promotion_id DESC LIMIT ?");
        let mut query = sqlx::query(&sql).bind(before.map_or(i64::MAX, |id| id.0));
        if let Some(status) = status {
            query = query.bind(status.code());
        }
        query.bind(limit).fetch_all(&self.pool).await?.iter().map(overview).collect()
    }

    /// One promotion.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self, id: PromotionId) -> Result<Option<Overview>, StoreError> {
        let sql = format!("{SELECT} WHERE p.promotion_id = ?");
        sqlx::query(&sql).bind(id.0).fetch_optional(&self.pool).await?.as_ref().map(overview).transpose()
    }
}

fn overview(row: &MySqlRow) -> Result<Overview, StoreError> {
    let status = text(row, 3)?;
    let count = |at: usize| row.try_get::<i32, _>(at).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Overview {
        id: PromotionId(row.try_get(0)?),
        campaign_code: text(row, 1)?.to_owned(),
        kind: text(row, 2)?.to_owned(),
        status: PromotionStatus::from_code(status).ok_or_else(|| {
            StoreError::Data(format!("promotion_status is {status:?}, which this product does not know"))
        })?,
        total_count: count(4)?,
        total_amount: Amount::from_row(row.try_get::<Decimal, _>(5)?),
        partition_count: u32::try_from(row.try_get::<i32, _>(6)?).unwrap_or(0),
        reservation_at: row.try_get(7)?,
        reservation_priority: row.try_get(8)?,
        default_amount: row.try_get::<Option<Decimal>, _>(9)?.map(Amount::from_row),
        created_by: maybe_text(row, 10)?,
        created_at: row.try_get(11)?,
        counts: Counts {
            published: signed(row, 12)?,
            success: signed(row, 13)?,
            fail: signed(row, 14)?,
            retry_success: signed(row, 15)?,
        },
        started_at: row.try_get(16)?,
        completed_at: row.try_get(17)?,
        stopped_at: row.try_get(18)?,
        stopped_memo: maybe_text(row, 19)?,
    })
}

/// COALESCE widens an INT to BIGINT on one server and leaves it on the other.
fn signed(row: &MySqlRow, at: usize) -> Result<u64, StoreError> {
    let count = row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
