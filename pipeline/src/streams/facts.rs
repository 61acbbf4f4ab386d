//! What kind of Redis this is: for refusing one that may lose keys, and for `doctor`.

use std::time::Duration;

use redis::Value;

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
    /// Keys that were evicted since it started.
    pub evicted_keys: u64,
    /// Whether the last write to the append-only file went well.
    pub append_ok: bool,
    /// Whether the last snapshot went well. By default a server refuses writes after one that did not.
    pub snapshot_ok: bool,
    /// Seconds since the last snapshot that went well.
    pub snapshot_age: Option<u64>,
    /// Replicas that are connected, and how many of them are online.
    pub replicas: (usize, usize),
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
        pipeline
            .cmd("INFO")
            .cmd("TIME")
            .cmd("CONFIG")
            .arg("GET")
            .arg("save")
            .cmd("CONFIG")
            .arg("GET")
            .arg("appendfsync");
        let mut replies = self.link.ask(&pipeline).await?.into_iter();
        let info = reply::text(replies.next().ok_or_else(|| StreamsError::unexpected("nothing"))?)?;
        let now = clock(replies.next().ok_or_else(|| StreamsError::unexpected("nothing"))?)?.as_secs();
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
            evicted_keys: of("evicted_keys").parse().unwrap_or(0),
            append_ok: matches!(of("aof_last_write_status").as_str(), "ok" | ""),
            snapshot_ok: matches!(of("rdb_last_bgsave_status").as_str(), "ok" | ""),
            snapshot_age: of("rdb_last_save_time").parse().ok().map(|saved: u64| now.saturating_sub(saved)),
            replicas: replicas(&info),
        })
    }

    /// The server's clock, since the Unix epoch.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn clock(&self) -> Result<Duration, StreamsError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME");
        clock(self.link.ask(&pipeline).await?.pop().ok_or_else(|| StreamsError::unexpected("nothing"))?)
    }
}

fn clock(value: Value) -> Result<Duration, StreamsError> {
    let [seconds, micros] = reply::tuple(value)?;
    Ok(Duration::from_secs(reply::number(seconds)?) + Duration::from_micros(reply::number(micros)?))
}

/// Lines `slave0:ip=…,state=online,…`: how many, and how many of them are online.
fn replicas(info: &str) -> (usize, usize) {
    let is_replica = |line: &&str| {
        let number = line.strip_prefix("slave").and_then(|rest| rest.split_once(':')).map(|(number, _)| number);
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let of = || info.lines().filter(is_replica);
    (of().count(), of().filter(|line| line.contains("state=online")).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_counted_and_told_from_settings_about_them() {
        let info = "slave_repl_offset:7\r\nslave0:ip=a,state=online,lag=0\r\nslave1:ip=b,state=wait_bgsave,lag=0\r\n";
        assert_eq!(replicas(info), (2, 1));
        assert_eq!(replicas("role:master\r\nconnected_slaves:0\r\n"), (0, 0));
    }
}
