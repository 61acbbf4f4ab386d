//! The request limit that all replicas share: reserved moments instead of counted tokens.

use std::time::Duration;

use redis::Value;

use super::{Streams, StreamsError, reply, script};
use crate::keys;

/// Reserved send slots: `count` moments, `interval` apart. They are counted from when the answer arrived; one that is
/// not used is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slots {
    /// How many.
    pub count: u32,
    /// From now until the first.
    pub first_in: Duration,
    /// Between two.
    pub interval: Duration,
    /// From now until more can be had; zero when all that was wanted was granted.
    pub retry_in: Duration,
    /// The first slot on the server's clock, since the Unix epoch: comparable between replicas.
    pub first_at: Duration,
}

impl Slots {
    /// When each slot is, from when the answer arrived.
    pub fn delays(self) -> impl Iterator<Item = Duration> {
        (0..self.count).map(move |slot| self.first_in + self.interval * slot)
    }
}

/// Where the limiter stands: for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LimiterState {
    /// From now until the next free slot; zero when nobody uses the limit.
    pub next_in: Duration,
    /// For how much longer everybody holds back, because `money` answered 429.
    pub held_for: Duration,
}

/// Longest horizon and interval: differences stay exact in the script.
const LONGEST: Duration = Duration::from_secs(3600);

impl Streams {
    /// Reserves up to `want` moments for requests, none further away than `horizon`, at `rate` per second over all
    /// replicas. Consecutive slots lie at least one interval (1 s / rate, rounded up to a nanosecond) apart whoever got
    /// them, so no half-open window of a second holds more than `rate` of them. Idle time gives no burst. A clock of the
    /// server that goes back stalls for no longer than the horizon. One that goes forward, or a server that lost the key
    /// in a failover, may let the slots of one horizon overlap.
    ///
    /// Runs under memory pressure. Repeating after an error loses the slots that were granted unheard.
    ///
    /// # Errors
    /// When Redis does not answer. Then nothing may be sent.
    pub async fn reserve(&self, rate: u32, want: u32, horizon: Duration) -> Result<Slots, StreamsError> {
        if rate == 0 {
            return Ok(Slots { retry_in: Duration::from_secs(1), ..Slots::default() });
        }
        let interval = 1_000_000_000_u64.div_ceil(u64::from(rate));
        let reply = self.limit(interval, want, horizon, Duration::ZERO).await?;
        let [count, first_in, retry_in, seconds, nanos] = reply::tuple(reply)?;
        let first_in = Duration::from_nanos(reply::number(first_in)?);
        let now = Duration::from_secs(reply::number(seconds)?) + Duration::from_nanos(reply::number(nanos)?);
        Ok(Slots {
            count: u32::try_from(reply::number(count)?).unwrap_or(want).min(want),
            first_in,
            interval: Duration::from_nanos(interval),
            retry_in: Duration::from_nanos(reply::number(retry_in)?),
            first_at: now + first_in,
        })
    }

    /// Lets no slot be granted for the next `pause`, at most a minute: `money` answered 429. Slots that were granted
    /// before stay. A longer pause that is in force stays.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn hold_back(&self, pause: Duration) -> Result<(), StreamsError> {
        if pause.is_zero() {
            return Ok(());
        }
        // Interval and horizon bound what a slot may be: this caller knows neither, so they bound nothing.
        reply::ok(self.limit(1, 0, LONGEST, pause).await?).map(drop)
    }

    /// Where the limiter stands. Reserves nothing.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn limiter_state(&self) -> Result<LimiterState, StreamsError> {
        let mut command = redis::cmd("GET");
        command.arg(keys::LIMITER);
        let text = reply::optional_text(self.link.query(command).await?)?;
        let numbers: Vec<u64> = text.iter().flat_map(|text| text.split(':')).flat_map(str::parse).collect();
        let [slot_s, slot_ns, hold_s, hold_ns] = numbers[..] else { return Ok(LimiterState::default()) };
        let now = self.clock().await?;
        let from_now = |s, ns| (Duration::from_secs(s) + Duration::from_nanos(ns)).saturating_sub(now);
        Ok(LimiterState { next_in: from_now(slot_s, slot_ns), held_for: from_now(hold_s, hold_ns) })
    }

    async fn limit(
        &self,
        interval_ns: u64,
        want: u32,
        horizon: Duration,
        pause: Duration,
    ) -> Result<Value, StreamsError> {
        let nanos = |duration: Duration| u64::try_from(duration.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        let call = script::LIMITER.on(&[keys::LIMITER.to_owned()], 4, 64);
        self.link.call(call.arg(interval_ns).arg(want).arg(nanos(horizon)).arg(nanos(pause))).await
    }
}
