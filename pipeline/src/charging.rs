//! Paying: the one place where payouts are charged, for the payer and the retrier alike.
//!
//! A batch of delivered entries passes three files:
//!
//! 1. `begin`: the intent is committed, and the rules say, by its row, what each entry needs;
//! 2. `call`: `money` is asked, by as many workers as there are connections, under the shared limit;
//! 3. `finish`: outcomes are gathered from all batches and written guarded; the row then says what becomes of the
//!    entry: settled (acknowledged, deleted and counted in one step), parked, or held.
//!
//! A slow answer holds up nobody else's outcome. What is in flight is bounded by permits that are taken
//! before anything is read and given back when an entry is let go. Whatever dies in between leaves the entry
//! pending under this consumer's name, and the retrier finds it there.

mod active;
mod begin;
mod breaker;
mod call;
mod content;
mod finish;
mod inquiry;
mod item;
mod pace;
mod pacer;
mod patience;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use active::{Active, Running};
pub use content::{Content, content};
pub use inquiry::{Inquiry, Question};
pub use item::Delivered;
pub use pacer::Pacer;

use crate::config::Config;
use crate::domain::decide::Rules;
use crate::health::Health;
use crate::metrics;
use crate::money::Money;
use crate::mutant::{self, Mutant};
use crate::shutdown::Shutdown;
use crate::store::{Claim, Store};
use crate::streams::Streams;
use breaker::Breaker;
use finish::Finished;
use item::{InFlight, Item};
use pace::Pace;

/// What charging works with.
pub struct Tools {
    /// The tables.
    pub store: Store,
    /// The streams.
    pub streams: Streams,
    /// The money service.
    pub money: Money,
    /// The configuration.
    pub config: Arc<Config>,
    /// The request to end.
    pub shutdown: Shutdown,
    /// Told when a dependency is away.
    pub health: Health,
    /// The consumer name under which this process holds entries.
    pub consumer: String,
}

/// The running machinery. Cheap to clone.
#[derive(Clone)]
pub struct Charging {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Tools,
    rules: Rules,
    active: Active,
    pacer: Pacer,
    breaker: Breaker,
    in_flight: InFlight,
    pace: Pace,
    permits: Arc<Semaphore>,
    /// Entries that may be in flight.
    capacity: usize,
    intents: Semaphore,
    calls: async_channel::Sender<Box<Item>>,
    finished: tokio::sync::mpsc::Sender<Finished>,
}

/// What the deployment's `money` can do, and how far we go.
pub fn rules(config: &Config) -> Rules {
    Rules {
        lookup: config.money.lookup && !mutant::is(Mutant::SentAgainWithoutLookUp),
        cancel: config.money.cancel && !mutant::is(Mutant::CancelIsNotAsked),
        max_attempts: config.retry.max_attempts,
        key_lifetime: key_lifetime(config),
        unanswered_for: if mutant::is(Mutant::UnansweredForEver) { Duration::MAX } else { config.unanswered_for() },
    }
}

/// What one process may hold: no more than it could send under the whole limit in a part of the time that an
/// entry may wait for it.
fn capacity(config: &Config) -> usize {
    if config.money.max_rps == 0 {
        return config.payer.in_flight;
    }
    let in_time = f64::from(config.money.max_rps) * config.limiter_wait().as_secs_f64() / f64::from(PART_OF_THE_WAIT);
    // For a low limit no more than a second's worth, however many connections there are.
    let least = config.money.concurrency.min(config.money.max_rps as usize).min(config.payer.in_flight);
    (in_time as usize).clamp(least, config.payer.in_flight)
}

/// How long after its first use a key may still be sent.
fn key_lifetime(config: &Config) -> Duration {
    if mutant::is(Mutant::NoRetentionFence) {
        return Duration::MAX;
    }
    config.key_lifetime()
}

/// How long a batch waits for more room than for one entry: as long as an outcome does for its batch by default.
const FILL: Duration = Duration::from_millis(20);
/// What is taken on is to be sent within this part of the time that an entry may wait.
const PART_OF_THE_WAIT: u32 = 3;
/// Entries for each connection that are taken on whatever the pace, where the limit allows: one is asked about, the next
/// one waits.
const FOR_EACH_CONNECTION: usize = 2;

/// Room for deliveries that have not been read yet.
pub struct Room(OwnedSemaphorePermit);

impl Room {
    /// How many deliveries it has room for.
    pub fn len(&self) -> usize {
        self.0.num_permits()
    }

    /// Whether it has room for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Charging {
    /// Starts the workers and the writer of outcomes. They end with the process.
    pub fn start(tools: Tools, active: Active) -> Self {
        let config = Arc::clone(&tools.config);
        let capacity = capacity(&config);
        let (calls, queue) = async_channel::bounded(capacity);
        let (finished, outcomes) = tokio::sync::mpsc::channel(capacity);
        let shared = Arc::new(Shared {
            rules: rules(&config),
            active,
            pacer: Pacer::new(tools.streams.clone(), config.money.max_rps, config.limiter_wait()),
            breaker: Breaker::start(tools.streams.clone(), &config, &tools.consumer, tools.shutdown.clone()),
            in_flight: InFlight::default(),
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            pace: Pace::new(config.limiter_wait() / PART_OF_THE_WAIT, Instant::now()),
            intents: Semaphore::new(config.payer.intent_connections),
            calls,
            finished,
            tools,
        });
        for _ in 0..config.money.concurrency {
            tokio::spawn(call::work(Arc::clone(&shared), queue.clone()));
        }
        tokio::spawn(finish::run(Arc::clone(&shared), outcomes));
        Self { shared }
    }

    /// Waits for room for a batch: for a little while for all of `wanted` (half of what there is, at most), because room
    /// comes back entry by entry and small batches cost as many statements as large ones; then for at least one delivery.
    pub async fn room(&self, wanted: usize) -> Room {
        const CLOSED: &str = "the semaphore is never closed";
        let permits = Arc::clone(&self.shared.permits);
        let whole = u32::try_from(wanted.min(self.shared.capacity / 2).max(1)).unwrap_or(1);
        let mut room = match tokio::time::timeout(FILL, Arc::clone(&permits).acquire_many_owned(whole)).await {
            Ok(room) => room.expect(CLOSED),
            Err(_) => Arc::clone(&permits).acquire_owned().await.expect(CLOSED),
        };
        let more = permits.available_permits().min(wanted.saturating_sub(room.num_permits()));
        if let Ok(more) = permits.try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX)) {
            room.merge(more);
        }
        Room(room)
    }

    /// How much new work may be taken at once: a batch, where it can be sent in time; a single entry while the shared
    /// breaker is half open, to probe with; nothing while it is open.
    pub fn appetite(&self) -> usize {
        match self.spare() {
            0 => 0,
            spare => self.shared.breaker.appetite(spare.min(self.shared.tools.config.payer.batch)),
        }
    }

    /// Whether so much is held that nothing is to be added yet: that is over within moments.
    pub fn is_sated(&self) -> bool {
        self.spare() == 0
    }

    /// How many entries could be sent in time beside those in flight: more would only be given back unsent. A slow
    /// `money`, a low limit and other replicas all show in the pace, so it is measured and not computed. Nothing, until
    /// half of what is held has gone, so that batches stay large.
    fn spare(&self) -> usize {
        let least = (self.shared.tools.config.money.concurrency * FOR_EACH_CONNECTION).min(self.shared.capacity);
        let most = self.shared.pace.in_a_window(Instant::now()).max(least);
        let held = self.in_flight();
        if held > most / 2 { 0 } else { most - held }
    }

    /// Takes a batch on, in a task of its own. What has no room in `room` is left pending, for the retrier.
    pub fn submit(&self, claim: Claim, deliveries: Vec<Delivered>, room: Room) {
        metrics::received(deliveries.len());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(begin::batch(shared, claim, deliveries, room.0));
    }

    /// Entries that are being worked on.
    pub fn in_flight(&self) -> usize {
        self.shared.capacity - self.shared.permits.available_permits()
    }

    /// Whether this process is working on a target.
    pub fn holds(&self, promotion: crate::domain::PromotionId, target: crate::domain::TargetId) -> bool {
        self.shared.in_flight.holds(promotion, target)
    }

    /// Waits until nothing is in flight, or the grace is over; tells how many entries were left. Those stay
    /// pending, and others pick them up.
    pub async fn drain(&self) -> usize {
        let all = u32::try_from(self.shared.capacity).unwrap_or(u32::MAX);
        let left = self
            .shared
            .tools
            .shutdown
            .deadline()
            .map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
        match tokio::time::timeout(left, self.shared.permits.acquire_many(all)).await {
            Ok(_) => 0,
            Err(_) => self.in_flight(),
        }
    }
}
