//! What kind of database server this is: for `doctor`.

use chrono::NaiveDateTime;
use sqlx::Row;

use crate::store::sql::{maybe_text, text};
use crate::store::{Store, StoreError};

/// Settings of the server that may endanger data, and its clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSettings {
    /// `@@version`.
    pub version: String,
    /// `innodb_flush_log_at_trx_commit`: only 1 keeps every commit over a crash of the machine.
    pub flush_log_at_commit: i64,
    /// Whether it writes a binary log.
    pub binary_log: bool,
    /// `sync_binlog`: only 1 keeps the binary log, and with it the replicas, at every commit.
    pub sync_binlog: i64,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// `sql_mode` of new connections.
    pub sql_mode: String,
    /// Most connections.
    pub max_connections: u64,
    /// Connections now.
    pub connected: u64,
    /// Its clock, UTC.
    pub utc: NaiveDateTime,
    /// What `NOW()` gives to a connection that sets no zone; nothing where its zone is not known to itself.
    pub local: Option<NaiveDateTime>,
}

const SETTINGS: &str = "SELECT @@version, CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), CAST(@@log_bin AS SIGNED), \
    CAST(@@sync_binlog AS SIGNED), CAST(@@global.read_only AS CHAR), @@global.sql_mode, CAST(@@max_connections AS SIGNED), \
    UTC_TIMESTAMP(6), CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@global.time_zone)";

impl Store {
    /// The server's settings and its clock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn server_settings(&self) -> Result<ServerSettings, StoreError> {
        let row = sqlx::query(SETTINGS).fetch_one(&self.pool).await?;
        let status = sqlx::query("SHOW GLOBAL STATUS LIKE 'Threads_connected'").fetch_optional(&self.pool).await?;
        let connected = match status {
            Some(status) => text(&status, 1)?.parse().unwrap_or(0),
            None => 0,
        };
        let read_only = maybe_text(&row, 4)?.unwrap_or_default();
        Ok(ServerSettings {
            version: text(&row, 0)?.to_owned(),
            flush_log_at_commit: row.try_get(1)?,
            binary_log: row.try_get::<i64, _>(2)? != 0,
            sync_binlog: row.try_get(3)?,
            // A flag on one server, a word on another.
            read_only: !matches!(read_only.as_str(), "0" | "OFF" | ""),
            sql_mode: text(&row, 5)?.to_owned(),
            max_connections: row.try_get::<i64, _>(6)?.unsigned_abs(),
            connected,
            utc: row.try_get(7)?,
            local: row.try_get(8)?,
        })
    }
}
