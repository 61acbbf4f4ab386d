//! The circuit breaker that all replicas share.

use std::time::Duration;

use redis::Value;

use super::{Streams, StreamsError, reply, script};
use crate::keys;

/// Where the breaker stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breaker {
    /// Calls go through. Reports of failures open it.
    Closed,
    /// No calls. Time moves it to half-open.
    Open {
        /// How much longer.
        remaining: Duration,
    },
    /// One probe at a time: who is granted [`Streams::breaker_probe`] calls, and reports. A success closes the breaker, a
    /// failure opens it for twice as long.
    HalfOpen,
}

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerPolicy {
    /// Reports count for at least half of this and at most all of it.
    pub window: Duration,
    /// Failures in the window without which it stays closed.
    pub min_failures: u32,
    /// Share of failures in the window from which on it opens, in percent.
    pub failure_percent: u32,
    /// How long it opens the first time.
    pub open_for: Duration,
    /// How long it opens at most. A breaker that stayed closed for longer begins with `open_for` again.
    pub open_cap: Duration,
}

impl Streams {
    /// Where the breaker stands.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn breaker_state(&self) -> Result<Breaker, StreamsError> {
        breaker(self.breaker_call("state", "").await?).map(|(breaker, _)| breaker)
    }

    /// Reports the outcomes of calls since the last report, and says where the breaker stands then. While it is
    /// half-open only the report of the replica that has the probe tells; while it is open none does.
    ///
    /// # Errors
    /// When Redis does not answer; a repeated report counts twice, which opens the breaker a little earlier at worst.
    pub async fn breaker_report(
        &self,
        successes: u32,
        failures: u32,
        policy: &BreakerPolicy,
        me: &str,
    ) -> Result<Breaker, StreamsError> {
        let call = script::BREAKER
            .on(&[keys::BREAKER.to_owned()], 9, 128)
            .arg("report")
            .arg(me)
            .arg(successes)
            .arg(failures)
            .arg(millis(policy.window))
            .arg(policy.min_failures)
            .arg(policy.failure_percent)
            .arg(millis(policy.open_for))
            .arg(millis(policy.open_cap));
        breaker(self.link.call(call).await?).map(|(breaker, _)| breaker)
    }

    /// Asks for the permission to probe: granted while half-open, to one caller at a time, until it reports or `lease`
    /// has passed.
    ///
    /// # Errors
    /// When Redis does not answer; a permission that was granted unheard ends with its lease.
    pub async fn breaker_probe(&self, me: &str, lease: Duration) -> Result<bool, StreamsError> {
        let call = script::BREAKER.on(&[keys::BREAKER.to_owned()], 3, 64).arg("probe").arg(me).arg(millis(lease));
        breaker(self.link.call(call).await?).map(|(_, granted)| granted)
    }

    async fn breaker_call(&self, operation: &str, me: &str) -> Result<Value, StreamsError> {
        self.link.call(script::BREAKER.on(&[keys::BREAKER.to_owned()], 2, 64).arg(operation).arg(me)).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 40)
}

fn breaker(value: Value) -> Result<(Breaker, bool), StreamsError> {
    let [state, remaining, granted] = reply::tuple(value)?;
    let breaker = match reply::text(state)?.as_str() {
        "closed" => Breaker::Closed,
        "open" => Breaker::Open { remaining: Duration::from_millis(reply::number(remaining)?) },
        "half" => Breaker::HalfOpen,
        other => return Err(StreamsError::unexpected(other)),
    };
    Ok((breaker, reply::number(granted)? == 1))
}
