//! What MySQL says: read with plain SQL, sharing no code with the stages.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlRow};

use super::targets::Kind;

/// How far one promotion is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) promotion_type: String,
    pub(crate) status: String,
    pub(crate) done: u64,
}

/// One target with its result.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) amount: Decimal,
    /// `None`: there is no result row.
    pub(crate) status: Option<String>,
    pub(crate) transaction_key: Option<String>,
}

/// The targets of one promotion by customer, and what its summary says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) targets: HashMap<u64, Target>,
    /// Rows read; more than `targets` holds when a customer stands there twice.
    pub(crate) count: u64,
    pub(crate) promotion_status: String,
    pub(crate) total_count: u64,
    pub(crate) total_amount: Decimal,
    pub(crate) published: u64,
    /// At the first attempt and later.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// Connects for reading.
pub(crate) async fn connect(url: &str) -> Result<MySqlPool> {
    let options = MySqlConnectOptions::from_str(url)?;
    let pool = MySqlPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(10));
    pool.connect_with(options).await.context("cannot connect to the database")
}

/// How far every promotion is.
pub(crate) async fn progress(pool: &MySqlPool) -> Result<Vec<Progress>> {
    let rows = sqlx::query(
        "SELECT p.promotion_type, p.promotion_status,
                CAST(COALESCE(s.success_count + s.retry_success_count + s.fail_count, 0) AS SIGNED) AS done
         FROM campaign_promotions p LEFT JOIN campaign_promotion_summary s ON s.promotion_id = p.promotion_id
         ORDER BY p.promotion_id",
    )
    .fetch_all(pool)
    .await?;
    let read = |row: &MySqlRow| {
        Ok(Progress {
            promotion_type: text(row, "promotion_type")?,
            status: text(row, "promotion_status")?,
            done: row.try_get::<i64, _>("done")?.try_into()?,
        })
    };
    rows.iter().map(read).collect()
}

/// Every row of a promotion.
pub(crate) async fn read(pool: &MySqlPool, kind: Kind, promotion_id: i64) -> Result<Rows> {
    let head = sqlx::query(
        "SELECT p.promotion_status, CAST(p.total_count AS SIGNED) AS total_count, p.total_amount,
                CAST(s.published_count AS SIGNED) AS published,
                CAST(s.success_count + s.retry_success_count AS SIGNED) AS succeeded,
                CAST(s.fail_count AS SIGNED) AS failed
         FROM campaign_promotions p JOIN campaign_promotion_summary s ON s.promotion_id = p.promotion_id
         WHERE p.promotion_id = ?",
    )
    .bind(promotion_id)
    .fetch_one(pool)
    .await?;
    let mut rows = Rows {
        promotion_status: text(&head, "promotion_status")?,
        total_count: head.try_get::<i64, _>("total_count")?.try_into()?,
        total_amount: head.try_get("total_amount")?,
        published: head.try_get::<i64, _>("published")?.try_into()?,
        succeeded: head.try_get::<i64, _>("succeeded")?.try_into()?,
        failed: head.try_get::<i64, _>("failed")?.try_into()?,
        ..Rows::default()
    };
    let name = kind.name();
    let statement = format!(
        "SELECT t.customer_uid, COALESCE(t.amount, p.default_amount, 0) AS amount, r.process_status, r.transaction_key
         FROM campaign_promotion_{name}_targets t
         JOIN campaign_promotions p ON p.promotion_id = t.promotion_id
         LEFT JOIN campaign_promotion_{name}_results r ON r.{name}_target_id = t.{name}_target_id
         WHERE t.promotion_id = ?"
    );
    for row in sqlx::query(&statement).bind(promotion_id).fetch_all(pool).await? {
        let customer: u64 = row.try_get::<i64, _>("customer_uid")?.try_into()?;
        let target = Target {
            amount: row.try_get("amount")?,
            status: text(&row, "process_status")?,
            transaction_key: text(&row, "transaction_key")?,
        };
        rows.count += 1;
        rows.targets.insert(customer, target);
    }
    Ok(rows)
}

/// A text column. Those with a binary collation carry the flag that sqlx takes for bytes, so its check is left out.
fn text<'r, T>(row: &'r MySqlRow, column: &str) -> sqlx::Result<T>
where
    T: sqlx::Decode<'r, sqlx::MySql>,
{
    row.try_get_unchecked(column)
}
