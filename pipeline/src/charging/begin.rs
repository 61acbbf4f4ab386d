//! Step 1: the intent. After it, MySQL knows that each of these targets may be about to be paid.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::OwnedSemaphorePermit;

use super::content::{Content, content};
use super::finish::{Finished, dead_letter, now_ms};
use super::item::{Delivered, Entry, Fate, Item};
use super::patience::Patience;
use super::{Running, Shared};
use crate::crash;
use crate::domain::decide::{Next, Request, Write};
use crate::domain::outcome::Effect;
use crate::domain::result::AttemptToken;
use crate::domain::{Partition, PromotionId, TargetId, Waits};
use crate::metrics::{self, DeadReason, ErrorClass};
use crate::mutant::{self, Mutant};
use crate::store::{Claim, Outcome, Payout};
use crate::streams::{Park, Parking};

/// Sorts a batch by promotion, and begins each part.
pub(super) async fn batch(
    shared: Arc<Shared>,
    claim: Claim,
    deliveries: Vec<Delivered>,
    mut room: OwnedSemaphorePermit,
) {
    crash::point("charging.delivered");
    let mut by_promotion: HashMap<PromotionId, Vec<Delivered>> = HashMap::new();
    for delivered in deliveries {
        by_promotion.entry(delivered.delivery.partition.promotion).or_default().push(delivered);
    }
    for (id, deliveries) in by_promotion {
        begin(&shared, claim, id, deliveries, &mut room).await;
    }
}

/// What is left undone here (the promotion is not running, no room, the database stays away) stays pending
/// under this consumer's name, or is parked again; nothing has been called, and the retrier takes it up.
async fn begin(
    shared: &Arc<Shared>,
    claim: Claim,
    id: PromotionId,
    deliveries: Vec<Delivered>,
    room: &mut OwnedSemaphorePermit,
) {
    let Some(promotion) = shared.active.promotion(id) else { return };
    let mut entries: HashMap<TargetId, (Entry, bool)> = HashMap::with_capacity(deliveries.len());
    for delivered in deliveries {
        let (target, published_at_ms, bad) = match content(&delivered.delivery, &promotion) {
            Content::Target(target, published_at_ms) => (target, published_at_ms, false),
            Content::Bad(Some(target)) => (target, None, true),
            Content::Bad(None) => {
                discard(shared, &delivered).await;
                continue;
            }
            Content::Later => {
                delay(shared, &delivered).await;
                continue;
            }
        };
        // Another entry of the same target is in flight here: this one waits for its turn.
        let Some(held) = shared.in_flight.take(id, target) else {
            metrics::duplicates_blocked(1);
            continue;
        };
        let Some(permit) = room.split(1) else { break };
        if let (Claim::First, Some(published_at_ms)) = (claim, published_at_ms) {
            metrics::queue_waited(since(published_at_ms));
        }
        entries.insert(target, (Entry::new(&delivered, target, published_at_ms, permit, held), bad));
    }
    if entries.is_empty() {
        return;
    }
    let token = AttemptToken(rand::random::<u64>() >> 1);
    let mut targets: Vec<TargetId> = entries.keys().copied().collect();
    targets.sort_unstable();
    let Some(payouts) = record_intent(shared, claim, &promotion, &targets, token).await else {
        if claim == Claim::Again {
            let entries: Vec<Entry> = entries.into_values().map(|(entry, _)| entry).collect();
            give_back(shared, &entries).await;
        }
        return;
    };
    crash::point("charging.intent_recorded");
    let now = shared.tools.store.now();
    for payout in payouts {
        let Some((entry, bad)) = entries.remove(&payout.target.id) else { continue };
        if bad || is_poison(shared, &entry, &payout) {
            let item = Box::new(Item {
                entry,
                promotion: Arc::clone(&promotion),
                payout,
                token,
                request: Request::LookUp,
                resent: true,
                asked: 0,
                left_open: None,
            });
            quarantine(shared, item, bad).await;
            continue;
        }
        let unpayable = payout.target.unpayable(promotion.kind.shape, &promotion.defaults);
        let unpayable = unpayable.filter(|_| !mutant::is(Mutant::UnpayableIsCalled));
        let next = match claim {
            Claim::First if !payout.row.status.is_final() && mutant::is(Mutant::PayerCallsAnyPending) => {
                Next::Send(Request::Charge)
            }
            Claim::First => shared.rules.first_delivery(&payout.row, token, unpayable, now),
            Claim::Again => shared.rules.redelivery(&payout.row, token, unpayable, now),
        };
        let resent = payout.row.token != token || payout.row.may_have_executed;
        let (promotion, request) = (Arc::clone(&promotion), Request::Charge);
        let item = Box::new(Item { entry, promotion, payout, token, request, resent, asked: 0, left_open: None });
        route(shared, item, next).await;
    }
    for (entry, _) in entries.into_values() {
        tracing::warn!(partition = %entry.partition, target = %entry.target, "an entry names no target of its promotion; deleted");
        delete(shared, entry.partition, entry.id).await;
    }
}

/// Parks what was taken for another attempt and could not be begun, with the deliveries that it had: taken again and
/// again while the database takes no write, it would pass for something that crashes its consumers.
async fn give_back(shared: &Shared, entries: &[Entry]) {
    let mut parks: HashMap<(Partition, Parking), Park> = HashMap::new();
    for entry in entries {
        let (partition, to) = (entry.partition, entry.from.unwrap_or(Parking::Retry));
        let park = parks.entry((partition, to)).or_insert_with(|| Park { partition, to, entries: Vec::new() });
        park.entries.push((entry.id, entry.deliveries, 0));
    }
    park(shared, parks.into_values().collect()).await;
}

async fn park(shared: &Shared, parks: Vec<Park>) {
    if let Err(error) = shared.tools.streams.park(parks, &shared.tools.consumer).await {
        metrics::error(ErrorClass::Redis);
        tracing::warn!(%error, "cannot park entries; they will be delivered again");
    }
}

/// Commits the intent, and goes on trying while the database is away and the entries are still ours. Doing it
/// twice under one token changes nothing, so an intent whose commit was not acknowledged is simply repeated.
async fn record_intent(
    shared: &Shared,
    claim: Claim,
    promotion: &crate::domain::Promotion,
    targets: &[TargetId],
    token: AttemptToken,
) -> Option<Vec<Payout>> {
    let _turn = shared.intents.acquire().await.ok()?;
    let mut patience = Patience::new(shared.tools.config.retry.visibility_timeout / 2);
    loop {
        if shared.active.is_running(promotion.id) == Running::No {
            return None;
        }
        match shared.tools.store.begin(&promotion.kind, promotion.id, targets, token, claim).await {
            Ok(payouts) => return Some(payouts),
            Err(error) => {
                metrics::error(ErrorClass::Mysql);
                tracing::warn!(%error, targets = targets.len(), "cannot record an intent");
                if !error.is_unavailable() || !patience.wait().await {
                    return None;
                }
            }
        }
    }
}

/// Carries out what the rules say.
pub(super) async fn route(shared: &Arc<Shared>, mut item: Box<Item>, next: Next) {
    let finished = match next {
        Next::Send(request) => {
            item.request = request;
            // The queue has room for everything that may be in flight: this never waits long.
            let _ = shared.calls.send(item).await;
            return;
        }
        Next::Settle(counter) => {
            shared.pace.done();
            Finished::row(item, Fate::Settle(counter))
        }
        Next::Park => Finished::row(item, Fate::Park),
        Next::Hold => Finished::row(item, Fate::Hold),
        Next::Fail(unpayable) => {
            shared.pace.done();
            let write = Write { effect: Effect::Failed, another_attempt: false };
            let message = Some("the target cannot be paid; money was not asked".to_owned());
            Finished::write(item, write, None, Some(unpayable.code().into()), message)
        }
        Next::Write(write) => Finished::write(item, write, None, None, None),
    };
    let _ = shared.finished.send(finished).await;
}

/// How long ago something was published; nothing, when the clocks of two hosts differ.
fn since(published_at_ms: i64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(published_at_ms.max(0).unsigned_abs()))
}

/// Whether the deliveries of an entry, less those that its attempts explain, show that it crashes whoever
/// works on it.
fn is_poison(shared: &Shared, entry: &Entry, payout: &Payout) -> bool {
    let explained = payout.row.retry_count.saturating_add(1);
    !payout.row.status.is_final()
        && entry.deliveries.saturating_sub(explained) >= shared.tools.config.retry.poison_deliveries
}

/// The row waits for a person from now on; the entry is held, and the partition goes on.
async fn quarantine(shared: &Arc<Shared>, item: Box<Item>, undecodable: bool) {
    let (code, reason) =
        if undecodable { ("UNDECODABLE", DeadReason::Undecodable) } else { ("CRASHES_CONSUMER", DeadReason::Poison) };
    let Entry { partition, id, target, .. } = &item.entry;
    tracing::error!(%partition, entry = %id, %target, code, "entry quarantined; resolve its target");
    metrics::quarantined();
    let row = item.payout.row;
    let finished = match row.counter() {
        Some(counter) => Finished::row(item, Fate::Settle(counter)),
        None => {
            // Told once, and again where this process ends before the row says so.
            if row.waits != Some(Waits::Poison) {
                tell_of_quarantined(shared, &item, code, reason).await;
            }
            let write = Write { effect: Effect::Unknown(Some(Waits::Poison)), another_attempt: false };
            Finished::write(item, write, None, Some(code.into()), None)
        }
    };
    let _ = shared.finished.send(finished).await;
}

/// A dead letter: the row is not final, and subscribers hear of it all the same.
async fn tell_of_quarantined(shared: &Shared, item: &Item, code: &str, reason: DeadReason) {
    let letter = dead_letter(item, &item.payout.row, Some(code), now_ms());
    metrics::dead_lettered(reason);
    if let Err(error) = shared.tools.streams.append_dead(item.entry.partition, &[letter.encode()]).await {
        metrics::error(ErrorClass::Redis);
        tracing::warn!(%error, "cannot append the dead letter of a quarantined entry");
    }
}

/// An entry that says nothing and whose id names no target: deleted, uncounted. The sweep finds the target
/// that it may have stood for, and adds it again.
async fn discard(shared: &Shared, delivered: &Delivered) {
    tracing::warn!(partition = %delivered.delivery.partition, entry = %delivered.delivery.id, "entry without a readable record; deleted");
    metrics::error(ErrorClass::Record);
    delete(shared, delivered.delivery.partition, delivered.delivery.id).await;
}

async fn delete(shared: &Shared, partition: Partition, id: crate::domain::EntryId) {
    metrics::completed(metrics::Completed::Discarded, 1);
    if let Err(error) = shared.tools.streams.acknowledge_undecodable(partition, &[id]).await {
        metrics::error(ErrorClass::Redis);
        tracing::warn!(%error, "cannot delete an entry; it will be delivered again");
    }
}

/// A record of a later version: parked at the slowest pace, until this binary has been replaced. That pace goes by
/// the entry's count of deliveries, which must not reach what a newer binary would take for a poisoned one.
async fn delay(shared: &Shared, delivered: &Delivered) {
    let slowest = shared.tools.config.retry.poison_deliveries.saturating_sub(1);
    tracing::warn!(partition = %delivered.delivery.partition, "entry of a later version; left for a newer binary");
    let entries = vec![(delivered.delivery.id, slowest, 0)];
    park(shared, vec![Park { partition: delivered.delivery.partition, to: Parking::Retry, entries }]).await;
}

impl Finished {
    /// An item whose outcome is to be written.
    pub(super) fn write(
        item: Box<Item>,
        write: Write,
        receipt: Option<crate::domain::outcome::Receipt>,
        code: Option<String>,
        message: Option<String>,
    ) -> Self {
        let (target, row, token) = (item.payout.target.id, item.payout.row, item.token);
        let outcome = Outcome { target, row, token, write, receipt, code, message };
        Self::Write(item, Box::new(outcome))
    }

    /// An item about which nothing is to be written.
    pub(super) fn row(item: Box<Item>, fate: Fate) -> Self {
        Self::Row(item, fate)
    }
}
