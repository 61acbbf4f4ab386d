//! The sweep: nothing is stuck for ever.
//!
//! A partition in which something was settled since the last sweep is left alone. Where nothing was, longer
//! than any work in flight explains, its stream must hold exactly the targets that MySQL says are published
//! and not final; where it does not, the partition is rebuilt from MySQL.

use pipeline::crash;
use pipeline::domain::{Partition, Promotion, TargetId};
use pipeline::metrics::{self, RebuildReason};
use pipeline::mutant::{self, Mutant};
use pipeline::rebuild::{RebuildOutcome, rebuild};
use pipeline::streams::PartitionState;

use crate::progress::{Seen, Swept};
use crate::{Tools, end};

/// Sweeps every partition of a promotion, and asks for the proof of its end where nothing moves at all.
pub async fn promotion(tools: &Tools, seen: &mut Seen, promotion: &Promotion) -> anyhow::Result<()> {
    if mutant::is(Mutant::NoSweep) {
        return Ok(());
    }
    let (mut still, mut trouble) = (true, None);
    for partition in promotion.partitions() {
        // Each reads every target of the promotion: of millions, that takes its time.
        tools.context.health.beat();
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
    tools.context.health.beat();
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
        seen.swept.remove(&partition);
        return Ok(false);
    };
    let now = Swept { last: position.last, counts: state.counts, len: position.len };
    let before = seen.swept.insert(partition, now);
    let still = before.is_some_and(|before| before.counts.settled() == now.counts.settled() && before.last == now.last);
    if !still {
        return Ok(false);
    }
    if let Some(reason) = difference(tools, promotion, partition, &state, counted).await? {
        tracing::warn!(%partition, reason = reason.label(), "a partition differs from the database; rebuilding it");
        crash::point("summarizer.differs");
        match rebuild(&tools.store, &tools.streams, promotion, partition).await? {
            RebuildOutcome::Done { entries, .. } => {
                crash::point("summarizer.rebuilt");
                metrics::stream_rebuilt(reason);
                tracing::info!(%partition, entries, "partition rebuilt");
            }
            RebuildOutcome::Missing | RebuildOutcome::Moving => {}
        }
        seen.swept.remove(&partition);
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
    let proof = tools.store.prove_partition(promotion, partition, last).await?;
    let (again, _) = tools.streams.surveyed(partition).await?;
    if again.position != state.position || again.counts != state.counts {
        return Ok(None);
    }
    let unfinished = proof.unfinished.len() as u64;
    Ok(if position.len != unfinished {
        Some(RebuildReason::Backlog)
    } else if !position.group || counted && position.len != state.pending + state.undelivered {
        Some(RebuildReason::Pending)
    } else if position.len == 0 && state.counts != proof.counts {
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
