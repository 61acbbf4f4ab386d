//! The end of a promotion: proved by MySQL, written everywhere, and cleaned up behind.

use std::time::Duration;

use pipeline::crash;
use pipeline::domain::{Partition, Promotion};
use pipeline::metrics::{self, Completed};
use pipeline::mutant::{self, Mutant};
use pipeline::store::PollScope;

use crate::Tools;

/// How long after its end the keys of a promotion are looked for, where its public hash does not live longer.
const LEFTOVERS: Duration = Duration::from_secs(24 * 60 * 60);

/// Completes the promotion if MySQL proves that every target is final; then marks that were lost are set, the public
/// hash gets the same figures and its time to live, and the partition keys go. Each step may be repeated: a crash in between is
/// made good by the next sweep. Gives whether it is complete.
pub async fn prove(tools: &Tools, promotion: &Promotion) -> anyhow::Result<bool> {
    if mutant::is(Mutant::KeysRemovedFirst) {
        let partitions: Vec<Partition> = promotion.partitions().collect();
        tools.streams.remove_partitions(&partitions, tools.context.config.summarizer.dead_ttl).await?;
        crash::point("summarizer.keys_removed");
    }
    let Some(proof) = tools.context.health.beating(tools.store.complete(promotion)).await? else { return Ok(false) };
    crash::point("summarizer.completed");
    let counts = proof.counts();
    tracing::info!(
        promotion = %promotion.id,
        success = counts.success,
        retry_success = counts.retry_success,
        fail = counts.fail,
        "promotion COMPLETED"
    );
    metrics::completed(Completed::Proved, 1);
    if proof.unmarked() > 0
        && let Some(bounds) = tools.store.bounds(promotion).await?
    {
        tools.store.mark_again(promotion, bounds.first, bounds.last).await?;
    }
    // An operator may requeue it at this very moment: then its keys are alive again, and stay. It may also have been requeued
    // and completed again since the proof: the figures are those of the end that is held.
    let Some(held) = tools.store.hold_completed(promotion.id).await? else { return Ok(false) };
    let config = &tools.context.config.summarizer;
    // A hash that is gone is made again, and one that was made of rebuilt partitions does not know when the last payout was
    // completed; nothing was settled after the end.
    let hash = tools.streams.read_summary(promotion.summary).await?;
    let last = match hash.and_then(|hash| hash.last_completed_at) {
        Some(_) => None,
        None => tools.store.completed_at(promotion.id).await?.map(|at| at.format("%Y%m%d%H%M%S").to_string()),
    };
    let (total, ttl) = (promotion.total_count, Some(config.summary_ttl));
    tools.streams.write_summary(promotion.summary, total, held.counts(), last.as_deref(), ttl).await?;
    crash::point("summarizer.ended_hash_written");
    let partitions: Vec<Partition> = promotion.partitions().collect();
    tools.streams.remove_partitions(&partitions, config.dead_ttl).await?;
    crash::point("summarizer.keys_removed");
    held.release().await?;
    Ok(true)
}

/// Sets right what is left of promotions that ended, or has come back: a crash, a late dispatcher or a Redis that went back
/// can bring back anything. One that cannot be looked at must not keep the others' keys.
pub async fn remove_leftovers(tools: &Tools) -> anyhow::Result<()> {
    let since = tools.store.now() - tools.context.config.summarizer.summary_ttl.max(LEFTOVERS);
    for promotion in tools.store.promotions(PollScope::CompletedSince(since)).await? {
        if let Err(error) = set_right(tools, &promotion).await {
            metrics::error(tools.context.health.blame(&error));
            tracing::warn!(promotion = %promotion.id, error = format!("{error:#}"), "cannot look for what is left of a promotion");
        }
    }
    Ok(())
}

async fn set_right(tools: &Tools, promotion: &Promotion) -> anyhow::Result<()> {
    let partitions: Vec<Partition> = promotion.partitions().collect();
    // The public hash too may be from before the end (then it has no time to live), from before a requeue (then it has other
    // figures), or gone with everything else.
    let right = match tools.streams.read_summary(promotion.summary).await? {
        Some(hash) => hash.ttl.is_some() && hash.counts == tools.store.summary_counts(promotion.id).await?,
        None => has_expired(tools, promotion).await?,
    };
    if !right || tools.streams.existing(&partitions).await?.contains(&true) {
        tracing::info!(promotion = %promotion.id, "setting the keys of a completed promotion right");
        prove(tools, promotion).await?;
    }
    Ok(())
}

/// Whether the public hash of a completed promotion has outlived it for as long as it should.
async fn has_expired(tools: &Tools, promotion: &Promotion) -> anyhow::Result<bool> {
    let age = tools.store.completed_at(promotion.id).await?.map(|at| tools.store.now() - at);
    Ok(age.and_then(|age| age.to_std().ok()).is_some_and(|age| age >= tools.context.config.summarizer.summary_ttl))
}
