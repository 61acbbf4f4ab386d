//! Redis: the stream, group and counts of the one partition, and the scripts that the stages run on it.
//!
//! The partition has one target, so it has at most one entry. Ids are `<target>-<seq>`: 0 when the
//! dispatcher published it, above when a rebuild did. Only equality of ids matters; they are renamed
//! (see `state.rs`) so that they stay small.

use pipeline::domain::result::Counter;

use crate::mutant::Mutant;

/// Owner of a pending entry: a worker (its index), or one of these.
pub const RETRY: u8 = 4;
/// The consumer of entries that wait for a person.
pub const HELD: u8 = 5;
/// Not pending.
pub const NOBODY: u8 = 7;

/// What Redis holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Redis {
    /// Whether the stream exists; then its `last-generated-id` is `<target>-<seq>`.
    pub stream: bool,
    /// Second part of `last-generated-id`, and of the entry, if there is one.
    pub seq: u8,
    /// Whether the entry is there (XLEN).
    pub entry: bool,
    /// Whether it lies above `last-delivered-id`.
    pub undelivered: bool,
    /// In whose pending entries list it is.
    pub owner: u8,
    /// `published_count`, `success_count`, `fail_count`, `retry_success_count`, saturating at 3.
    pub counts: [u8; 4],
}

/// The index of a counter in [`Redis::counts`].
pub fn index(counter: Counter) -> usize {
    match counter {
        Counter::Success => 1,
        Counter::Fail => 2,
        Counter::RetrySuccess => 3,
    }
}

impl Redis {
    /// Nothing at all.
    pub const EMPTY: Self =
        Self { stream: false, seq: 0, entry: false, undelivered: false, owner: NOBODY, counts: [0; 4] };

    /// Publish, by a dispatcher that believes that nothing is published: compares, makes stream and group
    /// (at 0) when missing, adds the entry, counts it last.
    ///
    /// Twice: the last id differs from what is believed, so nothing is added.
    pub fn publish(mut self, next_seq: u8, mutant: Option<Mutant>) -> Self {
        if self.stream && mutant != Some(Mutant::PublishWithoutCompare) {
            return self;
        }
        self.seq = if self.stream { next_seq } else { 0 };
        self.stream = true;
        self.entry = true;
        self.undelivered = mutant != Some(Mutant::GroupAtDollar);
        self.owner = NOBODY;
        self.counts[0] = (self.counts[0] + 1).min(3);
        self
    }

    /// `XREADGROUP … >` by a worker.
    pub fn deliver(mut self, to: u8) -> Self {
        self.undelivered = false;
        self.owner = to;
        self
    }

    /// `XCLAIM` by a worker; of an entry that was deleted, Redis drops what was pending.
    pub fn claim(mut self, by: u8) -> Self {
        self.owner = if self.entry { by } else { NOBODY };
        self
    }

    /// Settle: `XACK`; what it newly acknowledged is deleted and counted, nothing else.
    ///
    /// Twice: the second time it acknowledges nothing.
    pub fn settle(mut self, seq: u8, counter: Option<Counter>, mutant: Option<Mutant>) -> Self {
        let acknowledged = self.stream && self.owner != NOBODY && self.seq == seq;
        if acknowledged {
            self.owner = NOBODY;
            self.entry = false;
        }
        if let Some(counter) = counter
            && (acknowledged || (self.stream && mutant == Some(Mutant::SettleCountsAlways)))
        {
            let count = &mut self.counts[index(counter)];
            *count = (*count + 1).min(3);
        }
        self
    }

    /// Park: to the consumer `retry` or `held`, only what the caller still owns.
    ///
    /// Twice: the caller owns it no more.
    pub fn park(mut self, seq: u8, me: u8, to: u8, mutant: Option<Mutant>) -> Self {
        let pending = self.stream && self.owner != NOBODY && self.seq == seq;
        if pending && (self.owner == me || mutant == Some(Mutant::ParkWithoutOwner)) {
            self = self.claim(to);
        }
        self
    }

    /// Rebuild from a snapshot of MySQL: stream and group anew, counts from the snapshot, an entry under an
    /// id never used before if the target is not final. Only if the last id is still `last`; and the last id
    /// moves even when there is no entry, so that an older snapshot is refused.
    ///
    /// Twice: the last id has moved.
    pub fn rebuild(self, last: u8, counter: Option<Counter>, next_seq: u8, mutant: Option<Mutant>) -> Self {
        let guard = self.seq == last || mutant == Some(Mutant::RebuildWithoutGuard);
        if !self.stream || !guard {
            return self;
        }
        let seq = match (counter, mutant) {
            (_, Some(Mutant::RebuildReusesIds)) | (Some(_), Some(Mutant::RebuildLeavesLastId)) => self.seq,
            (_, _) => next_seq,
        };
        let mut anew = Self { stream: true, seq, ..Self::EMPTY };
        anew.counts[0] = 1;
        match counter {
            Some(counter) => anew.counts[index(counter)] = 1,
            None => {
                anew.entry = true;
                anew.undelivered = mutant != Some(Mutant::GroupAtDollar);
            }
        }
        anew
    }

    /// The entry of a requeued target, under an id never used before: only if the last id is still `last` and the failure
    /// was counted, which it is no more. Otherwise nothing, and the partition is to be rebuilt.
    ///
    /// Twice: the last id has moved.
    pub fn requeue(mut self, last: u8, next_seq: u8, mutant: Option<Mutant>) -> Option<Self> {
        let guard = self.seq == last || mutant == Some(Mutant::RequeueWithoutGuard);
        let counted = self.counts[index(Counter::Fail)] > 0 || mutant == Some(Mutant::RequeueUncounted);
        if !self.stream || !guard || !counted {
            return None;
        }
        let fail = &mut self.counts[index(Counter::Fail)];
        *fail = fail.saturating_sub(1);
        Some(Self { seq: next_seq, entry: true, undelivered: true, owner: NOBODY, ..self })
    }

    /// What the counts say is final.
    pub fn settled(&self) -> u8 {
        self.counts[1] + self.counts[2] + self.counts[3]
    }
}
