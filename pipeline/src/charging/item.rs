//! What is in flight: one entry, from its delivery until it is let go.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use crate::domain::decide::{Next, Request, Rules};
use crate::domain::result::AttemptToken;
use crate::domain::{EntryId, Partition, Promotion, PromotionId, TargetId};
use crate::metrics;
use crate::mutant::{self, Mutant};
use crate::store::Payout;
use crate::streams::{Delivery, Parking};

/// An entry as a stage received it.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The entry.
    pub delivery: Delivery,
    /// How often it was delivered, where that is known (the retrier reads it, a payer does not).
    pub deliveries: u32,
    /// Where it waited, and waits again when it cannot be begun.
    pub from: Parking,
}

/// An entry in flight.
pub(super) struct Entry {
    pub(super) partition: Partition,
    pub(super) id: EntryId,
    pub(super) target: TargetId,
    pub(super) published_at_ms: Option<i64>,
    pub(super) deliveries: u32,
    pub(super) from: Parking,
    pub(super) taken_at: Instant,
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
        let (deliveries, from) = (delivered.deliveries, delivered.from);
        Self {
            partition,
            id,
            target,
            published_at_ms,
            deliveries,
            from,
            taken_at: Instant::now(),
            _permit: permit,
            _held: held,
        }
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
    Settle(crate::domain::Counter),
    /// Leave it to the retrier.
    Park,
    /// Leave it to a person.
    Hold,
}

impl Fate {
    /// By the row as it stands.
    pub(super) fn of(row: &crate::domain::ResultRow) -> Self {
        match Rules::written(row) {
            Next::Settle(counter) => Self::Settle(counter),
            Next::Park if mutant::is(Mutant::SettleUnfinished) => Self::Settle(crate::domain::Counter::Fail),
            Next::Hold => Self::Hold,
            Next::Park | Next::Fail(_) | Next::Send(_) | Next::Write(_) => Self::Park,
        }
    }
}
