//! The sections of the configuration. What each value means, its bounds and the reason for its default
//! stand in `default.toml`, once.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use crate::domain::Event;
use crate::domain::retry::Backoff;

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Level or directives.
    pub filter: String,
    /// One object a line, or text for people.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Text,
}

/// `[redis]` beside its URL.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Longest wait for the answer to a command.
    pub response_timeout: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Connections beside the payer's own.
    pub connections: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest run of a statement.
    pub statement_timeout: Duration,
    /// `innodb_lock_wait_timeout`, whole seconds.
    pub lock_wait: Duration,
    /// What writing and settling a batch takes at worst.
    pub write_time: Duration,
}

/// `[money]`
#[derive(Clone, Debug)]
pub struct MoneyConfig {
    /// Base URL without a slash at its end. Empty in a stage that does not need money.
    pub url: String,
    /// Bearer token. Empty in a stage that does not need money.
    pub token: Secret,
    /// Longest wait for an answer, connecting included.
    pub timeout: Duration,
    /// Longest wait for a connection; at most `timeout`.
    pub connect_timeout: Duration,
    /// Requests per second of all replicas together; 0 = no limit.
    pub max_rps: u32,
    /// Whether a key can be looked up.
    pub lookup: bool,
    /// Whether a key can be cancelled.
    pub cancel: bool,
    /// Whether a key is executed once, however often it comes.
    pub idempotent: bool,
    /// Codes of final refusals.
    pub final_error_codes: Vec<String>,
    /// How long a key is remembered.
    pub key_retention: Duration,
    /// How long before that the last request is sent.
    pub key_retention_margin: Duration,
    /// Connections of one process.
    pub concurrency: usize,
    /// Largest answer in bytes.
    pub body_limit: usize,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// `[breaker]`
#[derive(Clone, Debug)]
pub struct BreakerConfig {
    /// Span that is judged.
    pub window: Duration,
    /// Fewer requests prove nothing.
    pub min_requests: u32,
    /// Share of failures that opens it.
    pub failure_percent: u32,
    /// How long it stays open the first time.
    pub open_for: Duration,
    /// Longest it stays open.
    pub open_cap: Duration,
}

/// `[retry]`
#[derive(Clone, Debug)]
pub struct RetryConfig {
    /// Attempts in all.
    pub max_attempts: u32,
    /// Wait before the first retry.
    pub backoff_base: Duration,
    /// Longest wait.
    pub backoff_cap: Duration,
    /// When an entry is taken from the consumer that holds it.
    pub visibility_timeout: Duration,
    /// How often due entries are looked for.
    pub tick: Duration,
    /// Pages of pending entries a tick, partition and consumer.
    pub pages_per_tick: usize,
    /// Deliveries that show that an entry crashes its consumer.
    pub poison_deliveries: u32,
}

impl RetryConfig {
    /// How long parked entries wait.
    pub fn backoff(&self) -> Backoff {
        Backoff { base: self.backoff_base, cap: self.backoff_cap }
    }
}

/// `[dispatcher]`
#[derive(Clone, Debug)]
pub struct DispatcherConfig {
    /// Published and not settled, a promotion.
    pub window: u64,
    /// Promotions at the same time.
    pub max_active: usize,
    /// Targets a page.
    pub page: usize,
    /// How often due promotions and room are looked for.
    pub poll: Duration,
    /// How long totals that do not match are waited for.
    pub settle_check: Duration,
}

/// `[payer]`
#[derive(Clone, Debug)]
pub struct PayerConfig {
    /// Payouts a batch.
    pub batch: usize,
    /// Payouts that one payer holds.
    pub in_flight: usize,
    /// How long an outcome waits for company.
    pub outcome_delay: Duration,
    /// Connections that write intents.
    pub intent_connections: usize,
    /// Connections that write outcomes.
    pub outcome_connections: usize,
    /// Parked entries of a partition at which payers stop taking new ones.
    pub max_parked: u64,
    /// How often running promotions are looked up.
    pub poll: Duration,
    /// How long a read waits for entries.
    pub block: Duration,
}

/// `[summarizer]`
#[derive(Clone, Debug)]
pub struct SummarizerConfig {
    /// How often the public summary is written.
    pub flush_interval: Duration,
    /// How often partitions are compared with MySQL.
    pub sweep_interval: Duration,
    /// Life of the public summary behind the end.
    pub summary_ttl: Duration,
    /// Life of the dead-letter streams behind the end.
    pub dead_ttl: Duration,
    /// Idle time of a consumer before it is removed.
    pub prune_after: Duration,
}

/// `[webhook]`
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where to; empty = nobody is told. Its path may hold a secret.
    pub url: Secret,
    /// `whsec_` and the key in base64.
    pub secret: Secret,
    /// Whether plain http may leave this host.
    pub allow_http: bool,
    /// What is told.
    pub events: Vec<Event>,
    /// Longest wait for an answer, connecting included.
    pub timeout: Duration,
    /// Longest wait for a connection; at most `timeout`.
    pub connect_timeout: Duration,
    /// Attempts before it is given up.
    pub max_attempts: u32,
    /// Wait before the second attempt.
    pub backoff_base: Duration,
    /// Longest wait.
    pub backoff_cap: Duration,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}
