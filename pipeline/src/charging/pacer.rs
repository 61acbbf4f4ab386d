//! The request limit that all replicas share: each request waits for a slot of its own.
//!
//! Slots are reserved in Redis a few at a time, at most [`AHEAD`] into the future, and stand at equal
//! distances. So however many replicas there are, and however they come and go, no second holds more slots
//! than the limit, and while there is work no slot is left out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use tokio::sync::Mutex;

use crate::metrics;
use crate::streams::Streams;

/// How far into the future slots are given away, at most.
const AHEAD: Duration = Duration::from_millis(200);
/// Slots reserved at a time: this share of a second's worth, so that a replica that dies wastes little.
const SHARE_OF_A_SECOND: u32 = 50;
/// A slot that was missed by more is given up, or late requests would crowd into somebody else's second. A request
/// that is 20 ms late adds at most 2 % of a second's worth to a later one: with what is not given away, that leaves
/// 30 ms for the way to `money`.
const LATE: Duration = Duration::from_millis(20);
/// Share of the limit that is given away, in percent: the rest is for requests that are held up on their way and
/// arrive together with later ones.
const GIVEN_AWAY: u32 = 97;
/// Pause when Redis does not answer: without it there is no limit that all share, so nothing is sent.
const AWAY: Duration = Duration::from_millis(200);

/// Waits for slots of the shared limit.
pub struct Pacer {
    streams: Streams,
    rate: u32,
    /// Half of what an entry may wait, where that is less than [`AHEAD`]: slots behind every deadline would be given
    /// away and left out for ever.
    ahead: Duration,
    waiting: AtomicU32,
    reserved: Mutex<Reserved>,
}

/// Slots that are ours.
#[derive(Default)]
struct Reserved {
    next: Option<Instant>,
    interval: Duration,
    left: u32,
}

impl Pacer {
    /// At a limit of 0 nobody waits; at any other, each for `patience` at most.
    pub fn new(streams: Streams, limit: u32, patience: Duration) -> Self {
        let rate = limit.saturating_mul(GIVEN_AWAY).div_ceil(100);
        let ahead = AHEAD.min(patience / 2);
        metrics::limit(limit);
        if let Some(interval) = Duration::from_secs(1).checked_div(rate) {
            // Nobody was heard to reserve any.
            metrics::limiter_heard(Duration::ZERO, ahead, interval);
        }
        Self { streams, rate, ahead, waiting: AtomicU32::new(0), reserved: Mutex::default() }
    }

    /// Waits for a slot; `false` when none is to be had until `deadline`.
    pub async fn slot(&self, deadline: Instant) -> bool {
        if self.rate == 0 {
            return true;
        }
        let began = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let had = self.wait_for_slot(deadline).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        metrics::limiter_waited(began.elapsed());
        had
    }

    async fn wait_for_slot(&self, deadline: Instant) -> bool {
        loop {
            let Some(at) = self.next_slot(deadline).await else { return false };
            tokio::time::sleep_until(at).await;
            if at.elapsed() <= LATE {
                return true;
            }
        }
    }

    /// The next slot that is ours, reserving more when there is none. Waiters come one after another.
    async fn next_slot(&self, deadline: Instant) -> Option<Instant> {
        let mut reserved = self.reserved.lock().await;
        loop {
            while let (Some(at), 1..) = (reserved.next, reserved.left) {
                if at > deadline {
                    // Too late for this one: the next waiter takes it.
                    return None;
                }
                reserved.next = Some(at + reserved.interval);
                reserved.left -= 1;
                if at.elapsed() <= LATE {
                    return Some(at);
                }
            }
            if Instant::now() >= deadline {
                return None;
            }
            let wanted = self.waiting.load(Ordering::Relaxed).clamp(1, (self.rate / SHARE_OF_A_SECOND).max(1));
            match self.streams.reserve(self.rate, wanted, self.ahead).await {
                Ok(slots) if slots.count > 0 => {
                    metrics::limiter_heard(slots.first_in + slots.interval * slots.count, self.ahead, slots.interval);
                    let next = Some(Instant::now() + slots.first_in);
                    *reserved = Reserved { next, interval: slots.interval, left: slots.count };
                }
                Ok(slots) => {
                    metrics::limiter_heard(self.ahead + slots.retry_in, self.ahead, slots.interval);
                    // Everybody may be held back for a minute; no entry waits beyond its deadline for that.
                    let again = Instant::now() + slots.retry_in.max(Duration::from_millis(1));
                    tokio::time::sleep_until(again.min(deadline)).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the limiter does not answer");
                    tokio::time::sleep(AWAY).await;
                }
            }
        }
    }
}
