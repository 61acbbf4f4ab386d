//! The sweep: nothing is stuck for ever.
//!
//! A partition in which something was settled since the last sweep is left alone. Where nothing was, longer
//! than any work in flight explains, its stream must hold exactly the targets that MySQL says are published
//! and not final; where it does not, the partition is rebuilt from MySQL. Comparing reads every target of the promotion
//! for each partition: of millions that takes its time, so it holds nothing else up.

use std::collections::HashMap;

use pipeline::crash;
use pipeline::domain::{Counts, EntryId, Partition, Promotion, PromotionId, TargetId};
use pipeline::metrics::{self, RebuildReason};
use pipeline::mutant::{self, Mutant};
use pipeline::rebuild::{MAX_ENTRIES, RebuildOutcome, rebuild};
use pipeline::store::PollScope;
use pipeline::streams::PartitionState;
use tokio::time::Instant;

use crate::{Tools, end, tell};

/// A sweep is not followed by another one before so many times the time that it took.
const SHARE: u32 = 10;

/// How the partitions of a promotion stood at the last sweep. All of it can be lost: the next but one sweep compares.
type Seen = HashMap<Partition, Swept>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Swept {
    last: EntryId,
    counts: Counts,
}

/// Sweeps until the process is to end.
pub async fn run(tools: &Tools) {
    let mut seen: HashMap<PromotionId, Seen> = HashMap::new();
    loop {
        let began = Instant::now();
        let swept = tokio::select! {
            swept = turn(tools, &mut seen) => swept,
            // What is broken off here is done by whoever sweeps next.
            () = tools.context.shutdown.wait() => return,
        };
        if let Err(error) = swept {
            tell(&tools.context.health, &error);
            tracing::warn!(error = format!("{error:#}"), "a sweep was given up; the next one does it again");
        }
        let took = began.elapsed();
        let pause = tools.context.config.summarizer.sweep_interval.max(took * SHARE).saturating_sub(took);
        if tools.context.shutdown.sleep(pause).await {
            return;
        }
    }
}

async fn turn(tools: &Tools, seen: &mut HashMap<PromotionId, Seen>) -> anyhow::Result<()> {
    let running = tools.store.promotions(PollScope::Running).await?;
    seen.retain(|id, _| running.iter().any(|promotion| promotion.id == *id));
    for promotion in &running {
        // One promotion that cannot be swept must not keep the others from it.
        if let Err(error) = sweep_promotion(tools, seen.entry(promotion.id).or_default(), promotion).await {
            tell(&tools.context.health, &error);
            tracing::warn!(promotion = %promotion.id, error = format!("{error:#}"), "cannot sweep a promotion");
        }
    }
    end::remove_leftovers(tools).await
}

/// Sweeps every partition of a promotion, and asks for the proof of its end where nothing moves at all.
async fn sweep_promotion(tools: &Tools, seen: &mut Seen, promotion: &Promotion) -> anyhow::Result<()> {
    if mutant::is(Mutant::NoSweep) {
        return Ok(());
    }
    let (mut still, mut trouble) = (true, None);
    for partition in promotion.partitions() {
        match sweep(tools, seen, promotion, partition).await {
            Ok(stands) => still &= stands,
            // One partition that cannot be compared must not keep the others from it.
            Err(error) => trouble = Some(error.context(format!("partition {partition}"))),
        }
        prune(tools, partition).await?;
    }
    if let Some(error) = trouble {
        return Err(error);
    }
    // Asked without the lock first: whoever stops the promotion does not wait for the proof of what is not the end.
    if still && tools.store.prove(promotion).await?.is_complete() {
        end::prove(tools, promotion).await?;
    }
    Ok(())
}

/// Gives whether the partition has not moved since the last sweep.
async fn sweep(tools: &Tools, seen: &mut Seen, promotion: &Promotion, partition: Partition) -> anyhow::Result<bool> {
    let (state, counted) = tools.streams.surveyed(partition).await?;
    let Some(position) = state.position else {
        // The dispatcher fills a missing stream from the beginning.
        seen.remove(&partition);
        return Ok(false);
    };
    let now = Swept { last: position.last, counts: state.counts };
    let before = seen.insert(partition, now);
    let still = before.is_some_and(|before| before.counts.settled() == now.counts.settled() && before.last == now.last);
    if !still {
        return Ok(false);
    }
    if let Some(reason) = difference(tools, promotion, partition, &state, counted).await? {
        tracing::warn!(%partition, reason = reason.label(), "a partition differs from the database; rebuilding it");
        crash::point("summarizer.differs");
        match rebuild(&tools.store, &tools.streams, promotion, partition, MAX_ENTRIES).await? {
            RebuildOutcome::Done { entries, cut, .. } => {
                crash::point("summarizer.rebuilt");
                metrics::stream_rebuilt(reason);
                tracing::info!(%partition, entries, cut, "partition rebuilt");
            }
            RebuildOutcome::Missing | RebuildOutcome::Moving => {}
        }
        seen.remove(&partition);
    }
    Ok(true)
}

/// What is wrong with a partition that does not move, if anything is.
async fn difference(
    tools: &Tools,
    promotion: &Promotion,
    partition: Partition,
    state: &PartitionState,
    counted: bool,
) -> anyhow::Result<Option<RebuildReason>> {
    let Some(position) = state.position else { return Ok(None) };
    let last = TargetId(i64::try_from(position.last.first).unwrap_or(i64::MAX));
    let proved = tools.store.count_partition(promotion, partition, last).await?;
    let (again, _) = tools.streams.surveyed(partition).await?;
    if again.position != state.position || again.counts != state.counts {
        return Ok(None);
    }
    Ok(if position.len != proved.backlog() {
        Some(RebuildReason::Backlog)
    } else if !position.group || counted && position.len != state.pending + state.undelivered {
        Some(RebuildReason::Pending)
    } else if position.len == 0 && state.counts != proved {
        Some(RebuildReason::Counts)
    } else {
        None
    })
}

/// Removes consumers that hold nothing and have been idle for long. Never one with pending entries, and never
/// those of parked entries: the script looks again before it removes.
async fn prune(tools: &Tools, partition: Partition) -> anyhow::Result<()> {
    let after = tools.context.config.summarizer.prune_after;
    for consumer in tools.streams.consumers(&[partition]).await?.into_iter().flatten() {
        let idle = std::time::Duration::from_millis(consumer.idle_ms) >= after;
        if idle && consumer.pending == 0 && tools.streams.prune(partition, &consumer.name, after).await? {
            tracing::info!(%partition, consumer = consumer.name, "removed an idle consumer");
        }
    }
    Ok(())
}
