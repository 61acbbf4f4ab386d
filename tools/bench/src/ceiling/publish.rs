//! The dispatcher's ceiling: pages by primary key, and the same records onto the same streams by pipelined XADD. It
//! compares nothing, counts nothing and marks nothing.

use std::time::{Instant, SystemTime};

use anyhow::Result;
use clap::Args;
use pipeline::domain::{EntryId, Partition, PromotionId, TargetId};
use pipeline::keys;
use pipeline::record::Record;
use sqlx::Row;
use tokio::sync::mpsc;

use crate::counters;
use crate::floor::Told;

const PAGE: u64 = 5_000;
const PIPELINED: usize = 1_000;

/// From where to where.
#[derive(Debug, Args)]
pub struct Options {
    /// The database
    #[arg(long)]
    pub database_url: String,
    /// Redis
    #[arg(long)]
    pub redis_url: String,
    /// The promotion
    #[arg(long)]
    pub promotion: i64,
    /// Its highest target id
    #[arg(long)]
    pub last: i64,
}

/// Publishes every target of a promotion.
pub async fn run(options: Options) -> Result<Told> {
    let begun = Instant::now();
    let (to_publish, mut pages) = mpsc::channel(1);
    let redis = redis::Client::open(options.redis_url.as_str())?;
    let mut redis = redis.get_multiplexed_async_connection().await?;
    let (url, promotion, last) = (options.database_url.clone(), options.promotion, options.last);
    // The next page is read while this one is published.
    let reading = tokio::spawn(async move {
        let mut mysql = counters::connect(&url).await?;
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT point_target_id, partition_key FROM campaign_promotion_point_targets FORCE INDEX (PRIMARY) \
                 WHERE promotion_id = ? AND point_target_id > ? AND point_target_id <= ? ORDER BY point_target_id LIMIT ?",
            );
            let rows = rows.bind(promotion).bind(after).bind(last).bind(PAGE).fetch_all(&mut mysql).await?;
            let read = |row: &sqlx::mysql::MySqlRow| Ok((row.try_get(0)?, row.try_get(1)?));
            let page: Vec<(i64, i32)> = rows.iter().map(read).collect::<sqlx::Result<_>>()?;
            let Some((end, _)) = page.last() else { return Ok::<(), anyhow::Error>(()) };
            after = *end;
            if to_publish.send(page).await.is_err() {
                return Ok(());
            }
        }
    });
    let mut published = 0;
    while let Some(page) = pages.recv().await {
        for chunk in page.chunks(PIPELINED) {
            published += chunk.len() as u64;
            add(&mut redis, promotion, chunk).await?;
        }
    }
    reading.await??;
    Told::of_this_process(published, begun)
}

async fn add(redis: &mut redis::aio::MultiplexedConnection, promotion: i64, chunk: &[(i64, i32)]) -> Result<()> {
    let published_at_ms = i64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_millis())?;
    let promotion = PromotionId(promotion);
    let mut pipe = redis::Pipeline::with_capacity(chunk.len());
    for (target, number) in chunk {
        let target = TargetId(*target);
        let key = keys::targets(Partition { promotion, number: number.cast_unsigned() });
        let record = Record { kind: "POINT".to_owned(), promotion, target, published_at_ms }.encode();
        pipe.cmd("XADD").arg(key).arg(EntryId::published(target).to_string()).arg("d").arg(record).ignore();
    }
    pipe.query_async::<()>(redis).await?;
    Ok(())
}
