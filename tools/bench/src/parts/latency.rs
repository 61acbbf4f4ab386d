//! How long a payout takes: from due to COMPLETED, and from published to settled at half load.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use pipeline::domain::{EntryId, Partition, PromotionId, TargetId};
use pipeline::keys;
use pipeline::record::Record;
use pipeline::streams::{Publish, Published, Streams};
use sqlx::Row;

use crate::leg::{check, until_completed};
use crate::promotion::{PARTITIONS, Prepared, prepare};
use crate::report::{HalfLoad, Report, spread};
use crate::run::{Options, say};
use crate::stages::{Stages, Which};
use crate::stand::{Stand, World};

/// Targets of a promotion that is small.
const SMALL: u64 = 1_000;
/// How long money takes.
const MONEY: Duration = Duration::from_millis(50);
/// Connections of one payer to money, the default: together with [`MONEY`] they carry 2,560 targets a second.
const CONCURRENCY: u64 = 128;
/// How long targets are published at half load.
const SECONDS: u64 = 15;
/// Time between two batches.
const BEAT: Duration = Duration::from_millis(10);
/// Time between two looks at what is the oldest that is not settled: how exact the figures are.
const LOOK: Duration = Duration::from_millis(2);
/// Nothing takes this long.
const BOUND: Duration = Duration::from_secs(60);

/// Both.
pub async fn measure(options: &Options, stand: &Stand, report: &mut Report) -> Result<()> {
    say(&format!("promotions of {SMALL} targets from due to COMPLETED"));
    report.due_to_completed_ms = due_to_completed(stand, if options.quick { 5 } else { 10 }).await?;
    if let Some((min, median, max)) = spread(report.due_to_completed_ms.iter().copied()) {
        println!("median {median:.0} ms (min {min:.0}, max {max:.0})");
    }
    let rate = CONCURRENCY * 1_000 / MONEY.as_millis() as u64 / 2;
    say(&format!("published to settled at {rate} targets/s, half of what a payer carries with money at {MONEY:?}"));
    let half = half_load(stand, rate).await?;
    println!("p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms", half.p50_ms, half.p99_ms, half.max_ms);
    report.half_load = Some(half);
    Ok(())
}

/// One after another on stages that are idle in between, at moments that have nothing to do with their rhythm.
async fn due_to_completed(stand: &Stand, runs: u64) -> Result<Vec<f64>> {
    let world = stand.world("due", &[])?;
    let mut mysql = world.connect().await?;
    let stages = Stages::start(&world, Which::all(1), &[])?;
    let mut times = Vec::new();
    for number in 0..runs {
        let prepared = prepare(&mut mysql, &format!("DUE-{number}"), SMALL).await?;
        // Not a wait for a condition: a random-looking moment of the stages' rhythm, some time after the last.
        tokio::time::sleep(Duration::from_millis(1_500 + number * 373 % 1_000)).await;
        let begun = Instant::now();
        prepared.seal(&mut mysql).await?;
        until_completed(&prepared, &mut mysql, &stages).await?;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    stages.stop()?;
    world.end()?;
    Ok(times)
}

/// A steady stream of targets, published here instead of by a dispatcher, which would publish its whole window.
async fn half_load(stand: &Stand, rate: u64) -> Result<HalfLoad> {
    let money_ms = MONEY.as_secs_f64() * 1_000.0;
    let world = stand.world("half_load", &["--latency-ms", &money_ms.to_string()])?;
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "HALF", rate * SECONDS).await?;
    start(&mut mysql, &prepared).await?;
    let mut source = Source::new(&world, &mut mysql, &prepared).await?;
    source.publish(&[]).await?;
    let stages = Stages::start(&world, Which { payers: 1, retrier: true, summarizer: true, dispatcher: false }, &[])?;
    // The payer looks for running promotions twice a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut times = steady(&world, &mut source, &stages, rate).await?;
    until_completed(&prepared, &mut mysql, &stages).await?;
    stages.stop()?;
    check(&world, &mut mysql, &prepared).await?;
    world.end()?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share).ceil() as usize).copied().unwrap_or_default();
    Ok(HalfLoad { rate: rate as f64, money_ms, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
}

/// READY → IN_PROGRESS, as the dispatcher does it.
async fn start(mysql: &mut sqlx::MySqlConnection, prepared: &Prepared) -> Result<()> {
    prepared.seal(mysql).await?;
    sqlx::query(
        "INSERT INTO campaign_promotion_summary (promotion_id, started_at, created_at) VALUES (?, NOW(), NOW())",
    )
    .bind(prepared.id)
    .execute(&mut *mysql)
    .await?;
    sqlx::query("UPDATE campaign_promotions SET promotion_status = 'IN_PROGRESS' WHERE promotion_id = ?")
        .bind(prepared.id)
        .execute(mysql)
        .await?;
    Ok(())
}

/// Targets that are published bit by bit.
struct Source {
    streams: Streams,
    promotion: PromotionId,
    /// Target and partition, ascending.
    left: VecDeque<(i64, u32)>,
    last: Vec<u64>,
}

impl Source {
    async fn new(world: &World<'_>, mysql: &mut sqlx::MySqlConnection, prepared: &Prepared) -> Result<Self> {
        let rows = sqlx::query(
            "SELECT point_target_id, partition_key FROM campaign_promotion_point_targets WHERE promotion_id = ? ORDER BY 1",
        );
        let rows = rows.bind(prepared.id).fetch_all(mysql).await?;
        let read = |row: &sqlx::mysql::MySqlRow| Ok((row.try_get(0)?, row.try_get::<i32, _>(1)?.cast_unsigned()));
        Ok(Self {
            streams: Streams::new(&world.redis.url())?,
            promotion: PromotionId(prepared.id),
            left: rows.iter().map(read).collect::<sqlx::Result<_>>()?,
            last: vec![0; PARTITIONS as usize],
        })
    }

    /// Publishes these to their partitions; of none it only makes the streams.
    async fn publish(&mut self, batch: &[(i64, u32)]) -> Result<()> {
        let published_at_ms = i64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_millis())?;
        let mut batches = Vec::new();
        for number in 0..PARTITIONS {
            let entry = |(target, _): &(i64, u32)| {
                let target = TargetId(*target);
                let record = Record { kind: "POINT".to_owned(), promotion: self.promotion, target, published_at_ms };
                (target, record.encode())
            };
            let entries = batch.iter().filter(|(_, partition)| *partition == number).map(entry).collect();
            let partition = Partition { promotion: self.promotion, number };
            batches.push(Publish { partition, expected: self.last[number as usize], window: 0, entries });
        }
        for (number, (batch, answer)) in batches.iter().zip(self.streams.publish(&batches).await?).enumerate() {
            match (answer?, batch.entries.last()) {
                (Published::Done, Some((last, _))) => self.last[number] = last.0.unsigned_abs(),
                (Published::Done, None) => {}
                (other, _) => bail!("a batch was not published: {other:?}"),
            }
        }
        Ok(())
    }
}

/// Publishes at a steady rate, and notes of every target when everything up to it was seen settled: as long as it
/// took itself, or longer. In milliseconds.
async fn steady(world: &World<'_>, source: &mut Source, stages: &Stages, rate: u64) -> Result<Vec<f64>> {
    let mut redis = world.redis_connection()?;
    let mut times = Vec::new();
    let mut open: VecDeque<(i64, Instant)> = VecDeque::new();
    let begun = Instant::now();
    let mut published = 0;
    while !source.left.is_empty() || !open.is_empty() {
        let meant = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        let batch = meant.saturating_sub(published).min(source.left.len() as u64);
        let last = batch == source.left.len() as u64;
        if batch > 0 && (last || batch >= (BEAT.as_secs_f64() * rate as f64) as u64) {
            let batch: Vec<(i64, u32)> = source.left.drain(..batch as usize).collect();
            let at = Instant::now();
            source.publish(&batch).await?;
            published += batch.len() as u64;
            open.extend(batch.iter().map(|(target, _)| (*target, at)));
        }
        let oldest = oldest(&mut redis, source.promotion)?;
        let now = Instant::now();
        while open.front().is_some_and(|(target, _)| oldest.is_none_or(|oldest| *target < oldest)) {
            let waited = open.pop_front().map(|(_, at)| now - at).unwrap_or_default();
            times.push(waited.as_secs_f64() * 1_000.0);
        }
        stages.check()?;
        if begun.elapsed() > BOUND {
            bail!("{} targets were not settled within {BOUND:?}", open.len());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(times)
}

/// The oldest target that still stands on any stream.
fn oldest(redis: &mut redis::Connection, promotion: PromotionId) -> Result<Option<i64>> {
    let mut pipe = redis::pipe();
    for number in 0..PARTITIONS {
        pipe.cmd("XRANGE").arg(keys::targets(Partition { promotion, number })).arg("-").arg("+").arg("COUNT").arg(1);
    }
    let replies: Vec<redis::streams::StreamRangeReply> = pipe.query(redis)?;
    let mut oldest = None;
    for entry in replies.iter().flat_map(|reply| &reply.ids) {
        let target = entry.id.parse::<EntryId>()?.target().map(|target| target.0);
        oldest = [oldest, target].into_iter().flatten().min();
    }
    Ok(oldest)
}
