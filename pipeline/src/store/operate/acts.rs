//! The audit trail, as operators read it.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::domain::{Amount, PromotionId, TargetId};
use crate::store::sql::{maybe_text, text};
use crate::store::{Store, StoreError};

/// A row of the audit trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedAct {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: NaiveDateTime,
    /// Who.
    pub actor: String,
    /// What, as it is called on the command line.
    pub action: String,
    /// To which promotion; nothing for an act on none.
    pub promotion: Option<PromotionId>,
    /// To which target alone; nothing for an act on many.
    pub target: Option<TargetId>,
    /// By which filter.
    pub filter: Option<String>,
    /// Why.
    pub reason: String,
    /// How many targets it concerned.
    pub items: u64,
    /// Their money.
    pub amount: Amount,
    /// More, as JSON.
    pub detail: Option<String>,
}

const SELECT: &str = "SELECT audit_id, at, actor, action, promotion_id, target_id, filter, reason, item_count, amount, detail \
    FROM payout_audit";

impl Store {
    /// What operators did, the newest first: acts below `before`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recorded_acts(
        &self,
        promotion: Option<PromotionId>,
        actor: Option<&str>,
        action: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<RecordedAct>, StoreError> {
        let of_promotion = if promotion.is_some() { "AND promotion_id = ?" } else { "" };
        let by_actor = if actor.is_some() { "AND actor = ?" } else { "" };
        let called = if action.is_some() { "AND action = ?" } else { "" };
        let sql =
            format!("{SELECT} WHERE audit_id < ? {of_promotion} {by_actor} {called} ORDER BY audit_id DESC LIMIT ?");
        let mut query = sqlx::query(&sql).bind(before.unwrap_or(i64::MAX));
        if let Some(promotion) = promotion {
            query = query.bind(promotion.0);
        }
        for text in [actor, action].into_iter().flatten() {
            query = query.bind(text);
        }
        query.bind(limit).fetch_all(&self.pool).await?.iter().map(act).collect()
    }

    /// What operators did to a target, or to several of its promotion's at once: the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acts_on(
        &self,
        promotion: PromotionId,
        target: TargetId,
        limit: u32,
    ) -> Result<Vec<RecordedAct>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE promotion_id = ? AND (target_id = ? OR target_id IS NULL) ORDER BY audit_id DESC LIMIT ?"
        );
        let query = sqlx::query(&sql).bind(promotion.0).bind(target.0).bind(limit);
        query.fetch_all(&self.pool).await?.iter().map(act).collect()
    }
}

fn act(row: &MySqlRow) -> Result<RecordedAct, StoreError> {
    Ok(RecordedAct {
        id: row.try_get(0)?,
        at: row.try_get(1)?,
        actor: text(row, 2)?.to_owned(),
        action: text(row, 3)?.to_owned(),
        promotion: row.try_get::<Option<i64>, _>(4)?.map(PromotionId),
        target: row.try_get::<Option<i64>, _>(5)?.map(TargetId),
        filter: maybe_text(row, 6)?,
        reason: text(row, 7)?.to_owned(),
        items: row.try_get::<i64, _>(8)?.unsigned_abs(),
        amount: Amount::from_row(row.try_get::<Decimal, _>(9)?),
        detail: maybe_text(row, 10)?,
    })
}
