//! Promotions as the loader leaves them: written by the server itself, so that preparing a million targets takes
//! seconds. The clock of a run starts only when one is sealed.

use anyhow::{Context, Result};
use sqlx::{Executor, MySqlConnection, Row};

/// Partitions of a promotion; the loader's default.
pub const PARTITIONS: u32 = 4;
/// Rows of one statement.
const CHUNK: u64 = 50_000;

/// A promotion of points with its targets.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its id.
    pub id: i64,
    /// Its campaign, a part of every key.
    pub campaign: String,
    /// How many targets.
    pub targets: u64,
    /// The sum of their amounts, as MySQL writes it.
    pub total: String,
    /// Lowest id.
    pub first: i64,
    /// Highest id.
    pub last: i64,
}

/// Writes a promotion and its targets; it stays LOADING until [`Prepared::seal`].
pub async fn prepare(mysql: &mut MySqlConnection, campaign: &str, targets: u64) -> Result<Prepared> {
    let made = sqlx::query(
        "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status, partition_count, \
         created_by, created_at, updated_at) VALUES (?, ?, 'POINT', 'LOADING', ?, 'bench', NOW(), NOW())",
    )
    .bind(campaign)
    .bind(format!("bench-{campaign}"))
    .bind(PARTITIONS)
    .execute(&mut *mysql)
    .await?;
    let id = i64::try_from(made.last_insert_id())?;
    write_targets(mysql, id, targets).await?;
    let row = sqlx::query(
        "SELECT MIN(point_target_id), MAX(point_target_id), CAST(SUM(amount) AS CHAR), COUNT(*) \
         FROM campaign_promotion_point_targets WHERE promotion_id = ?",
    )
    .bind(id)
    .fetch_one(&mut *mysql)
    .await?;
    let (first, last): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let total: String = row.try_get_unchecked(2)?;
    anyhow::ensure!(row.try_get::<i64, _>(3)?.unsigned_abs() == targets, "not all targets were written");
    sqlx::query(
        "INSERT INTO campaign_promotion_loads (promotion_id, file_name, loaded_count, loaded_amount, first_target_id, \
         last_target_id, sealed_at, created_at, updated_at) VALUES (?, 'bench', ?, ?, ?, ?, NOW(), NOW(), NOW())",
    )
    .bind(id)
    .bind(targets)
    .bind(&total)
    .bind(first)
    .bind(last)
    .execute(&mut *mysql)
    .await?;
    Ok(Prepared { id, campaign: campaign.to_owned(), targets, total, first, last })
}

async fn write_targets(mysql: &mut MySqlConnection, id: i64, targets: u64) -> Result<()> {
    // Numbers from 0 to 49,999: with DDL outside of any transaction, and gone with the connection.
    mysql
        .execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS bench_numbers (n INT PRIMARY KEY) AS \
             WITH RECURSIVE d AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM d WHERE n < 999), \
             f AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM f WHERE n < 49) SELECT f.n * 1000 + d.n AS n FROM f, d",
        )
        .await
        .context("numbers for the targets")?;
    for chunk in (0..targets).step_by(CHUNK as usize) {
        // Customers ascend, amounts vary, a tenth of them has hundredths: as in the demo's file.
        sqlx::query(
            "INSERT INTO campaign_promotion_point_targets (promotion_id, customer_uid, partition_key, amount, reason, \
             expired_at, merchant_code, merchant_brand_code, created_at, updated_at) \
             SELECT ?, c, CRC32(CONCAT(?, c)) % ?, 1 + n * 7919 % 50000 + IF(n % 10 = 0, 0.25, 0), 'Spring event', \
             '2027-12-31', CONCAT('M', LPAD(n % 20, 4, '0')), 'B001', NOW(), NOW() \
             FROM (SELECT ? + b.n AS n, 1000000000 + (? + b.n) * 11 AS c FROM bench_numbers b WHERE b.n < ? ORDER BY b.n) t",
        )
        .bind(id)
        .bind(id)
        .bind(PARTITIONS)
        .bind(chunk)
        .bind(chunk)
        .bind(CHUNK.min(targets - chunk))
        .execute(&mut *mysql)
        .await?;
    }
    Ok(())
}

impl Prepared {
    /// LOADING → READY, as the loader's last statement does it.
    pub async fn seal(&self, mysql: &mut MySqlConnection) -> Result<()> {
        sqlx::query(
            "UPDATE campaign_promotions SET promotion_status = 'READY', total_count = ?, total_amount = ?, updated_at = NOW() \
             WHERE promotion_id = ? AND promotion_status = 'LOADING'",
        )
        .bind(self.targets)
        .bind(&self.total)
        .bind(self.id)
        .execute(mysql)
        .await?;
        Ok(())
    }

    /// Its status.
    pub async fn status(&self, mysql: &mut MySqlConnection) -> Result<String> {
        let query =
            sqlx::query("SELECT promotion_status FROM campaign_promotions WHERE promotion_id = ?").bind(self.id);
        Ok(query.fetch_one(mysql).await?.try_get_unchecked(0)?)
    }

    /// How many of its results are SUCCESS.
    pub async fn succeeded(&self, mysql: &mut MySqlConnection) -> Result<u64> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM campaign_promotion_point_results WHERE promotion_id = ? AND process_status = 'SUCCESS' \
             AND transaction_key IS NOT NULL",
        )
        .bind(self.id)
        .fetch_one(mysql)
        .await?;
        Ok(count.unsigned_abs())
    }
}
