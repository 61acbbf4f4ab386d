//! Settling: the script that acknowledges, deletes and counts, or its ceiling, pipelined XACK and XDEL of the same
//! entries in the same batches. What counts is the CPU time of Redis.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use pipeline::domain::{Counter, EntryId, Partition, PromotionId, TargetId};
use pipeline::keys;
use pipeline::record::Record;
use pipeline::streams::{Settle, Streams};

use crate::floor::Told;
use crate::promotion::PARTITIONS;

/// Entries of a batch, over all partitions: the payer's.
const BATCH: u64 = 500;
/// Entries added and delivered at a time while preparing.
const PREPARED: u64 = 1_000;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Pipelined XACK and XDEL.
    Plain,
    /// The script.
    Script,
}

/// On what, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// An empty Redis
    #[arg(long)]
    pub redis_url: String,
    /// Entries
    #[arg(long)]
    pub targets: u64,
    /// Which way
    #[arg(long, value_enum)]
    pub way: Way,
}

/// Fills four streams, delivers everything, and lets go of it batch by batch.
pub async fn run(options: Options) -> Result<Told> {
    let client = redis::Client::open(options.redis_url.as_str())?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    prepare(&mut redis, options.targets).await?;
    let streams = Streams::new(&options.redis_url)?;
    let before = redis_cpu(&mut redis).await?;
    let begun = Instant::now();
    for first in (1..=options.targets).step_by(BATCH as usize) {
        let ids: Vec<u64> = (first..=options.targets.min(first + BATCH - 1)).collect();
        match options.way {
            Way::Plain => plain(&mut redis, &ids).await?,
            Way::Script => script(&streams, &ids).await?,
        }
    }
    let mut told = Told::of_this_process(options.targets, begun)?;
    told.redis_cpu_s = (redis_cpu(&mut redis).await? - before).as_secs_f64();
    Ok(told)
}

fn partition(number: u32) -> Partition {
    Partition { promotion: PromotionId(1), number }
}

/// The ids of a batch that lie in a partition.
fn of_partition(ids: &[u64], number: u32) -> Vec<EntryId> {
    let ids = ids.iter().filter(|id| *id % u64::from(PARTITIONS) == u64::from(number));
    ids.map(|id| EntryId { first: *id, second: 0 }).collect()
}

async fn prepare(redis: &mut redis::aio::MultiplexedConnection, targets: u64) -> Result<()> {
    for first in (1..=targets).step_by(PREPARED as usize) {
        let mut pipe = redis::Pipeline::with_capacity(PREPARED as usize + 4);
        for id in first..=targets.min(first + PREPARED - 1) {
            let target = TargetId(i64::try_from(id)?);
            let record = Record {
                kind: "POINT".to_owned(),
                promotion: PromotionId(1),
                target,
                published_at_ms: 1_790_000_000_000,
            };
            let key = keys::targets(partition((id % u64::from(PARTITIONS)) as u32));
            pipe.cmd("XADD").arg(key).arg(format!("{id}-0")).arg("d").arg(record.encode()).ignore();
        }
        for number in 0..PARTITIONS {
            let key = keys::targets(partition(number));
            if first == 1 {
                pipe.cmd("XGROUP").arg("CREATE").arg(&key).arg(keys::GROUP).arg(0).ignore();
            }
            let read = pipe.cmd("XREADGROUP").arg("GROUP").arg(keys::GROUP).arg("bench").arg("COUNT").arg(PREPARED);
            read.arg("STREAMS").arg(&key).arg(">").ignore();
        }
        pipe.query_async::<()>(redis).await?;
    }
    Ok(())
}

async fn plain(redis: &mut redis::aio::MultiplexedConnection, ids: &[u64]) -> Result<()> {
    let mut pipe = redis::pipe();
    for number in 0..PARTITIONS {
        let key = keys::targets(partition(number));
        let ids: Vec<String> = of_partition(ids, number).iter().map(EntryId::to_string).collect();
        pipe.cmd("XACK").arg(&key).arg(keys::GROUP).arg(&ids).ignore();
        pipe.cmd("XDEL").arg(&key).arg(&ids).ignore();
    }
    pipe.query_async::<()>(redis).await?;
    Ok(())
}

async fn script(streams: &Streams, ids: &[u64]) -> Result<()> {
    let settle = |number| Settle {
        partition: partition(number),
        by_counter: vec![(Counter::Success, of_partition(ids, number))],
        dead: Vec::new(),
    };
    let settled = streams.settle((0..PARTITIONS).map(settle).collect(), "20261224090000").await?;
    anyhow::ensure!(settled.iter().sum::<u64>() == ids.len() as u64, "not every entry was settled");
    Ok(())
}

/// CPU time of the server's main thread, to the microsecond.
async fn redis_cpu(redis: &mut redis::aio::MultiplexedConnection) -> Result<Duration> {
    let info: String = redis::cmd("INFO").arg("cpu").query_async(redis).await?;
    let of = |name: &str| -> Result<f64> {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).context("Redis does not tell its CPU time")?;
        Ok(line.trim_start_matches(':').trim().parse()?)
    };
    Ok(Duration::from_secs_f64(of("used_cpu_user_main_thread")? + of("used_cpu_sys_main_thread")?))
}
