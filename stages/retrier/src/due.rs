//! What is due: found by paging through pending entries, a bounded number of pages a tick.

use std::collections::HashMap;
use std::time::Duration;

use pipeline::charging::{Active, Charging, Delivered, Running};
use pipeline::config::Config;
use pipeline::crash;
use pipeline::domain::{EntryId, Partition, Promotion, PromotionId, TargetId};
use pipeline::keys;
use pipeline::metrics::{self, ErrorClass, RetryReason};
use pipeline::mutant::{self, Mutant};
use pipeline::stage::Context;
use pipeline::store::Claim;
use pipeline::streams::{Parking, PendingEntry, Streams, StreamsError};
use tokio::time::Instant;

/// Entries of one page: 0.3 ms of the Redis thread, however many are parked.
const PAGE: usize = 1000;
/// Pause before the next tick when as much is held as can be sent in time.
const SATED: Duration = Duration::from_millis(25);
/// How often the consumers of a partition are looked through for entries that a dead one holds.
const CONSUMERS_EVERY: u32 = 4;

/// Where each consumer's list was left off, so that a pass over many entries is one pass.
type Cursors = HashMap<Share, EntryId>;

/// What a consumer holds of a partition: looked through as a whole, one after another.
type Share = (Partition, String);

/// One tick: for every partition of every running promotion, what is parked and due, and what somebody holds
/// for too long. Taking is safe to race: XCLAIM's least idle time gives an entry to one retrier. Where there is no room
/// for all, the next tick goes on behind what this one took last: entries that come back again and again must not
/// keep the retrier from all others.
pub async fn until_told_to_end(
    context: &Context,
    streams: &Streams,
    charging: &Charging,
    mut active: Active,
    me: &str,
) {
    let config = &context.config;
    let mut cursors = Cursors::new();
    let (mut last, mut short): (Option<Share>, bool) = (None, false);
    for tick in 0_u32.. {
        context.health.beat();
        let seen = active.seen();
        if seen.promotions.is_empty() {
            cursors.clear();
            active.changed(Duration::from_secs(1)).await;
        } else if charging.appetite() > 0 {
            // While there is not room for all, each has its turn; else the living ones are spared three looks of four.
            let all = short || tick.is_multiple_of(CONSUMERS_EVERY);
            short = false;
            let mut shares = Vec::new();
            // While MySQL does not say that it runs, nothing could be done with what is taken: each taking counts as a
            // delivery, and after enough of them an entry would pass for one that crashes its consumers.
            for promotion in seen.promotions.iter().filter(|promotion| active.is_running(promotion.id) == Running::Yes)
            {
                match shares_of(streams, promotion, all).await {
                    Ok(more) => {
                        context.health.dependency("redis", true);
                        shares.extend(more);
                    }
                    Err(error) => failed(context, promotion.id, &error),
                }
            }
            cursors.retain(|share, _| active.promotion(share.0.promotion).is_some());
            shares.sort_unstable();
            let behind = last.as_ref().map_or(0, |last| shares.partition_point(|share| share <= last));
            shares.rotate_left(behind);
            for share in shares {
                let taken = take_due(config, streams, charging, &share, me, &mut cursors).await;
                if let Err(error) = &taken {
                    failed(context, share.0.promotion, error);
                }
                last = Some(share);
                short = charging.appetite() == 0;
                if short || taken.is_err() {
                    break;
                }
            }
        }
        let pause = if charging.is_sated() { SATED.min(config.retry.tick) } else { config.retry.tick };
        if context.shutdown.sleep(pause).await {
            return;
        }
    }
}

fn failed(context: &Context, promotion: PromotionId, error: &StreamsError) {
    if matches!(error, StreamsError::Unavailable(..)) {
        context.health.dependency("redis", false);
    }
    metrics::error(ErrorClass::Redis);
    tracing::warn!(%promotion, %error, "cannot look for due entries");
}

/// Who holds entries of a promotion: all of them, or what is parked.
async fn shares_of(streams: &Streams, promotion: &Promotion, all: bool) -> Result<Vec<Share>, StreamsError> {
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let states = streams.partition_states(&partitions).await?;
    let mut shares = Vec::new();
    for (partition, state) in partitions.into_iter().zip(states) {
        for (consumer, pending) in state.consumers {
            if pending > 0 && (all || Parking::of(&consumer).is_some()) {
                shares.push((partition, consumer));
            }
        }
    }
    Ok(shares)
}

/// How long an entry of a consumer must have been idle to be taken.
fn patience(config: &Config, consumer: &str, entry: &PendingEntry) -> Duration {
    let target =
        TargetId(i64::try_from(entry.id.first).unwrap_or(i64::MAX) ^ i64::try_from(entry.id.second).unwrap_or(0));
    match consumer {
        // Parking set the delivery count to that of the attempts, or higher for what money leaves open.
        keys::RETRY => config.retry.backoff().delay(target, u32::try_from(entry.deliveries).unwrap_or(u32::MAX)),
        keys::HELD => config.retry.backoff_cap,
        _ if mutant::is(Mutant::NoVisibilityMargin) => Duration::ZERO,
        _ => config.retry.visibility_timeout,
    }
}

async fn take_due(
    config: &Config,
    streams: &Streams,
    charging: &Charging,
    share: &Share,
    me: &str,
    cursors: &mut Cursors,
) -> Result<(), StreamsError> {
    let (partition, consumer) = (share.0, share.1.as_str());
    for _ in 0..config.retry.pages_per_tick {
        let page = streams.pending_page(partition, consumer, cursors.get(share).copied(), PAGE).await?;
        let due: Vec<&PendingEntry> = page
            .iter()
            .filter(|entry| Duration::from_millis(entry.idle_ms) >= patience(config, consumer, entry))
            .filter(|entry| {
                consumer != me || entry.id.target().is_none_or(|target| !charging.holds(partition.promotion, target))
            })
            .collect();
        for batch in due.chunks(charging.appetite().max(1)) {
            if charging.appetite() == 0 {
                return Ok(());
            }
            let asked = take(streams, charging, share, batch, me).await?;
            // Where this leaves no room, the share's next turn goes on behind it.
            cursors.insert(share.clone(), batch[asked - 1].id);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => cursors.insert(share.clone(), last.id),
            Some(_) | None => {
                cursors.remove(share);
                return Ok(());
            }
        };
    }
    Ok(())
}

/// Takes entries that are still as idle as they were listed, as many as there is room for, and hands them over. Gives
/// how many it tried to take.
async fn take(
    streams: &Streams,
    charging: &Charging,
    share: &Share,
    due: &[&PendingEntry],
    me: &str,
) -> Result<usize, StreamsError> {
    let (partition, consumer) = (share.0, share.1.as_str());
    let room = charging.room(due.len()).await;
    let due = &due[..due.len().min(room.len())];
    let least_idle = due.iter().map(|entry| entry.idle_ms).min().unwrap_or(0);
    let ids: Vec<EntryId> = due.iter().map(|entry| entry.id).collect();
    let deliveries_of: HashMap<EntryId, u64> = due.iter().map(|entry| (entry.id, entry.deliveries)).collect();
    crash::point("retrier.listed");
    let asked = Instant::now();
    let taken = streams.take(partition, me, &ids, Duration::from_millis(least_idle)).await?;
    let since = Delivered::since(asked, Duration::ZERO);
    crash::point("retrier.taken");
    let parked = Parking::of(consumer);
    let taken: Vec<Delivered> = taken
        .into_iter()
        .map(|delivery| {
            if parked.is_none() {
                metrics::retried(RetryReason::Abandoned);
            }
            let deliveries = deliveries_of.get(&delivery.id).copied().unwrap_or(1);
            Delivered { deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX), delivery, from: parked, since }
        })
        .collect();
    if !taken.is_empty() {
        tracing::debug!(%partition, consumer, entries = taken.len(), "took entries that were due");
        charging.submit(Claim::Again, taken, room);
    }
    Ok(ids.len())
}
