//! The end of a promotion: proved by MySQL, written everywhere, and cleaned up behind.

use std::time::Duration;

use pipeline::crash;
use pipeline::domain::{Partition, Promotion};
use pipeline::metrics::{self, Completed};
use pipeline::mutant::{self, Mutant};
use pipeline::store::{PollScope, SummaryRow};

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
    clear_away(tools, promotion).await
}

/// Gives the public hash of a COMPLETED promotion the figures of its summary row and its time to live, and removes the partition
/// keys. Gives whether it is complete: an operator may requeue it at this very moment, and then its keys are alive again, and stay.
async fn clear_away(tools: &Tools, promotion: &Promotion) -> anyhow::Result<bool> {
    // It may have been requeued and completed again since it was proved: the figures are those of the end that is held.
    let Some(held) = tools.store.hold_completed(promotion.id).await? else { return Ok(false) };
    let (config, summary) = (&tools.context.config.summarizer, held.summary());
    // A hash that was made of rebuilt partitions does not know when the last payout was completed, and one from before a
    // requeue is wrong about it; nothing was settled after the end.
    let hash = tools.streams.read_summary(promotion.summary).await?;
    let knows = hash.is_some_and(|hash| hash.counts == summary.counts && hash.last_completed_at.is_some());
    let last = summary.completed_at.filter(|_| !knows).map(|at| at.format("%Y%m%d%H%M%S").to_string());
    let left = config.summary_ttl.saturating_sub(age(tools, &summary).unwrap_or_default());
    let total = promotion.total_count;
    tools.streams.write_summary(promotion.summary, total, summary.counts, last.as_deref(), Some(left)).await?;
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
    let summary = tools.store.summary(promotion.id).await?;
    let age = age(tools, &summary);
    // The public hash too may be from before the end (then it has no time to live), from before a requeue (then it has other
    // figures), or gone with everything else before its time.
    let right = match tools.streams.read_summary(promotion.summary).await? {
        Some(hash) => hash.ttl.is_some() && hash.counts == summary.counts,
        None => age.is_some_and(|age| age >= tools.context.config.summarizer.summary_ttl),
    };
    if right && !tools.streams.existing(&partitions).await?.contains(&true) {
        return Ok(());
    }
    tracing::info!(promotion = %promotion.id, "setting the keys of a completed promotion right");
    // Whoever ended it may have died before the marks were set again; later only Redis can be wrong.
    match age {
        Some(age) if age >= LEFTOVERS => clear_away(tools, promotion).await?,
        _ => prove(tools, promotion).await?,
    };
    Ok(())
}

/// How long ago a promotion was completed, if it was.
fn age(tools: &Tools, summary: &SummaryRow) -> Option<Duration> {
    summary.completed_at.map(|at| (tools.store.now() - at).to_std().unwrap_or_default())
}
