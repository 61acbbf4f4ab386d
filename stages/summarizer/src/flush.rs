//! Counts → summary.

use std::time::Duration;

use pipeline::crash;
use pipeline::domain::{Counts, Partition, Promotion};
use pipeline::metrics::{self, Completed};
use pipeline::mutant::{self, Mutant};
use tokio::time::Instant;

use crate::progress::Seen;
use crate::{Tools, end, figures, tell};

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
    // What had been dropped before this process looked was told by the one before it.
    metrics::dead_letters_dropped(dropped.saturating_sub(seen.dropped.unwrap_or(dropped)));
    seen.dropped = Some(dropped);
    let sum: Counts = states.iter().map(|state| state.counts).sum();
    let before = match seen.flushed {
        Some(counts) => counts,
        // After a start of this process the summary row tells what had been reached.
        None => tools.store.summary(promotion.id).await?.counts,
    };
    let counts = if falls(sum, before) && !mutant::is(Mutant::PublicCountsFall) {
        // A stream that went back is being filled again: its counts are too low until everything that was settled
        // has been settled again, and public counts must not fall. MySQL knows them.
        let Some(counts) = proved(tools, seen, promotion, before).await? else {
            // What is asked rarely must not keep the end waiting: after a requeue the sum is lower too, and right.
            return the_end(tools, seen, promotion, sum).await;
        };
        counts
    } else {
        sum
    };
    seen.flushed = Some(counts);
    let last_completed_at = states.iter().filter_map(|state| state.last_completed_at.as_deref()).max();
    write(tools, promotion, counts, last_completed_at).await?;
    figures::update(tools, seen, promotion, &partitions, &states, counts).await;
    tell::waiting(tools, seen, promotion).await?;
    the_end(tools, seen, promotion, counts).await
}

/// Has the end proved when the counts say that all is final, once for the same counts: while it is proved the promotion
/// cannot be stopped, and what MySQL did not prove it does not prove before something else is settled, or the sweep asks.
async fn the_end(tools: &Tools, seen: &mut Seen, promotion: &Promotion, counts: Counts) -> anyhow::Result<()> {
    if counts.settled() < promotion.total_count || seen.unproved == Some(counts) {
        return Ok(());
    }
    let complete = end::prove(tools, promotion).await?;
    seen.unproved = (!complete).then_some(counts);
    Ok(())
}

/// Counts what was in flight when a promotion was halted. Counts that are lower than what was written are from a stream
/// that is gone or went back: they are not public.
pub async fn halted(tools: &Tools, promotion: &Promotion) -> anyhow::Result<()> {
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let states = tools.streams.partition_states(&partitions).await?;
    let sum: Counts = states.iter().map(|state| state.counts).sum();
    let before = tools.store.summary(promotion.id).await?.counts;
    if sum == before || falls(sum, before) {
        return Ok(());
    }
    let last_completed_at = states.iter().filter_map(|state| state.last_completed_at.as_deref()).max();
    write(tools, promotion, sum, last_completed_at).await
}

async fn write(
    tools: &Tools,
    promotion: &Promotion,
    counts: Counts,
    last_completed_at: Option<&str>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    metrics::received(1);
    match tools.streams.write_summary(promotion.summary, promotion.total_count, counts, last_completed_at, None).await {
        Ok(()) => crash::point("summarizer.hash_written"),
        // A full Redis refuses the hash; the summary row goes on alone.
        Err(error) if error.is_oom() => tracing::warn!(%error, "Redis is full; the public summary is written later"),
        Err(error) => return Err(error.into()),
    }
    // The row last, because it tells whether the promotion was completed meanwhile: then the hash is no longer ours to
    // write, and gets its final figures and its time to live again.
    if !tools.store.flush(promotion.id, counts).await? {
        end::prove(tools, promotion).await?;
    }
    crash::point("summarizer.row_flushed");
    metrics::completed(Completed::Flushed, 1);
    metrics::batch_took(began.elapsed());
    Ok(())
}

/// Whether any count is lower than it was. A requeue lowers one too, partition by partition: then MySQL says the same.
fn falls(now: Counts, before: Counts) -> bool {
    let fields = |counts: Counts| [counts.published, counts.success, counts.fail, counts.retry_success];
    fields(now).into_iter().zip(fields(before)).any(|(now, before)| now < before)
}

/// Published and settled counts by MySQL: asked rarely, because it looks at every target.
async fn proved(
    tools: &Tools,
    seen: &mut Seen,
    promotion: &Promotion,
    before: Counts,
) -> anyhow::Result<Option<Counts>> {
    let fresh_for = |took: Duration| (took * PROOF_SHARE).max(PROOF_PAUSE);
    if seen.proof.as_ref().is_some_and(|(at, took, _)| at.elapsed() < fresh_for(*took)) {
        return Ok(None);
    }
    let began = Instant::now();
    let proof = tools.context.health.beating(tools.store.prove(promotion)).await?;
    let counts = Counts { published: before.published, ..proof.counts() };
    seen.proof = Some((Instant::now(), began.elapsed(), proof));
    Ok(Some(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_is_lower_anywhere_falls() {
        let before = Counts { published: 10, success: 5, fail: 2, retry_success: 1 };
        assert!(!falls(before, before));
        assert!(!falls(Counts { success: 6, ..before }, before));
        for lower in [
            Counts { published: 9, ..before },
            Counts { success: 4, fail: 9, ..before },
            Counts { fail: 1, ..before },
            Counts { retry_success: 0, ..before },
        ] {
            assert!(falls(lower, before), "{lower:?}");
        }
    }
}
