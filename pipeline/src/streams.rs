//! Redis: the transport between the stages.
//!
//! Everything that is said to Redis is said here; no other module names it. A partition is changed by scripts
//! (`streams/lua`), each one atomic in the partition's slot; only who holds an entry changes by plain commands.
//! [`crate::keys`] names the keys. Nothing here is the truth: what is lost is published again or rebuilt from MySQL.
//!
//! Every call may be repeated after an error: an error does not say that nothing happened (a reply may have been
//! lost), and each script says why running it twice is harmless.
//!
//! One Redis, or whatever stands behind one address (Sentinel proxy, managed service): calls over several partitions
//! are pipelined on one connection.

use std::fmt;
use std::sync::Arc;

mod age;
mod breaker;
mod browse;
mod entries;
mod error;
mod facts;
mod lease;
mod limiter;
mod link;
mod pending;
mod publish;
mod reader;
mod rebuild;
mod replicas;
mod reply;
mod script;
mod settle;
mod state;
mod summary;

pub use breaker::{Breaker, BreakerPolicy};
pub use browse::Body;
pub use error::{Outage, ReadError, StreamsError};
pub use facts::ServerFacts;
pub use lease::Lease;
pub use limiter::{LimiterState, Slots};
pub use link::Timeouts;
pub use pending::{Consumer, PageRequest, PendingEntry};
pub use publish::{Publish, Published};
pub use reader::{Delivery, Reader};
pub use rebuild::{Rebuilt, Requeued};
pub use replicas::Replica;
pub use settle::{Park, Parking, Settle};
pub use state::{PartitionState, Position};
pub use summary::SummaryFields;

/// Redis, as the stages see it. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Streams {
    link: Arc<link::Link>,
}

impl Streams {
    /// Prepares for the Redis at a `redis://` or `rediss://` (TLS) URL. Connects when first used, so that a Redis that
    /// is away at start is an error of the first call and not of this one.
    ///
    /// # Errors
    /// [`StreamsError::Refused`] when the URL cannot be used. The message never repeats the URL: it may hold a password.
    pub fn new(url: &str) -> Result<Self, StreamsError> {
        Self::with_timeouts(url, Timeouts::default())
    }

    /// The same with other timeouts.
    ///
    /// # Errors
    /// As [`Streams::new`].
    pub fn with_timeouts(url: &str, timeouts: Timeouts) -> Result<Self, StreamsError> {
        Ok(Self { link: Arc::new(link::Link::new(url, timeouts)?) })
    }

    /// Asks whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StreamsError> {
        self.link.query(redis::cmd("PING")).await.map(drop)
    }

    /// A reader with a connection of its own, which is made when it first reads.
    pub fn reader(&self) -> Reader {
        Reader::new(self.link.client(), self.link.timeouts().connect)
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streams")
    }
}
