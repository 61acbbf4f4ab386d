//! On what is measured: one MariaDB for everything, and a fresh database, Redis and money for each run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use servers::{Launch, MySql, MySqlOptions, Process, Redis, RedisOptions, binary, free_port, poll};
use sqlx::{Executor, MySqlConnection, Row};

use crate::{counters, http};

/// InnoDB's buffer pool: everything that a run touches fits, as it would in production.
pub const BUFFER_POOL: &str = "2G";
/// InnoDB's redo log: a run does not wait for a checkpoint.
pub const REDO_LOG: &str = "1G";
/// What the report says of the servers; both sides of every comparison run on the same ones.
pub const SETTINGS: &str = "innodb_flush_log_at_trx_commit=1, innodb_buffer_pool_size=2G, redo log 1G, no binary log; \
     Redis appendonly yes, appendfsync everysec, noeviction, stream-node-max-entries 16; money-sandbox --ledger memory, all over TCP on loopback";

const TOKEN: &str = "bench-token";
const START_BOUND: Duration = Duration::from_secs(30);
/// Fewer dirty pages than this do not disturb the next run.
const CALM_PAGES: u64 = 500;
/// Writing back what a run of ten million left takes this long at most.
const CALM_BOUND: Duration = Duration::from_secs(300);

/// The MariaDB that all runs share.
pub struct Stand {
    mysql: MySql,
    dir: PathBuf,
}

/// What one run has to itself. Dropping it ends its servers; [`World::end`] also drops its database.
pub struct World<'a> {
    stand: &'a Stand,
    database: String,
    /// The database's URL.
    pub database_url: String,
    /// Its Redis.
    pub redis: Redis,
    /// Its money.
    pub money: Money,
}

impl Stand {
    /// Starts it with what [`SETTINGS`] says; logs of all processes go to `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::with(dir, BUFFER_POOL, REDO_LOG)
    }

    /// Starts a small one, for tests that count and do not measure.
    pub fn small(dir: &Path) -> Result<Self> {
        Self::with(dir, "128M", "64M")
    }

    fn with(dir: &Path, buffer_pool: &str, redo_log: &str) -> Result<Self> {
        let args = vec![format!("--innodb-log-file-size={redo_log}")];
        let options = MySqlOptions { buffer_pool: Some(buffer_pool.to_owned()), args, ..MySqlOptions::default() };
        let mysql = MySql::start(options)?;
        if !mysql.is_mariadb() {
            bail!("the benchmark is written for MariaDB (its redo log setting), this is {}", mysql.version());
        }
        Ok(Self { mysql, dir: dir.to_owned() })
    }

    /// The version of the server.
    pub fn version(&self) -> &str {
        self.mysql.version()
    }

    /// The pid of MariaDB.
    pub fn mysql_pid(&self) -> Result<u32> {
        self.mysql.pid()
    }

    /// Where logs go.
    pub fn logs(&self) -> &Path {
        &self.dir
    }

    /// A fresh database with the schema, a fresh Redis, and a sandbox with these arguments.
    pub fn world(&self, database: &str, money: &[&str]) -> Result<World<'_>> {
        let database_url = self.mysql.create_database(database)?;
        let migrate = Launch::stage("promoctl", "promoctl", &self.dir)?.arg("migrate");
        let migrate = migrate.env("DATABASE_URL", &database_url).env("REDIS_URL", "redis://127.0.0.1:1/0");
        migrate.run(START_BOUND)?.ok()?;
        let redis = Redis::start(RedisOptions::default())?;
        let money = Money::start(&self.dir, money)?;
        Ok(World { stand: self, database: database.to_owned(), database_url, redis, money })
    }

    /// Waits until MariaDB has written back what earlier runs left dirty, so that no run pays for another.
    pub async fn calm(&self, connection: &mut MySqlConnection) -> Result<()> {
        connection.execute("SET GLOBAL innodb_max_dirty_pages_pct = 0").await?;
        connection.execute("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0").await?;
        let deadline = tokio::time::Instant::now() + CALM_BOUND;
        loop {
            let row = sqlx::raw_sql("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'");
            let dirty: String = row.fetch_one(&mut *connection).await?.try_get_unchecked(1)?;
            if dirty.parse::<u64>()? < CALM_PAGES {
                break;
            }
            if tokio::time::Instant::now() > deadline {
                bail!("MariaDB did not write its pages back within {CALM_BOUND:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        connection.execute("SET GLOBAL innodb_max_dirty_pages_pct = 90").await?;
        Ok(())
    }
}

impl World<'_> {
    /// The pid of MariaDB.
    pub fn mysql_pid(&self) -> Result<u32> {
        self.stand.mysql_pid()
    }

    /// Where logs go.
    pub fn dir(&self) -> &Path {
        &self.stand.dir
    }

    /// A connection of our own to the database.
    pub async fn connect(&self) -> Result<MySqlConnection> {
        counters::connect(&self.database_url).await
    }

    /// A connection of our own to Redis.
    pub fn redis_connection(&self) -> Result<redis::Connection> {
        Ok(redis::Client::open(self.redis.url())?.get_connection()?)
    }

    /// Waits until the database is quiet.
    pub async fn calm(&self, connection: &mut MySqlConnection) -> Result<()> {
        self.stand.calm(connection).await
    }

    /// Ends its servers and drops its database.
    pub fn end(self) -> Result<()> {
        self.stand.mysql.sql(&format!("DROP DATABASE `{}`", self.database))
    }
}

/// The money sandbox, its ledger in memory.
pub struct Money {
    process: Process,
    address: SocketAddr,
}

impl Money {
    fn start(dir: &Path, args: &[&str]) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let launch = Launch::program(binary("money-sandbox")?, &format!("money-{}", address.port()), dir)?;
        let process =
            launch.args(["--addr", &address.to_string(), "--token", TOKEN, "--ledger", "memory"]).args(args).start()?;
        let listens = poll(START_BOUND, || {
            let listens = process.log().contains("listening on");
            (listens || !process.is_running()).then_some(listens)
        });
        if listens != Some(true) {
            bail!(process.trouble("did not listen"));
        }
        Ok(Self { process, address })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bearer token that it asks for.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it counted: `GET /stats`.
    pub fn stats(&self) -> Result<serde_json::Value> {
        http::json(self.address, "GET", "/stats", "")
    }

    /// Its arrivals: `GET /stats/rate`.
    pub fn rate(&self) -> Result<serde_json::Value> {
        http::json(self.address, "GET", "/stats/rate", "")
    }

    /// Lets its counters begin anew.
    pub fn reset_stats(&self) -> Result<()> {
        http::json(self.address, "POST", "/admin/reset", "").map(drop)
    }

    /// How many were paid, and how much: an error when any key was paid more than once.
    pub fn paid(&self) -> Result<(u64, String)> {
        let summary = http::json(self.address, "GET", "/ledger/summary", "")?;
        if summary["keys_paid_more_than_once"] != 0 {
            bail!("a key was paid more than once: {summary}");
        }
        let count = summary["paid_count"].as_u64().context("no paid_count")?;
        Ok((count, summary["paid_total"].as_str().context("no paid_total")?.to_owned()))
    }
}
