//! The circuit breaker that all replicas share: when `money` fails persistently, nobody calls it, nothing
//! new is taken, and no attempt is used up; after a while one request probes whether it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use crate::config::Config;
use crate::domain::outcome::{Answer, Verdict};
use crate::metrics::{self, BreakerState};
use crate::shutdown::Shutdown;
use crate::streams::{self, BreakerPolicy, Streams};

/// How often what this process saw is reported, while it sees anything. Not sooner: failures often answer faster than
/// payments, so the first answers after a pause would open it again and again.
const REPORT: Duration = Duration::from_millis(250);
/// How often the state is read while there is nothing to report. A replica that has nothing to do reads rarely.
const IDLE: Duration = Duration::from_secs(2);
/// How long one replica may keep the permission to probe, as a multiple of the longest wait for an answer: it may die.
const PROBE_LEASE: u32 = 2;

#[derive(Clone)]
pub(super) struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    streams: Streams,
    me: String,
    policy: BreakerPolicy,
    probe_lease: Duration,
    state: AtomicU8,
    successes: AtomicU32,
    failures: AtomicU32,
    asked: AtomicU32,
    /// Whether the permission to probe was refused since the state was last heard.
    refused: AtomicBool,
}

const CLOSED: u8 = 0;
const HALF_OPEN: u8 = 1;
const OPEN: u8 = 2;

impl Breaker {
    pub(super) fn start(streams: Streams, config: &Config, me: &str, shutdown: Shutdown) -> Self {
        let policy = BreakerPolicy {
            window: config.breaker.window,
            min_failures: (config.breaker.min_requests * config.breaker.failure_percent).div_ceil(100).max(1),
            failure_percent: config.breaker.failure_percent,
            open_for: config.breaker.open_for,
            open_cap: config.breaker.open_cap,
        };
        let breaker = Self {
            shared: Arc::new(Shared {
                streams,
                me: me.to_owned(),
                policy,
                probe_lease: config.money.timeout * PROBE_LEASE,
                state: AtomicU8::new(CLOSED),
                successes: AtomicU32::new(0),
                failures: AtomicU32::new(0),
                asked: AtomicU32::new(0),
                refused: AtomicBool::new(false),
            }),
        };
        tokio::spawn(breaker.clone().report(shutdown));
        breaker
    }

    /// Learns where the breaker stands, for who begins to ask at once.
    pub(super) async fn learn(&self) {
        self.tell().await;
    }

    /// How much new work may be taken, where `whole` would be usual. While the breaker is half open, a single entry to
    /// probe with, and nothing for a moment when another replica has the permission: what is taken without it is only
    /// given back.
    pub(super) fn appetite(&self, whole: usize) -> usize {
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        match self.shared.state.load(Ordering::Relaxed) {
            CLOSED => whole,
            HALF_OPEN => usize::from(!self.shared.refused.load(Ordering::Relaxed)),
            _ => 0,
        }
    }

    /// Whether nothing may be sent. Asked before a request waits for its slot.
    pub(super) fn is_open(&self) -> bool {
        self.shared.state.load(Ordering::Relaxed) == OPEN
    }

    /// Whether a request may be sent now, and then is. While the breaker is half open, only one replica's may.
    pub(super) async fn may_send(&self) -> bool {
        match self.shared.state.load(Ordering::Relaxed) {
            CLOSED => true,
            HALF_OPEN => {
                let probe = self.shared.streams.breaker_probe(&self.shared.me, self.shared.probe_lease);
                let may = probe.await.unwrap_or(false);
                self.shared.refused.store(!may, Ordering::Relaxed);
                may
            }
            _ => false,
        }
    }

    /// Counts what an answer says about the health of `money`.
    pub(super) async fn observe(&self, answer: &Answer) {
        match answer.verdict {
            Verdict::Paid
            | Verdict::Refused
            | Verdict::RefusalNotListed
            | Verdict::Cancelled
            | Verdict::NotSeen
            | Verdict::Executing => {
                self.shared.successes.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Unknown | Verdict::NotExecuted => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::KeyReused | Verdict::KeyExpired | Verdict::Fault => {}
        }
        if self.shared.state.load(Ordering::Relaxed) == HALF_OPEN {
            self.tell().await;
        }
    }

    async fn report(self, shutdown: Shutdown) {
        let mut idle = Duration::ZERO;
        loop {
            tokio::time::sleep(REPORT).await;
            if shutdown.deadline().is_some_and(|deadline| tokio::time::Instant::now() >= deadline) {
                return;
            }
            let seen = self.shared.successes.load(Ordering::Relaxed) + self.shared.failures.load(Ordering::Relaxed);
            let asked = self.shared.asked.swap(0, Ordering::Relaxed);
            let closed = self.shared.state.load(Ordering::Relaxed) == CLOSED;
            idle += REPORT;
            if seen > 0 || !closed || (asked > 0 && idle >= IDLE) {
                idle = Duration::ZERO;
                self.tell().await;
            }
        }
    }

    async fn tell(&self) {
        let shared = &self.shared;
        let (successes, failures) =
            (shared.successes.swap(0, Ordering::Relaxed), shared.failures.swap(0, Ordering::Relaxed));
        // A Redis that does not answer changes nothing: the limiter stops requests then.
        let Ok(state) = shared.streams.breaker_report(successes, failures, &shared.policy, &shared.me).await else {
            return;
        };
        let (state, shown) = match state {
            streams::Breaker::Closed => (CLOSED, BreakerState::Closed),
            streams::Breaker::HalfOpen => (HALF_OPEN, BreakerState::HalfOpen),
            streams::Breaker::Open { .. } => (OPEN, BreakerState::Open),
        };
        if shared.state.swap(state, Ordering::Relaxed) != state {
            tracing::warn!(state = shown.label(), "the shared breaker of money changed");
        }
        shared.refused.store(false, Ordering::Relaxed);
        metrics::breaker(shown);
    }
}
