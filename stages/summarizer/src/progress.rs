//! What the summarizer remembers of running promotions. All of it can be lost: it only decides when to look
//! closer.

use std::collections::HashMap;

use pipeline::domain::{Counts, EntryId, Partition, PromotionId};
use pipeline::metrics::PromotionFigures;
use pipeline::store::Proof;
use tokio::time::Instant;

/// Of all running promotions.
#[derive(Default)]
pub struct Progress(HashMap<PromotionId, Seen>);

/// Of one.
#[derive(Default)]
pub struct Seen {
    /// How each partition stood at the last sweep.
    pub swept: HashMap<Partition, Swept>,
    /// Settled targets at the flushes of the last seconds.
    pub settled: std::collections::VecDeque<(Instant, u64)>,
    /// What MySQL last proved, when, and how long that took.
    pub proof: Option<(Instant, std::time::Duration, Proof)>,
    /// Dead letters that had been dropped by the last flush.
    pub dropped: u64,
    /// Counts of the last flush.
    pub flushed: Option<Counts>,
    /// Whether payouts were known to wait for a person.
    pub waits: Option<bool>,
    /// What is shown.
    pub figures: Option<PromotionFigures>,
}

/// A partition at a sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swept {
    pub last: EntryId,
    pub counts: Counts,
    pub len: u64,
}

impl Progress {
    /// Forgets the promotions that do not run any more.
    pub fn keep(&mut self, running: impl Iterator<Item = PromotionId>) {
        let running: Vec<PromotionId> = running.collect();
        self.0.retain(|id, _| running.contains(id));
    }

    /// What is known of a promotion.
    pub fn of(&mut self, id: PromotionId) -> &mut Seen {
        self.0.entry(id).or_default()
    }

    /// What is shown of all of them.
    pub fn figures(&self) -> Vec<PromotionFigures> {
        self.0.values().filter_map(|seen| seen.figures.clone()).collect()
    }
}
