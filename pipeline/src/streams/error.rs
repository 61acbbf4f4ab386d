//! What can go wrong, as far as a caller acts differently.

use redis::{ErrorKind, RedisError, ServerError};

/// Why a call failed. It may have been executed all the same.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamsError {
    /// Redis cannot serve now. Try again later, for ever.
    #[error("Redis is not available ({0}): {1}")]
    Unavailable(Outage, String),
    /// Redis will not do it, now or later: a key of another type, a counter that is none, missing permission, a URL that
    /// cannot be used. A person must look.
    #[error("Redis refused: {0}")]
    Refused(String),
}

/// What keeps Redis from serving.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outage {
    /// No connection, or it broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// It reads its data set (`LOADING`), or is busy with a script (`BUSY`).
    Loading,
    /// It is a replica now, or has lost its master or its replicas.
    Failover,
    /// It cannot persist and refuses writes (`MISCONF`).
    Persistence,
    /// It has reached maxmemory.
    OutOfMemory,
}

impl Outage {
    /// A short name, fit for a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Loading => "loading",
            Self::Failover => "failover",
            Self::Persistence => "persistence",
            Self::OutOfMemory => "out_of_memory",
        }
    }
}

impl std::fmt::Display for Outage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a [`super::Reader`] failed. It has dropped its connection: entries may have been delivered to a reply that
/// nobody read, so the caller drains before it reads on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// A stream or its group is gone: whoever reads must find out which partitions there are.
    #[error("a stream or its group is gone")]
    Missing,
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] StreamsError),
}

impl StreamsError {
    /// Whether Redis has reached maxmemory: entries cannot be added, and what is there can still be settled.
    pub fn is_oom(&self) -> bool {
        matches!(self, Self::Unavailable(Outage::OutOfMemory, _))
    }

    /// Whether the connection must be given up: the server may be another one by now, or not be reached by this
    /// connection any more, and neither shows as a broken connection.
    pub(super) fn condemns_connection(&self) -> bool {
        matches!(self, Self::Unavailable(Outage::Timeout | Outage::Failover, _))
    }

    pub(super) fn unexpected(what: &str) -> Self {
        Self::Refused(format!("unexpected reply: {what}"))
    }
}

impl From<ServerError> for StreamsError {
    fn from(error: ServerError) -> Self {
        let detail = error.details().unwrap_or_default();
        let text = format!("{} {detail}", error.code());
        let outage = match error.code() {
            "OOM" => Outage::OutOfMemory,
            "LOADING" | "BUSY" | "TRYAGAIN" => Outage::Loading,
            "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "NOREPLICAS" | "UNBLOCKED" => Outage::Failover,
            "MISCONF" => Outage::Persistence,
            "ERR" if detail.contains("max number of clients") => Outage::Connection,
            _ => return Self::Refused(text),
        };
        Self::Unavailable(outage, text)
    }
}

impl From<RedisError> for StreamsError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io if error.is_timeout() => Self::Unavailable(Outage::Timeout, error.to_string()),
            ErrorKind::Io | ErrorKind::Parse => Self::Unavailable(Outage::Connection, error.to_string()),
            _ => {
                let text = error.to_string();
                // Of several failed commands the first tells: what follows it in a transaction says EXECABORT.
                match error.into_server_errors().as_deref() {
                    Some([(_, first), ..]) => first.clone().into(),
                    Some([]) | None => Self::Refused(text),
                }
            }
        }
    }
}
