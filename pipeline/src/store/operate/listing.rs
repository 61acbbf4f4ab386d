//! Targets as operators list them.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::TargetFilter;
use super::issues::{status, waits};
use crate::domain::{Amount, CustomerUid, ProcessStatus, Promotion, TargetId, Waits};
use crate::store::sql::{fill, maybe_text, text};
use crate::store::{Store, StoreError};

/// Targets whose state is no status of their result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Marked as not yet on a stream.
    Unpublished,
    /// Its outcome waits for a person.
    Waiting,
}

/// A target and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetLine {
    /// Its id.
    pub target: TargetId,
    /// Who is paid: personal data.
    pub customer: CustomerUid,
    /// How much, the promotion's default included.
    pub amount: Option<Amount>,
    /// `publish_status`.
    pub publish_status: String,
    /// Where it stands; nothing without a result row.
    pub status: Option<ProcessStatus>,
    /// Its error code.
    pub code: Option<String>,
    /// Attempts after the first.
    pub retry_count: u32,
    /// How often an operator gave it new attempts.
    pub requeues: u32,
    /// What it waits for, when it waits for a person.
    pub waits: Option<Waits>,
    /// When its result was last touched.
    pub updated_at: Option<NaiveDateTime>,
}

/// A stretch of targets by their ids: above `after`, up to `until`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Behind this one.
    pub after: TargetId,
    /// Up to this one.
    pub until: TargetId,
}

const COLUMNS: &str = "SELECT t.{key}, t.customer_uid, COALESCE(t.amount, ?), t.publish_status, r.process_status, r.error_code, \
    COALESCE(r.retry_count, 0), COALESCE(r.requeues, 0), r.waits_for, r.updated_at";

impl Store {
    /// Targets of a stretch that meet the filter, by ascending id. There is no index on a status (it costs more than
    /// the payment), so a stretch is read from end to end, some 1 µs a target: its width bounds the time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn targets(
        &self,
        promotion: &Promotion,
        filter: &TargetFilter,
        standing: Option<Standing>,
        stretch: Stretch,
        limit: u32,
    ) -> Result<Vec<TargetLine>, StoreError> {
        let sql = fill(&statement(filter, standing), &promotion.kind);
        let query = sqlx::query(&sql)
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(promotion.id.0)
            .bind(stretch.after.0)
            .bind(stretch.until.0);
        filter.bind(query).bind(limit).fetch_all(&self.pool).await?.iter().map(line).collect()
    }
}

fn statement(filter: &TargetFilter, standing: Option<Standing>) -> String {
    let hint = filter.hint();
    // What only a result can meet begins at the results, and so reads few targets.
    let begins_at_results = !hint.is_empty()
        && (standing == Some(Standing::Waiting)
            || !filter.codes.is_empty()
            || filter.touched_until.is_some()
            || !filter.statuses.is_empty() && !filter.statuses.contains(&None));
    let (from, key) = match begins_at_results {
        true => (format!("{{results}} r {hint} STRAIGHT_JOIN {{targets}} t ON t.{{key}} = r.{{key}}"), "r.{key}"),
        false => (format!("{{targets}} t {hint} LEFT JOIN {{results}} r ON r.{{key}} = t.{{key}}"), "t.{key}"),
    };
    let standing = match standing {
        Some(Standing::Unpublished) => " AND t.publish_status = 'PENDING'",
        Some(Standing::Waiting) => " AND r.process_status = 'PENDING' AND r.waits_for IS NOT NULL",
        None => "",
    };
    format!(
        "{COLUMNS} FROM {from} WHERE t.promotion_id = ? AND {key} > ? AND {key} <= ?{}{standing} ORDER BY {key} LIMIT ?",
        filter.conditions()
    )
}

fn line(row: &MySqlRow) -> Result<TargetLine, StoreError> {
    let count = |at: usize| -> Result<u32, StoreError> {
        let count = row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from))?;
        Ok(u32::try_from(count).unwrap_or(0))
    };
    Ok(TargetLine {
        target: TargetId(row.try_get(0)?),
        customer: CustomerUid(row.try_get(1)?),
        amount: row.try_get::<Option<Decimal>, _>(2)?.map(Amount::from_row),
        publish_status: text(row, 3)?.to_owned(),
        status: maybe_text(row, 4)?.as_deref().map(status).transpose()?,
        code: maybe_text(row, 5)?,
        retry_count: count(6)?,
        requeues: count(7)?,
        waits: waits(maybe_text(row, 8)?),
        updated_at: row.try_get(9)?,
    })
}
