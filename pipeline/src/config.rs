//! The configuration: the embedded defaults, a file over them, environment variables over both.
//!
//! `config/default.toml` explains every key and is the only place with defaults. Everything is read and
//! checked before anything else happens, and every fault is reported at once. No other module reads
//! environment variables that a release build knows, and this one reads them from a map, so that tests need none.

mod agreed;
mod build;
mod check;
mod dump;
mod fault;
mod known;
mod layers;
mod reader;
mod secret;
mod sections;
#[cfg(test)]
mod tests;
mod url;
mod value;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::domain::decide::UNANSWERED_FOR;

pub use check::SENDS_PER_DELIVERY;
pub use fault::{Fault, Faults};
pub use known::{CONFIG_FILE_VARIABLE, variables};
pub use secret::{HIDDEN, PinKey, Secret};
pub use sections::{
    BreakerConfig, DispatcherConfig, LogConfig, LogFormat, MoneyConfig, PayerConfig, RedisConfig, RetryConfig,
    StoreConfig, SummarizerConfig, WebhookConfig,
};

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// What a program cannot do without, beside the database. What it does not need is not read at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// REDIS_URL.
    pub redis: bool,
    /// MONEY_URL and MONEY_TOKEN.
    pub money: bool,
    /// The key for voucher PINs is read, where one is set.
    pub pin: bool,
    /// `[webhook]` URL and secret are read, where they are set.
    pub webhook: bool,
}

/// A configuration without faults.
#[derive(Clone, Debug)]
pub struct Config {
    /// `database.url`
    pub database_url: Secret,
    /// `redis.url`; empty where it is not needed.
    pub redis_url: Secret,
    /// `[redis]`
    pub redis: RedisConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `time.zone`
    pub time_zone: chrono_tz::Tz,
    /// `metrics.addr`, host and port.
    pub metrics_addr: String,
    /// `metrics.upkeep`
    pub metrics_upkeep: Duration,
    /// `health.live_within`
    pub live_within: Duration,
    /// `[log]`
    pub log: LogConfig,
    /// `shutdown.grace`
    pub shutdown_grace: Duration,
    /// `consumer.name`, or the name of the host.
    pub consumer_name: String,
    /// `consumer.lease`
    pub consumer_lease: Duration,
    /// `[money]`
    pub money: MoneyConfig,
    /// `[breaker]`
    pub breaker: BreakerConfig,
    /// `[retry]`
    pub retry: RetryConfig,
    /// `[dispatcher]`
    pub dispatcher: DispatcherConfig,
    /// `[payer]`
    pub payer: PayerConfig,
    /// `[summarizer]`
    pub summarizer: SummarizerConfig,
    /// `[webhook]`
    pub webhook: WebhookConfig,
    /// The key in `pin.key_file`.
    pub pin_key: Option<PinKey>,
    /// What is allowed and probably not meant. Logged once, at start.
    pub warnings: Vec<String>,
    /// `money.limiter_wait`; what is really left is [`Config::limiter_wait`].
    least_limiter_wait: Duration,
    effective: String,
}

impl Config {
    /// Reads and checks everything. `file` goes before the one that `PAYOUT_CONFIG_FILE` names.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(needs: Needs, file: Option<&Path>, environment: &Environment) -> Result<Self, Faults> {
        let (config, reader) = build::build(needs, file, environment);
        match reader.faults.is_empty() {
            true => Ok(config),
            false => Err(Faults(reader.faults)),
        }
    }

    /// The configuration in effect as TOML, secrets hidden, with the origin of each value.
    pub fn dump(&self) -> &str {
        &self.effective
    }

    /// How long an entry may wait for the shared limit before its call is given back unsent: what the timers
    /// leave of the visibility timeout, so that nobody works on an entry that has been taken from him.
    pub fn limiter_wait(&self) -> Duration {
        self.retry.visibility_timeout.saturating_sub(self.longest_work()).max(self.least_limiter_wait)
    }

    /// How long after its first use a key may still be sent: the retention without its margin. Rows hold local times, so
    /// where clocks are set back, a first use looks so much younger than it is.
    pub fn key_lifetime(&self) -> Duration {
        let margin = self.money.key_retention_margin + set_back(self.time_zone, Utc::now().naive_utc());
        self.money.key_retention.saturating_sub(margin)
    }

    /// How long nothing may be written about a row before a question that is left open leaves it to a person: with what clocks
    /// are set forward by, half of it is never over at once.
    pub fn unanswered_for(&self) -> Duration {
        UNANSWERED_FOR + set_back(self.time_zone, Utc::now().naive_utc()) * 2
    }

    /// How long the work on one delivery may take, waiting for the limit aside.
    fn longest_work(&self) -> Duration {
        self.money.timeout * SENDS_PER_DELIVERY + self.store.write_time
    }
}

/// By how much clocks of a zone are set back at most within a year before and after this time (UTC).
fn set_back(zone: Tz, around: NaiveDateTime) -> Duration {
    let monthly = (-12..=12).map(|month| around + TimeDelta::days(30 * month));
    let offsets = monthly.map(|at| zone.offset_from_utc_datetime(&at).fix().local_minus_utc());
    let (least, most) = offsets.fold((i32::MAX, i32::MIN), |(least, most), at| (least.min(at), most.max(at)));
    Duration::from_secs(most.abs_diff(least).into())
}

/// The variables of this process; those that are not UTF-8 are passed over.
pub fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
