//! The loader's ceiling: rows made in memory, a prepared insert of 1,000 rows, eight of them a transaction.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use sqlx::{Connection, MySqlConnection};

use crate::counters;
use crate::floor::Told;
use crate::promotion::PARTITIONS;

const ROWS: u64 = 1_000;
/// As many rows a transaction as a batch of the loader has.
const STATEMENTS: u64 = 8;

/// Into what.
#[derive(Debug, Args)]
pub struct Options {
    /// The database
    #[arg(long)]
    pub database_url: String,
    /// Targets, rounded up to whole statements
    #[arg(long)]
    pub targets: u64,
}

/// The n-th customer, in no order: as in a file that nobody sorted.
pub fn customer(n: u64) -> u64 {
    1_000_000_000 + n * 7_919 % 100_000_007
}

/// The n-th amount.
pub fn amount(n: u64) -> String {
    format!("{}.25", 1 + n % 500)
}

/// The n-th reason.
pub fn reason(n: u64) -> String {
    format!("Spring event, week {}", n % 50)
}

/// Inserts.
pub async fn run(options: Options) -> Result<Told> {
    let mut mysql = counters::connect(&options.database_url).await?;
    let promotion = sqlx::query(
        "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status) \
         VALUES ('CEILING', 'ceiling', 'POINT', 'LOADING')",
    );
    let promotion = promotion.execute(&mut mysql).await?.last_insert_id();
    let row = format!("({promotion}, ?, ?, ?, ?, '2027-12-31', 'M0001', 'B001', NOW(), NOW())");
    let sql = format!(
        "INSERT INTO campaign_promotion_point_targets (promotion_id, customer_uid, partition_key, amount, reason, \
         expired_at, merchant_code, merchant_brand_code, created_at, updated_at) VALUES {}",
        vec![row.as_str(); ROWS as usize].join(", ")
    );
    let (begun, statements) = (Instant::now(), options.targets.div_ceil(ROWS));
    for first in (0..statements).step_by(STATEMENTS as usize) {
        let mut transaction = mysql.begin().await?;
        for statement in first..statements.min(first + STATEMENTS) {
            insert(&mut transaction, &sql, statement * ROWS).await?;
        }
        transaction.commit().await?;
    }
    Told::of_this_process(statements * ROWS, begun)
}

async fn insert(mysql: &mut MySqlConnection, sql: &str, first: u64) -> Result<()> {
    let mut query = sqlx::query(sql);
    for n in first..first + ROWS {
        query = query.bind(customer(n)).bind(n % u64::from(PARTITIONS)).bind(amount(n)).bind(reason(n));
    }
    query.execute(mysql).await?;
    Ok(())
}
