//! What kind of Redis this is: for refusing one that may lose keys, and for `doctor`.

use super::{Streams, StreamsError, reply};

/// What a Redis server says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerFacts {
    /// Its version. Valkey gives the Redis version that it is compatible with.
    pub version: String,
    /// `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// `maxmemory` in bytes; 0 is none.
    pub maxmemory: u64,
    /// Memory in use, in bytes.
    pub used_memory: u64,
    /// Whether it writes an append-only file.
    pub appendonly: bool,
    /// Whether it writes snapshots; unknown where CONFIG is forbidden.
    pub snapshots: Option<bool>,
    /// `appendfsync`; unknown where CONFIG is forbidden.
    pub appendfsync: Option<String>,
    /// Whether it is a node of a cluster.
    pub cluster: bool,
    /// `master` or `slave`.
    pub role: String,
}

impl ServerFacts {
    /// Whether keys may vanish under memory pressure. A stage refuses to run on such a Redis.
    pub fn may_evict(&self) -> bool {
        self.maxmemory_policy != "noeviction"
    }

    /// Whether a restart may find the data again. A stage warns when not: everything is then rebuilt from MySQL.
    pub fn persists(&self) -> bool {
        self.appendonly || self.snapshots == Some(true)
    }

    /// First part of the version; 0 when it cannot be read. The scripts need 7.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

impl Streams {
    /// What the server says about itself. Everything that a stage must know is in INFO; what only CONFIG tells is left
    /// open where CONFIG is forbidden.
    ///
    /// # Errors
    /// When INFO cannot be had.
    pub async fn server_facts(&self) -> Result<ServerFacts, StreamsError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").cmd("CONFIG").arg("GET").arg("save").cmd("CONFIG").arg("GET").arg("appendfsync");
        let mut replies = self.link.ask(&pipeline).await?.into_iter();
        let info = reply::text(replies.next().ok_or_else(|| StreamsError::unexpected("nothing"))?)?;
        let of = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        let mut configured =
            || reply::pairs(replies.next()?).ok()?.next().and_then(|(_, value)| reply::text(value).ok());
        Ok(ServerFacts {
            version: of("redis_version"),
            maxmemory_policy: of("maxmemory_policy"),
            maxmemory: of("maxmemory").parse().unwrap_or(0),
            used_memory: of("used_memory").parse().unwrap_or(0),
            appendonly: of("aof_enabled") == "1",
            snapshots: configured().map(|save| !save.is_empty()),
            appendfsync: configured(),
            cluster: of("cluster_enabled") == "1",
            role: of("role"),
        })
    }
}
