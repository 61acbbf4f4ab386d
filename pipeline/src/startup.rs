//! What stages do before their work: reach their servers, check that they can be trusted; payer and retrier take a name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::charging::{Active, Charging, Tools};
use crate::config::Config;
use crate::health::{self, Health};
use crate::metrics;
use crate::money::{Money, Settings};
use crate::shutdown::Shutdown;
use crate::stage::Context;
use crate::store::{PinCipher, Store, StoreSettings};
use crate::streams::{Lease, Replica, Streams, Timeouts};
use crate::webhook::Webhook;

/// Pause between two looks at a server that is away.
const AWAY: Duration = Duration::from_millis(500);
/// How often it is asked whether Redis is thought to be away.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often a process says that it runs: two commands, which are nothing beside its work.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(30);
/// How long that is believed: one announcement may be lost.
const ANNOUNCED_FOR: Duration = Duration::from_secs(75);

/// The tables, as the configuration says. Connects to nothing yet.
///
/// # Errors
/// When the URL is not one.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    let pins = pins(config)?;
    let connections = config.store.connections
        + u32::try_from(config.payer.intent_connections + config.payer.outcome_connections).unwrap_or(u32::MAX);
    Store::new(StoreSettings {
        url: config.database_url.expose(),
        zone: config.time_zone,
        connections,
        acquire_timeout: config.store.acquire_timeout,
        lock_wait: config.store.lock_wait,
        statement_timeout: config.store.statement_timeout,
        pins,
    })
    .context("DATABASE_URL")
}

/// What encrypts and decrypts PINs; nothing where no key is set.
///
/// # Errors
/// When the key is none.
pub fn pins(config: &Config) -> anyhow::Result<Option<PinCipher>> {
    Ok(config.pin_key.as_ref().map(|key| PinCipher::from_hex(&hex::encode(key.expose()))).transpose()?)
}

/// The streams, as the configuration says. Connects to nothing yet.
///
/// # Errors
/// When the URL is not one.
pub fn streams(config: &Config) -> anyhow::Result<Streams> {
    let timeouts = Timeouts { response: config.redis.response_timeout, connect: config.redis.connect_timeout };
    Streams::with_timeouts(config.redis_url.expose(), timeouts).context("REDIS_URL")
}

/// The money service, as the configuration says. Connects to nothing yet.
///
/// # Errors
/// When a setting cannot be used.
pub fn money(config: &Config) -> anyhow::Result<Money> {
    let token = config.money.token.expose();
    Money::new(Settings {
        url: config.money.url.clone(),
        token: (!token.is_empty()).then(|| token.to_owned()),
        timeout: config.money.timeout,
        connect_timeout: config.money.connect_timeout,
        final_error_codes: config.money.final_error_codes.clone(),
        body_limit: config.money.body_limit,
        time_zone: config.time_zone,
        ca_file: config.money.ca_file.clone(),
    })
    .context("money")
}

/// Whom the configuration wants to be told; nobody where it names none. Connects to nothing yet.
///
/// # Errors
/// When a setting cannot be used.
pub fn webhook(config: &Config) -> anyhow::Result<Option<Webhook>> {
    Webhook::new(&config.webhook).context("webhook")
}

/// Waits until both servers answer and the schema is there, and looks at their settings. `false` when the
/// stage was told to end before that.
///
/// # Errors
/// A Redis that may evict keys is refused: a stream that vanished under memory pressure would be noticed only by
/// the sweep. What merely weakens durability is warned of.
pub async fn servers(context: &Context, store: &Store, streams: &Streams) -> anyhow::Result<bool> {
    if !mysql(context, store).await? || !redis(context, streams).await? {
        return Ok(false);
    }
    tokio::spawn(announce(context.clone(), streams.clone()));
    Ok(true)
}

/// Says that this process runs, and with which configuration, until the end is requested. For people alone: that it
/// could not be said is no reason to do anything. Where Redis was away it is said again as soon as it can be: a process
/// that has nothing to do would not notice otherwise that Redis is back.
async fn announce(context: Context, streams: Streams) {
    let (config, stage) = (&context.config, context.stage);
    let replica = Replica {
        stage: stage.name.to_owned(),
        name: config.consumer_name.clone(),
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_ms: chrono::Utc::now().timestamp_millis(),
        config_hash: config.fingerprint(stage.needs),
        settings: config.agreed(stage.needs),
    };
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next || !context.health.reaches(health::REDIS) {
            next = Instant::now() + ANNOUNCE_EVERY;
            match streams.announce(&replica, ANNOUNCED_FOR).await {
                Ok(()) => context.health.dependency(health::REDIS, true),
                Err(error) => tracing::debug!(%error, "cannot announce this process"),
            }
        }
        if context.shutdown.sleep(LOOK_AGAIN).await {
            break;
        }
    }
    if let Err(error) = streams.withdraw(&replica).await {
        tracing::debug!(%error, "cannot take the announcement back; it ends by itself");
    }
}

async fn mysql(context: &Context, store: &Store) -> anyhow::Result<bool> {
    loop {
        context.health.beat();
        let problem = match store.check_schema().await {
            Ok(()) => break,
            Err(error) => error,
        };
        context.health.dependency("mysql", false);
        tracing::warn!(error = %problem, "waiting for the database");
        if context.shutdown.sleep(AWAY).await {
            return Ok(false);
        }
    }
    context.health.dependency("mysql", true);
    match store.durability().await {
        Ok(facts) if facts.flush_log_at_commit != 1 => tracing::warn!(
            innodb_flush_log_at_trx_commit = facts.flush_log_at_commit,
            version = facts.version,
            "the database may lose acknowledged commits in a crash; set innodb_flush_log_at_trx_commit = 1"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot read how durable the database is"),
    }
    Ok(true)
}

async fn redis(context: &Context, streams: &Streams) -> anyhow::Result<bool> {
    let facts = loop {
        context.health.beat();
        match streams.server_facts().await {
            Ok(facts) => break facts,
            Err(error) => tracing::warn!(%error, "waiting for Redis"),
        }
        context.health.dependency("redis", false);
        if context.shutdown.sleep(AWAY).await {
            return Ok(false);
        }
    };
    context.health.dependency("redis", true);
    if facts.may_evict() {
        bail!("this Redis may evict keys (maxmemory-policy is {}): set it to noeviction", facts.maxmemory_policy);
    }
    if facts.major() < 7 {
        bail!("this Redis is version {}; the scripts need 7 or later", facts.version);
    }
    if !facts.persists() {
        tracing::warn!(
            "this Redis writes neither snapshots nor an append-only file: a restart costs a refill from the database"
        );
    }
    Ok(true)
}

/// Takes a consumer name for this process and keeps it; gives its token. A process that crashed keeps its name for
/// one lease at most, and for so long the next one waits. Nothing when the stage was told to end before that.
async fn take_name(context: &Context, streams: &Streams, name: &str) -> anyhow::Result<Option<String>> {
    let token = uuid::Uuid::new_v4().to_string();
    let lease = context.config.consumer_lease;
    let began = tokio::time::Instant::now();
    loop {
        context.health.beat();
        match streams.lease(name, &token, lease).await {
            Ok(Lease::Held) => break,
            Ok(Lease::TakenBy(_)) if began.elapsed() > lease * 2 => {
                bail!("another process uses the consumer name {name}; give each replica its own PAYOUT_CONSUMER_NAME")
            }
            Ok(Lease::TakenBy(_)) => {
                tracing::warn!(consumer = name, "the consumer name is taken; waiting for its lease to end")
            }
            Err(error) => tracing::warn!(%error, "cannot take the consumer name"),
        }
        if context.shutdown.sleep(AWAY).await {
            return Ok(None);
        }
    }
    tokio::spawn(keep_name(streams.clone(), name.to_owned(), token.clone(), lease, context.health.clone()));
    Ok(Some(token))
}

/// Losing the name to another process ends this one: both would take each other's entries for their own. What it
/// holds stays pending, and is paid by others.
async fn keep_name(streams: Streams, name: String, token: String, lease: Duration, health: Health) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match streams.lease(&name, &token, lease).await {
            Ok(Lease::Held) => health.dependency("redis", true),
            Ok(Lease::TakenBy(_)) => {
                tracing::error!(consumer = name, "another process has taken this consumer name; ending");
                std::process::exit(i32::from(crate::stage::EXIT_FAILED));
            }
            Err(error) => {
                health.dependency("redis", false);
                tracing::warn!(%error, "cannot extend the lease on the consumer name");
            }
        }
    }
}

/// What payer and retrier have in common: the machinery that pays, under a consumer name.
pub struct Paying {
    /// Pays.
    pub charging: Charging,
    /// What runs.
    pub active: Active,
    /// Where the entries come from.
    pub streams: Streams,
    consumer: String,
    token: String,
}

impl Paying {
    /// Starts it. Nothing when the stage was told to end before its servers were there.
    ///
    /// # Errors
    /// As [`servers`], when another process keeps the name, and when a setting cannot be used.
    pub async fn start(context: &Context, consumer: &str, idle: Duration) -> anyhow::Result<Option<Self>> {
        let config = &context.config;
        let (store, streams, money) = (store(config)?, streams(config)?, money(config)?);
        warn_of_weak_money(config);
        if !servers(context, &store, &streams).await? {
            return Ok(None);
        }
        let Some(token) = take_name(context, &streams, consumer).await? else { return Ok(None) };
        // A name whose process is gone is free again when its lease ends.
        crate::crash::point("paying.name_taken");
        let (health, shutdown) = (context.health.clone(), context.shutdown.clone());
        let keeps_pins = config.pin_key.is_some();
        let active =
            Active::start(store.clone(), (config.payer.poll, idle), keeps_pins, health.clone(), shutdown.clone());
        let (config, consumer) = (Arc::clone(config), consumer.to_owned());
        let tools =
            Tools { store, streams: streams.clone(), money, config, shutdown, health, consumer: consumer.clone() };
        Ok(Some(Self { charging: Charging::start(tools, active.clone()), active, streams, consumer, token }))
    }

    /// Lets what is in flight come to its end, within the grace, and gives the name back.
    ///
    /// # Errors
    /// When something was left.
    pub async fn end(self) -> anyhow::Result<()> {
        let left = self.charging.drain().await;
        if let Err(error) = self.streams.release(&self.consumer, &self.token).await {
            tracing::warn!(%error, "cannot give the consumer name back; it is free when its lease ends");
        }
        match left {
            0 => Ok(()),
            left => bail!("{left} entries were still in flight when the grace was over; others pick them up"),
        }
    }
}

/// Says at start what a weaker money service cannot promise.
fn warn_of_weak_money(config: &Arc<Config>) {
    metrics::exactly_once(config.money.idempotent);
    match (config.money.idempotent, config.money.lookup) {
        (true, true | false) => {}
        (false, true) => tracing::warn!(
            "money does not honour keys: exactly once cannot be promised. An unknown outcome is looked up before it is sent \
             again; only a process that was frozen as it sent can pay twice"
        ),
        (false, false) => tracing::warn!(
            "money neither honours keys nor can be looked up: exactly once cannot be promised. An unknown outcome is sent \
             again, and may be paid again; payout_possible_duplicate_charges_total counts it"
        ),
    }
    if !config.money.lookup && config.money.idempotent {
        tracing::warn!(
            "money has no look-up: an unknown outcome is sent again under the same key; exactly once rests on the key alone"
        );
    }
    if !config.money.cancel {
        tracing::warn!("money has no cancel: an outcome that stays unknown waits for a person");
    }
}

/// Whether the stage should end, for loops that have nothing else to wait for.
pub async fn pause(shutdown: &Shutdown, health: &Health, duration: Duration) -> bool {
    health.beat();
    shutdown.sleep(duration).await
}
