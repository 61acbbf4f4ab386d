//! One Redis and one MySQL server for a whole test process, and a fresh part of each for every test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Result, bail};

use crate::redis::DATABASES;
use crate::{MySql, MySqlOptions, Redis, RedisOptions};

/// The servers that the tests of one process share; started when first asked for.
///
/// A test that stops, fills or flushes a server starts its own with [`Redis::start`] (0.05 s) or [`MySql::start`]
/// (0.3 s).
#[derive(Debug, Default)]
pub struct Fixture {
    redis: OnceLock<Redis>,
    mysql: OnceLock<MySql>,
    starting: Mutex<()>,
    databases: AtomicU32,
    redis_dbs: AtomicU32,
}

impl Fixture {
    /// The fixture of this process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Fixture> = OnceLock::new();
        SHARED.get_or_init(Self::default)
    }

    /// The shared Redis.
    pub fn redis(&self) -> Result<&Redis> {
        self.get_or_start(&self.redis, || Redis::start(RedisOptions::default()))
    }

    /// The shared MySQL server.
    pub fn mysql(&self) -> Result<&MySql> {
        self.get_or_start(&self.mysql, || MySql::start(MySqlOptions::default()))
    }

    /// The URL of a new, empty database on the shared server.
    pub fn fresh_database(&self) -> Result<String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        self.mysql()?.create_database(&format!("t_{number}"))
    }

    /// The URL of a numbered database of the shared Redis that nobody else uses: `redis://127.0.0.1:PORT/N`. FLUSHDB
    /// empties it; FLUSHALL would empty everybody's.
    pub fn fresh_redis_db(&self) -> Result<String> {
        // Not number 0: who forgets the number in a URL meets an empty database, not another test's.
        let number = self.redis_dbs.fetch_add(1, Ordering::Relaxed) + 1;
        if number >= DATABASES {
            bail!("this process has used all {DATABASES} numbered Redis databases");
        }
        Ok(self.redis()?.url_of_db(number))
    }

    /// The first test that asks starts the server, the others wait for it.
    fn get_or_start<'a, T>(&'a self, cell: &'a OnceLock<T>, start: impl FnOnce() -> Result<T>) -> Result<&'a T> {
        let _guard = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = cell.get() {
            return Ok(value);
        }
        let value = start()?;
        Ok(cell.get_or_init(|| value))
    }
}
