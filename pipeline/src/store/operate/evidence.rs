//! What an audit compares: every target with its result, in the order of their ids.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::super::json;
use crate::domain::requeue::failed_unpayable;
use crate::domain::result::AttemptToken;
use crate::domain::{Amount, CustomerUid, ProcessStatus, Promotion, ResultRow, TargetId};
use crate::store::sql::{fill, maybe_text};
use crate::store::{Bounds, Store, StoreError};

/// A target and its result, as far as invariants speak of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Its id.
    pub target: TargetId,
    /// Who is paid.
    pub customer: CustomerUid,
    /// Its partition.
    pub partition: u32,
    /// What it is paid, the default included, in hundredths; nothing where neither has an amount.
    pub cents: Option<i64>,
    /// Where it stands; nothing without a result row.
    pub status: Option<ProcessStatus>,
    /// `transaction_key`.
    pub transaction_key: Option<String>,
    /// Attempts after the first.
    pub retry_count: u32,
    /// How often an operator gave it new attempts.
    pub requeues: u32,
    /// Generation of its key.
    pub generation: u32,
    /// Whether an intent was ever recorded.
    pub intent: bool,
    /// Whether the row says that its key was sent, or that it could never be.
    pub sent_or_unpayable: bool,
    /// Whether the result names the target's own promotion.
    pub own_promotion: bool,
}

/// How many targets a promotion has, and between which ids they lie: read from the targets themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// How many.
    pub targets: u64,
    /// Between which ids; nothing without targets.
    pub bounds: Option<Bounds>,
}

/// A result row without a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stray(pub TargetId);

const COLUMNS: &str = "SELECT t.{key}, t.customer_uid, t.partition_key, CAST(COALESCE(t.amount, ?) * 100 AS SIGNED), r.process_status, \
    r.transaction_key, COALESCE(r.retry_count, 0), COALESCE(r.requeues, 0), COALESCE(r.key_generation, 1), \
    COALESCE(r.attempt_token, 0), r.first_sent_at IS NOT NULL, r.error_code, COALESCE(r.promotion_id, t.promotion_id) = t.promotion_id";

impl Evidence {
    /// The counter that its row stands under.
    pub fn counter(&self) -> Option<crate::domain::Counter> {
        let row = ResultRow {
            status: self.status?,
            retry_count: self.retry_count,
            may_have_executed: false,
            generation: self.generation,
            requeues: self.requeues,
            first_sent_at: None,
            waits: None,
            token: AttemptToken(0),
            updated_at: None,
        };
        row.counter()
    }
}

impl Store {
    /// How far a promotion's targets reach. Reads an index, not the rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn extent(&self, promotion: &Promotion) -> Result<Extent, StoreError> {
        let sql =
            fill("SELECT COUNT(*), MIN({key}), MAX({key}) FROM {targets} WHERE promotion_id = ?", &promotion.kind);
        let row = sqlx::query(&sql).bind(promotion.id.0).fetch_one(&self.pool).await?;
        let first: Option<i64> = row.try_get(1)?;
        let last: Option<i64> = row.try_get(2)?;
        let bounds = first.zip(last).map(|(first, last)| Bounds { first: TargetId(first), last: TargetId(last) });
        Ok(Extent { targets: row.try_get::<i64, _>(0)?.unsigned_abs(), bounds })
    }

    /// The next targets with their results, by ascending id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn evidence(
        &self,
        promotion: &Promotion,
        after: TargetId,
        last: TargetId,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError> {
        let sql = format!(
            "{COLUMNS} FROM {{targets}} t FORCE INDEX (PRIMARY) LEFT JOIN {{results}} r ON r.{{key}} = t.{{key}} \
             WHERE t.promotion_id = ? AND t.{{key}} > ? AND t.{{key}} <= ? ORDER BY t.{{key}} LIMIT ?"
        );
        let rows = sqlx::query(&fill(&sql, &promotion.kind))
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(promotion.id.0)
            .bind(after.0)
            .bind(last.0)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(evidence).collect()
    }

    /// Some targets with their results, to look at again. Ids that are no targets of the promotion are absent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn evidence_of(&self, promotion: &Promotion, targets: &[TargetId]) -> Result<Vec<Evidence>, StoreError> {
        let sql = format!(
            "{COLUMNS} FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {{targets}} t ON t.{{key}} = j.id \
             LEFT JOIN {{results}} r ON r.{{key}} = t.{{key}} WHERE t.promotion_id = ?"
        );
        let rows = sqlx::query(&fill(&sql, &promotion.kind))
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(json::ids(targets.iter().copied()))
            .bind(promotion.id.0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(evidence).collect()
    }

    /// Results that name the promotion and have no target in it. Results have no index on the promotion, so this
    /// reads the table of the type from end to end (some 0.2 s for a million rows).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn strays(&self, promotion: &Promotion, limit: u32) -> Result<Vec<Stray>, StoreError> {
        let sql = "SELECT r.{key} FROM {results} r LEFT JOIN {targets} t ON t.{key} = r.{key} AND t.promotion_id = r.promotion_id \
            WHERE r.promotion_id = ? AND t.{key} IS NULL ORDER BY r.{key} LIMIT ?";
        let ids: Vec<i64> = sqlx::query_scalar(&fill(sql, &promotion.kind))
            .bind(promotion.id.0)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        Ok(ids.into_iter().map(|id| Stray(TargetId(id))).collect())
    }

    /// How often an operator's requeue stands in the audit trail of a promotion.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acts(&self, promotion: &Promotion) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM payout_audit WHERE promotion_id = ?")
            .bind(promotion.id.0)
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }
}

fn evidence(row: &MySqlRow) -> Result<Evidence, StoreError> {
    let count = |at: usize| -> Result<u32, StoreError> {
        let count = row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from))?;
        Ok(u32::try_from(count).unwrap_or(0))
    };
    let flag = |at: usize| row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from));
    let status: Option<&str> = row.try_get_unchecked(4)?;
    let status = status.map(|code| {
        ProcessStatus::from_code(code)
            .ok_or_else(|| StoreError::Data(format!("process_status is {code:?}, which this product does not know")))
    });
    let code: Option<&str> = row.try_get_unchecked(11)?;
    Ok(Evidence {
        target: TargetId(row.try_get(0)?),
        customer: CustomerUid(row.try_get(1)?),
        partition: u32::try_from(row.try_get::<i32, _>(2)?).unwrap_or(u32::MAX),
        cents: row.try_get(3)?,
        status: status.transpose()?,
        transaction_key: maybe_text(row, 5)?,
        retry_count: count(6)?,
        requeues: count(7)?,
        generation: count(8)?,
        intent: row.try_get::<i64, _>(9)? != 0,
        sent_or_unpayable: flag(10)? != 0 || code.is_some_and(failed_unpayable),
        own_promotion: flag(12)? != 0,
    })
}
