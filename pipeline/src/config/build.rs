//! Reads every key by its type and bounds. The bounds here and those told in `default.toml` are held
//! together by a test.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::known::CONFIG_FILE_VARIABLE;
use super::layers::{Layers, read, set};
use super::reader::Reader;
use super::secret::{PinKey, Secret};
use super::sections::{
    BreakerConfig, DispatcherConfig, LogConfig, LogFormat, MoneyConfig, PayerConfig, RedisConfig, RetryConfig,
    StoreConfig, SummarizerConfig, WebhookConfig,
};
use super::{Config, Environment, Needs, check, dump, url};
use crate::domain::Event;
use crate::{keys, telemetry};

/// Reads everything; the faults stay in the reader.
pub(super) fn build(needs: Needs, file: Option<&Path>, environment: &Environment) -> (Config, Reader) {
    let mut layers = Layers::default();
    let named = set(environment, CONFIG_FILE_VARIABLE).map(Path::new);
    if let Some(file) = file.or(named) {
        layers.add_file(file);
    }
    layers.add_environment(environment, |key| needed(needs, key));
    let mut r = Reader::new(layers);
    let mut config = Config {
        database_url: Secret::new(r.secret("database.url", true, &url::DATABASE)),
        redis_url: Secret::new(if needs.redis { r.secret("redis.url", true, &url::REDIS) } else { String::new() }),
        redis: redis(&mut r),
        store: store(&mut r),
        time_zone: time_zone(&mut r),
        metrics_addr: r.text(
            "metrics.addr",
            "host:port",
            "Such as 127.0.0.1:9464, or port 0 for a free one.",
            url::is_listen_address,
        ),
        metrics_upkeep: r.duration("metrics.upkeep", "1s", "1m"),
        live_within: r.duration("health.live_within", "1s", "1h"),
        log: log(&mut r),
        shutdown_grace: r.duration("shutdown.grace", "100ms", "1h"),
        consumer_name: consumer_name(&mut r, environment),
        consumer_lease: r.duration("consumer.lease", "1s", "10m"),
        money: money(&mut r, needs),
        breaker: breaker(&mut r),
        retry: retry(&mut r),
        dispatcher: dispatcher(&mut r),
        payer: payer(&mut r),
        summarizer: summarizer(&mut r),
        webhook: webhook(&mut r, needs),
        pin_key: pin_key(&mut r, needs),
        least_limiter_wait: r.duration("money.limiter_wait", "1ms", "1m"),
        warnings: Vec::new(),
        effective: String::new(),
    };
    check::rules(&config, needs, &mut r);
    config.effective = dump::render(&r.layers, needs);
    config.warnings.append(&mut r.layers.warnings);
    check::warn(&mut config, needs);
    (config, r)
}

/// Whether a stage has any use for a key. What it has none for is not even read: no secret more than needed.
pub(super) fn needed(needs: Needs, key: &str) -> bool {
    match key {
        "redis.url" => needs.redis,
        "money.url" | "money.token" => needs.money,
        "pin.key_file" => needs.pin,
        "webhook.url" | "webhook.secret" => needs.webhook,
        _ => true,
    }
}

fn redis(r: &mut Reader) -> RedisConfig {
    RedisConfig {
        response_timeout: r.duration("redis.response_timeout", "100ms", "1m"),
        connect_timeout: r.duration("redis.connect_timeout", "50ms", "1m"),
    }
}

fn store(r: &mut Reader) -> StoreConfig {
    StoreConfig {
        connections: r.whole("store.connections", 1, 1000),
        acquire_timeout: r.duration("store.acquire_timeout", "50ms", "5m"),
        statement_timeout: r.duration("store.statement_timeout", "100ms", "1h"),
        lock_wait: r.duration("store.lock_wait", "1s", "5m"),
        write_time: r.duration("store.write_time", "1ms", "10m"),
    }
}

fn time_zone(r: &mut Reader) -> chrono_tz::Tz {
    let expected = "an IANA name of a time zone";
    r.mapped("time.zone", expected, "Such as Asia/Seoul or UTC.", |name| name.parse().ok()).unwrap_or_default()
}

fn log(r: &mut Reader) -> LogConfig {
    let filter = r.text(
        "log.filter",
        "a level (error, warn, info, debug, trace) or directives",
        "Such as info, or info,pipeline=debug.",
        is_filter,
    );
    let format = r.mapped("log.format", "json or text", "Write one of the two words.", |text| match text {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    });
    LogConfig { filter, format: format.unwrap_or(LogFormat::Json) }
}

/// A bare word that is no level would be taken for a target, and everything else would fall silent.
fn is_filter(text: &str) -> bool {
    let directive =
        |part: &str| part.contains(['=', '[']) || part.parse::<tracing::level_filters::LevelFilter>().is_ok();
    text.split(',').all(|part| directive(part.trim())) && telemetry::filter(text).is_some()
}

/// The host name stands in for a name that is not set.
fn consumer_name(r: &mut Reader, environment: &Environment) -> String {
    let expected = "a name of [A-Za-z0-9._-]{1,64} that is not `retry` or `held`";
    let advice = "Set a name that is stable and different for every process.";
    let fits = |name: &str| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        (1..=64).contains(&name.len()) && plain && name != keys::RETRY && name != keys::HELD
    };
    let name = r.text("consumer.name", expected, advice, |name| name.is_empty() || fits(name));
    if !name.is_empty() || r.faulty.contains("consumer.name") {
        return name;
    }
    let host =
        read(Path::new("/proc/sys/kernel/hostname")).ok().or_else(|| set(environment, "HOSTNAME").map(str::to_owned));
    let host = host.unwrap_or_default().trim().to_owned();
    if !fits(&host) {
        r.fault("consumer.name", format!("nothing, and the host is called {host:?}"), expected, advice);
    }
    host
}

fn money(r: &mut Reader, needs: Needs) -> MoneyConfig {
    let (url, token) = match needs.money {
        true => (r.secret("money.url", true, &url::MONEY), r.secret("money.token", true, &url::TOKEN)),
        false => (String::new(), String::new()),
    };
    let timeout = r.duration("money.timeout", "10ms", "10m");
    let plain = |code: &str| (1..=100).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic());
    MoneyConfig {
        url: url.trim_end_matches('/').to_owned(),
        token: Secret::new(token),
        timeout,
        connect_timeout: r.duration("money.connect_timeout", "10ms", "1m").min(timeout),
        max_rps: r.whole("money.max_rps", 0, 1_000_000),
        lookup: r.truth("money.lookup"),
        cancel: r.truth("money.cancel"),
        idempotent: r.truth("money.idempotent"),
        final_error_codes: r.list(
            "money.final_error_codes",
            "a list of strings",
            "Such as CUSTOMER_CLOSED,LIMIT_EXCEEDED in a variable, or [\"CUSTOMER_CLOSED\"] in a file.",
            plain,
        ),
        key_retention: r.duration("money.key_retention", "1m", "10years"),
        key_retention_margin: r.duration("money.key_retention_margin", "1s", "1year"),
        concurrency: r.whole("money.concurrency", 1, 10_000),
        body_limit: r.whole("money.body_limit", 1024, 1 << 20),
        ca_file: optional_file(r, "money.ca_file"),
    }
}

fn breaker(r: &mut Reader) -> BreakerConfig {
    BreakerConfig {
        window: r.duration("breaker.window", "1s", "10m"),
        min_requests: r.whole("breaker.min_requests", 1, 1_000_000),
        failure_percent: r.whole("breaker.failure_percent", 1, 100),
        open_for: r.duration("breaker.open_for", "10ms", "10m"),
        open_cap: r.duration("breaker.open_cap", "10ms", "1h"),
    }
}

fn retry(r: &mut Reader) -> RetryConfig {
    RetryConfig {
        max_attempts: r.whole("retry.max_attempts", 1, 100),
        backoff_base: r.duration("retry.backoff_base", "1ms", "1h"),
        backoff_cap: r.duration("retry.backoff_cap", "1ms", "1day"),
        visibility_timeout: r.duration("retry.visibility_timeout", "100ms", "1h"),
        tick: r.duration("retry.tick", "10ms", "1m"),
        pages_per_tick: r.whole("retry.pages_per_tick", 1, 1000),
        poison_deliveries: r.whole("retry.poison_deliveries", 2, 1000),
    }
}

fn dispatcher(r: &mut Reader) -> DispatcherConfig {
    DispatcherConfig {
        window: r.whole("dispatcher.window", 1, 10_000_000),
        max_active: r.whole("dispatcher.max_active", 1, 100),
        page: r.whole("dispatcher.page", 1, 50_000),
        poll: r.duration("dispatcher.poll", "10ms", "1m"),
        settle_check: r.duration("dispatcher.settle_check", "1s", "1day"),
    }
}

fn payer(r: &mut Reader) -> PayerConfig {
    PayerConfig {
        batch: r.whole("payer.batch", 1, 3900),
        in_flight: r.whole("payer.in_flight", 1, 100_000),
        outcome_delay: r.duration("payer.outcome_delay", "0ms", "1s"),
        intent_connections: r.whole("payer.intent_connections", 1, 100),
        outcome_connections: r.whole("payer.outcome_connections", 1, 100),
        max_parked: r.whole("payer.max_parked", 1, 1_000_000),
        poll: r.duration("payer.poll", "10ms", "1s"),
        block: r.duration("payer.block", "10ms", "30s"),
    }
}

fn summarizer(r: &mut Reader) -> SummarizerConfig {
    SummarizerConfig {
        flush_interval: r.duration("summarizer.flush_interval", "50ms", "5s"),
        sweep_interval: r.duration("summarizer.sweep_interval", "200ms", "1day"),
        summary_ttl: r.duration("summarizer.summary_ttl", "1m", "1year"),
        dead_ttl: r.duration("summarizer.dead_ttl", "1m", "1year"),
        prune_after: r.duration("summarizer.prune_after", "1m", "1year"),
    }
}

fn webhook(r: &mut Reader, needs: Needs) -> WebhookConfig {
    let (url, secret) = match needs.webhook {
        true => {
            let url = r.secret("webhook.url", false, &url::WEBHOOK);
            let needed = !url.is_empty();
            (url, r.secret("webhook.secret", needed, &url::WEBHOOK_SECRET))
        }
        false => (String::new(), String::new()),
    };
    let timeout = r.duration("webhook.timeout", "100ms", "1m");
    let events = r.list(
        "webhook.events",
        "a list of completed, failed and needs_person",
        "Such as completed,failed in a variable, or [\"completed\"] in a file.",
        |name| Event::from_name(name).is_some(),
    );
    WebhookConfig {
        url: Secret::new(url),
        secret: Secret::new(secret),
        allow_http: r.truth("webhook.allow_http"),
        events: events.iter().filter_map(|name| Event::from_name(name)).collect(),
        timeout,
        connect_timeout: r.duration("webhook.connect_timeout", "10ms", "1m").min(timeout),
        max_attempts: r.whole("webhook.max_attempts", 1, 100),
        backoff_base: r.duration("webhook.backoff_base", "10ms", "1h"),
        backoff_cap: r.duration("webhook.backoff_cap", "10ms", "1day"),
        ca_file: optional_file(r, "webhook.ca_file"),
    }
}

fn optional_file(r: &mut Reader, key: &'static str) -> Option<PathBuf> {
    let readable = |path: &str| path.is_empty() || std::fs::File::open(path).is_ok();
    let path = r.text(key, "a file that can be read", "Correct the path, or let this user read the file.", readable);
    (!path.is_empty() && !r.faulty.contains(key)).then(|| PathBuf::from(path))
}

/// A key that others can read protects nothing. One that belongs to root and that our group may read is how
/// Kubernetes (fsGroup) and systemd (credentials) hand a file to a service, and is accepted.
fn pin_key(r: &mut Reader, needs: Needs) -> Option<PinKey> {
    if !needs.pin {
        return None;
    }
    let path = optional_file(r, "pin.key_file")?;
    let about = std::fs::metadata(&path).ok()?;
    let handed = about.uid() == 0 && std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() != 0);
    let forbidden = if handed { 0o037 } else { 0o077 };
    if about.mode() & forbidden != 0 {
        let found = format!("a file with mode {:04o}", about.mode() & 0o7777);
        let advice = format!("chmod 400 {}", path.display());
        r.fault("pin.key_file", found, "a file that only its owner can read (mode 0400 or 0600)", &advice);
        return None;
    }
    let key = read(&path).ok().and_then(|text| PinKey::from_hex(text.trim()));
    if key.is_none() {
        let found = "a file with another content (not shown)".to_owned();
        r.fault("pin.key_file", found, "64 hexadecimal digits", "Make one with `openssl rand -hex 32`.");
    }
    key
}
