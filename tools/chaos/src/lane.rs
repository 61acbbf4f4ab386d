//! What one lane keeps over its iterations: a database server, a way to each server, and its folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acceptance::{Sql, key_file};
use anyhow::{Context, Result};
use servers::{Launch, MySql, MySqlOptions};

use crate::fault::Server;
use crate::proxy::Proxy;

const DATABASE: &str = "payout";
/// The stages' account: unlike the one that `servers` makes, it may not write to a read-only server.
const ACCOUNT: &str = "stage";
const PASSWORD: &str = "stage-local";
/// Money does not notice that a client has hung up, and executes what it was asked, as most services do: longer than
/// `money.timeout`, so that a request meets the one before it.
const MONEY_OUTLIVES: Duration = Duration::from_millis(700);
/// Longest run of a command.
const COMMAND_BOUND: Duration = Duration::from_secs(30);

/// Figures as small as the stages' own check admits, so that what takes a minute in production takes a second:
/// 3 × 200 ms + 100 ms + 20 ms < 800 ms < 1 s.
pub const SETTINGS: [(&str, &str); 32] = [
    ("PAYOUT_LOG_FORMAT", "text"),
    ("PAYOUT_REDIS_RESPONSE_TIMEOUT", "500ms"),
    ("PAYOUT_REDIS_CONNECT_TIMEOUT", "300ms"),
    ("PAYOUT_STORE_CONNECTIONS", "4"),
    ("PAYOUT_STORE_ACQUIRE_TIMEOUT", "500ms"),
    ("PAYOUT_STORE_STATEMENT_TIMEOUT", "2s"),
    ("PAYOUT_STORE_LOCK_WAIT", "1s"),
    ("PAYOUT_STORE_WRITE_TIME", "100ms"),
    ("PAYOUT_SHUTDOWN_GRACE", "1s"),
    ("PAYOUT_CONSUMER_LEASE", "1s"),
    ("PAYOUT_MONEY_TIMEOUT", "200ms"),
    ("PAYOUT_MONEY_CONNECT_TIMEOUT", "100ms"),
    ("PAYOUT_MONEY_LIMITER_WAIT", "20ms"),
    ("PAYOUT_MONEY_CONCURRENCY", "24"),
    ("PAYOUT_MONEY_FINAL_ERROR_CODES", "CUSTOMER_NOT_ELIGIBLE"),
    ("PAYOUT_BREAKER_WINDOW", "1s"),
    ("PAYOUT_BREAKER_OPEN_FOR", "50ms"),
    ("PAYOUT_BREAKER_OPEN_CAP", "300ms"),
    ("PAYOUT_RETRY_BACKOFF_BASE", "50ms"),
    ("PAYOUT_RETRY_BACKOFF_CAP", "300ms"),
    ("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "800ms"),
    ("PAYOUT_RETRY_TICK", "75ms"),
    ("PAYOUT_DISPATCHER_PAGE", "200"),
    ("PAYOUT_DISPATCHER_POLL", "50ms"),
    ("PAYOUT_PAYER_BATCH", "50"),
    ("PAYOUT_PAYER_IN_FLIGHT", "200"),
    ("PAYOUT_PAYER_OUTCOME_DELAY", "10ms"),
    ("PAYOUT_PAYER_POLL", "50ms"),
    ("PAYOUT_PAYER_BLOCK", "100ms"),
    ("PAYOUT_SUMMARIZER_FLUSH_INTERVAL", "100ms"),
    ("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "1s"),
    ("USER", "chaos"),
];

/// A lane.
#[derive(Debug)]
pub struct Lane {
    /// Of the database, to break it.
    pub mysql: MySql,
    /// The judge's way to the database: straight.
    pub sql: Sql,
    /// The ways of the stages.
    ways: [Proxy; 3],
    database_url: String,
    key_file: PathBuf,
    /// Its tables, all of them emptied between two iterations.
    tables: Vec<String>,
    dir: PathBuf,
    /// Where failures leave what is known about them.
    artifacts: PathBuf,
    /// Settings of all stages, over [`SETTINGS`].
    extra: Vec<(String, String)>,
}

impl Lane {
    /// Starts the database server with the schema, and the ways. Files of its iterations go to `dir`, what failures
    /// leave to `artifacts`.
    ///
    /// # Errors
    /// A server does not start.
    pub fn start(dir: &Path, artifacts: &Path, extra: &[(String, String)]) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let key = dir.join("pin.key");
        fs::write(&key, key_file())?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let mysql = MySql::start(MySqlOptions::default())?;
        let database_url = mysql.create_database(DATABASE)?;
        mysql.sql(&format!("CREATE USER '{ACCOUNT}'@'%' IDENTIFIED BY '{PASSWORD}'"))?;
        mysql.sql(&format!("GRANT ALL ON {DATABASE}.* TO '{ACCOUNT}'@'%'"))?;
        let migrate = Launch::stage("promoctl", "promoctl", dir)?.arg("migrate").env("DATABASE_URL", &database_url);
        migrate.run(COMMAND_BOUND)?.ok()?;
        let sql = Sql::open(&database_url);
        let tables = tables(&sql);
        let ways = [Proxy::start(Duration::ZERO)?, Proxy::start(Duration::ZERO)?, Proxy::start(MONEY_OUTLIVES)?];
        let (dir, artifacts, extra) = (dir.to_owned(), artifacts.to_owned(), extra.to_vec());
        let lane = Self { mysql, sql, ways, database_url, key_file: key, tables, dir, artifacts, extra };
        lane.way(Server::MySql).aim(lane.mysql.port());
        Ok(lane)
    }

    /// The way of the stages to a server.
    pub fn way(&self, server: Server) -> &Proxy {
        match server {
            Server::Redis => &self.ways[0],
            Server::MySql => &self.ways[1],
            Server::Money => &self.ways[2],
        }
    }

    /// Where failures leave what is known about them.
    pub fn artifacts(&self) -> &Path {
        &self.artifacts
    }

    /// The folder of an iteration, new and empty.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn fresh_dir(&self) -> Result<PathBuf> {
        let dir = self.dir.join("iteration");
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Empties every table; identifiers count from 1 again.
    pub fn empty_tables(&self) {
        let empty = self.tables.iter().map(|table| format!("TRUNCATE TABLE {table}"));
        let first = std::iter::once("SET FOREIGN_KEY_CHECKS = 0".to_owned());
        self.sql.transaction(first.chain(empty).chain(["SET FOREIGN_KEY_CHECKS = 1".to_owned()]));
    }

    /// A process of the product, on the ways of the stages.
    ///
    /// # Errors
    /// The program is not there.
    pub fn launch(&self, program: &str, name: &str, dir: &Path) -> Result<Launch> {
        let port = |server| self.way(server).port();
        Ok(Launch::stage(program, name, dir)?
            .env("DATABASE_URL", format!("mysql://{ACCOUNT}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", port(Server::MySql)))
            .env("REDIS_URL", format!("redis://127.0.0.1:{}/0", port(Server::Redis)))
            .env("MONEY_URL", format!("http://127.0.0.1:{}", port(Server::Money)))
            .env("PAYOUT_PIN_KEY_FILE", &self.key_file)
            .envs(SETTINGS)
            .envs(self.extra.iter().map(|(name, value)| (name, value))))
    }

    /// A command of an operator, whose ways to the servers are straight.
    ///
    /// # Errors
    /// The program is not there.
    pub fn operator(&self, redis_url: &str, dir: &Path) -> Result<Launch> {
        let launch = self.launch("promoctl", "promoctl", dir)?;
        Ok(launch.env("DATABASE_URL", &self.database_url).env("REDIS_URL", redis_url))
    }
}

fn tables(sql: &Sql) -> Vec<String> {
    let rows: Vec<(String,)> = sql.rows(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND table_name NOT LIKE '\\_%'",
    );
    rows.into_iter().map(|(name,)| name).collect()
}
