//! Counts → summary.

use std::time::Duration;

use pipeline::crash;
use pipeline::domain::{Counts, Partition, Promotion};
use pipeline::metrics::{self, Completed};
use pipeline::streams::PartitionState;
use tokio::time::Instant;

use crate::progress::Seen;
use crate::{Tools, end, figures};

/// A proof that took so long is not asked for again for this many times that long.
const PROOF_SHARE: u32 = 60;
/// Pause between two proofs at least.
const PROOF_PAUSE: Duration = Duration::from_secs(2);

/// Adds up the partitions and writes the sum, absolute, so that repeating it and racing over it are harmless.
pub async fn promotion(tools: &Tools, seen: &mut Seen, promotion: &Promotion) -> anyhow::Result<()> {
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let states = tools.streams.partition_states(&partitions).await?;
    tools.context.health.dependency("redis", true);
    crash::point("summarizer.counted");
    let dropped: u64 = states.iter().map(|state| state.dead_dropped).sum();
    metrics::dead_letters_dropped(dropped.saturating_sub(seen.dropped));
    seen.dropped = dropped;
    let sum: Counts = states.iter().map(|state| state.counts).sum();
    let counts = if refilling(tools, seen, promotion, &partitions, &states, sum).await? {
        // A stream that went back is being filled again: its counts are too low until it is where it was, and
        // public counts must not fall. MySQL knows them.
        let Some(counts) = proved(tools, seen, promotion).await? else { return Ok(()) };
        counts
    } else {
        seen.flushed = Some(sum);
        sum
    };
    let last_completed_at = states.iter().filter_map(|state| state.last_completed_at.as_deref()).max();
    write(tools, promotion, counts, last_completed_at).await?;
    figures::update(tools, seen, promotion, &partitions, &states, counts).await;
    if counts.settled() >= promotion.total_count {
        end::prove(tools, promotion).await?;
    }
    Ok(())
}

async fn write(
    tools: &Tools,
    promotion: &Promotion,
    counts: Counts,
    last_completed_at: Option<&str>,
) -> anyhow::Result<()> {
    tools.store.flush(promotion.id, counts).await?;
    crash::point("summarizer.row_flushed");
    match tools.streams.write_summary(promotion.summary, promotion.total_count, counts, last_completed_at, None).await {
        Ok(()) => {
            crash::point("summarizer.hash_written");
            metrics::completed(Completed::Flushed, 1);
        }
        // A full Redis refuses the hash; the summary row goes on alone.
        Err(error) if error.is_oom() => tracing::warn!(%error, "Redis is full; the public summary is written later"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Whether any stream is not as far as it was: lost, or put back to an earlier state. After a start of this
/// process the summary row tells what had been reached.
async fn refilling(
    tools: &Tools,
    seen: &mut Seen,
    promotion: &Promotion,
    partitions: &[Partition],
    states: &[PartitionState],
    sum: Counts,
) -> anyhow::Result<bool> {
    let mut refilling =
        seen.flushed.is_none() && sum.published < tools.store.summary_counts(promotion.id).await?.published;
    for (partition, state) in partitions.iter().zip(states) {
        let last = state.position.map_or(0, |position| position.last.first);
        let highest = seen.highest.entry(*partition).or_default();
        refilling |= last < *highest;
        *highest = last.max(*highest);
    }
    Ok(refilling)
}

/// Published and settled counts by MySQL: asked rarely, because it looks at every target.
async fn proved(tools: &Tools, seen: &mut Seen, promotion: &Promotion) -> anyhow::Result<Option<Counts>> {
    let fresh_for = |took: Duration| (took * PROOF_SHARE).max(PROOF_PAUSE);
    if seen.proof.as_ref().is_some_and(|(at, took, _)| at.elapsed() < fresh_for(*took)) {
        return Ok(None);
    }
    let before = tools.store.summary_counts(promotion.id).await?;
    let began = Instant::now();
    let proof = tools.store.prove(promotion).await?;
    let counts = Counts { published: before.published, ..proof.counts() };
    seen.proof = Some((Instant::now(), began.elapsed(), proof));
    Ok(Some(counts))
}
