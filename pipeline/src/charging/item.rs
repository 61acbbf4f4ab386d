//! What is in flight: one entry, from its delivery until it is let go.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::config::RetryConfig;
use crate::domain::decide::{Next, Request, Rules};
use crate::domain::result::AttemptToken;
use crate::domain::{Counter, EntryId, Partition, Promotion, PromotionId, ResultRow, TargetId};
use crate::metrics;
use crate::mutant::{self, Mutant};
use crate::store::Payout;
use crate::streams::{Delivery, Parking};

/// An entry as a stage received it.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The entry.
    pub delivery: Delivery,
    /// How often it was delivered, where that is known (the retrier reads it, a payer does not); of one that was parked,
    /// the count under which it was.
    pub deliveries: u32,
    /// Where it was parked; nothing where it was delivered for the first time, or taken from a dead consumer.
    pub from: Option<Parking>,
    /// The time for which it may be held counts from here; see [`Delivered::since`].
    pub since: Instant,
}

impl Delivered {
    /// Beyond the time that it may block, a read is answered within this, or its reply lay unread.
    const SLOW: Duration = Duration::from_millis(100);

    /// From when the entries of a reply may be held that was asked for at `asked`, by a read that may block: from now,
    /// unless this process stood still and they may have been delivered long ago.
    pub fn since(asked: Instant, block: Duration) -> Instant {
        if asked.elapsed() > block + Self::SLOW { asked } else { Instant::now() }
    }
}

/// An entry in flight.
pub(super) struct Entry {
    pub(super) partition: Partition,
    pub(super) id: EntryId,
    pub(super) target: TargetId,
    pub(super) published_at_ms: Option<i64>,
    pub(super) deliveries: u32,
    pub(super) from: Option<Parking>,
    pub(super) since: Instant,
    /// Given back when the entry is let go.
    _permit: OwnedSemaphorePermit,
    _held: Held,
}

impl Entry {
    pub(super) fn new(
        delivered: &Delivered,
        target: TargetId,
        published_at_ms: Option<i64>,
        permit: OwnedSemaphorePermit,
        held: Held,
    ) -> Self {
        let Delivery { partition, id, .. } = delivered.delivery;
        let Delivered { deliveries, from, since, .. } = *delivered;
        Self { partition, id, target, published_at_ms, deliveries, from, since, _permit: permit, _held: held }
    }
}

/// An entry whose target and row were read.
pub(super) struct Item {
    pub(super) entry: Entry,
    pub(super) promotion: Arc<Promotion>,
    pub(super) payout: Payout,
    /// Of the batch in which this process began it.
    pub(super) token: AttemptToken,
    /// What `money` is asked next.
    pub(super) request: Request,
    /// Whether a charge would be a repetition: the outcome of an earlier one is unknown.
    pub(super) resent: bool,
    /// Requests that this delivery has led to. Each was given a whole `money.timeout`, and so is the next one.
    pub(super) asked: u32,
    /// Where the last answer leaves the outcome open: for how long `money` wants to be left alone about this key.
    pub(super) left_open: Option<Duration>,
}

impl Item {
    /// The delivery count under which it is parked, which tells the retrier how long to wait: that of its attempts, or
    /// more where `money` left its outcome open. By a quarter of what shows that an entry crashes whoever works on it, at
    /// most: the rest is for real deliveries.
    pub(super) fn parked_as(&self, row: &ResultRow, retry: &RetryConfig) -> u32 {
        let (before, attempts) = (&self.payout.row, row.retry_count);
        let Some(wait) = self.left_open else { return attempts };
        let again =
            self.entry.from == Some(Parking::Retry) && before.may_have_executed && before.retry_count == attempts;
        let waited_as = again.then_some(self.entry.deliveries);
        retry.backoff().count_of_open(attempts, waited_as, wait, retry.poison_deliveries / 4)
    }
}

/// Targets that this process is working on: the same one is never sent twice at a time, however often its
/// entry is delivered.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<(PromotionId, TargetId)>>>);

impl InFlight {
    pub(super) fn holds(&self, promotion: PromotionId, target: TargetId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(promotion, target))
    }

    /// Takes a target, unless it is taken.
    pub(super) fn take(&self, promotion: PromotionId, target: TargetId) -> Option<Held> {
        let key = (promotion, target);
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = set.insert(key);
        metrics::in_flight(set.len());
        new.then(|| Held { set: self.clone(), key })
    }
}

/// A target that this process is working on, until it is dropped.
pub(super) struct Held {
    set: InFlight,
    key: (PromotionId, TargetId),
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut set = self.set.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.remove(&self.key);
        metrics::in_flight(set.len());
    }
}

/// What becomes of an entry after everything that is to be written has been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Acknowledge, delete and count it.
    Settle(Counter),
    /// Leave it to the retrier.
    Park,
    /// Leave it to a person.
    Hold,
}

impl Fate {
    /// By the row as it stands.
    pub(super) fn of(row: &ResultRow) -> Self {
        match Rules::written(row) {
            Next::Settle(counter) => Self::Settle(counter),
            Next::Park if mutant::is(Mutant::SettleUnfinished) => Self::Settle(Counter::Fail),
            Next::Hold => Self::Hold,
            Next::Park | Next::Fail(_) | Next::Send(_) | Next::Write(_) => Self::Park,
        }
    }
}
