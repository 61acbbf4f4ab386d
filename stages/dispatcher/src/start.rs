//! Starting promotions that are due, in the order of reservation time, then priority.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pipeline::config::DispatcherConfig;
use pipeline::crash;
use pipeline::domain::{Partition, Promotion, PromotionId, PromotionStatus};
use pipeline::health::Health;
use pipeline::mutant::{self, Mutant};
use pipeline::store::{Foreign, Started, Store, StoreError};
use pipeline::streams::Streams;

/// Pause between two comparisons of a promotion that another system may still be writing.
const COMPARE_EVERY: Duration = Duration::from_secs(3);

pub struct Starter {
    store: Store,
    streams: Streams,
    config: DispatcherConfig,
    health: Health,
    compared_at: HashMap<PromotionId, Instant>,
}

impl Starter {
    pub fn new(store: Store, streams: Streams, config: DispatcherConfig, health: Health) -> Self {
        Self { store, streams, config, health, compared_at: HashMap::new() }
    }

    /// Starts what is due while there is a place beside what runs, and tells whether it started any. Both were read at
    /// one moment: a promotion that another dispatcher has started since is lost at the compare-and-set.
    pub async fn start_due(&mut self, due: &[Promotion], running: &[Promotion]) -> Result<bool, StoreError> {
        self.compared_at.retain(|id, _| due.iter().any(|promotion| promotion.id == *id));
        if due.is_empty() {
            return Ok(false);
        }
        let free = self.config.max_active.saturating_sub(self.occupied(running).await);
        let mut places = free;
        for promotion in due {
            if places == 0 {
                break;
            }
            if !self.adds_up(promotion).await? {
                continue;
            }
            match self.store.start(promotion.id).await? {
                Started::Yes => {
                    crash::point("dispatcher.started");
                    tracing::info!(promotion = %promotion.id, targets = promotion.total_count, "promotion started");
                    places -= 1;
                }
                // Another dispatcher was faster, and may have taken the place.
                Started::No => break,
            }
        }
        Ok(places < free)
    }

    /// Places taken. A promotion whose open rows all wait for a person gives up its own.
    async fn occupied(&self, running: &[Promotion]) -> usize {
        let mut occupied = 0;
        for promotion in running {
            if !self.waits_for_people(promotion).await {
                occupied += 1;
            }
        }
        occupied
    }

    async fn waits_for_people(&self, promotion: &Promotion) -> bool {
        let partitions: Vec<Partition> = promotion.partitions().collect();
        let Ok(states) = self.streams.partition_states(&partitions).await else { return false };
        let published: u64 = states.iter().map(|state| state.counts.published).sum();
        let (open, held) = states.iter().fold((0, 0), |(open, held), state| (open + state.len(), held + state.held));
        published >= promotion.total_count && open > 0 && open == held
    }

    /// Whether a promotion is what its targets add up to; one that another system wrote and left wrong fails.
    async fn adds_up(&mut self, promotion: &Promotion) -> Result<bool, StoreError> {
        if mutant::is(Mutant::ForeignIsNotChecked) {
            return Ok(true);
        }
        if self.compared_at.get(&promotion.id).is_some_and(|at| at.elapsed() < COMPARE_EVERY) {
            return Ok(false);
        }
        // Every target is read.
        match self.health.beating(self.store.check_foreign(promotion, self.config.settle_check)).await? {
            Foreign::Agrees => Ok(true),
            Foreign::MayBeIncomplete => {
                tracing::info!(promotion = %promotion.id, "a promotion does not add up yet; it may still be being written");
                self.compared_at.insert(promotion.id, Instant::now());
                Ok(false)
            }
            Foreign::Differs(memo) => {
                self.store.fail(promotion.id, PromotionStatus::Ready, &memo).await?;
                Ok(false)
            }
        }
    }
}
