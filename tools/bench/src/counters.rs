//! What the servers count themselves: commands, statements, bytes, memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, MySqlConnection, Row};

/// Counters of MySQL that stand for traffic and work; the others (`Handler_…`, caches) are left out.
const STATUS: [&str; 6] =
    ["Bytes_received", "Bytes_sent", "Questions", "Innodb_os_log_written", "Innodb_data_fsyncs", "Innodb_rows_read"];

/// Counters of both servers, from one moment to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// MySQL: `Com_…`, and some others by name.
    pub mysql: BTreeMap<String, u64>,
    /// Redis: calls of each command, those inside of scripts included.
    pub redis_calls: BTreeMap<String, u64>,
    /// Redis: bytes received and sent, and commands from outside.
    pub redis: BTreeMap<String, u64>,
    /// Redis: `used_memory_peak`, in bytes.
    pub redis_peak: u64,
}

impl Counted {
    /// What was added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            mysql: difference(&self.mysql, &before.mysql),
            redis_calls: difference(&self.redis_calls, &before.redis_calls),
            redis: difference(&self.redis, &before.redis),
            redis_peak: self.redis_peak,
        }
    }

    /// A counter of MySQL.
    pub fn mysql(&self, name: &str) -> u64 {
        self.mysql.get(name).copied().unwrap_or(0)
    }

    /// A counter of Redis.
    pub fn redis(&self, name: &str) -> u64 {
        self.redis.get(name).copied().unwrap_or(0)
    }

    /// How often Redis ran a command, in scripts or not.
    pub fn calls(&self, command: &str) -> u64 {
        self.redis_calls.get(command).copied().unwrap_or(0)
    }
}

fn difference(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let added = |(name, value): (&String, &u64)| {
        let value = value.saturating_sub(before.get(name).copied().unwrap_or(0));
        (value > 0).then(|| (name.clone(), value))
    };
    now.iter().filter_map(added).collect()
}

/// Reads both servers' counters. Not free of charge itself: some commands, and one statement.
pub async fn read(mysql: &mut MySqlConnection, redis: Option<&mut redis::Connection>) -> Result<Counted> {
    let mut counted = Counted { mysql: status(mysql).await?, ..Counted::default() };
    if let Some(redis) = redis {
        let info: String = redis::cmd("INFO").arg("everything").query(redis)?;
        read_info(&info, &mut counted);
    }
    Ok(counted)
}

/// Connects for reading.
pub async fn connect(url: &str) -> Result<MySqlConnection> {
    MySqlConnection::connect(url).await.context("cannot connect to the database")
}

async fn status(mysql: &mut MySqlConnection) -> Result<BTreeMap<String, u64>> {
    let rows = sqlx::raw_sql("SHOW GLOBAL STATUS").fetch_all(mysql).await?;
    let mut status = BTreeMap::new();
    for row in rows {
        let (name, value): (String, String) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
        if (name.starts_with("Com_") || STATUS.contains(&name.as_str()))
            && let Ok(value) = value.parse()
        {
            status.insert(name, value);
        }
    }
    Ok(status)
}

fn read_info(info: &str, counted: &mut Counted) {
    for (name, value) in info.lines().filter_map(|line| line.split_once(':')) {
        if let Some(command) = name.strip_prefix("cmdstat_") {
            let calls = value.split(',').find_map(|part| part.strip_prefix("calls=")?.parse().ok());
            counted.redis_calls.insert(command.to_owned(), calls.unwrap_or(0));
        } else if name.starts_with("total_net_") || name == "total_commands_processed" {
            counted.redis.insert(name.to_owned(), value.trim().parse().unwrap_or(0));
        } else if name == "used_memory_peak" {
            counted.redis_peak = value.trim().parse().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_counts() {
        let mut before = Counted::default();
        read_info("total_net_input_bytes:100\r\ncmdstat_xadd:calls=5,usec=9\r\ncmdstat_ping:calls=1\r\n", &mut before);
        let mut now = Counted::default();
        let later = "total_net_input_bytes:350\r\ncmdstat_xadd:calls=7,usec=12\r\ncmdstat_ping:calls=1\r\nused_memory_peak:42\r\n";
        read_info(later, &mut now);
        let added = now.since(&before);
        assert_eq!((added.redis("total_net_input_bytes"), added.calls("xadd"), added.redis_peak), (250, 2, 42));
        assert!(!added.redis_calls.contains_key("ping"));
    }
}
