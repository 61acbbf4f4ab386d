//! Which promotions run. Read from MySQL a few times a second, asked before every call.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use tokio::sync::watch;

use crate::domain::{Promotion, PromotionId, Shape};
use crate::health::Health;
use crate::metrics::{self, ErrorClass};
use crate::mutant::{self, Mutant};
use crate::shutdown::Shutdown;
use crate::store::{PollScope, Store};

/// Older knowledge than this is none: a promotion may have been stopped since, and a database that does not
/// answer could not take the outcome either.
const FRESH: Duration = Duration::from_secs(2);

/// Whether a promotion may be paid right now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Running {
    /// It is IN_PROGRESS.
    Yes,
    /// It is not.
    No,
    /// MySQL has not said so for a while.
    Unknown,
}

/// The running promotions, as a task of this process last read them.
#[derive(Clone)]
pub struct Active {
    seen: watch::Receiver<Arc<Seen>>,
    withdrawn: Arc<Mutex<HashMap<PromotionId, Instant>>>,
}

/// One reading.
#[derive(Default)]
pub struct Seen {
    at: Option<Instant>,
    /// In the order in which they run.
    pub promotions: Vec<Arc<Promotion>>,
}

impl Active {
    /// Starts the task that reads: every `poll`, or every `idle` while nothing runs. A process that has no key for PINs leaves alone the promotions whose answers
    /// may carry one: it could not record what was paid.
    pub fn start(
        store: Store,
        (poll, idle): (Duration, Duration),
        keeps_pins: bool,
        health: Health,
        shutdown: Shutdown,
    ) -> Self {
        let (sender, seen) = watch::channel(Arc::new(Seen::default()));
        tokio::spawn(async move {
            let mut refused = HashSet::new();
            loop {
                // A stop that is committed while the answer is under way is not in it.
                let at = Instant::now();
                let pause = match store.promotions(PollScope::Running).await {
                    Ok(promotions) => {
                        health.dependency("mysql", true);
                        let (payable, secret): (Vec<_>, Vec<_>) = promotions
                            .into_iter()
                            .partition(|promotion| keeps_pins || promotion.kind.shape == Shape::Point);
                        for promotion in secret {
                            if refused.insert(promotion.id) {
                                tracing::error!(promotion = %promotion.id, kind = promotion.kind.code,
                                    "this process has no PAYOUT_PIN_KEY_FILE and leaves the promotion alone");
                            }
                        }
                        let promotions: Vec<_> = payable.into_iter().map(Arc::new).collect();
                        let pause = if promotions.is_empty() { idle } else { poll };
                        sender.send_replace(Arc::new(Seen { at: Some(at), promotions }));
                        pause
                    }
                    Err(error) => {
                        health.dependency("mysql", false);
                        metrics::error(ErrorClass::Mysql);
                        tracing::warn!(%error, "cannot read the running promotions");
                        poll
                    }
                };
                if sender.is_closed() || shutdown_over(&shutdown) {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
        Self { seen, withdrawn: Arc::default() }
    }

    /// The last reading.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.borrow())
    }

    /// Waits for the next reading, at most this long.
    pub async fn changed(&mut self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.seen.changed()).await;
    }

    /// Whether a promotion may be paid right now.
    pub fn is_running(&self, id: PromotionId) -> Running {
        if mutant::is(Mutant::StopIsNotChecked) {
            return Running::Yes;
        }
        let seen = self.seen.borrow();
        let Some(at) = seen.at else { return Running::Unknown };
        if at.elapsed() > FRESH {
            return Running::Unknown;
        }
        let known = seen.promotions.iter().any(|promotion| promotion.id == id);
        let withdrawn =
            self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner).get(&id).is_some_and(|since| *since >= at);
        if known && !withdrawn { Running::Yes } else { Running::No }
    }

    /// A promotion, while it runs.
    pub fn promotion(&self, id: PromotionId) -> Option<Arc<Promotion>> {
        self.seen.borrow().promotions.iter().find(|promotion| promotion.id == id).cloned()
    }

    /// Takes a promotion as not running until the next reading: this process has just made it FAILED.
    /// Tells whether it was the first to say so.
    pub fn withdraw(&self, id: PromotionId) -> bool {
        let mut withdrawn = self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.seen.borrow().at;
        let first = withdrawn.get(&id).is_none_or(|since| at.is_some_and(|at| *since < at));
        withdrawn.insert(id, Instant::now());
        first
    }
}

/// After its grace nobody asks any more; until then calls in flight still do.
fn shutdown_over(shutdown: &Shutdown) -> bool {
    shutdown.deadline().is_some_and(|deadline| Instant::now() >= deadline)
}
