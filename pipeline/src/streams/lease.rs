//! The lease on a consumer name: two processes with one name would take each other's entries for their own.

use std::time::Duration;

use super::{Streams, StreamsError, reply, script};
use crate::keys;

/// Who has the lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lease {
    /// The caller, from now for the time asked.
    Held,
    /// Another process; its token.
    TakenBy(String),
}

impl Streams {
    /// Takes or extends the lease on a consumer name for the process with this token.
    ///
    /// # Errors
    /// [`StreamsError::Refused`] for a name that belongs to parked entries, or none; any other when Redis does not answer.
    pub async fn lease(&self, consumer: &str, token: &str, ttl: Duration) -> Result<Lease, StreamsError> {
        if [keys::RETRY, keys::HELD, ""].contains(&consumer) {
            return Err(StreamsError::Refused(format!("a consumer cannot be called {consumer:?}")));
        }
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50);
        self.lease_call(consumer, token, ttl).await
    }

    /// Gives the lease back, when it is this process's.
    ///
    /// # Errors
    /// When Redis does not answer; the lease then ends by itself.
    pub async fn release(&self, consumer: &str, token: &str) -> Result<(), StreamsError> {
        self.lease_call(consumer, token, 0).await.map(drop)
    }

    async fn lease_call(&self, consumer: &str, token: &str, ttl_ms: u64) -> Result<Lease, StreamsError> {
        let call = script::LEASE.on(&[keys::consumer_lease(consumer)], 2, 64).arg(token).arg(ttl_ms);
        let other = reply::optional_text(self.link.call(call).await?)?;
        Ok(other.map_or(Lease::Held, Lease::TakenBy))
    }
}
