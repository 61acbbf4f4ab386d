//! The payer's ceiling: read from the streams, insert PENDING, read the targets, make them SUCCESS, acknowledge and
//! delete. No guard, no token, no count; `money` is not asked at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use pipeline::domain::{Partition, PromotionId};
use pipeline::keys;
use redis::streams::{StreamReadOptions, StreamReadReply};
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use tokio::sync::Semaphore;

use crate::floor::Told;
use crate::promotion::PARTITIONS;

/// Entries that are read and written together: the payer's batch.
const BATCH: usize = 500;
/// Batches under way: as many as the payer holds.
const UNDER_WAY: usize = 8;
/// Connections: as many as the payer has for intents and outcomes.
const CONNECTIONS: u32 = 5;

/// From where to where.
#[derive(Debug, Args)]
pub struct Options {
    /// The database
    #[arg(long)]
    pub database_url: String,
    /// Redis, with the targets on its streams and the group made
    #[arg(long)]
    pub redis_url: String,
    /// The promotion
    #[arg(long)]
    pub promotion: i64,
    /// Its targets
    #[arg(long)]
    pub targets: u64,
}

/// Takes every entry through.
pub async fn run(options: Options) -> Result<Told> {
    let begun = Instant::now();
    let mysql = MySqlPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let mysql = mysql.connect(&options.database_url).await?;
    let client = redis::Client::open(options.redis_url.as_str())?;
    let mut reader = client.get_multiplexed_async_connection().await?;
    let writer = client.get_multiplexed_async_connection().await?;
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let keys: Vec<String> = (0..PARTITIONS)
        .map(|number| keys::targets(Partition { promotion: PromotionId(options.promotion), number }))
        .collect();
    let from = vec![">"; keys.len()];
    let read = StreamReadOptions::default().group(keys::GROUP, "ceiling").count(BATCH.div_ceil(keys.len()));
    let (mut taken, mut tasks) = (0, tokio::task::JoinSet::new());
    while taken < options.targets {
        let permit = Arc::clone(&under_way).acquire_owned().await?;
        let mut command = redis::cmd("XREADGROUP");
        command.arg(&read).arg("STREAMS").arg(&keys).arg(&from);
        let reply: Option<StreamReadReply> = command.query_async(&mut reader).await?;
        let mut batch: BTreeMap<i64, (String, String)> = BTreeMap::new();
        for key in reply.context("the streams hold fewer entries than there are targets")?.keys {
            for entry in key.ids {
                let target = entry.id.split('-').next().unwrap_or_default().parse()?;
                batch.insert(target, (key.key.clone(), entry.id));
            }
        }
        taken += batch.len() as u64;
        let (mysql, mut redis, promotion) = (mysql.clone(), writer.clone(), options.promotion);
        tasks.spawn(async move {
            through(&mysql, &mut redis, promotion, &batch).await?;
            drop(permit);
            Ok::<(), anyhow::Error>(())
        });
        while let Some(done) = tasks.try_join_next() {
            done??;
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Told::of_this_process(taken, begun)
}

async fn through(
    mysql: &MySqlPool,
    redis: &mut redis::aio::MultiplexedConnection,
    promotion: i64,
    batch: &BTreeMap<i64, (String, String)>,
) -> Result<()> {
    let ids: Vec<String> = batch.keys().map(i64::to_string).collect();
    let ids = format!("[{}]", ids.join(","));
    sqlx::query(
        "INSERT INTO campaign_promotion_point_results (point_target_id, promotion_id, process_status, first_sent_at, \
         created_at, updated_at) SELECT id, ?, 'PENDING', NOW(), NOW(), NOW() \
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j",
    )
    .bind(promotion)
    .bind(&ids)
    .execute(mysql)
    .await?;
    sqlx::query(
        "SELECT t.point_target_id, t.customer_uid, t.amount, t.reason, t.expired_at, t.merchant_code \
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j \
         STRAIGHT_JOIN campaign_promotion_point_targets t ON t.point_target_id = j.id",
    )
    .bind(&ids)
    .fetch_all(mysql)
    .await?;
    sqlx::query(
        "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j \
         STRAIGHT_JOIN campaign_promotion_point_results r ON r.point_target_id = j.id \
         SET r.process_status = 'SUCCESS', r.transaction_key = 'mk00000000000000000000', r.updated_at = NOW()",
    )
    .bind(&ids)
    .execute(mysql)
    .await?;
    let mut by_stream: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, id) in batch.values() {
        by_stream.entry(key).or_default().push(id);
    }
    let mut pipe = redis::pipe();
    for (key, ids) in by_stream {
        pipe.cmd("XACK").arg(key).arg(keys::GROUP).arg(&ids).ignore();
        pipe.cmd("XDEL").arg(key).arg(&ids).ignore();
    }
    pipe.query_async::<()>(redis).await?;
    Ok(())
}
