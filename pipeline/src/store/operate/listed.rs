//! Targets as operators list them: by a filter, page by page.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::TargetFilter;
use crate::domain::{Amount, CustomerUid, ProcessStatus, Promotion, TargetId, Waits};
use crate::store::sql::{fill, maybe_text};
use crate::store::{Store, StoreError};

/// A target with its result, as far as lists show them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its id.
    pub target: TargetId,
    /// Its partition.
    pub partition: u32,
    /// Who is to be paid: personal data.
    pub customer: CustomerUid,
    /// How much, the promotion's default where it has no amount of its own; nothing where neither has one.
    pub amount: Option<Amount>,
    /// Where it stands; nothing without a result row.
    pub status: Option<ProcessStatus>,
    /// What it waits for, when it waits for a person.
    pub waits: Option<Waits>,
    /// Its error code.
    pub code: Option<String>,
    /// What was said with it.
    pub message: Option<String>,
    /// Attempts after the first.
    pub retry_count: u32,
    /// Whether an attempt under its present key may have been executed.
    pub may_have_executed: bool,
    /// How often an operator gave it new attempts.
    pub requeues: u32,
    /// Generation of its key.
    pub generation: u32,
    /// When its present key was first sent.
    pub first_sent_at: Option<NaiveDateTime>,
    /// When the row was last touched.
    pub updated_at: Option<NaiveDateTime>,
}

const LISTED: &str = "SELECT t.{key}, t.partition_key, t.customer_uid, COALESCE(t.amount, ?), r.process_status, r.waits_for, \
    r.error_code, r.error_message, COALESCE(r.retry_count, 0), COALESCE(r.requeues, 0), COALESCE(r.key_generation, 1), \
    r.first_sent_at, r.updated_at, COALESCE(r.may_have_executed, 0)";

impl Store {
    /// Targets that a filter means, by ascending id: those above `after`, at most `limit`. A page short of `limit` is
    /// the last one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listed(
        &self,
        promotion: &Promotion,
        filter: &TargetFilter,
        after: TargetId,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let Some(bounds) = self.bounds(promotion).await? else { return Ok(Vec::new()) };
        let sql = format!(
            "{LISTED} FROM {{targets}} t {} LEFT JOIN {{results}} r ON r.{{key}} = t.{{key}} \
             WHERE t.promotion_id = ? AND t.{{key}} > ? AND t.{{key}} <= ?{} ORDER BY t.{{key}} LIMIT ?",
            filter.hint(),
            filter.conditions()
        );
        let sql = fill(&sql, &promotion.kind);
        let query = sqlx::query(&sql)
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(promotion.id.0)
            .bind(after.0.max(bounds.first.0 - 1))
            .bind(bounds.last.0);
        filter.bind(query).bind(limit).fetch_all(&self.pool).await?.iter().map(listed).collect()
    }
}

fn listed(row: &MySqlRow) -> Result<Listed, StoreError> {
    let count = |at: usize| -> Result<u32, StoreError> {
        // COALESCE widens what it takes on one server and leaves it on the other.
        let count = row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from));
        let count = count.or_else(|_| row.try_get::<i8, _>(at).map(i64::from))?;
        Ok(u32::try_from(count).unwrap_or(0))
    };
    let status = maybe_text(row, 4)?.map(|code| {
        ProcessStatus::from_code(&code)
            .ok_or_else(|| StoreError::Data(format!("process_status is {code:?}, which this product does not know")))
    });
    Ok(Listed {
        target: TargetId(row.try_get(0)?),
        partition: u32::try_from(row.try_get::<i32, _>(1)?).unwrap_or(0),
        customer: CustomerUid(row.try_get(2)?),
        amount: row.try_get::<Option<Decimal>, _>(3)?.map(Amount::from_row),
        status: status.transpose()?,
        waits: maybe_text(row, 5)?.as_deref().and_then(Waits::from_code),
        code: maybe_text(row, 6)?,
        message: maybe_text(row, 7)?,
        retry_count: count(8)?,
        may_have_executed: count(13)? != 0,
        requeues: count(9)?,
        generation: count(10)?,
        first_sent_at: row.try_get(11)?,
        updated_at: row.try_get(12)?,
    })
}
