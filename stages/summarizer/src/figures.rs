//! What is shown of a running promotion on the boards.

use std::time::{Duration, SystemTime};

use chrono::NaiveDateTime;
use pipeline::domain::{Amount, Counts, Partition, ProcessStatus, Promotion};
use pipeline::metrics::{self, ItemState, PromotionFigures};
use pipeline::store::{Census, Proof};
use pipeline::streams::PartitionState;
use tokio::time::Instant;

use crate::Tools;
use crate::progress::Seen;

/// Span over which the rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(15);
/// Money is added up from MySQL: at most this often, and never for more than a sixtieth of the time.
const MONEY_EVERY: Duration = Duration::from_secs(15);
const MONEY_SHARE: u32 = 60;
/// The first time after a twentieth, but no later than this: who is told of payouts that wait for a person, and of unknown
/// outcomes, is told by the same look. A promotion that is paid sooner has none.
const FIRST_SHARE: u32 = 20;
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// What reading a target takes, as long as nobody has measured it: docs/performance.md.
const READING: Duration = Duration::from_micros(3);

/// Brings the figures up to date. What cannot be read stays as it was.
pub async fn update(
    tools: &Tools,
    seen: &mut Seen,
    promotion: &Promotion,
    partitions: &[Partition],
    states: &[PartitionState],
    counts: Counts,
) {
    prove_rarely(tools, seen, promotion, counts).await;
    let left = promotion.total_count.saturating_sub(counts.settled());
    let rate = rate(seen, counts.settled(), left);
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let estimated_end_ms = (rate > 0.0).then(|| now_ms + (left as f64 / rate * 1000.0) as i64);
    let proof = seen.proof.as_ref().map(|(_, _, proof)| proof);
    let held: u64 = states.iter().map(|state| state.held).sum();
    let parked: u64 = states.iter().map(|state| state.parked).sum();
    let pending: u64 = states.iter().map(|state| state.pending).sum::<u64>().saturating_sub(parked + held);
    let backlog = partitions.iter().zip(states).map(|(partition, state)| (partition.number, state.len())).collect();
    let (oldest_undelivered_ms, oldest_pending_ms) = oldest(tools, partitions, states).await;
    seen.figures = Some(PromotionFigures {
        promotion: promotion.id,
        states: states_of(promotion, counts, pending + held, parked, proof),
        planned: promotion.total_amount,
        backlog,
        oldest_undelivered_ms,
        oldest_pending_ms,
        unknown: proof.map(Proof::unknown),
        oldest_unknown_ms: proof.and_then(Proof::oldest_unknown).and_then(|at| since_1970(tools, at)),
        parked,
        held,
        rate,
        estimated_end_ms,
        drift: states.iter().map(drift).sum(),
        excess: seen.excess,
    });
}

/// How full Redis is. What cannot be read stays as it was.
pub async fn memory(tools: &Tools) {
    match tools.streams.server_facts().await {
        Ok(facts) => {
            tools.context.health.dependency("redis", true);
            metrics::redis_memory(facts.used_memory, facts.maxmemory);
        }
        Err(error) => {
            tracing::debug!(%error, "cannot read how full Redis is");
            tools.context.health.blame(&error.into());
        }
    }
}

/// Promotions that do not run, too. What cannot be read stays as it was.
pub async fn census(tools: &Tools) {
    match tools.store.census().await {
        Ok(Census { counts, due_since }) => metrics::census(&counts, due_since.and_then(|at| since_1970(tools, at))),
        Err(error) => tracing::debug!(%error, "cannot count the promotions"),
    }
}

/// Entries that the counts claim and the stream does not hold, or the other way round.
fn drift(state: &PartitionState) -> u64 {
    state.counts.backlog().abs_diff(state.len())
}

/// Results that were counted and that MySQL does not know of.
fn excess(counted: Counts, proved: Counts) -> u64 {
    counted.success.saturating_sub(proved.success)
        + counted.retry_success.saturating_sub(proved.retry_success)
        + counted.fail.saturating_sub(proved.fail)
}

fn states_of(
    promotion: &Promotion,
    counts: Counts,
    pending: u64,
    parked: u64,
    proof: Option<&Proof>,
) -> Vec<(ItemState, u64, Amount)> {
    let money = |status| proof.map_or(Amount::ZERO, |proof| proof.amount(status));
    let not_begun = |marked| proof.map_or(Amount::ZERO, |proof| proof.amount_not_begun(marked));
    let success = counts.success + counts.retry_success;
    let open = counts.published.saturating_sub(counts.settled() + pending + parked);
    vec![
        (ItemState::Unpublished, promotion.total_count.saturating_sub(counts.published), not_begun(false)),
        (ItemState::Published, open, not_begun(true)),
        (ItemState::Pending, pending, money(ProcessStatus::Pending)),
        (ItemState::Retrying, parked, money(ProcessStatus::Retrying)),
        (ItemState::Success, success, money(ProcessStatus::Success)),
        (ItemState::Failed, counts.fail, money(ProcessStatus::Failed)),
    ]
}

fn rate(seen: &mut Seen, settled: u64, left: u64) -> f64 {
    let now = Instant::now();
    seen.note(now, settled, left);
    while seen.settled.len() > 2 && seen.settled.front().is_some_and(|(at, _)| now - *at > RATE_SPAN) {
        seen.settled.pop_front();
    }
    let Some((at, before)) = seen.settled.front() else { return 0.0 };
    let seconds = (now - *at).as_secs_f64();
    if seconds > 0.0 { settled.saturating_sub(*before) as f64 / seconds } else { 0.0 }
}

/// Asks MySQL how the targets stand, and compares it with `counts`, which were read before: whatever was counted then had
/// been written, so MySQL cannot know of less. Every target is read, so it is asked beside the flushes.
async fn prove_rarely(tools: &Tools, seen: &mut Seen, promotion: &Promotion, counts: Counts) {
    if let Some(proving) = seen.proving.take_if(|proving| proving.is_finished())
        && let Ok(Some((proof, took, counts))) = proving.await
    {
        seen.excess = Some(excess(counts, proof.counts()));
        seen.proof = Some((Instant::now(), took, proof));
    }
    let due = seen.proof.as_ref().is_none_or(|(at, took, _)| at.elapsed() >= (*took * MONEY_SHARE).max(MONEY_EVERY));
    let begun = seen.since.is_some_and(|since| since.elapsed() >= first_look(promotion.total_count));
    if !due || !begun || seen.proving.is_some() {
        return;
    }
    let (store, promotion) = (tools.store.clone(), promotion.clone());
    seen.proving = Some(tokio::spawn(async move {
        let began = Instant::now();
        let proof = store.prove(&promotion).await;
        let proof = proof.inspect_err(|error| tracing::debug!(%error, "cannot add up the money")).ok()?;
        Some((proof, began.elapsed(), counts))
    }));
}

/// How long the first look waits: until there is something to see, and until it is not most of what MySQL does.
fn first_look(targets: u64) -> Duration {
    let reading = READING.saturating_mul(u32::try_from(targets).unwrap_or(u32::MAX));
    reading.saturating_mul(FIRST_SHARE).clamp(MONEY_EVERY / 2, FIRST_WITHIN)
}

/// A time as MySQL has it, in milliseconds since the Unix epoch.
fn since_1970(tools: &Tools, at: NaiveDateTime) -> Option<i64> {
    at.and_local_timezone(tools.context.config.time_zone).earliest().map(|at| at.timestamp_millis())
}

/// When the oldest undelivered and the oldest pending entry were published.
async fn oldest(tools: &Tools, partitions: &[Partition], states: &[PartitionState]) -> (Option<i64>, Option<i64>) {
    let of = |pick: fn(&PartitionState) -> Option<pipeline::domain::EntryId>| {
        partitions
            .iter()
            .zip(states)
            .filter_map(move |(partition, state)| Some((*partition, pick(state)?)))
            .collect::<Vec<_>>()
    };
    let undelivered = tools.streams.published_at(&of(|state| state.oldest_undelivered)).await;
    let pending = tools.streams.published_at(&of(|state| state.oldest_pending)).await;
    (
        undelivered.unwrap_or_default().into_iter().flatten().min(),
        pending.unwrap_or_default().into_iter().flatten().min(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_look_at_a_large_promotion_comes_later() {
        let looks = [0, 100_000, 300_000, 1_000_000, u64::MAX].map(|targets| first_look(targets).as_millis());
        assert_eq!(looks, [7_500, 7_500, 18_000, 60_000, 60_000]);
    }

    #[test]
    fn what_is_counted_and_not_proved_is_an_excess_and_what_is_not_counted_yet_is_none() {
        let proved = Counts { published: 10, success: 5, fail: 2, retry_success: 1 };
        assert_eq!(excess(Counts { success: 4, ..proved }, proved), 0);
        assert_eq!(excess(Counts { success: 4, fail: 4, retry_success: 2, ..proved }, proved), 3);
    }
}
