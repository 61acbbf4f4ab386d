//! The public figures, and the end: I5, the rest of I7, and the seal.

use std::time::Duration;

use anyhow::Result;
use pipeline::domain::{Counts, Partition, Promotion, PromotionStatus};
use pipeline::store::Overview;
use pipeline::streams::{Streams, SummaryFields};

use super::partitions::{Broken, exceeding};
use super::report::{Finding, Invariant};
use crate::session::Session;

/// The public figures, read before the rows are.
pub(super) struct Figures {
    /// The promotion's row and summary.
    pub(super) overview: Overview,
    /// The public hash.
    hash: Option<SummaryFields>,
}

/// Reads the public figures.
pub(super) async fn figures(session: &Session, promotion: &Promotion) -> Result<Figures> {
    let overview = session.overview(promotion.id.0).await?;
    let hash = session.streams()?.read_summary(promotion.summary).await?;
    Ok(Figures { overview, hash })
}

/// I7 of the summary row and the public hash: neither is ahead of MySQL's proof.
pub(super) fn ahead(figures: &Figures, proved: Counts) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut add = |invariant, finding| broken.push((invariant, finding));
    exceeding(figures.overview.counts, proved, &mut add);
    if let Some(hash) = &figures.hash {
        exceeding(hash.counts, proved, &mut add);
    }
    broken
}

/// I5: a completed promotion has left nothing behind, and its three summaries agree.
pub(super) async fn completed(
    session: &Session,
    streams: &Streams,
    promotion: &Promotion,
    figures: &Figures,
    proved: Counts,
) -> Result<Vec<Broken>> {
    let mut broken = Vec::new();
    let mut add = |finding| broken.push((Invariant::I5, finding));
    if proved.settled() != proved.published {
        let detail = format!("{} of {} targets are final", proved.settled(), proved.published);
        add(Finding::figure("completed, and not everything is final", detail));
    }
    let row = figures.overview.counts;
    if row != proved {
        add(Finding::figure("the summary row is not what the results add up to", differ(row, proved)));
    }
    match &figures.hash {
        Some(hash) if hash.counts != proved => {
            add(Finding::figure("the public hash is not what the results add up to", differ(hash.counts, proved)));
        }
        Some(hash) if hash.total != promotion.total_count => {
            let detail = format!("total_count {}, sealed {}", hash.total, promotion.total_count);
            add(Finding::figure("the public hash has another total", detail));
        }
        Some(_) => {}
        None if has_expired(session, figures) => {}
        None => add(Finding::figure("the public hash is missing", String::new())),
    }
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let states = streams.partition_states(&partitions).await?;
    for (partition, state) in partitions.iter().zip(states) {
        if state.position.is_some() || state.counts != Counts::default() {
            let detail = format!("{} entries, {} pending", state.len(), state.pending);
            add(Finding::figure("completed, and its partition is still there", detail).of(partition.number));
        }
    }
    Ok(broken)
}

fn differ(counts: Counts, proved: Counts) -> String {
    let text = |counts: Counts| {
        format!(
            "published {} success {} retried {} failed {}",
            counts.published, counts.success, counts.retry_success, counts.fail
        )
    };
    format!("{}; proved {}", text(counts), text(proved))
}

/// The hash outlives its promotion by a set time only.
fn has_expired(session: &Session, figures: &Figures) -> bool {
    let ttl = chrono::TimeDelta::from_std(session.config.summarizer.summary_ttl).unwrap_or(chrono::TimeDelta::MAX);
    let margin = chrono::TimeDelta::from_std(Duration::from_secs(60)).unwrap_or_default();
    figures.overview.completed_at.is_some_and(|at| session.store.now() - at + margin >= ttl)
}

/// Whether the sealed totals must be true: those of a promotion that was never started are judged by the dispatcher.
pub(super) fn is_sealed(figures: &Figures) -> bool {
    match figures.overview.status {
        PromotionStatus::Loading | PromotionStatus::Ready => false,
        PromotionStatus::InProgress | PromotionStatus::Completed => true,
        PromotionStatus::Stopped | PromotionStatus::Failed => figures.overview.started_at.is_some(),
    }
}
