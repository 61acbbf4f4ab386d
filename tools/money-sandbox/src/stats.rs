//! Counters, and the highest number of requests in any one second.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::faults::{Fault, Kind};
use crate::journal::kind_name;
use crate::log::lock;

/// The window of the rate limit that is checked.
const WINDOW_US: u64 = 1_000_000;

/// Wall-clock time that never goes back: read once, then advanced by the monotonic clock.
#[derive(Debug)]
pub struct Clock {
    start_us: u64,
    start: Instant,
}

impl Clock {
    /// Starts at the current time.
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start_us: since.as_micros() as u64, start: Instant::now() }
    }

    /// µs since 1970.
    pub fn now_us(&self) -> u64 {
        self.start_us + self.start.elapsed().as_micros() as u64
    }
}

macro_rules! outcomes {
    ($($name:ident $text:literal $doc:literal,)*) => {
        /// What a request came to inside the service, whatever its client was told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Outcome { $(#[doc = $doc] $name,)* }

        impl Outcome {
            /// Every outcome, in the order of its number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As in `/stats` and the journal.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

outcomes! {
    NotExecuted "not_executed" "Ended by a fault, or by its client, before anything was done.",
    Paid "paid" "Paid by this request.",
    Declined "declined" "Refused by this request, recorded.",
    Replayed "replayed" "The recorded answer again.",
    Burnt "burnt" "A charge under a cancelled key: not executed.",
    KeyReused "key_reused" "The key belongs to another body.",
    InProgress "in_progress" "The key's first request is still executing.",
    Found "found" "A look-up that found an answer.",
    NotSeen "not_seen" "A look-up that found nothing.",
    Cancelled "cancelled" "The key is burnt.",
    TooLate "too_late" "A cancel after the execution.",
    Invalid "invalid" "Malformed, too large, or not offered by this deployment.",
    Unauthorized "unauthorized" "Wrong or missing token.",
    Broken "broken" "The ledger could not be written, or was reset meanwhile.",
    Late "late" "Put off: it executes after its connection is closed.",
}

const KINDS: [Kind; 3] = [Kind::Charge, Kind::Lookup, Kind::Cancel];

/// Counters per kind, outcome and fault.
#[derive(Debug)]
pub struct Stats {
    outcomes: [Vec<AtomicU64>; 3],
    faults: [Vec<AtomicU64>; 3],
    /// Charges that executed after their connection was closed.
    pub late_executed: AtomicU64,
    /// Charges that were put off and found their key taken or burnt.
    pub late_stopped: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    arrivals: Mutex<Arrivals>,
}

/// The last second's arrivals: all that is needed to know the maximum over every window, however long it runs.
#[derive(Debug, Default)]
struct Arrivals {
    last_second: VecDeque<u64>,
    total: u64,
    max: u64,
    max_at_us: u64,
    first_us: u64,
    last_us: u64,
}

impl Arrivals {
    fn add(&mut self, now: u64) {
        while self.last_second.front().is_some_and(|first| first + WINDOW_US <= now) {
            self.last_second.pop_front();
        }
        self.last_second.push_back(now);
        let rate = self.last_second.len() as u64;
        if rate > self.max {
            self.max = rate;
            self.max_at_us = now;
        }
        if self.total == 0 {
            self.first_us = now;
        }
        self.total += 1;
        self.last_us = now;
    }
}

impl Default for Stats {
    fn default() -> Self {
        let zeros = |n: usize| [(); 3].map(|()| (0..n).map(|_| AtomicU64::new(0)).collect());
        Self {
            outcomes: zeros(Outcome::ALL.len()),
            faults: zeros(Fault::ALL.len()),
            late_executed: AtomicU64::new(0),
            late_stopped: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            arrivals: Mutex::default(),
        }
    }
}

impl Stats {
    /// Counts an arrival and says when it was.
    pub fn arrive(&self, clock: &Clock) -> u64 {
        let mut arrivals = lock(&self.arrivals);
        let now = clock.now_us(); // under the lock, so that times never go back
        arrivals.add(now);
        now
    }

    /// Counts how a request ended.
    pub fn count(&self, kind: Kind, outcome: Outcome, fault: Fault) {
        self.outcomes[kind as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        if fault != Fault::None {
            self.faults[kind as usize][fault as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many requests of a kind came to an outcome.
    pub fn outcome(&self, kind: Kind, outcome: Outcome) -> u64 {
        self.outcomes[kind as usize][outcome as usize].load(Ordering::Relaxed)
    }

    /// The answer of `GET /stats`.
    pub fn totals(&self) -> Value {
        let mut all = Map::new();
        for kind in KINDS {
            let load = |counters: &[AtomicU64], at: usize| counters[at].load(Ordering::Relaxed);
            let mut outcomes = Map::new();
            let mut total = 0;
            for outcome in Outcome::ALL {
                let n = load(&self.outcomes[kind as usize], *outcome as usize);
                total += n;
                if n > 0 {
                    outcomes.insert(outcome.name().to_owned(), n.into());
                }
            }
            let mut faults = Map::new();
            for fault in Fault::ALL {
                let n = load(&self.faults[kind as usize], fault as usize);
                if n > 0 {
                    faults.insert(fault.name().to_owned(), n.into());
                }
            }
            let value = json!({"total": total, "outcomes": outcomes, "faults": faults});
            all.insert(kind_name(kind).to_owned(), value);
        }
        for (name, counter) in [
            ("late_executed", &self.late_executed),
            ("late_stopped", &self.late_stopped),
            ("connections", &self.connections),
        ] {
            all.insert(name.to_owned(), counter.load(Ordering::Relaxed).into());
        }
        all.into()
    }

    /// The highest number of requests that arrived within any second (half-open: `[t, t + 1 s)`).
    pub fn max_in_a_second(&self) -> u64 {
        lock(&self.arrivals).max
    }

    /// The answer of `GET /stats/rate`.
    pub fn rate(&self) -> Value {
        let arrivals = lock(&self.arrivals);
        json!({
            "total": arrivals.total,
            "max_in_one_second": arrivals.max,
            "max_window_end_us": arrivals.max_at_us,
            "first_arrival_us": arrivals.first_us,
            "last_arrival_us": arrivals.last_us,
        })
    }

    /// Starts again at 0.
    pub fn reset(&self) {
        let counters = self.outcomes.iter().chain(&self.faults).flatten();
        for counter in counters.chain([&self.late_executed, &self.late_stopped, &self.connections]) {
            counter.store(0, Ordering::Relaxed);
        }
        *lock(&self.arrivals) = Arrivals::default();
    }
}

#[cfg(test)]
mod tests {
    use super::Arrivals;

    #[test]
    fn the_maximum_is_over_every_window_of_exactly_one_second() {
        for (times, max) in [
            (&[0, 999_999][..], 2),
            (&[0, 1_000_000], 1),
            // Three around the turn of a second, although each whole second has two.
            (&[0, 900_000, 1_100_000, 1_800_000], 3),
            (&[0, 1, 2, 5_000_000, 5_999_999], 3),
            (&[7, 7, 7], 3),
        ] {
            let mut arrivals = Arrivals::default();
            times.iter().for_each(|at| arrivals.add(*at));
            assert_eq!((arrivals.max, arrivals.total), (max, times.len() as u64), "{times:?}");
        }
    }
}
