//! Paying: the one place where payouts are charged, for the payer and the retrier alike.
//!
//! A batch of delivered entries passes four steps, each in a file of its own:
//!
//! 1. `begin`: the intent is committed, the rows are read back, and the rules say what each entry needs;
//! 2. `call`: `money` is asked, by as many workers as there are connections, under the shared limit;
//! 3. `finish`: outcomes are gathered from all batches, written guarded, and the row then says what
//! 4. becomes of the entry: settled (acknowledged, deleted and counted in one step), parked, or held.
//!
//! A slow answer holds up nobody else's outcome. What is in flight is bounded by permits that are taken
//! before anything is read and given back when an entry is let go. Whatever dies in between leaves the entry
//! pending under this consumer's name, and the retrier finds it there.

mod active;
mod begin;
mod breaker;
mod call;
mod finish;
mod item;
mod pacer;
mod patience;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use active::{Active, Running};
pub use item::Delivered;

use crate::config::Config;
use crate::domain::decide::Rules;
use crate::health::Health;
use crate::metrics;
use crate::money::Money;
use crate::shutdown::Shutdown;
use crate::store::{Claim, Store};
use crate::streams::Streams;
use breaker::Breaker;
use finish::Finished;
use item::{InFlight, Item};
use pacer::Pacer;

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
    permits: Arc<Semaphore>,
    intents: Semaphore,
    calls: async_channel::Sender<Item>,
    finished: tokio::sync::mpsc::Sender<Finished>,
}

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
        let rules = Rules {
            lookup: config.money.lookup,
            cancel: config.money.cancel,
            max_attempts: config.retry.max_attempts,
            key_lifetime: config.money.key_retention.saturating_sub(config.money.key_retention_margin),
        };
        let in_flight = config.payer.in_flight;
        let (calls, queue) = async_channel::bounded(in_flight);
        let (finished, outcomes) = tokio::sync::mpsc::channel(in_flight);
        let shared = Arc::new(Shared {
            rules,
            active,
            pacer: Pacer::new(tools.streams.clone(), config.money.max_rps),
            breaker: Breaker::start(tools.streams.clone(), &config, &tools.consumer, tools.shutdown.clone()),
            in_flight: InFlight::default(),
            permits: Arc::new(Semaphore::new(in_flight)),
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

    /// Waits for room for a batch: for at least one delivery, and for up to `wanted`.
    pub async fn room(&self, wanted: usize) -> Room {
        let permits = Arc::clone(&self.shared.permits);
        let mut room = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
        let more = permits.available_permits().min(wanted.saturating_sub(1));
        if let Ok(more) = permits.try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX)) {
            room.merge(more);
        }
        Room(room)
    }

    /// How much new work may be taken at once: a batch; a single entry while the shared breaker is half open, to
    /// probe with; nothing while it is open.
    pub fn appetite(&self) -> usize {
        self.shared.breaker.appetite(self.shared.tools.config.payer.batch)
    }

    /// Takes a batch on, in a task of its own. What has no room in `room` is left pending, for the retrier.
    pub fn submit(&self, claim: Claim, deliveries: Vec<Delivered>, room: Room) {
        metrics::received(deliveries.len());
        metrics::in_flight(self.in_flight());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(begin::batch(shared, claim, deliveries, room.0));
    }

    /// Entries that are being worked on.
    pub fn in_flight(&self) -> usize {
        self.shared.tools.config.payer.in_flight - self.shared.permits.available_permits()
    }

    /// Whether this process is working on a target.
    pub fn holds(&self, promotion: crate::domain::PromotionId, target: crate::domain::TargetId) -> bool {
        self.shared.in_flight.holds(promotion, target)
    }

    /// Waits until nothing is in flight, or the grace is over; tells how many entries were left. Those stay
    /// pending, and others pick them up.
    pub async fn drain(&self) -> usize {
        let all = u32::try_from(self.shared.tools.config.payer.in_flight).unwrap_or(u32::MAX);
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
